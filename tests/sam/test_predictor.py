from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from masks import seeds
from sam import embeddings
from sam.embeddings import EmbeddingError
from sam.features import ImageFeatures
from sam.model import ImageError, PromptError, Prompts, Sam, build
from sam.predictor import NoImageError, Prediction, Predictor


@pytest.fixture
def predictor(model: Sam, photo: np.ndarray) -> Predictor:
    predictor = Predictor(model)
    predictor.set_image(photo)
    return predictor


def test_a_click_gives_three_masks_of_the_photo_s_size(predictor: Predictor) -> None:
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


def test_stored_features_give_the_same_masks_as_the_photo(predictor: Predictor, model: Sam) -> None:
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


RAGGED = {
    "point_coords": [[[90, 40]], [[15, 30], [60, 60]], [[3, 3], [129, 89], [60, 60]]],
    "point_labels": [[1], [1, 0], [0, 1, 1]],
}


@pytest.mark.parametrize("with_box", [False, True])
def test_prompts_of_several_lengths_give_what_each_gives_alone(
    predictor: Predictor, with_box: bool
) -> None:
    boxes = {"boxes": BOXES[[0, 1, 2, 0]]} if with_box else {}
    points = [*RAGGED["point_coords"], [[70, 20]]]
    labels = [*RAGGED["point_labels"], np.array([1])]

    found = predictor.predict_batch(point_coords=points, point_labels=labels, **boxes)

    rows = [
        predictor.predict(point_coords=p, point_labels=m, box=BOXES[[0, 1, 2, 0][i]])
        if with_box
        else predictor.predict(point_coords=p, point_labels=m)
        for i, (p, m) in enumerate(zip(points, labels, strict=True))
    ]
    assert_same(found, rows)


@torch.no_grad()
def test_a_padding_point_is_a_token_wherever_it_is_said_to_lie(predictor: Predictor) -> None:
    found = predictor.predict(point_coords=[[90, 40], [np.nan, -7]], point_labels=[1, -1])

    frame = predictor.frame
    coords = torch.zeros(1, 3, 2)
    coords[0, 0] = torch.from_numpy(frame.to_model([90, 40]))
    decoded = predictor.model.decode(
        predictor.features, Prompts(coords, torch.tensor([[1, -1, -1]]))
    )
    expected = decoded.low_res_logits[0, 1:].numpy()
    np.testing.assert_allclose(found.low_res_logits, expected, atol=1e-5)
    one = {"point_coords": [[90, 40], [0, 0]], "point_labels": [1, -1]}
    assert predictor.predict_one(**one).predicted_iou[0] == found.predicted_iou.max()


def test_a_mask_of_the_photo_is_shown_to_the_model_as_the_page_shows_it(
    predictor: Predictor,
) -> None:
    masks = np.zeros((2, 90, 130), dtype=bool)
    masks[0, 20:70, 10:25] = True
    masks[1, 20:60, 70:110] = True
    covered = [
        seeds.coverage(mask, input_hw=predictor.frame.input_hw, side=32, stride_px=4)
        for mask in masks
    ]
    clicks = {"point_coords": [[15, 30], [90, 40]], "point_labels": [1, 1]}

    many = predictor.predict_batch(mask_inputs=masks, **clicks)
    alone = predictor.predict(mask_input=masks[0])

    logits = np.stack([seeds.seed_logits(row) for row in covered])
    assert_same(many, predictor.predict_batch(mask_inputs=logits, **clicks))
    assert_same([alone], [predictor.predict(mask_input=logits[0])])


def test_of_three_masks_for_a_background_click_one_without_it_is_picked(photo: np.ndarray) -> None:
    predictor = Predictor(build("tiny_vit", seed=1))
    predictor.set_image(photo)
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


def test_a_bgr_photo_is_the_rgb_one_with_its_channels_turned(
    predictor: Predictor, photo: np.ndarray, model: Sam
) -> None:
    other = Predictor(model)

    other.set_image(photo[..., ::-1], image_format="BGR")

    assert torch.equal(other.features.image_embeddings, predictor.features.image_embeddings)
    with pytest.raises(ImageError, match="not 'HSV'"):
        other.set_image(photo, "HSV")


def test_photos_of_several_sizes_are_encoded_together_as_each_alone(
    predictor: Predictor, model: Sam, photo: np.ndarray
) -> None:
    photos = [photo, np.ascontiguousarray(photo[::2]), np.ascontiguousarray(photo[:, :50])]
    before = predictor.features

    together = predictor.encode_images(photos, images_per_batch=2)

    assert predictor.features is before
    for image, features in zip(photos, together, strict=True):
        alone, stored = Predictor(model), Predictor(model)
        alone.set_image(image)
        stored.set_features(features, image.shape[:2])
        expected = alone.predict(box=[5, 5, 45, 40])
        assert_same([stored.predict(box=[5, 5, 45, 40])], [expected])
    assert predictor.encode_images([]) == []


def test_a_saved_embedding_answers_like_the_photo_in_half_the_bytes(
    predictor: Predictor, model: Sam, tmp_path: Path
) -> None:
    other = Predictor(model)

    predictor.save_embedding(tmp_path / "photo.embedding")
    other.load_embedding(tmp_path / "photo.embedding")

    assert other.frame == predictor.frame
    expected, found = (p.predict(box=[60, 10, 120, 70]) for p in (predictor, other))
    np.testing.assert_allclose(found.low_res_logits, expected.low_res_logits, atol=2e-2)
    num_values = predictor.features.image_embeddings.numel()
    high_res = predictor.features.high_res_features
    num_values += 0 if high_res is None else high_res.numel()
    assert (tmp_path / "photo.embedding").stat().st_size < 2 * num_values + 500


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
    mine = embeddings.encoder_sha256_of(whole)
    features = predictor.features
    nameless = embeddings.to_bytes(features, encoder_sha256=mine)
    (tmp_path / "nameless").write_bytes(nameless)
    small = ImageFeatures(features.image_embeddings[..., :4, :4], features.high_res_features)
    (tmp_path / "small").write_bytes(
        embeddings.to_bytes(small, encoder_sha256=mine, image_hw=(90, 130))
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


CLICK = {"point_coords": [[5, 5]], "point_labels": [1]}


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({}, "needs points, a box or a mask"),
        ({"point_coords": [[5, 5]]}, "need labels"),
        ({"point_labels": [1]}, "no points"),
        (CLICK | {"point_labels": [1, 0]}, "as many labels"),
        (CLICK | {"point_labels": [[1]]}, "as many labels"),
        (CLICK | {"point_labels": [2]}, "1 for object, 0 for background or -1 .*, number 0 is 2"),
        (CLICK | {"point_labels": [-1]}, r"nothing but padding points \(-1\)"),
        (CLICK | {"point_labels": [-2]}, "number 0 is -2"),
        (CLICK | {"point_labels": [0.5]}, "number 0 is 0.5"),
        (CLICK | {"point_labels": [np.nan]}, "number 0 is nan"),
        (CLICK | {"point_labels": ["1"]}, "labels must be an array of numbers"),
        (CLICK | {"point_labels": [[1], [1, 0]]}, "labels must be an array of numbers"),
        (CLICK | {"point_coords": [[[5, 5]]]}, r"points must be \(P, 2\)"),
        (CLICK | {"point_coords": [5, 5]}, r"points must be \(P, 2\)"),
        (CLICK | {"point_coords": [[5, 5, 5]]}, "2 values each"),
        (CLICK | {"point_coords": 5}, "2 values each"),
        ({"point_coords": np.zeros((0, 2)), "point_labels": []}, "empty"),
        (CLICK | {"point_coords": [[np.nan, 5]]}, r"finite numbers, number 0 is \(nan, 5\)"),
        (CLICK | {"point_coords": [[5, np.inf]]}, "finite"),
        (CLICK | {"point_coords": [[131, 5]]}, r"point \(131, 5\), number 0, lies outside the im"),
        (CLICK | {"point_coords": [[5, -0.1]]}, "lies outside the image of 130 x 90 px"),
        (CLICK | {"point_coords": [["5", "5"]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[5j, 5]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[None, 5]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[True, False]]}, "points must be an array of numbers"),
        (CLICK | {"point_coords": [[5, 5], [5]]}, "points must be an array of numbers"),
        ({"box": [50, 5, 10, 20]}, r"box \(50, 5, 10, 20\), number 0, must have x0 < x1"),
        ({"box": [5, 20, 10, 5]}, "x0 < x1 and y0 < y1"),
        ({"box": [5, 5, 5, 9]}, "x0 < x1 and y0 < y1"),
        ({"box": [200, 5, 210, 9]}, "lies outside the image of 130 x 90 px"),
        ({"box": [[5, 5, 10, 20]]}, "four numbers"),
        ({"box": [5, 5, 10]}, "4 values"),
        ({"box": [5, 5, 10, np.nan]}, "finite"),
        ({"box": "5 5 10 20"}, "boxes must be an array of numbers"),
        ({"mask_input": np.zeros((5, 5))}, r"mask_input must be \(32, 32\)"),
        ({"mask_input": np.zeros((3, 32, 32))}, r"mask_input must be \(32, 32\)"),
        ({"mask_input": np.full((32, 32), np.nan)}, "finite"),
        ({"mask_input": np.ones((32, 32), dtype=bool)}, r"photo's size, \(90, 130\), got \(32, 32"),
        ({"mask_input": np.zeros((90, 130), dtype=bool)}, "nothing to refine"),
        (
            {"mask_input": np.ones((32, 32), dtype=np.uint8)},
            r"whole numbers \(uint8\): pass a mask",
        ),
        ({"mask_input": np.ones((90, 130), dtype=int)}, r"mask.astype\(bool\)"),
        ({"mask_input": np.ones((2, 90, 130), dtype=bool)}, r"mask_input must be \(32, 32\)"),
        ({"mask_input": [[1], [2, 3]]}, "mask_input must be an array of numbers"),
    ],
)
def test_a_prompt_that_is_wrong_is_refused_with_the_reason(
    predictor: Predictor, prompt: dict, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.predict(**prompt)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "needs points, a box or a mask"),
        ({"point_labels": [1]}, "no points"),
        ({"point_coords": [5, 5], "point_labels": 1}, r"points must be \(N, 2\) or"),
        ({"point_coords": np.zeros((2, 0, 2)), "point_labels": np.zeros((2, 0))}, "empty"),
        ({"point_coords": POINTS, "point_labels": LABELS[:-1]}, "as many labels"),
        ({"point_coords": POINTS, "point_labels": [1, 1, 1, 3, 1]}, "number 3 is 3"),
        ({"point_coords": [[5, 5], [500, 5]], "point_labels": [1, 1]}, r"\(500, 5\), number 1"),
        ({"boxes": BOXES[0]}, r"boxes must be \(N, 4\)"),
        ({"boxes": [[1, 1, 9, 9], [9, 9, 1, 1]]}, r"box \(9, 9, 1, 1\), number 1, must have"),
        ({"boxes": BOXES, "point_coords": POINTS[:2], "point_labels": [1, 1]}, "disagree"),
        ({"mask_inputs": np.zeros((32, 32))}, r"mask_inputs must be \(N, 32, 32\)"),
        ({"boxes": BOXES, "mask_inputs": np.zeros((1, 32, 32))}, "disagree"),
        ({"mask_inputs": np.ones((2, 32, 32), dtype=np.int64)}, "whole numbers"),
        ({"mask_inputs": np.ones((90, 130), dtype=bool)}, r"mask_inputs must be \(N, 32, 32\)"),
        ({"mask_inputs": np.eye(2)[:, :1, None] * np.ones((90, 130)) > 0}, "mask 1 .* is empty"),
        ({"point_coords": [[5, 5], [6, 6]], "point_labels": [1, -1]}, "row 1 has nothing but padd"),
        (RAGGED | {"point_labels": [[1], [1, 0]]}, "3 lists of points need as many lists of lab"),
        (RAGGED | {"point_labels": None}, "3 lists of points need as many lists of labels"),
        (RAGGED | {"point_labels": [[1], [1], [1, 1, 0]]}, r"row 1: .* need as many labels"),
        (RAGGED | {"point_labels": [[1], [1, 7], [1, 1, 0]]}, "row 1: .* number 1 is 7"),
        (RAGGED | {"point_labels": [[1], [-1, -1], [1, 1, 0]]}, "row 1 has nothing but padding"),
        (RAGGED | {"boxes": BOXES}, r"disagree on their number: \[3, 5\]"),
        (RAGGED | {"point_coords": [[[5, 5]], [], [[9, 9]]]}, "row 1: the list of points is empty"),
        (
            RAGGED | {"point_coords": [[[5, 5]], [[5], [6]], [[9, 9]]]},
            "row 1: points must have 2 val",
        ),
        (
            RAGGED | {"point_coords": [[[5, 5]], [[5, 5], [5, 500]], [[9, 9]] * 3]},
            r"row 1: the point \(5, 500\), number 1, lies outside",
        ),
        (
            {"point_coords": [[[5, 5]] * 2, [[5, 5], [500, 5]]], "point_labels": [[1, 1]] * 2},
            r"row 1: the point \(500, 5\), number 1, lies outside",
        ),
    ],
)
def test_prompts_of_which_one_is_wrong_are_refused_with_its_number(
    predictor: Predictor, prompts: dict, message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        predictor.predict_batch(**prompts)


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
def test_an_array_that_is_no_rgb_photo_is_refused_with_the_reason(
    predictor: Predictor, photo: np.ndarray, image: object, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        predictor.set_image(image)
    with pytest.raises(ImageError, match=f"image 1: .*{message}"):
        predictor.encode_images([photo, image])


def test_nothing_can_be_asked_before_there_is_a_photo(model: Sam) -> None:
    with pytest.raises(NoImageError):
        Predictor(model).predict(box=[1, 2, 3, 4])
    with pytest.raises(NoImageError):
        _ = Predictor(model).features


def test_a_wrong_photo_leaves_the_earlier_one_in_place(predictor: Predictor) -> None:
    before = predictor.features.image_embeddings

    with pytest.raises(ImageError):
        predictor.set_image(np.zeros((4, 4), dtype=np.uint8))

    assert torch.equal(predictor.features.image_embeddings, before)
