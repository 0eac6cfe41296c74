"""Fixtures of the worker tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.tiny import write_starter


@pytest.fixture(scope="session")
def tiny_starter_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_starter(tmp_path_factory.mktemp("starter"))
