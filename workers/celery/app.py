"""The Celery application. It only carries notifications: the Job table decides who runs what.

No result backend, no retries, no ETA, early acknowledgement: docs/explanation/adr/0001-*.md.
"""

from __future__ import annotations

import os

from celery import Celery
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engine.settings")

app = Celery("segloop", broker=settings.REDIS_URL or "memory://")
app.conf.update(
    imports=("workers.celery.task",),  # by name: sending a notification loads no model code
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=False,
    task_create_missing_queues=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=bool(settings.REDIS_URL),
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "socket_timeout": 15,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "visibility_timeout": 3600,
    },
)
