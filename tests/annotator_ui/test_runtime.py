from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from annotator_ui.http.static_storage import KeepingCompressor

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
heavy = ("torch", "celery", "sam", "training", "workers.celery.task", "workers.execution.run_job")
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


def test_static_files_are_compressed_once_and_again_only_when_they_change(tmp_path: Path) -> None:
    source = tmp_path / "runtime.wasm"
    source.write_bytes(b"the same words over and over " * 2000)
    compressor = KeepingCompressor(quiet=True)
    copies = {Path(name) for name in compressor.compress(str(source))}
    brotli_copy = tmp_path / "runtime.wasm.br"
    assert copies == {brotli_copy, tmp_path / "runtime.wasm.gz"}
    brotli_copy.write_bytes(b"untouched")
    os.utime(brotli_copy, (source.stat().st_atime, source.stat().st_mtime))

    again = {Path(name) for name in compressor.compress(str(source))}

    assert again == copies
    assert brotli_copy.read_bytes() == b"untouched"

    os.utime(source, (1, 1))
    compressor.compress(str(source))

    assert brotli_copy.read_bytes() != b"untouched"
