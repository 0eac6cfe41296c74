from __future__ import annotations

from pathlib import Path

import pytest

from sam import checkpoints
from sam.model import build


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A tiny model's checkpoint to train from."""
    path = tmp_path / "start.safetensors"
    checkpoints.save(build("tiny", seed=0), path)
    return path
