"""Manifests: good records are read, bad ones are reported, useless files are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masks.rle import Rle
from training.data.manifest import (
    ManifestError,
    from_coco,
    open_dataset,
    read_manifest,
    write_manifest,
)


def make_image(path: Path, *, height_px: int = 20, width_px: int = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width_px, height_px)).save(path)
    return path


def square(*, height_px: int = 20, width_px: int = 30) -> dict[str, object]:
    mask = np.zeros((height_px, width_px), dtype=bool)
    mask[2:6, 3:9] = True
    return Rle.encode(mask).to_coco()


def record(image: Path, **changes: object) -> dict[str, object]:
    base: dict[str, object] = {
        "image": str(image),
        "image_id": image.stem,
        "split": "train",
        "masks": [{"id": "m1", "rle": square()}],
    }
    return base | changes


def write_lines(path: Path, *records: object) -> Path:
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in records))
    return path


def test_a_manifest_of_version_0_1_names_the_split_a_side(tmp_path: Path) -> None:
    old = record(make_image(tmp_path / "a.png")) | {"side": "holdout"}
    del old["split"]

    (read,) = read_manifest(write_lines(tmp_path / "m.jsonl", old)).images

    assert read.split == "holdout"


def test_a_good_record_is_read_with_its_masks(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    path = write_lines(tmp_path / "m.jsonl", record(image, split="holdout", source="lab"))

    manifest = read_manifest(path)

    (read,) = manifest.images
    assert (read.image_id, read.split, read.source) == ("a", "holdout", "lab")
    assert read.image_hw == (20, 30)
    assert read.masks[0].mask_id == "m1"
    assert read.masks[0].rle.area_px == 4 * 6
    assert manifest.problems == ()
    assert manifest.in_split("train") == ()


def test_bad_records_are_reported_and_the_good_ones_kept(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    other = make_image(tmp_path / "b.png")
    path = write_lines(
        tmp_path / "m.jsonl",
        "this is not json\n",
        record(image),
        record(image),
        record(tmp_path / "missing.png"),
        record(other, split="both"),
        record(other, masks=[{"id": "m2", "rle": square(height_px=10)}]),
        "[1, 2]\n",
    )

    manifest = read_manifest(path)

    assert [image.image_id for image in manifest.images] == ["a"]
    told = "\n".join(manifest.problems)
    assert "line 1: not JSON" in told
    assert "line 3: image_id 'a' was used before" in told
    assert "line 4: cannot read the image" in told
    assert "line 5: 'split' must be train or holdout" in told
    assert "line 6: mask 1: the mask is 10 x 30 px" in told
    assert "line 7: expected a JSON object, found list" in told


def test_one_bad_mask_costs_only_itself(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    empty = Rle.encode(np.zeros((20, 30), dtype=bool)).to_coco()
    broken = {"size": [20, 30], "counts": [5, 5]}
    masks = [{"id": "e", "rle": empty}, {"id": "ok", "rle": square()}, {"id": "b", "rle": broken}]
    path = write_lines(tmp_path / "m.jsonl", record(image, masks=[*masks, {"id": "n"}, 7]))

    manifest = read_manifest(path)

    assert [mask.mask_id for mask in manifest.images[0].masks] == ["ok"]
    assert len(manifest.problems) == 4
    assert "line 1: mask 1: the mask is empty" in manifest.problems[0]
    assert "line 1: mask 3: the runs add up to 10 pixels" in manifest.problems[1]


def test_a_mask_id_used_twice_in_an_image_counts_once(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    masks = [{"id": "m", "rle": square()}, {"id": "m", "rle": square()}]
    path = write_lines(tmp_path / "m.jsonl", record(image, masks=masks))

    manifest = read_manifest(path)

    assert len(manifest.images[0].masks) == 1
    assert manifest.problems == ("line 1: mask 2: the id 'm' was used before in this image",)


def test_an_empty_manifest_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", "\n\n")

    with pytest.raises(ManifestError, match="the manifest is empty"):
        read_manifest(path)


def test_a_wholly_bad_manifest_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", *["{}\n"] * 5)

    with pytest.raises(ManifestError) as caught:
        read_manifest(path)

    assert "no usable image: line 1: 'image' must be" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot read the manifest"):
        read_manifest(tmp_path / "nothing.jsonl")


def test_a_side_without_images_is_refused(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    manifest = read_manifest(write_lines(tmp_path / "m.jsonl", record(image)))

    with pytest.raises(ManifestError, match="no usable image on the holdout split"):
        manifest.require_split("holdout")


def test_a_manifest_survives_a_round_trip(tmp_path: Path) -> None:
    image = make_image(tmp_path / "a.png")
    features = tmp_path / "a.safetensors"
    first = read_manifest(write_lines(tmp_path / "m.jsonl", record(image, features=str(features))))

    write_manifest(tmp_path / "copy.jsonl", images=first.images)

    assert read_manifest(tmp_path / "copy.jsonl").images == first.images


def coco_folder(folder: Path) -> Path:
    make_image(folder / "images" / "a.png")
    make_image(folder / "images" / "b.png")
    polygon = [[3.0, 2.0, 9.0, 2.0, 9.0, 6.0, 3.0, 6.0]]
    annotations = [
        {"id": 1, "image_id": 1, "segmentation": square(), "iscrowd": 0},
        {"id": 2, "image_id": 1, "segmentation": square(), "iscrowd": 1},
        {"id": 3, "image_id": 2, "segmentation": polygon, "iscrowd": 0},
        {"id": 4, "image_id": 2, "segmentation": [[1.0, 2.0]], "iscrowd": 0},
    ]
    images = [
        {"id": 1, "file_name": "a.png", "height": 20, "width": 30, "source": "lab"},
        {"id": 2, "file_name": "b.png", "height": 20, "width": 30},
    ]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": []})
    )
    return folder


def test_a_coco_folder_gives_sources_and_leaves_crowds_out(tmp_path: Path) -> None:
    manifest = from_coco(coco_folder(tmp_path / "shelf"), split="train")

    assert [image.source for image in manifest.images] == ["lab", "shelf"]
    assert [[mask.mask_id for mask in image.masks] for image in manifest.images] == [["1"], ["3"]]
    assert manifest.images[1].masks[0].rle.bbox_xywh_px == (3, 2, 6, 4)
    assert len(manifest.in_split("train")) == 2
    assert len(manifest.problems) == 1
    assert "image 2: mask 2:" in manifest.problems[0]


def test_annotations_of_images_that_are_not_listed_are_reported(tmp_path: Path) -> None:
    folder = coco_folder(tmp_path / "shelf")
    path = folder / "instances.json"
    document = json.loads(path.read_text())
    document["annotations"].append({"id": 9, "image_id": 77, "segmentation": square()})
    path.write_text(json.dumps(document))

    manifest = from_coco(folder)

    assert "image 77: it has annotations but is not listed" in manifest.problems


def test_a_folder_without_instances_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"holds no instances.json: data is a COCO folder"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"images": [], "annotations": [], "categories": []}, r"a COCO file \(give its folder"),
        ({"image": {"file_name": "a.jpg"}, "annotations": []}, "an SA-1B file"),
        ([{"image": "a.png"}], "one JSON document"),
        ({"version": "5.0", "shapes": []}, "one JSON document"),
    ],
)
def test_one_json_document_is_named_with_the_layouts_there_are(
    tmp_path: Path, document: object, kind: str
) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(document, indent=2))

    with pytest.raises(ManifestError, match=f"{kind}.*, not JSON lines: data is a COCO") as caught:
        open_dataset(path)

    assert "\n" not in str(caught.value)


def test_a_manifest_may_be_called_json_and_have_a_single_line(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png")
    record = {"image": "a.png", "image_id": "1", "masks": [{"id": "m", "rle": square()}]}
    (tmp_path / "one.json").write_text(json.dumps(record))

    assert len(open_dataset(tmp_path / "one.json").images) == 1


def test_a_foreign_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text('{"images": 3}')

    with pytest.raises(ManifestError, match="not a COCO instances file"):
        from_coco(tmp_path)
