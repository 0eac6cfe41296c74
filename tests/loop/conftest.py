"""Fixtures of the loop tests."""

from __future__ import annotations

from tests.workers.conftest import tiny_starter_dir

__all__ = ["tiny_starter_dir"]
