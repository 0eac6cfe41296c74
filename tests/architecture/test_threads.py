"""Worker threads wait without spinning: the setting must stand before torch reads it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Watch())
import django
django.setup()
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize(
    "module", ["sam.modeling.model", "training.finetuning.train", "workers.inference.embed"]
)
def test_threads_are_told_to_wait_before_torch_is_loaded(module: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, module],
        env={**environment, "DJANGO_SETTINGS_MODULE": "engine.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["PASSIVE"]
