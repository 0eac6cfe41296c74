"""Notify Celery workers that a queue has a job to claim.

A notification carries no data and may be lost or repeated: the sweepers of the workers send it
again while jobs wait.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from uuid import UUID

from celery import Celery

from workers.celery.app import app

logger = logging.getLogger(__name__)

TASK_NAME = "workers.celery.task.run_queue"
SEND_TIMEOUT_S = 0.5
PAUSE_AFTER_FAILURE_S = 5.0  # a dead Redis must not slow every save by a connection time-out


# Not the workers' app: a worker may wait for Redis, a person who saves a mask may not.
_sender = Celery("segloop-notify", broker=app.conf.broker_url, set_as_current=False)
_sender.conf.update(
    task_serializer="json",
    task_ignore_result=True,
    task_publish_retry=False,
    broker_connection_timeout=SEND_TIMEOUT_S,
    broker_transport_options={
        "socket_timeout": SEND_TIMEOUT_S,
        "socket_connect_timeout": SEND_TIMEOUT_S,
        "retry_on_timeout": False,
        "max_retries": 0,
    },
)


@dataclass
class _CircuitBreaker:
    """Stops sending for a while after a failure. Monotonic seconds."""

    open_until_s: float = 0.0


_breaker = _CircuitBreaker()


def notify_of_job(job_id: UUID, queue: str) -> None:
    """Notify workers of a new job; the engine calls this after commit. Never raises."""
    if notify(queue):
        logger.debug("sent a notification of job %s to the queue %s", job_id, queue)


def notify(queue: str) -> bool:
    """Send one notification to the workers of a queue. Never raises.

    Returns:
        False when the broker cannot be reached.
    """
    if time.monotonic() < _breaker.open_until_s:
        return False
    try:
        _sender.send_task(TASK_NAME, args=(queue,), queue=queue, retry=False, ignore_result=True)
    except Exception as error:  # kombu, redis and socket errors: a lost one costs one sweep
        _breaker.open_until_s = time.monotonic() + PAUSE_AFTER_FAILURE_S
        logger.warning(
            "no notification was sent to the queue %s: %s: %s", queue, type(error).__name__, error
        )
        return False
    return True
