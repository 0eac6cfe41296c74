"""Cut a decoder.onnx in two: what an image needs once, and what each prompt needs.

The page runs the first when an image is opened, so that a click costs only the second (ADR 13).
Weights and sums stay as they are; any exporter's graph will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.decoding.network import DecodingError

IMAGE_INPUTS = frozenset({"image_embeddings", "high_res_features"})
"""The inputs that are known when an image is opened."""
TOLERANCE = 1e-3
"""Of the outputs' scale, as the exporter's own check (sam/export/onnx_decoder.py)."""
NUM_POINTS = 2
"""Points of the trial prompts, the second of them padding."""

FLOAT = 1  # onnx.TensorProto.FLOAT
FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DecoderHalves:
    """Two ONNX files. Outputs of `image` are inputs of `prompt`, by name.

    image: None where no work depends on the image alone; `prompt` is the whole decoder then.
    """

    image: bytes | None
    prompt: bytes


def cut_decoder(data: bytes) -> DecoderHalves:
    """Return the halves of a decoder, which together answer as the whole does.

    The whole stays one file where nothing is gained, where graphs are nested, or where the halves
    do not run or answer otherwise. Takes about as long as loading the decoder twice.

    Raises:
        DecodingError: the bytes are no ONNX model.
    """
    halves = split_graph(data)
    if halves.image is None or answers_alike(data, halves):
        return halves
    return DecoderHalves(None, data)


def split_graph(data: bytes) -> DecoderHalves:
    """Do as `cut_decoder`, without running anything."""
    import onnx  # imported here: it is large, and a decoder is cut once
    from google.protobuf.message import DecodeError
    from onnx.utils import Extractor

    try:
        model: Any = onnx.load_from_string(data)
    except DecodeError as error:
        raise DecodingError(f"the decoder is no ONNX model: {error}") from error
    graph = model.graph
    whole = DecoderHalves(None, data)
    if any(_is_nested(node) for node in graph.node):
        return whole
    is_late = _late_names(graph)
    inputs = [value.name for value in graph.input]
    outputs = [value.name for value in graph.output]
    shared = _shared_names(graph, is_late)
    if not shared or not all(is_late.get(name, True) for name in outputs):
        return whole
    extractor: Any = Extractor(model)
    for name in shared:
        extractor.value_infos[name] = onnx.helper.make_tensor_value_info(name, FLOAT, None)
    needed = _needed_inputs(extractor, [*inputs, *shared], outputs)
    halves = (
        extractor.extract_model(_needed_inputs(extractor, inputs, shared), shared),
        extractor.extract_model(needed, outputs),
    )
    for half in halves:
        half.metadata_props.extend(model.metadata_props)
    image, prompt = (half.SerializeToString() for half in halves)
    return DecoderHalves(image, prompt)


def answers_alike(data: bytes, halves: DecoderHalves) -> bool:
    """Tell whether the halves together answer a trial prompt as the whole does."""
    if halves.image is None:
        return halves.prompt == data
    try:
        whole = _session(data)
        feeds = _trial_feeds(whole)
        expected = _run(whole, feeds)
        shared = _run(_session(halves.image), feeds)
        found = _run(_session(halves.prompt), {**feeds, **shared})
    except Exception:  # onnxruntime raises its own unexported classes
        return False
    return found.keys() == expected.keys() and all(
        found[name].shape == answer.shape
        and float(np.abs(found[name] - answer).max())
        <= TOLERANCE * max(1.0, float(np.abs(answer).max()))
        for name, answer in expected.items()
    )


def _is_nested(node: Any) -> bool:
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def _late_names(graph: Any) -> dict[str, bool]:
    """Tell of each tensor that is no constant whether it depends on prompts.

    Nodes come in the order in which they can run.
    """
    constants = {tensor.name for tensor in graph.initializer}
    is_late = {
        value.name: value.name not in IMAGE_INPUTS
        for value in graph.input
        if value.name not in constants
    }
    for node in graph.node:
        kinds = [is_late.get(name) for name in node.input if name and name not in constants]
        if not kinds:
            constants.update(node.output)
        else:
            is_late.update(dict.fromkeys(node.output, any(kind is not False for kind in kinds)))
    return is_late


def _shared_names(graph: Any, is_late: Mapping[str, bool]) -> list[str]:
    """Name what comes from the image alone and goes into something that depends on prompts."""
    inputs = {value.name for value in graph.input}
    shared: dict[str, None] = {}
    for node in graph.node:
        if any(is_late.get(name, False) for name in node.output):
            early = (n for n in node.input if is_late.get(n) is False and n not in inputs)
            shared.update(dict.fromkeys(early))
    return list(shared)


def _needed_inputs(extractor: Any, inputs: list[str], outputs: list[str]) -> list[str]:
    """Return those inputs that lead to the outputs."""
    nodes: Iterable[Any] = extractor._collect_reachable_nodes(inputs, outputs)
    used = {name for node in nodes for name in node.input}
    return [name for name in inputs if name in used]


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # failures are answered, not printed
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _trial_feeds(session: Any) -> dict[str, FloatArray]:
    """Draw one click on random features and a random mask, of the shapes that the decoder takes."""
    random = np.random.default_rng(0)
    feeds = {}
    for node in session.get_inputs():
        sizes = {"num_points": NUM_POINTS}
        shape = [side if isinstance(side, int) else sizes.get(side, 1) for side in node.shape]
        values = random.normal(size=shape)
        if node.name == "point_labels":
            values = np.broadcast_to(np.array([1, -1]), shape)
        elif node.name == "point_coords":
            values = np.abs(values) * 100
        elif node.name == "has_mask_input":
            values = np.ones(shape)
        feeds[node.name] = values.astype(np.float32)
    return feeds


def _run(session: Any, feeds: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    wanted = {node.name for node in session.get_inputs()}
    names = [node.name for node in session.get_outputs()]
    outputs = session.run(names, {name: feeds[name] for name in wanted})
    return dict(zip(names, outputs, strict=True))
