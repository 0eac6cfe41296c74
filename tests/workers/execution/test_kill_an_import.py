"""kill -9 of the import command in the middle: a runner goes on, nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import archives
from tests.workers.platform import Platform, all_over, of_kind

pytestmark = pytest.mark.slow

NUM_IMAGES = 200


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """Without a starter model: no embeddings, only the import."""
    running = Platform(data_dir=tmp_path / "data", starter_dir=tmp_path / "none")
    running.migrate()
    running.step("seed", "0")
    yield running
    running.stop()


def dataset(root: Path) -> Path:
    polygon = [[10, 5, 20, 5, 20, 15, 10, 15]]
    names = [f"{number:03d}.png" for number in range(NUM_IMAGES)]
    coco = archives.coco(
        [archives.image_entry(number, name) for number, name in enumerate(names)],
        [archives.entry(number, number, polygon) for number in range(NUM_IMAGES)],
    )
    images = {name: archives.photo(number) for number, name in enumerate(names)}
    return archives.write_folder(root, {"coco.json": coco, **images})


def is_in_the_middle(state: dict[str, Any]) -> bool:
    return any(10 < job["progress_pct"] < 90 for job in of_kind(state, "import"))


def test_a_killed_import_is_finished_by_a_runner(platform: Platform, tmp_path: Path) -> None:
    folder = dataset(tmp_path / "dataset")
    command = platform.start("manage.py", "import", str(folder), "--project", "discs")
    platform.wait_until(is_in_the_middle, what="half of the import")
    command.kill()
    assert len(platform.step("state")["masks"]) < NUM_IMAGES

    platform.start("manage.py", "runner", "--queues", "files")
    state = platform.wait_until(all_over, what="the import done")

    (job,) = of_kind(state, "import")
    assert (job["status"], job["attempts"]) == ("succeeded", 2)
    result = job["result"]
    assert result["num_images"] + result["num_known_images"] == NUM_IMAGES
    assert 0 < result["num_known_images"] < NUM_IMAGES
    assert result["num_refused"] == 0
    assert len(state["masks"]) == NUM_IMAGES
    assert len({image for image, *_ in state["masks"]}) == NUM_IMAGES
