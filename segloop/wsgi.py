"""The web process of an installed Segloop: `gunicorn segloop.wsgi`."""

from __future__ import annotations

import importlib

from segloop import app_path

app_path.activate()
application = importlib.import_module("annotator_ui.wsgi").application
