"""Fixtures of the worker tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.ids import uuid7
from tests.workers.platform import Platform
from tests.workers.servers import private_redis, temporary_database
from tests.workers.tiny_models import shared_starter


@pytest.fixture(scope="session")
def tiny_starter_dir() -> Path:
    return shared_starter()


@pytest.fixture
def deployed(tmp_path: Path, tiny_starter_dir: Path) -> Iterator[Platform]:
    """A platform on a PostgreSQL database and a Redis of its own."""
    with (
        temporary_database(f"segloop_workers_{uuid7().hex}") as database_url,
        private_redis(tmp_path / "redis") as redis_url,
    ):
        running = Platform(
            data_dir=tmp_path / "data",
            starter_dir=tiny_starter_dir,
            database_url=database_url,
            redis_url=redis_url,
        )
        running.migrate()
        yield running
        running.stop()
