"""Notifying workers: a dead Redis slows nobody and breaks nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

NOTIFY_TWICE = """
import json, sys, time
import django
django.setup()
from workers.celery.notify import notify, notify_of_job
start = time.monotonic()
first = notify("cpu")
middle = time.monotonic()
notify_of_job("any", "cpu")
end = time.monotonic()
heavy = sorted({"torch", "sam", "training"} & set(sys.modules))
print(middle - start, file=sys.stderr)
print(json.dumps([first, middle - start, end - middle, heavy]))
"""


@pytest.mark.parametrize("is_silent", [False, True], ids=["refuses", "accepts and never answers"])
def test_a_dead_redis_costs_a_moment_once_and_no_model_code_is_loaded(
    tmp_path: Path, is_silent: bool
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if is_silent:
            server.listen()
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "engine.settings",
            "SEGLOOP_DATA_DIR": str(tmp_path),
            "REDIS_URL": f"redis://127.0.0.1:{server.getsockname()[1]}/0",
        }
        done = subprocess.run(
            [sys.executable, "-c", NOTIFY_TWICE],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

    was_sent, first_s, second_s, heavy = json.loads(done.stdout.splitlines()[-1])
    assert not was_sent
    assert first_s < 5
    assert second_s < 0.1  # the breaker is open: not even tried
    assert heavy == []
