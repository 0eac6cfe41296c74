"""What a run learns from: mixtures, and images that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sam.image_files import read_image
from tests.training.blobs import write_blobs
from training.data.examples import Example, Mixture, Pool, readable_examples, usable_examples
from training.data.features import load_rgb
from training.data.manifest import ManifestError, read_manifest
from training.loop.config import TrainConfig
from training.loop.optimisation import never_stop
from training.loop.processes import Processes, alone


def examples(folder: Path, num: int, *, source: str) -> list[Example]:
    images = read_manifest(write_blobs(folder, num_train=num)).images
    named = [replace(image, source=source) for image in images]
    return usable_examples(named, size_px=128, config=TrainConfig())


def old_in(step: int, mixture: Mixture, *, num: int) -> int:
    drawn = mixture.draw(step=step, num=num, generator=torch.Generator().manual_seed(step))
    assert len(drawn) == num
    return sum(example.image.source == "old" for example in drawn)


def test_half_of_every_step_comes_from_the_older_set(tmp_path: Path) -> None:
    new, old = examples(tmp_path / "n", 5, source="new"), examples(tmp_path / "o", 5, source="old")
    mixture = Mixture(new=Pool(new), old=Pool(old), old_share=0.5)

    assert [old_in(step, mixture, num=4) for step in range(3)] == [2, 2, 2]
    # one image a step: by turns
    assert [old_in(step, mixture, num=1) for step in range(4)] == [0, 1, 0, 1]


def test_another_share_evens_out_over_the_steps(tmp_path: Path) -> None:
    new, old = examples(tmp_path / "n", 5, source="new"), examples(tmp_path / "o", 5, source="old")
    mixture = Mixture(new=Pool(new), old=Pool(old), old_share=0.25)

    # 3 images a step: floor(0.75), floor(1.5), floor(2.25), floor(3) = 0, 1, 2, 3
    assert [old_in(step, mixture, num=3) for step in range(4)] == [0, 1, 1, 1]


def test_without_an_older_set_all_is_new(tmp_path: Path) -> None:
    mixture = Mixture(new=Pool(examples(tmp_path / "n", 5, source="new")), old_share=0.5)

    assert old_in(0, mixture, num=4) == 0


def read_all(found: list[Example], processes: Processes | None = None):
    return readable_examples(
        found,
        read=lambda image: load_rgb(image.image_path),
        processes=processes or alone("cpu"),
        on_image=lambda done: None,
        should_stop=never_stop,
    )


def test_an_image_that_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    found = examples(tmp_path / "n", 3, source="new")
    path = found[1].image.image_path
    path.write_bytes(path.read_bytes()[:200])
    found[2].image.image_path.unlink()

    kept, problems = read_all(found)

    assert kept == found[:1]
    assert problems[0].startswith("image blob-1: cannot read the image")
    assert problems[1].startswith("image blob-2: cannot read the image")


def test_nothing_left_to_read_is_refused_in_one_sentence(tmp_path: Path) -> None:
    found = examples(tmp_path / "n", 1, source="new")
    found[0].image.image_path.unlink()

    with pytest.raises(ManifestError, match="no usable image: image blob-0: cannot read"):
        read_all(found)


def test_processes_share_the_work_without_overlap() -> None:
    items = list("abcde")
    shares = [Processes(rank=rank, world=2).share_of(items) for rank in (0, 1)]

    assert shares[0] == [(0, "a"), (2, "c"), (4, "e")]
    assert shares[1] == [(1, "b"), (3, "d")]


def test_a_sixteen_bit_image_is_trained_on_as_it_is_served(tmp_path: Path) -> None:
    values = np.linspace(300, 3_000, 40 * 50).astype(np.uint16).reshape(40, 50)
    values[4, 4] = 65_535
    Image.fromarray(values).save(tmp_path / "deep.tif")

    pixels = load_rgb(tmp_path / "deep.tif")

    assert np.array_equal(pixels, read_image(tmp_path / "deep.tif"))
    assert len(np.unique(pixels)) > 200
