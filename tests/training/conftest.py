from __future__ import annotations

from pathlib import Path

import pytest

from sam import checkpoints
from sam.model import build


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    """A tiny model's checkpoint."""
    path = tmp_path / "sam.safetensors"
    checkpoints.save(build("tiny", seed=0), path)
    return path


@pytest.fixture
def start(sam: Path) -> Path:
    """The same, to train from."""
    return sam
