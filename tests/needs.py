"""What some tests need from outside the checkout, and what to do when it is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(
    os.environ.get("SEGLOOP_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")
)


def missing(what: str) -> None:
    """Skip with the reason; on a CI machine nothing may be missing."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{what}; CI must provide it")
    pytest.skip(what)
