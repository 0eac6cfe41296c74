"""Smaller ONNX graphs that compute the same: what a tracer writes down too much is left out.

Most nodes of a traced decoder only work out sizes that never change, others convert float32 to
float32 or repeat what was computed before. Each costs a browser time to load and to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_VALUES = 64
"""Larger constants (positions of all cells) stay computed at load, or the file would grow."""

Feeds = Mapping[str, NDArray[Any]]


def tidy(data: bytes, probes: Sequence[Feeds]) -> bytes:
    """Return the model with fewer nodes and the same answers.

    probes: inputs of several of the shapes that may occur; what comes from shapes alone and is
    the same for all of them becomes a constant.
    """
    import onnx  # imported here: only exporting needs it
    from onnx import numpy_helper

    model: Any = onnx.load_from_string(data)
    constants = _constants(model, _of_shapes_alone(model.graph), probes)
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    nodes = [node for node in model.graph.node if not set(node.output) & set(constants)]
    _replace(model.graph.node, nodes)
    model.graph.initializer.extend(stored)
    _join_equal(model.graph, _element_types(model))
    _drop_unused(model.graph)
    onnx.checker.check_model(model)
    smaller: bytes = model.SerializeToString()
    return smaller


def _of_shapes_alone(graph: Any) -> list[str]:
    """Name what is computed from constants and sizes, in the graph's order."""
    constant = {tensor.name for tensor in graph.initializer}
    found = []
    for node in graph.node:
        is_size = node.op_type in ("Shape", "Size")
        if is_size or all(name in constant for name in node.input if name):
            constant.update(node.output)
            found += list(node.output)
    return found


def _constants(model: Any, names: Sequence[str], probes: Sequence[Feeds]) -> Feeds:
    """Work the named tensors out for every probe; keep the small ones that never differ."""
    import onnx
    import onnxruntime

    if not names:  # to onnxruntime no name means every output
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {output.name for output in model.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in own)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: what fails is raised
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    seen = [session.run(list(names), dict(feeds)) for feeds in probes]
    return {
        name: first
        for name, first, *others in zip(names, *seen, strict=True)
        if first.size <= MAX_VALUES and all(_is_same(first, other) for other in others)
    }


def _is_same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))


def _element_types(model: Any) -> dict[str, int]:
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _join_equal(graph: Any, types: Mapping[str, int]) -> None:
    """Compute once what several nodes compute alike; leave out conversions to the same type."""
    outputs = {output.name for output in graph.output}
    instead: dict[str, str] = {}
    known: dict[Any, Any] = {}
    kept = []
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = instead.get(name, name)
        is_own = bool(outputs.intersection(node.output))  # a graph's outputs keep their names
        if (
            node.op_type == "Cast"
            and node.attribute[0].i == types.get(node.input[0])
            and not is_own
        ):
            instead[node.output[0]] = node.input[0]
            continue
        attributes = sorted(item.SerializeToString() for item in node.attribute)
        key = (node.domain, node.op_type, *node.input, *attributes, len(node.output))
        twin = known.setdefault(key, node)
        if twin is node or is_own:
            kept.append(node)
        else:
            instead.update(zip(node.output, twin.output, strict=True))
    _replace(graph.node, kept)


def _drop_unused(graph: Any) -> None:
    used = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            used.update(node.input)
            kept.append(node)
    _replace(graph.node, list(reversed(kept)))
    _replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name in used])


def _replace(repeated: Any, items: list[Any]) -> None:
    del repeated[:]
    repeated.extend(items)
