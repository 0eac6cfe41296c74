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

    probes: inputs of several of the shapes that may occur, axes that may differ with different
    sizes; what comes from shapes alone and is the same for all of them becomes a constant, and
    sizes that are equal in all of them are one size.
    """
    import onnx  # imported here: only exporting needs it

    model: Any = onnx.load_from_string(data)
    _fold(model, probes)
    _shorten_reshapes(model, probes)
    _drop_unused(model.graph)
    _join_equal_sizes(model, probes)
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


def _fold(model: Any, probes: Sequence[Feeds]) -> None:
    """Store what comes from shapes alone, is small, and is the same for every probe."""
    from onnx import numpy_helper

    graph = model.graph
    constants = {
        name: first
        for name, (first, *others) in _observed_values(
            model, _of_shapes_alone(graph), probes
        ).items()
        if first.size <= MAX_VALUES and all(_is_same(first, other) for other in others)
    }
    _replace(graph.node, [node for node in graph.node if not set(node.output) & set(constants)])
    graph.initializer.extend(numpy_helper.from_array(constants[name], name) for name in constants)


def _shorten_reshapes(model: Any, probes: Sequence[Feeds]) -> None:
    """Write the sizes of a Reshape down, where they are fixed, its input's own (0), or one other.

    That one is -1: the runtime works it out.
    """
    from onnx import numpy_helper

    graph = model.graph
    fixed = {tensor.name for tensor in graph.initializer}
    reshapes = [
        node
        for node in graph.node
        if node.op_type == "Reshape"
        and node.input[1] not in fixed
        and not any(item.name == "allowzero" and item.i for item in node.attribute)
    ]
    sizes = _observed_values(model, [node.input[1] for node in reshapes], probes)
    shapes = _observed_shapes(model, [node.input[0] for node in reshapes], probes)
    for node in reshapes:
        short = _short_sizes(shapes[node.input[0]], sizes[node.input[1]])
        if short is not None:
            name = f"{node.output[0]}.sizes"
            graph.initializer.append(numpy_helper.from_array(short, name))
            node.input[1] = name


def _short_sizes(
    shapes: Sequence[NDArray[Any]], sizes: Sequence[NDArray[Any]]
) -> NDArray[np.int64] | None:
    """Return the sizes to write, of an input's shapes and the sizes given with each; or None."""
    short = []
    for axis, entries in enumerate(zip(*sizes, strict=True)):
        own = [shape[axis] if axis < len(shape) else None for shape in shapes]
        if all(entry == entries[0] for entry in entries):
            short.append(int(entries[0]))
        else:
            short.append(0 if own == list(entries) else -1)
    return np.array(short, np.int64) if short.count(-1) <= 1 else None


def _join_equal_sizes(model: Any, probes: Sequence[Feeds]) -> None:
    """Work each size out once, from the first tensor that has it."""
    found = _observed_values(model, _of_shapes_alone(model.graph), probes)
    stored = {tensor.name for tensor in model.graph.initializer}
    instead: dict[str, str] = {}
    known: dict[Any, str] = {}
    for name, values in found.items():
        if name not in stored and all(value.dtype == np.int64 for value in values):
            key = tuple((value.shape, value.tobytes()) for value in values)
            instead[name] = known.setdefault(key, name)
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = instead.get(name, name)


def _observed_shapes(
    model: Any, names: Sequence[str], probes: Sequence[Feeds]
) -> dict[str, list[NDArray[Any]]]:
    """Return the shapes of the named tensors, for every probe."""
    from onnx import ModelProto, helper

    watched = ModelProto()
    watched.CopyFrom(model)
    shape_of = {name: f"{name}.shape" for name in names}
    watched.graph.node.extend(helper.make_node("Shape", [a], [b]) for a, b in shape_of.items())
    observed = _observed_values(watched, list(shape_of.values()), probes)
    return {name: observed[shape] for name, shape in shape_of.items()}


def _observed_values(
    model: Any, names: Sequence[str], probes: Sequence[Feeds]
) -> dict[str, list[NDArray[Any]]]:
    """Work the named tensors out for every probe."""
    import onnx
    import onnxruntime

    if not names:  # to onnxruntime no name means every output
        return {}
    names = list(dict.fromkeys(names))
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    own = {output.name for output in model.graph.output}
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in own)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # fatal only: what fails is raised
    session = onnxruntime.InferenceSession(
        watched.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = [session.run(names, dict(feeds)) for feeds in probes]
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


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
