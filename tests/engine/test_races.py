"""Threads and processes on one real database: exactly one wins, and killed work is redone once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, close_old_connections, connection, connections

from engine.domain.errors import DomainError
from engine.domain.ids import uuid7
from engine.domain.jobs import QUEUES, JobKind
from engine.domain.states import ImageStatus, ModelVersionStatus
from engine.models import (
    Assignment,
    Image,
    Job,
    JobAttempt,
    MaskRevision,
    ModelVersion,
    Project,
    StateChange,
    User,
)
from engine.services.jobs import jobs
from engine.services.masks import assignments
from engine.services.models import schedules
from engine.services.projects import policies
from engine.services.transitions import move
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]


def in_threads(*calls: Callable[[], object]) -> list[object]:
    """Run calls at the same moment, each on a connection of its own; errors become results."""
    barrier = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(place: int, call: Callable[[], object]) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            results[place] = call()
        except DomainError as error:
            results[place] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place, call)) for place, call in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    close_old_connections()
    return results


def start(what: str) -> subprocess.Popen[bytes]:
    settings_dict = {key: value for key, value in connection.settings_dict.items() if key != "TEST"}
    environment: dict[str, Any] = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "engine.settings",
        "RACE_DATABASE": json.dumps(settings_dict, default=str),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.racing", what], cwd=ROOT, env=environment
    )


def queue_jobs(num_jobs: int) -> list[Job]:
    project = factories.make_project()
    return [
        jobs.enqueue(
            JobKind.EMBED_IMAGE,
            project=project,
            args={"image": uuid4(), "model_version": uuid4()},
            idem_key=f"job-{place}",
        )
        for place in range(num_jobs)
    ]


def effects() -> Counter[object]:
    rows = StateChange.objects.filter(subject_type="effect")
    return Counter(rows.values_list("subject_id", flat=True))


def reap_until(expected: int) -> None:
    deadline = time.monotonic() + 10
    num_reaped = 0
    while num_reaped < expected:
        assert time.monotonic() < deadline
        num_reaped += jobs.reap()
        time.sleep(0.05)


def test_racing_workers_claim_each_job_once() -> None:
    queued = queue_jobs(6)

    claims = in_threads(*[lambda: jobs.claim(QUEUES, worker="w") for _ in range(8)])

    claimed = [one.id for one in claims if isinstance(one, jobs.ClaimedJob)]
    assert sorted(claimed) == sorted(job.pk for job in queued)
    assert claims.count(None) == 2
    assert JobAttempt.objects.count() == 6


def test_three_processes_do_every_job_exactly_once() -> None:
    queued = queue_jobs(30)

    workers = [start("work") for _ in range(3)]

    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    assert effects() == Counter(job.pk for job in queued)
    assert set(Job.objects.values_list("status", flat=True)) == {"succeeded"}


@pytest.mark.parametrize("how", ["claim_and_die", "die_while_finishing"])
def test_a_job_whose_worker_was_killed_is_done_again_with_one_effect(how: str) -> None:
    (job,) = queue_jobs(1)
    assert start(how).wait(timeout=60) == -signal.SIGKILL
    job.refresh_from_db()
    assert job.status == "running"
    assert jobs.claim(QUEUES, worker="too early") is None

    reap_until(1)
    assert start("work").wait(timeout=60) == 0

    assert effects() == Counter([job.pk])
    outcomes = JobAttempt.objects.filter(job=job).values_list("outcome", flat=True)
    assert list(outcomes) == ["lost", "succeeded"]


def test_racing_enqueues_of_one_key_make_one_job() -> None:
    project, args = factories.make_project(), {"export": uuid4()}

    def enqueue() -> object:
        return jobs.enqueue(JobKind.EXPORT, project=project, args=args, idem_key="once").pk

    results = in_threads(*[enqueue for _ in range(6)])

    assert len(set(results)) == 1
    assert Job.objects.count() == 1


def test_racing_annotators_get_different_images() -> None:
    project = factories.make_project()
    for _ in range(4):
        factories.make_image(project)
    people = [factories.make_user() for _ in range(6)]

    def ask(annotator: User) -> Callable[[], object]:
        return lambda: assignments.lease_next(project, annotator=annotator)

    results = in_threads(*[ask(one) for one in people])

    leased = [one.image_id for one in results if isinstance(one, Assignment)]
    assert len(leased) == len(set(leased)) == 4
    assert results.count(None) == 2


def test_one_of_two_racing_moves_wins() -> None:
    image = factories.make_image(factories.make_project())

    def reject() -> object:
        row = Image.objects.get(pk=image.pk)
        in_both.wait(timeout=20)
        move(row, ImageStatus.REJECTED)
        return "won"

    in_both = threading.Barrier(2)
    results = in_threads(reject, reject)

    assert results.count("won") == 1
    assert StateChange.objects.filter(subject_id=image.pk).count() == 1


def label(project: Project) -> Assignment:
    return assignments.lease_image(factories.make_image(project), annotator=factories.make_user())


def test_racing_first_masks_on_many_images_fix_the_sides_of_exactly_one_order() -> None:
    project = factories.make_project()
    held = [label(project) for _ in range(7)]

    def save(assignment: Assignment) -> Callable[[], object]:
        return lambda: factories.save(assignment)

    in_threads(*[save(one) for one in held])

    splits = Counter(project.images.values_list("split", flat=True))
    assert splits == {"train": 5, "holdout": 2}  # the 2nd and the 7th, whichever they were


def test_a_save_sent_twice_at_once_is_stored_once() -> None:
    held = label(factories.make_project())
    ids = {"mask_id": uuid7(), "revision_id": uuid7()}

    results = in_threads(*[lambda: factories.save(held, **ids) for _ in range(4)])

    assert sorted(one.duplicate for one in results) == [False, True, True, True]  # type: ignore[attr-defined]
    assert MaskRevision.objects.count() == 1


def test_of_many_sweepers_one_starts_a_due_training() -> None:
    project = factories.make_project()
    factories.make_version(project)
    policies.change_policy(project, changes={"retrain_first_masks": 2}, actor=project.created_by)
    factories.label_images(project, num_images=2)

    results = in_threads(*[schedules.run_due] * 6)

    started = [version for found in results if isinstance(found, list) for version in found]
    assert [version.number for version in started] == [2], results
    assert project.jobs.filter(kind="train_sam").count() == 1


def test_the_database_itself_keeps_two_open_rounds_of_a_family_apart() -> None:
    project = factories.make_project()
    pending = ModelVersionStatus.PENDING.value
    ModelVersion.objects.create(project=project, family="sam", number=1, status=pending)

    with pytest.raises(IntegrityError, match=r"model_one_in_work_per_family|family"):
        ModelVersion.objects.create(project=project, family="sam", number=2, status=pending)
