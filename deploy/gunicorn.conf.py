"""gunicorn settings of the web process: gunicorn -c deploy/gunicorn.conf.py annotator_ui.wsgi"""

from __future__ import annotations

import os

bind = os.environ.get("SEGLOOP_BIND", "127.0.0.1:8000")
worker_class = "gthread"
workers = int(os.environ.get("SEGLOOP_WEB_PROCESSES", "2"))
threads = int(os.environ.get("SEGLOOP_WEB_THREADS", "8"))
# A 60-megapixel upload is decoded within seconds; nothing else takes long in the web process.
timeout = 60
graceful_timeout = 20
keepalive = 75  # a person draws for longer than the default 2 s between two saves
max_requests = 5000
max_requests_jitter = 500
# Heartbeat files on a disk can block for seconds; /dev/shm cannot, where it exists.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
accesslog = "-"
errorlog = "-"
