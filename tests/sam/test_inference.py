"""Ways to run the same model: in half precision, compiled, in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sam.export.onnx_encoder import KEPT_GRAPHS, EngineError, use_onnxruntime
from sam.modeling.model import Sam, build
from sam.prompts import Prompts

POINTS = torch.tensor([[[60.0, 40.0]], [[20.0, 30.0]]])
LABELS = torch.ones(2, 1, dtype=torch.int64)


@torch.no_grad()
def test_half_precision_answers_nearly_the_same_in_float32_tensors(
    model: Sam, image_rgb: np.ndarray
) -> None:
    pixels, prompts = model.preprocess(image_rgb), Prompts.make(POINTS, LABELS)
    features = model.encode(pixels)
    expected = model.decode(features, prompts)
    try:
        model.accelerate(dtype=torch.bfloat16)
        rounded = model.encode(pixels)
        decoded = model.decode(rounded, prompts)
    finally:
        model.accelerate()

    difference = (rounded.image_embeddings - features.image_embeddings).abs().max()
    assert 0 < difference < 0.1 * features.image_embeddings.abs().max()
    assert rounded.image_embeddings.dtype == decoded.low_res_logits.dtype == torch.float32
    scale = expected.low_res_logits.abs().max()
    assert 0 < (decoded.low_res_logits - expected.low_res_logits).abs().max() < 0.1 * scale
    assert torch.equal(model.encode(pixels).image_embeddings, features.image_embeddings)


def test_a_type_that_inference_cannot_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"float32, bfloat16 or float16, not torch\.float64"):
        build("tiny").accelerate(dtype=torch.float64)


@torch.no_grad()
def test_onnxruntime_encodes_like_torch_and_keeps_its_graph(
    image_rgb: np.ndarray, tmp_path: Path
) -> None:
    for preset in ("tiny", "tiny_vit"):
        model = build(preset, seed=1).eval()
        batch = model.preprocess(image_rgb)
        batch = torch.cat([batch, batch.flip(-1)])
        expected = model.encode(batch)

        use_onnxruntime(model, tmp_path / preset)
        found = model.encode(batch)
        (graph,) = (tmp_path / preset).iterdir()
        made_ns = graph.stat().st_mtime_ns
        use_onnxruntime(model, tmp_path / preset)

        assert found.image_embeddings is not expected.image_embeddings
        torch.testing.assert_close(
            found.image_embeddings, expected.image_embeddings, atol=1e-4, rtol=0
        )
        if expected.high_res_features is not None:
            torch.testing.assert_close(
                found.high_res_features, expected.high_res_features, atol=1e-4, rtol=0
            )
        assert graph.stat().st_mtime_ns == made_ns


def test_only_the_graphs_that_were_used_last_stay(tmp_path: Path) -> None:
    first = build("tiny", seed=0).eval()
    use_onnxruntime(first, tmp_path)
    (kept,) = tmp_path.iterdir()
    for seed in range(1, KEPT_GRAPHS + 2):
        use_onnxruntime(first, tmp_path)  # in use all the while
        use_onnxruntime(build("tiny", seed=seed).eval(), tmp_path)

    graphs = list(tmp_path.iterdir())
    assert len(graphs) == KEPT_GRAPHS
    assert kept in graphs


def test_an_encoder_in_an_engine_cannot_be_trained_unnoticed(tmp_path: Path) -> None:
    model = build("tiny_vit", seed=1)
    use_onnxruntime(model, tmp_path)

    with pytest.raises(RuntimeError, match="cannot be trained"):
        model.train().encode(torch.zeros(1, 3, 128, 128))


def test_an_encoder_too_large_for_one_file_is_refused_before_any_work(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = build("vit_h")
    model.restore_buffers()  # real constants: the model is "on" the CPU

    with pytest.raises(EngineError, match=r"vit_h has 2\.5 GB of weights"):
        use_onnxruntime(model, tmp_path)

    assert list(tmp_path.iterdir()) == []
