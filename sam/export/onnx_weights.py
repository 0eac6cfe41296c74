"""Smaller ONNX files: weights of 8 bits that are widened when the file is loaded.

Computing in 8 bits is slower than float32 on CPUs without dot-product instructions, and can
saturate; here only the file shrinks. Widening is Cast and Mul of constants, which runtimes fold
once at load.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_VALUES = 1024
"""Smaller tensors (biases, norms, tokens) stay as they are."""
_KEPT = "positional_encoding"
"""Positions are angles of many turns: an error of 1/256 of the largest is seen in every mask."""


def quantize_weights(data: bytes) -> bytes:
    """Return the model with its large weights as int8 and a scale for each row or column."""
    import onnx  # imported here: only exporting needs it
    from onnx import TensorProto, helper, numpy_helper

    model: Any = onnx.load_from_string(data)
    graph = model.graph
    kept, widening = [], []
    for tensor in graph.initializer:
        is_large = int(np.prod(tensor.dims)) >= MIN_VALUES and len(tensor.dims) >= 2
        if tensor.data_type != TensorProto.FLOAT or not is_large or _KEPT in tensor.name:
            kept.append(tensor)
            continue
        values, scale = _quantized(numpy_helper.to_array(tensor))
        name = tensor.name
        kept.append(numpy_helper.from_array(values, f"{name}.int8"))
        kept.append(numpy_helper.from_array(scale, f"{name}.scale"))
        widening += [
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.wide"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.wide", f"{name}.scale"], [name]),
        ]
    nodes = [*widening, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    small: bytes = model.SerializeToString()
    return small


def _quantized(weights: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round to 255 steps along whichever of the first and last axis loses less."""
    best: tuple[float, NDArray[np.int8], NDArray[np.float32]] | None = None
    for axis in (0, weights.ndim - 1):
        others = tuple(i for i in range(weights.ndim) if i != axis)
        scale = np.abs(weights).max(axis=others, keepdims=True).astype(np.float32) / 127
        scale[scale == 0] = 1.0
        values = np.rint(weights / scale).astype(np.int8)
        error = float(np.square(values * scale - weights).mean())
        if best is None or error < best[0]:
            best = (error, values, scale)
    assert best is not None
    return best[1], best[2]
