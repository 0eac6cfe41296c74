from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save as to_safetensors

from sam import onnx_export, onnx_weights
from sam.embeddings import EmbeddingError, encoder_sha256_of, from_bytes, to_bytes
from sam.features import ImageFeatures
from sam.model import Prompts, Sam, build
from sam.onnx_export import ParityError, export_decoder
from sam.predictor import Predictor


@torch.no_grad()
def test_stored_features_come_back_as_float16_rounded_them(model: Sam, photo: np.ndarray) -> None:
    features = model.encode(model.preprocess(photo))

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
def test_the_exported_decoder_answers_a_real_photo_like_the_model(
    model: Sam, exported: Path, photo: np.ndarray, labels: tuple[int, ...]
) -> None:
    features = model.encode(model.preprocess(photo))
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


def test_a_decoder_that_answers_differently_is_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = build("tiny_vit", seed=1), build("tiny_vit", seed=2)
    wrong = onnx_export._ExportedDecoder(other.eval(), full_resolution=False)
    export = onnx_export._export
    monkeypatch.setattr(onnx_export, "_export", lambda _: export(wrong))

    with pytest.raises(ParityError, match="differs from the model"):
        export_decoder(model, tmp_path / "decoder.onnx")

    assert list(tmp_path.iterdir()) == []


def test_exporting_leaves_a_training_model_in_training(tmp_path: Path) -> None:
    model = build("tiny", seed=1).train()

    export_decoder(model, tmp_path / "decoder.onnx")

    assert model.training


@torch.no_grad()
def test_masks_of_a_full_resolution_decoder_have_the_photo_s_size(
    tmp_path: Path, photo: np.ndarray
) -> None:
    model = build("tiny_vit", seed=1).eval()
    export_decoder(model, tmp_path / "decoder.onnx", full_resolution=True)
    predictor = Predictor(model)
    predictor.set_image(photo)
    height, width = photo.shape[:2]
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
