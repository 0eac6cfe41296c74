"""A long import keeps nobody waiting: it has a lane of its own, which needs no model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine import archives
from tests.workers.platform import ROOT, Platform, of_kind

pytestmark = pytest.mark.slow

NUM_IMAGES = 300


@pytest.fixture
def platform(tmp_path: Path, tiny_starter_dir: Path) -> Iterator[Platform]:
    running = Platform(data_dir=tmp_path / "data", starter_dir=tiny_starter_dir)
    running.migrate()
    running.step("seed", "0")
    yield running
    running.stop()


def test_what_an_import_brings_is_embedded_while_the_rest_still_comes_in(
    platform: Platform, tmp_path: Path
) -> None:
    images = {f"{number:03d}.png": archives.photo(number) for number in range(NUM_IMAGES)}
    folder = archives.write_folder(tmp_path / "dataset", images)
    queued = ["manage.py", "import", str(folder), "--project", "discs", "--queue"]
    assert platform.start(*queued).process.wait(timeout=120) == 0

    platform.start_runner()
    state = platform.wait_until(
        lambda state: any(job["status"] == "succeeded" for job in of_kind(state, "embed_image")),
        what="an embedding is made",
    )

    (job,) = of_kind(state, "import")
    assert job["status"] == "running"
    assert job["lease_owner"].startswith("files@")
    assert {one["worker"].split("@")[0] for one in state["attempts"]} == {"cpu", "files"}


def test_the_lane_of_imports_and_exports_loads_no_model_code(platform: Platform) -> None:
    script = (
        "import django, sys; django.setup()\n"
        "from django.core.management import call_command\n"
        "call_command('runner', queues='files', once=True)\n"
        "print(sorted({'torch', 'sam', 'training'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**platform.environment, "DJANGO_SETTINGS_MODULE": "engine.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"
