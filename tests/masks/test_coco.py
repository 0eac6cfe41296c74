"""The reader of COCO documents that imports and training share."""

from __future__ import annotations

import numpy as np
import pytest

from masks import coco, sa1b
from masks.rle import Rle

POLYGON = [[3.0, 2.0, 9.0, 2.0, 9.0, 6.0, 3.0, 6.0]]


def test_annotations_find_their_images_by_id_whether_text_or_number() -> None:
    dataset = coco.read(
        {
            "images": [{"id": 1, "file_name": "a.png", "height": 20, "width": 30.0, "stain": "x"}],
            "annotations": [
                {"id": 7, "image_id": 1, "category_id": 2, "segmentation": POLYGON},
                {"image_id": "1", "iscrowd": 1},
            ],
            "categories": [{"id": 2, "name": "cat"}, "nonsense"],
        }
    )

    (image,) = dataset.images
    assert (image.key, image.size_hw, image.entry["stain"]) == ("1", (20, 30), "x")
    first, second = dataset.annotations["1"]
    assert (first.annotation_id, first.category, first.is_crowd) == ("7", "cat", False)
    assert (second.annotation_id, second.category, second.is_crowd) == ("#1", "", True)
    assert (dataset.problems, dataset.strays) == ([], [])


def test_what_cannot_be_used_is_listed_with_its_place() -> None:
    dataset = coco.read(
        {
            "images": [{"id": 1, "file_name": "a"}, {"id": "1", "file_name": "b"}, {"id": 2}, 3],
            "annotations": [4, {"id": 5, "image_id": 9}, {"image_id": None}],
        }
    )

    assert dataset.problems == [
        ("image 1", "its id is there twice"),
        ("images[2]", "it needs an id and a file_name"),
        ("images[3]", "it needs an id and a file_name"),
        ("annotations[0]", "it is not an object"),
    ]
    assert [(one.where, one.image_id) for one in dataset.strays] == [
        ("annotation 5", 9),
        ("annotations[2]", None),
    ]


def test_every_kind_of_segmentation_becomes_the_same_mask() -> None:
    square = np.zeros((20, 30), bool)
    square[2:6, 3:9] = True
    rle = Rle.encode(square)

    assert coco.rle_of(POLYGON, image_hw=(20, 30)) == rle
    assert coco.rle_of(rle.to_coco(), image_hw=(20, 30)) == rle
    runs = {"size": [20, 30], "counts": rle.runs().tolist()}
    assert coco.rle_of(runs, image_hw=(20, 30)) == rle


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "no segmentation"),
        ([], "no segmentation"),
        ([[1, 2]], "three x, y pairs"),
        ([[1, 2, 3, 4, 5, True]], "no number"),
        ([[0, 0, 1, 0, 1, float("inf")]], "no number"),
        ({"size": [10, 30], "counts": "0"}, "but the image is 20 x 30"),
        ([[0.0, 0.0, 1.0] * 2] * 70_000, "more than 100000 corners"),
    ],
)
def test_a_segmentation_that_is_no_mask_is_refused(segmentation: object, reason: str) -> None:
    with pytest.raises(coco.SegmentationError, match=reason):
        coco.rle_of(segmentation, image_hw=(20, 30))


@pytest.mark.parametrize("document", [None, [], {"images": []}, {"images": 3, "annotations": []}])
def test_other_json_is_not_taken_for_coco(document: object) -> None:
    assert not coco.is_coco(document)
    assert not sa1b.is_annotation_file(document)


def test_an_sa1b_file_has_the_released_columns_in_floats() -> None:
    rle = Rle.encode(np.ones((2, 3), bool))
    mask = sa1b.Sa1bMask(
        number=4,
        rle=rle,
        area_px=6,
        bbox_xywh_px=(0, 0, 3, 2),
        predicted_iou=0.9,
        stability_score=1.0,
        crop_box_xywh_px=(0, 0, 3, 2),
        point_xy_px=(1, 1),
    )

    written = sa1b.annotation_file([mask], image_id=8, file_name="sa_8.jpg", image_hw=(2, 3))

    assert sa1b.is_annotation_file(written)
    assert written["image"] == {"image_id": 8, "width": 3, "height": 2, "file_name": "sa_8.jpg"}
    assert written["annotations"] == [
        {
            "id": 4,
            "segmentation": rle.to_coco(),
            "bbox": [0.0, 0.0, 3.0, 2.0],
            "area": 6,
            "predicted_iou": 0.9,
            "stability_score": 1.0,
            "crop_box": [0.0, 0.0, 3.0, 2.0],
            "point_coords": [[1.0, 1.0]],
        }
    ]
