"""Fixtures of the worker tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.tiny import shared_starter


@pytest.fixture(scope="session")
def tiny_starter_dir() -> Path:
    return shared_starter()
