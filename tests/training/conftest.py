from __future__ import annotations

from pathlib import Path

import pytest

from sam.checkpoints import checkpoint_files
from sam.modeling.model import build


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    """A tiny model's checkpoint."""
    path = tmp_path / "sam.safetensors"
    checkpoint_files.save(build("tiny", seed=0), path)
    return path


@pytest.fixture
def start(sam: Path) -> Path:
    """The same, to train from."""
    return sam
