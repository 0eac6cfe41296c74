from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
import django
django.setup()
from django.test import Client
from django.urls import get_resolver
import annotator_ui.api, annotator_ui.wsgi
get_resolver().url_patterns
assert Client().get("/healthz").status_code == 200
heavy = ("torch", "celery", "sam", "training", "workers.wake", "workers.run_job")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def test_the_web_process_loads_neither_torch_nor_celery(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "engine.settings",
        "SEGLOOP_DATA_DIR": str(tmp_path),
        "SEGLOOP_ALLOWED_HOSTS": "testserver",
    }

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
