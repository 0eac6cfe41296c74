from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save as to_safetensors

from sam.checkpoints import checkpoint_files
from sam.checkpoints.embedding_files import EmbeddingError, encoder_sha256_of, from_bytes, to_bytes
from sam.export import onnx_decoder, onnx_weights
from sam.export.onnx_decoder import ParityError, export_decoder
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Prompts, Sam, build
from sam.prompting.predictor import Predictor


@torch.no_grad()
def test_stored_features_come_back_as_float16_rounded_them(
    model: Sam, image_rgb: np.ndarray
) -> None:
    features = model.encode(model.preprocess(image_rgb))

    data = to_bytes(features, encoder_sha256="abc")
    back = from_bytes(data)

    assert encoder_sha256_of(data) == "abc"
    assert torch.equal(back.image_embeddings, features.image_embeddings.half().float())
    assert (back.high_res_features is None) == (features.high_res_features is None)
    num_values = features.image_embeddings.numel()
    if features.high_res_features is not None:
        num_values += features.high_res_features.numel()
    assert 2 * num_values <= len(data) < 2 * num_values + 500


def test_equal_features_make_equal_bytes() -> None:
    features = ImageFeatures(torch.ones(1, 2, 3, 3), torch.ones(1, 1, 12, 12))

    written = {to_bytes(features, encoder_sha256="abc", image_hw=(40, 50)) for _ in range(20)}

    assert len(written) == 1


def test_features_that_float16_cannot_hold_are_not_stored() -> None:
    with pytest.raises(EmbeddingError, match="float16"):
        to_bytes(ImageFeatures(torch.full((1, 2, 3, 3), 1e6)), encoder_sha256="x")
    with pytest.raises(EmbeddingError, match="one image"):
        to_bytes(ImageFeatures(torch.zeros(2, 2, 3, 3)), encoder_sha256="x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"1234567",
        b"not an embedding at all",
        to_bytes(ImageFeatures(torch.zeros(1, 2, 3, 3)), encoder_sha256="x")[:-4],
        to_safetensors({"other": torch.zeros(2, 3, 3)}),
        to_safetensors({"image_embeddings": torch.zeros(3)}),
    ],
)
def test_bytes_that_are_no_embedding_are_refused(data: bytes) -> None:
    with pytest.raises(EmbeddingError):
        from_bytes(data)


def test_an_embedding_that_hides_its_encoder_is_refused() -> None:
    for data in (b"", b"12345678{", to_safetensors({"image_embeddings": torch.zeros(1, 1, 1)})):
        with pytest.raises(EmbeddingError, match="which encoder"):
            encoder_sha256_of(data)


@pytest.fixture(scope="module")
def exported(model: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("decoder") / "decoder.onnx"
    report = export_decoder(model, path)
    assert report.size_bytes == path.stat().st_size
    assert max(report.max_logit_difference, report.max_iou_difference) < 1e-3
    return path


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> Sam:
    return build(getattr(request, "param", "tiny"), seed=1).eval()


BOTH = pytest.mark.parametrize("model", ["tiny", "tiny_vit"], indirect=True)


@BOTH
@torch.no_grad()
@pytest.mark.parametrize("labels", [(1, -1), (2, 3), (1, 2, 3), (1, 0, 0, 1, 1, 0, 1, -1)], ids=str)
def test_the_exported_decoder_answers_a_real_image_like_the_model(
    model: Sam, exported: Path, image_rgb: np.ndarray, labels: tuple[int, ...]
) -> None:
    features = model.encode(model.preprocess(image_rgb))
    coords = torch.rand(1, len(labels), 2, generator=torch.Generator().manual_seed(4)) * 100
    if 2 in labels:
        coords[0, -2:] = torch.tensor([[10.0, 20.0], [90.0, 70.0]])
    label_row = torch.tensor([labels])
    expected = model.decode(features, Prompts(coords, label_row))

    feeds = {
        "image_embeddings": features.image_embeddings.numpy(),
        "point_coords": coords.numpy(),
        "point_labels": label_row.float().numpy(),
        "mask_input": np.zeros((1, 1, 32, 32), dtype=np.float32),
        "has_mask_input": np.zeros(1, dtype=np.float32),
    }
    if features.high_res_features is not None:
        feeds["high_res_features"] = features.high_res_features.numpy()
    session = onnxruntime.InferenceSession(exported)
    logits, iou = session.run(["low_res_masks", "iou_predictions"], feeds)

    assert {item.name for item in session.get_inputs()} == set(feeds)
    assert logits.shape == (1, 4, 32, 32)
    np.testing.assert_allclose(logits, expected.low_res_logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(iou, expected.predicted_iou.numpy(), atol=1e-4)


@BOTH
@torch.no_grad()
@pytest.mark.parametrize("has_mask", [0.0, 1.0])
@pytest.mark.parametrize("num_points", [0, 1, 4])
def test_many_prompt_sets_at_once_are_answered_as_the_model_answers_each(
    model: Sam, exported: Path, image_rgb: np.ndarray, num_points: int, has_mask: float
) -> None:
    features = model.encode(model.preprocess(image_rgb))
    random = torch.Generator().manual_seed(4)
    coords = torch.rand(5, num_points, 2, generator=random) * 100
    labels = torch.randint(0, 2, (5, num_points), generator=random)
    masks = 4 * torch.randn(5, 1, 32, 32, generator=random)
    flags = torch.full((5,), has_mask)
    flags[3] = 1 - has_mask

    feeds = {
        "image_embeddings": features.image_embeddings.numpy(),
        "point_coords": coords.numpy(),
        "point_labels": labels.float().numpy(),
        "mask_input": masks.numpy(),
        "has_mask_input": flags.numpy(),
    }
    if features.high_res_features is not None:
        feeds["high_res_features"] = features.high_res_features.numpy()
    session = onnxruntime.InferenceSession(exported)
    logits, iou = session.run(["low_res_masks", "iou_predictions"], feeds)

    assert logits.shape == (5, 4, 32, 32)
    for row in range(5):
        one = slice(row, row + 1)
        prompts = Prompts(coords[one], labels[one], masks[one], flags[one])
        expected = model.decode(features, prompts)
        np.testing.assert_allclose(logits[one], expected.low_res_logits.numpy(), atol=2e-4)
        np.testing.assert_allclose(iou[one], expected.predicted_iou.numpy(), atol=1e-4)
        if has_mask == 1 and row == 0:
            without_flags = model.decode(features, Prompts(coords[one], labels[one], masks[one]))
            np.testing.assert_allclose(logits[one], without_flags.low_res_logits.numpy(), atol=2e-4)


@pytest.mark.parametrize("full_resolution", [False, True])
@pytest.mark.parametrize("preset", ["tiny", "tiny_vit"])
def test_a_decoder_s_file_says_what_it_takes_and_whose_it_is(
    tmp_path: Path, preset: str, full_resolution: bool
) -> None:
    model = build(preset, seed=1)
    path = tmp_path / "decoder.onnx"

    export_decoder(model, path, full_resolution=full_resolution, licence="CC0-1.0")

    session = onnxruntime.InferenceSession(path)
    notes = session.get_modelmeta().custom_metadata_map
    size = model.config.image_size_px
    shapes = json.loads(notes["embedding_shapes"])
    assert (notes["arch"], notes["licence"]) == (preset, "CC0-1.0")
    assert json.loads(notes["image_size_px"]) == size
    assert json.loads(notes["pixel_mean"]) == [123.675, 116.28, 103.53]
    assert json.loads(notes["pixel_std"]) == [58.395, 57.12, 57.375]
    assert json.loads(notes["max_exposure_gain"]) == model.config.max_exposure_gain
    assert notes["encoder_sha256"] == checkpoint_files.encoder_sha256(model)
    inputs = {item.name: item.shape for item in session.get_inputs()}
    assert {name: inputs[name] for name in shapes} == shapes
    assert ("high_res_features" in shapes) == (preset == "tiny")
    assert inputs["point_coords"] == ["num_prompts", "num_points", 2]
    assert inputs["point_labels"] == ["num_prompts", "num_points"]
    assert inputs["mask_input"] == ["num_prompts", 1, size // 4, size // 4]
    assert inputs["has_mask_input"] == ["num_prompts"]
    outputs = {item.name: item.shape for item in session.get_outputs()}
    assert outputs["low_res_masks"] == ["num_prompts", 4, size // 4, size // 4]
    assert outputs["iou_predictions"] == ["num_prompts", 4]
    assert outputs.get("masks") == (
        ["num_prompts", 4, "height", "width"] if full_resolution else None
    )


def test_a_decoder_whose_licence_nobody_stated_states_none(tmp_path: Path) -> None:
    export_decoder(build("tiny_vit", seed=1), tmp_path / "decoder.onnx")

    session = onnxruntime.InferenceSession(tmp_path / "decoder.onnx")
    assert "licence" not in session.get_modelmeta().custom_metadata_map


def test_a_decoder_that_answers_differently_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = build("tiny_vit", seed=1), build("tiny_vit", seed=2)
    wrong = onnx_decoder._ExportedDecoder(other.eval(), full_resolution=False)
    export = onnx_decoder._export
    monkeypatch.setattr(onnx_decoder, "_export", lambda _: export(wrong))

    with pytest.raises(ParityError, match="differs from the model"):
        export_decoder(model, tmp_path / "decoder.onnx")

    assert list(tmp_path.iterdir()) == []


def test_exporting_leaves_a_training_model_in_training(tmp_path: Path) -> None:
    model = build("tiny", seed=1).train()

    export_decoder(model, tmp_path / "decoder.onnx")

    assert model.training


@torch.no_grad()
def test_masks_of_a_full_resolution_decoder_have_the_image_s_size(
    tmp_path: Path, image_rgb: np.ndarray
) -> None:
    model = build("tiny_vit", seed=1).eval()
    export_decoder(model, tmp_path / "decoder.onnx", full_resolution=True)
    predictor = Predictor(model)
    predictor.set_image(image_rgb)
    height, width = image_rgb.shape[:2]
    x, y = predictor.frame.to_model([[100.0, 50.0]])[0]

    session = onnxruntime.InferenceSession(tmp_path / "decoder.onnx")
    masks, iou, low_res = session.run(
        ["masks", "iou_predictions", "low_res_masks"],
        {
            "image_embeddings": predictor.features.image_embeddings.numpy(),
            "point_coords": np.array([[[x, y], [0, 0]]], dtype=np.float32),
            "point_labels": np.array([[1, -1]], dtype=np.float32),
            "mask_input": np.zeros((1, 1, 32, 32), dtype=np.float32),
            "has_mask_input": np.zeros(1, dtype=np.float32),
            "orig_im_size": np.array([height, width], dtype=np.float32),
        },
    )

    expected = predictor.predict(point_coords=[[100.0, 50.0]], point_labels=[1])
    assert masks.shape == (1, 4, height, width)
    np.testing.assert_allclose(low_res[0, 1:], expected.low_res_logits, atol=1e-4)
    np.testing.assert_allclose(iou[0, 1:], expected.predicted_iou, atol=1e-4)
    assert (masks[0, 1:] > 0).mean() == pytest.approx(expected.masks_nhw.mean(), abs=1e-4)
    assert ((masks[0, 1:] > 0) != expected.masks_nhw).mean() < 1e-4


def test_a_quantized_decoder_is_a_fraction_of_the_size_and_nearly_the_same(tmp_path: Path) -> None:
    model = build("starter", seed=1)

    whole = export_decoder(model, tmp_path / "whole.onnx")
    small = export_decoder(model, tmp_path / "small.onnx", quantized=True)

    assert whole.mean_mask_iou > 0.9999
    assert small.mean_mask_iou >= 0.98
    assert small.size_bytes < 0.4 * whole.size_bytes
    assert small.size_bytes == (tmp_path / "small.onnx").stat().st_size


def test_a_quantized_decoder_that_loses_the_masks_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded = onnx_weights._quantized

    def to_three_levels(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, scale = rounded(weights)
        return np.rint(values / 127).astype(np.int8), scale * 127

    monkeypatch.setattr(onnx_weights, "_quantized", to_three_levels)

    with pytest.raises(ParityError, match=r"quantized decoder's masks agree .* at mean IoU 0\."):
        export_decoder(build("starter", seed=1), tmp_path / "decoder.onnx", quantized=True)

    assert list(tmp_path.iterdir()) == []
