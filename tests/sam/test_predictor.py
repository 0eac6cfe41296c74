from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sam.checkpoints import embedding_files
from sam.checkpoints.embedding_files import EmbeddingError
from sam.modeling.features import ImageFeatures
from sam.modeling.model import ImageError, Sam, build
from sam.prompting.predictor import NoImageError, Prediction, Predictor


def test_a_click_gives_three_masks_of_the_image_s_size(predictor: Predictor) -> None:
    prediction = predictor.predict(point_coords=[[90, 40]], point_labels=[1])

    assert prediction.masks_nhw.shape == (3, 90, 130)
    assert prediction.masks_nhw.dtype == np.bool_
    assert prediction.predicted_iou.shape == (3,)
    assert prediction.low_res_logits.shape == (3, 32, 32)


def test_the_single_mask_is_another_than_the_three(predictor: Predictor) -> None:
    three = predictor.predict(point_coords=[[90, 40]], point_labels=[1])
    one = predictor.predict(point_coords=[[90, 40]], point_labels=[1], multimask_output=False)

    assert one.masks_nhw.shape == (1, 90, 130)
    assert not any(np.array_equal(one.low_res_logits[0], row) for row in three.low_res_logits)


def test_the_papers_rule_picks_the_best_of_three_for_a_click_and_the_single_for_two(
    predictor: Predictor,
) -> None:
    three = predictor.predict(point_coords=[[90, 40]], point_labels=[1])
    picked = predictor.predict_one(point_coords=[[90, 40]], point_labels=[1])
    two = {"point_coords": [[90, 40], [3, 3]], "point_labels": [1, 0]}

    assert picked.predicted_iou[0] == three.predicted_iou.max()
    single = predictor.predict(**two, multimask_output=False)
    assert np.array_equal(predictor.predict_one(**two).low_res_logits, single.low_res_logits)


def test_stored_features_give_the_same_masks_as_the_image(predictor: Predictor, model: Sam) -> None:
    other = Predictor(model)
    other.set_features(predictor.features, (90, 130))

    expected = predictor.predict(box=[60, 10, 120, 70]).masks_nhw
    assert np.array_equal(other.predict(box=[60, 10, 120, 70]).masks_nhw, expected)


def test_an_earlier_mask_can_be_refined(predictor: Predictor) -> None:
    first = predictor.predict(point_coords=[[90, 40]], point_labels=[1])

    refined = predictor.predict(
        point_coords=[[90, 40]], point_labels=[1], mask_input=first.low_res_logits[0]
    )
    from_mask_alone = predictor.predict(mask_input=first.low_res_logits[:1])

    assert not np.array_equal(refined.low_res_logits, first.low_res_logits)
    assert from_mask_alone.masks_nhw.shape == (3, 90, 130)


def test_many_boxes_get_one_mask_each_however_they_are_batched(predictor: Predictor) -> None:
    boxes = [[60, 10, 120, 70], [5, 15, 30, 75], [0, 0, 130, 90]]

    together = predictor.predict_boxes(boxes)
    one_by_one = predictor.predict_boxes(boxes, boxes_per_batch=1)

    assert together.masks_nhw.shape == (3, 90, 130)
    np.testing.assert_allclose(together.low_res_logits, one_by_one.low_res_logits, atol=1e-4)
    assert predictor.predict_boxes(np.zeros((0, 4))).masks_nhw.shape == (0, 90, 130)


def assert_same(many: list[Prediction], one_by_one: list[Prediction]) -> None:
    assert len(many) == len(one_by_one)
    for found, expected in zip(many, one_by_one, strict=True):
        assert found.masks_nhw.shape == expected.masks_nhw.shape
        np.testing.assert_allclose(found.low_res_logits, expected.low_res_logits, atol=1e-4)
        np.testing.assert_allclose(found.predicted_iou, expected.predicted_iou, atol=1e-4)


POINTS = np.array([[90, 40], [15, 30], [3, 3], [129, 89], [60, 60]])
LABELS = np.array([1, 1, 0, 1, 1])
BOXES = np.array([[60, 10, 120, 70], [5, 15, 30, 75], [0, 0, 130, 90], [1, 1, 9, 9], [2, 2, 8, 8]])


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize("prompts_per_batch", [2, 16])
def test_many_prompts_at_once_give_what_each_gives_alone(
    predictor: Predictor, multimask_output: bool, prompts_per_batch: int
) -> None:
    options = {"multimask_output": multimask_output}
    batch = {**options, "prompts_per_batch": prompts_per_batch}

    points = predictor.predict_batch(point_coords=POINTS, point_labels=LABELS, **batch)
    boxes = predictor.predict_batch(boxes=BOXES, **batch)
    logits = np.stack([prediction.low_res_logits[0] for prediction in points])
    everything = predictor.predict_batch(
        point_coords=np.stack([POINTS, POINTS[::-1]], 1),
        point_labels=np.stack([LABELS, LABELS[::-1]], 1),
        boxes=BOXES,
        mask_inputs=logits,
        **batch,
    )

    assert_same(
        points,
        [
            predictor.predict(point_coords=[point], point_labels=[label], **options)
            for point, label in zip(POINTS, LABELS, strict=True)
        ],
    )
    assert_same(boxes, [predictor.predict(box=box, **options) for box in BOXES])
    assert_same(
        everything,
        [
            predictor.predict(
                point_coords=[POINTS[i], POINTS[-1 - i]],
                point_labels=[LABELS[i], LABELS[-1 - i]],
                box=BOXES[i],
                mask_input=logits[i],
                **options,
            )
            for i in range(5)
        ],
    )
    assert predictor.predict_batch(boxes=np.zeros((0, 4))) == []


def test_of_three_masks_for_a_background_click_one_without_it_is_picked(
    image_rgb: np.ndarray,
) -> None:
    predictor = Predictor(build("tiny_vit", seed=1))
    predictor.set_image(image_rgb)
    num_better_ones_passed_over = 0
    for x in range(5, 130, 10):
        click = {"point_coords": [[x, 60]], "point_labels": [0]}
        three = predictor.predict(**click)
        is_crossed = three.masks_nhw[:, 60, x]

        picked = predictor.predict_one(**click)

        offered = three.predicted_iou[~is_crossed] if not is_crossed.all() else three.predicted_iou
        assert picked.predicted_iou[0] == offered.max()
        num_better_ones_passed_over += int(offered.max() < three.predicted_iou.max())
    assert num_better_ones_passed_over


def test_a_bgr_image_is_the_rgb_one_with_its_channels_turned(
    predictor: Predictor, image_rgb: np.ndarray, model: Sam
) -> None:
    other = Predictor(model)

    other.set_image(image_rgb[..., ::-1], image_format="BGR")

    assert torch.equal(other.features.image_embeddings, predictor.features.image_embeddings)
    with pytest.raises(ImageError, match="not 'HSV'"):
        other.set_image(image_rgb, "HSV")


def test_images_of_several_sizes_are_encoded_together_as_each_alone(
    predictor: Predictor, model: Sam, image_rgb: np.ndarray
) -> None:
    images = [
        image_rgb,
        np.ascontiguousarray(image_rgb[::2]),
        np.ascontiguousarray(image_rgb[:, :50]),
    ]
    before = predictor.features

    together = predictor.encode_images(images, images_per_batch=2)

    assert predictor.features is before
    for image, features in zip(images, together, strict=True):
        alone, stored = Predictor(model), Predictor(model)
        alone.set_image(image)
        stored.set_features(features, image.shape[:2])
        expected = alone.predict(box=[5, 5, 45, 40])
        assert_same([stored.predict(box=[5, 5, 45, 40])], [expected])
    assert predictor.encode_images([]) == []


def test_a_saved_embedding_answers_like_the_image_in_half_the_bytes(
    predictor: Predictor, model: Sam, tmp_path: Path
) -> None:
    other = Predictor(model)

    predictor.save_embedding(tmp_path / "image.embedding")
    other.load_embedding(tmp_path / "image.embedding")

    assert other.frame == predictor.frame
    expected, found = (p.predict(box=[60, 10, 120, 70]) for p in (predictor, other))
    np.testing.assert_allclose(found.low_res_logits, expected.low_res_logits, atol=2e-2)
    num_values = predictor.features.image_embeddings.numel()
    high_res = predictor.features.high_res_features
    num_values += 0 if high_res is None else high_res.numel()
    assert (tmp_path / "image.embedding").stat().st_size < 2 * num_values + 500


def test_an_embedding_that_is_not_of_this_encoder_changes_nothing(
    predictor: Predictor, tmp_path: Path
) -> None:
    other = Predictor(build("tiny_vit", seed=77))
    other.set_image(np.zeros((20, 30, 3), dtype=np.uint8))
    other.save_embedding(tmp_path / "other")
    predictor.save_embedding(tmp_path / "cut")
    whole = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-2])
    (tmp_path / "words").write_text("these are only words")
    mine = embedding_files.encoder_sha256_of(whole)
    features = predictor.features
    nameless = embedding_files.to_bytes(features, encoder_sha256=mine)
    (tmp_path / "nameless").write_bytes(nameless)
    small = ImageFeatures(features.image_embeddings[..., :4, :4], features.high_res_features)
    (tmp_path / "small").write_bytes(
        embedding_files.to_bytes(small, encoder_sha256=mine, image_hw=(90, 130))
    )

    for name, message in (
        ("other", r"other was made by encoder \w{12}, this model's is \w{12}"),
        ("cut", "not a readable embedding"),
        ("words", "which encoder"),
        ("nameless", "give image_hw"),
        ("small", "shape of another model's embedding"),
        ("nowhere", "cannot be read"),
    ):
        with pytest.raises(EmbeddingError, match=message):
            predictor.load_embedding(tmp_path / name)

    assert predictor.features is features
    predictor.load_embedding(tmp_path / "nameless", image_hw=(90, 130))
    assert predictor.frame.image_hw == (90, 130)


WRONG_IMAGES = [
    (np.zeros((20, 30), dtype=np.uint8), r"\(height, width, 3\), got \(20, 30\)"),
    (np.zeros((20, 30, 1), dtype=np.uint8), r"got \(20, 30, 1\)"),
    (np.zeros((20, 30, 4), dtype=np.uint8), r"got \(20, 30, 4\)"),
    (np.zeros((3, 20, 30), dtype=np.uint8), r"got \(3, 20, 30\)"),
    (np.zeros((1, 20, 30, 3), dtype=np.uint8), r"got \(1, 20, 30, 3\)"),
    (np.zeros((20, 30, 3), dtype=np.uint16), "uint8 values, got uint16"),
    (np.zeros((20, 30, 3), dtype=np.float32), "uint8 values, got float32"),
    (np.zeros((20, 30, 3), dtype=bool), "uint8 values, got bool"),
    (np.zeros((0, 30, 3), dtype=np.uint8), "no pixels"),
    ([[[1, 2, 3]]], "numpy array"),
    (None, "numpy array"),
]


@pytest.mark.parametrize(("image", "message"), WRONG_IMAGES)
def test_an_array_that_is_no_rgb_image_is_refused_with_the_reason(
    predictor: Predictor, image_rgb: np.ndarray, image: object, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        predictor.set_image(image)
    with pytest.raises(ImageError, match=f"image 1: .*{message}"):
        predictor.encode_images([image_rgb, image])


def test_nothing_can_be_asked_before_there_is_an_image(model: Sam) -> None:
    with pytest.raises(NoImageError):
        Predictor(model).predict(box=[1, 2, 3, 4])
    with pytest.raises(NoImageError):
        _ = Predictor(model).features


def test_a_wrong_image_leaves_the_earlier_one_in_place(predictor: Predictor) -> None:
    before = predictor.features.image_embeddings

    with pytest.raises(ImageError):
        predictor.set_image(np.zeros((4, 4), dtype=np.uint8))

    assert torch.equal(predictor.features.image_embeddings, before)
