from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from masks.rle import Rle
from workers.replay.dataset import ReplayError, choose_images
from workers.replay.run import ReplaySettings

NUM_BY_STAIN = {"blue": 24, "red": 8}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:10, 5:10] = True
    images, annotations = [], []
    stains = [stain for stain, count in NUM_BY_STAIN.items() for _ in range(count)]
    for number, stain in enumerate(stains, start=1):
        name = f"{number}.png"
        Image.new("RGB", (30, 20)).save(tmp_path / "images" / name)
        images.append({"id": number, "file_name": name, "width": 30, "height": 20, "stain": stain})
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "segmentation": Rle.encode(mask).to_coco(),
                "bbox": [5, 5, 5, 5],
                "area": 25,
                "iscrowd": 0,
            }
        )
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1}]}
    (tmp_path / "instances.json").write_text(json.dumps(document))
    return tmp_path


def test_every_round_gets_the_sources_in_the_proportions_of_the_dataset(dataset: Path) -> None:
    images = choose_images(dataset, num_images=16, masks_per_image=3, seed=0)

    for start in range(0, 16, 4):
        found = Counter(image.source for image in images[start : start + 4])
        assert found == {"blue": 3, "red": 1}


def test_the_draw_follows_the_seed(dataset: Path) -> None:
    def names(seed: int) -> list[str]:
        images = choose_images(dataset, num_images=12, masks_per_image=3, seed=seed)
        return [image.path.name for image in images]

    assert names(1) == names(1)
    assert names(1) != names(2)
    assert len(set(names(1))) == 12


def test_too_few_images_are_an_error(dataset: Path) -> None:
    with pytest.raises(ReplayError, match="32 images with masks, 33 are requested"):
        choose_images(dataset, num_images=33, masks_per_image=3, seed=0)


def test_images_of_one_source_are_drawn_alone(dataset: Path) -> None:
    drawn = choose_images(dataset, num_images=8, masks_per_image=3, seed=0, sources=("red",))

    assert {image.source for image in drawn} == {"red"}
    with pytest.raises(ReplayError, match="8 images with masks of red, 9 are requested"):
        choose_images(dataset, num_images=9, masks_per_image=3, seed=0, sources=("red",))


def test_a_source_that_is_not_there_is_named_with_those_that_are(dataset: Path) -> None:
    with pytest.raises(ReplayError, match="has no source green; it has blue, red"):
        choose_images(dataset, num_images=3, masks_per_image=3, seed=0, sources=("green", "red"))


def test_settings_come_back_from_json_as_they_are(tmp_path: Path) -> None:
    settings = ReplaySettings(dataset=tmp_path, sources=("red",)).to_json()

    assert json.loads(json.dumps(settings)) == settings
