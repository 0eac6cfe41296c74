"""WSGI entry point of the web process, which never loads torch or celery."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engine.settings")

application = get_wsgi_application()
