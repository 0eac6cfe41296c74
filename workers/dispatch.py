"""Ringing the bell: tell Celery workers that a queue has something to claim.

A bell carries nothing and may be lost or doubled; the sweepers ring again for what is left over.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from uuid import UUID

from celery import Celery

from workers.app import app

logger = logging.getLogger(__name__)

WAKE = "workers.wake.wake"
PATIENCE_S = 0.5
SILENCE_AFTER_FAILURE_S = 5.0  # a dead Redis must not slow every save by a connection time-out


# Not the workers' app: a worker may wait for Redis, a person who saves a mask may not.
_bell = Celery("segloop-bell", broker=app.conf.broker_url, set_as_current=False)
_bell.conf.update(
    task_serializer="json",
    task_ignore_result=True,
    task_publish_retry=False,
    broker_connection_timeout=PATIENCE_S,
    broker_transport_options={
        "socket_timeout": PATIENCE_S,
        "socket_connect_timeout": PATIENCE_S,
        "retry_on_timeout": False,
        "max_retries": 0,
    },
)


@dataclass
class _Breaker:
    closed_until_s: float = 0.0


_breaker = _Breaker()


def send(job_id: UUID, queue: str) -> None:
    """Ring for a new job; called by the engine after commit. Never raises."""
    if ring(queue):
        logger.debug("rang %s for job %s", queue, job_id)


def ring(queue: str) -> bool:
    """Ring once for `queue`; False when the broker cannot be reached. Never raises."""
    if time.monotonic() < _breaker.closed_until_s:
        return False
    try:
        _bell.send_task(WAKE, args=(queue,), queue=queue, retry=False, ignore_result=True)
    except Exception as error:  # kombu, redis and socket errors: a lost bell costs one sweep
        _breaker.closed_until_s = time.monotonic() + SILENCE_AFTER_FAILURE_S
        logger.warning("the bell for %s was not rung: %s: %s", queue, type(error).__name__, error)
        return False
    return True
