from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from engine.decoding import halves as module
from engine.decoding.halves import IMAGE_INPUTS, cut_decoder, split_graph
from engine.decoding.network import DecodingError, Network

STARTER = Path(__file__).parents[3] / "sam" / "starter" / "decoder.onnx"
SHAPES = {
    "image_embeddings": (1, 2),
    "point_coords": (1, 2),
    "masks": (1, 2),
}


def inputs_of(session: Any) -> dict[str, np.ndarray]:
    """The same numbers every time: two clicks and an earlier mask on random features."""
    random = np.random.default_rng(3)
    given = {
        "point_coords": [[[120, 200], [300.5, 40], [0, 0]]],
        "point_labels": [[1, 0, -1]],
        "has_mask_input": [1],
    }
    feeds = {}
    for node in session.get_inputs():
        shape = [1 if isinstance(side, str) else side for side in node.shape]
        feeds[node.name] = np.array(given.get(node.name, random.normal(size=shape)), np.float32)
    return feeds


def names(values: Sequence[Any]) -> list[str]:
    return [value.name for value in values]


def test_the_halves_answer_as_the_whole_and_leave_image_work_out_of_clicks(tmp_path: Path) -> None:
    found = cut_decoder(STARTER.read_bytes())
    assert found.image is not None
    image, prompt = tmp_path / "image.onnx", tmp_path / "prompt.onnx"
    image.write_bytes(found.image)
    prompt.write_bytes(found.prompt)
    whole = onnxruntime.InferenceSession(STARTER)
    feeds = inputs_of(whole)
    expected = whole.run(["low_res_masks", "iou_predictions"], feeds)
    features = {name: feeds[name] for name in IMAGE_INPUTS}
    prompts = {name: tensor for name, tensor in feeds.items() if name not in IMAGE_INPUTS}

    run = Network(prompt, name="halves", image_half=image).prepare(features)
    answers = run(prompts)

    early, late = (onnx.load(path).graph for path in (image, prompt))
    assert set(names(early.input)) == IMAGE_INPUTS
    assert set(names(early.output)) < set(names(late.input))
    assert len(early.node) + len(late.node) <= len(onnx.load(STARTER).graph.node)
    for answer, other in zip(answers, expected, strict=True):
        assert other.any()
        np.testing.assert_allclose(answer, other, atol=1e-4)


def test_a_whole_decoder_runs_as_it_is() -> None:
    whole = onnxruntime.InferenceSession(STARTER)
    feeds = inputs_of(whole)

    answers = Network(STARTER, name="starter").prepare(feeds)(feeds)

    for answer, other in zip(answers, whole.run(None, feeds), strict=True):
        np.testing.assert_allclose(answer, other, atol=1e-5)


def test_the_halves_say_what_the_whole_says_of_itself() -> None:
    data = STARTER.read_bytes()
    notes = {one.key: one.value for one in onnx.load_from_string(data).metadata_props}
    found = split_graph(data)

    assert notes["encoder_sha256"]
    for half in (found.image, found.prompt):
        assert half is not None
        assert {p.key: p.value for p in onnx.load_from_string(half).metadata_props} == notes


def test_the_same_decoder_makes_the_same_halves() -> None:
    data = STARTER.read_bytes()

    assert split_graph(data) == split_graph(data)


def model(*nodes: Any, weights: Sequence[str] = ()) -> bytes:
    """A graph of named nodes from an embedding and a click to masks."""

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPES[name])

    graph = helper.make_graph(
        list(nodes),
        "decoder",
        [value("image_embeddings"), value("point_coords")],
        [value("masks")],
        initializer=[helper.make_tensor(w, TensorProto.FLOAT, (1, 2), [2, 3]) for w in weights],
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return bytes(whole.SerializeToString())


KEYS = helper.make_node("Mul", ["image_embeddings", "weight"], ["keys"])


def test_each_tensor_is_handed_over_once_and_constants_are_not() -> None:
    data = model(
        KEYS,
        helper.make_node("Neg", ["point_coords"], ["token"]),
        helper.make_node("Neg", ["weight"], ["table"]),
        helper.make_node("Add", ["token", "keys"], ["scores"]),
        helper.make_node("Sum", ["scores", "keys", "table", "image_embeddings"], ["masks"]),
        weights=["weight"],
    )

    found = cut_decoder(data)

    assert found.image is not None
    early, late = (onnx.load_from_string(half).graph for half in (found.image, found.prompt))
    assert names(early.output) == ["keys"]
    assert names(late.input) == ["image_embeddings", "point_coords", "keys"]
    assert [node.op_type for node in early.node] == ["Mul"]


def test_nothing_is_cut_without_work_on_the_image_alone_or_with_nested_graphs() -> None:
    branch = helper.make_graph(
        [helper.make_node("Neg", ["keys"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    together = model(helper.make_node("Add", ["image_embeddings", "point_coords"], ["masks"]))
    nested = model(
        KEYS,
        helper.make_node("Cast", ["point_coords"], ["is_on"], to=TensorProto.BOOL),
        helper.make_node("If", ["is_on"], ["masks"], then_branch=branch, else_branch=branch),
        weights=["weight"],
    )

    for data in (together, nested, b""):
        found = split_graph(data)
        assert (found.image, found.prompt) == (None, data)


def test_halves_that_do_not_run_leave_the_decoder_whole() -> None:
    data = model(  # hands over whole numbers, which no browser's worker would
        helper.make_node("Cast", ["image_embeddings"], ["keys"], to=TensorProto.INT64),
        helper.make_node("Cast", ["point_coords"], ["token"], to=TensorProto.INT64),
        helper.make_node("Add", ["token", "keys"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["masks"], to=TensorProto.FLOAT),
    )
    assert split_graph(data).image is not None

    found = cut_decoder(data)

    assert (found.image, found.prompt) == (None, data)


def test_halves_that_answer_otherwise_leave_the_decoder_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late = helper.make_node("Add", ["point_coords", "keys"], ["masks"])
    data, other = (model(KEYS, late, weights=["weight"]), model(KEYS, late, weights=["weight"]))
    wrong = onnx.load_from_string(other)
    wrong.graph.initializer[0].float_data[0] = 5
    halves = split_graph(wrong.SerializeToString())
    monkeypatch.setattr(module, "split_graph", lambda _: halves)

    found = cut_decoder(data)

    assert halves.image is not None
    assert (found.image, found.prompt) == (None, data)


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(DecodingError, match="no ONNX model"):
        cut_decoder(bytes([0x3A, 0xFF, 0x01]))
