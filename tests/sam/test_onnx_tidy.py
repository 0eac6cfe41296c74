"""A traced graph without what the tracer wrote down too much."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from sam.export.onnx_tidy import tidy

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def graph(*nodes: Any, stored: tuple[Any, ...] = (), sides: int = 3) -> bytes:
    """A model from x (1, n, 4) to y, which has so many sides."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, "n", 4])],
        [helper.make_tensor_value_info("y", FLOAT, [f"side_{i}" for i in range(sides)])],
        list(stored),
    )
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(made, opset_imports=opset, ir_version=8).SerializeToString())


def ints(name: str, *values: int) -> Any:
    return helper.make_tensor(name, INT64, [len(values)], values)


def probe(n: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(n).normal(size=(1, n, 4)).astype(np.float32)}


def ops(model: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model).graph.node]


def answers(model: bytes, n: int) -> Any:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(["y"], probe(n))[0]


def test_sizes_that_never_change_become_constants_and_those_that_do_stay() -> None:
    model = graph(
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["n"]),
        helper.make_node("Gather", ["shape", "two"], ["four"]),
        helper.make_node("Concat", ["four", "n"], ["turned"], axis=0),
        helper.make_node("ConstantOfShape", ["turned"], ["y"]),
        stored=(ints("one", 1), ints("two", 2)),
        sides=2,
    )

    small = tidy(model, [probe(2), probe(3)])

    assert ops(small) == ["Shape", "Gather", "Concat", "ConstantOfShape"]  # "four" is stored now
    for n in (2, 5):
        np.testing.assert_array_equal(answers(small, n), answers(model, n))


def test_a_reshape_needs_no_sizes_but_fixed_ones_its_input_s_own_and_one_other() -> None:
    model = graph(
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "two"], ["lead"]),
        helper.make_node("Concat", ["lead", "halves"], ["split"], axis=0),
        helper.make_node("Reshape", ["x", "split"], ["fourfold"]),  # (1, n, 2, 2)
        helper.make_node("Gather", ["shape", "one"], ["n"]),
        helper.make_node("Mul", ["n", "two"], ["twice"]),
        helper.make_node("Concat", ["one", "twice", "two"], ["flat"], axis=0),
        helper.make_node("Reshape", ["fourfold", "flat"], ["y"]),  # (1, 2 n, 2)
        stored=(ints("zero", 0), ints("one", 1), ints("two", 2), ints("halves", 2, 2)),
    )

    small = tidy(model, [probe(2), probe(3)])

    assert ops(small) == ["Reshape", "Reshape"]
    for n in (2, 5):
        np.testing.assert_array_equal(answers(small, n), answers(model, n))


def test_a_reshape_to_two_sizes_of_its_own_keeps_them() -> None:
    model = graph(
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["n"]),
        helper.make_node("Reshape", ["x", "open"], ["flat"]),
        helper.make_node("Concat", ["two", "n", "two"], ["sides"], axis=0),
        helper.make_node("Reshape", ["flat", "sides"], ["y"]),
        stored=(ints("one", 1), ints("two", 2), ints("open", -1)),
    )

    small = tidy(model, [probe(2), probe(3)])

    assert ops(small)[-1] == "Reshape"
    for n in (2, 5):
        np.testing.assert_array_equal(answers(small, n), answers(model, n))


def test_a_size_that_several_tensors_have_is_read_from_the_first() -> None:
    model = graph(
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Exp", ["x"], ["made"]),
        helper.make_node("Shape", ["made"], ["made_shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["a"]),
        helper.make_node("ConstantOfShape", ["made_shape"], ["b"]),
        helper.make_node("Sub", ["a", "b"], ["zeros"]),
        helper.make_node("Add", ["made", "zeros"], ["y"]),
    )

    small = tidy(model, [probe(2), probe(3)])

    assert ops(small) == ["Shape", "Exp", "ConstantOfShape", "Sub", "Add"]
    for n in (2, 5):
        np.testing.assert_array_equal(answers(small, n), answers(model, n))


def test_conversions_to_the_same_type_and_repeated_nodes_go() -> None:
    model = graph(
        helper.make_node("Cast", ["x"], ["same"], to=FLOAT),
        helper.make_node("Exp", ["same"], ["a"]),
        helper.make_node("Exp", ["x"], ["b"]),
        helper.make_node("Cast", ["b"], ["whole"], to=INT64),
        helper.make_node("Cast", ["whole"], ["back"], to=FLOAT),
        helper.make_node("Neg", ["x"], ["unused"]),
        helper.make_node("Add", ["a", "back"], ["y"]),
    )

    small = tidy(model, [probe(2)])

    assert ops(small) == ["Exp", "Cast", "Cast", "Add"]
    np.testing.assert_array_equal(answers(small, 3), answers(model, 3))


@pytest.mark.parametrize("op", ["Cast", "Identity"])
def test_an_output_keeps_its_name_whatever_makes_it(op: str) -> None:
    attributes = {"to": FLOAT} if op == "Cast" else {}
    model = graph(helper.make_node(op, ["x"], ["y"], **attributes))

    small = tidy(model, [probe(2)])

    np.testing.assert_array_equal(answers(small, 2), probe(2)["x"])
