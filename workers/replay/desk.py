"""The oracle's desk: its project, its photos, the journal, and the jobs it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from engine.domain.jobs import QUEUES
from engine.domain.schedule import RoundSize
from engine.domain.states import JobStatus, ModelFamily, Role
from engine.models import Image, Job, ModelVersion, Project, User
from engine.selectors.models import missing_parts, serving_version
from engine.services.images import images
from engine.services.jobs import jobs
from engine.services.people import users
from engine.services.projects import projects
from workers.execution.run_job import Outcome, run_next
from workers.execution.stopping import StopFlag
from workers.replay.dataset import Photo, ReplayError
from workers.replay.journal import Journal

Say = Callable[[str], object]
LEASE_S = 60.0
"""So long may a job of a killed replay still count as running when it is started again."""
LOOK_AGAIN_S = 1.0


@dataclass(slots=True, kw_only=True)
class Desk:
    """The project under replay, its one person, and which photo is which image."""

    project: Project
    lead: User
    journal: Journal
    say: Say
    stop: StopFlag
    trains: RoundSize | None = None
    photos: dict[Image, Photo] = field(default_factory=dict)


def open_desk(*, journal: Journal, say: Say, stop: StopFlag) -> Desk:
    """Make or find the project. ReplayError when no model serves."""
    lead = User.objects.filter(username="oracle").first()
    lead = lead or users.create_user("oracle", role=Role.LEAD)
    project = Project.objects.first() or projects.create_project("Replay", actor=lead)
    if serving_version(project, family=ModelFamily.SAM) is None:
        raise ReplayError(missing_parts(project)[0])
    return Desk(project=project, lead=lead, journal=journal, say=say, stop=stop)


def take_in(desk: Desk, photos: Sequence[Photo]) -> None:
    """Bring photos into the project, or find them there. ReplayError when one repeats."""
    for photo in photos:
        desk.say(f"taking in {photo.path.name}")
        image, _ = images.ingest_image(
            desk.project, data=photo.path.read_bytes(), file_name=photo.path.name, actor=desk.lead
        )
        if image in desk.photos:
            raise ReplayError(f"{photo.path.name} is the same photo as {image.file_name}")
        desk.photos[image] = photo


def require_not_stopped(stop: StopFlag) -> None:
    """ReplayError when a stop is asked for: all that is done is noted, so one may leave here."""
    if stop.is_set():
        raise ReplayError("stopped; the same command with --keep goes on from here")


def run_jobs(desk: Desk) -> None:
    """Run every job to its end; ReplayError when one fails or a stop is asked for.

    Jobs that a killed replay left running are taken over when their lease is out.
    """
    while True:
        desk.say(_next_job_text())
        run = run_next(QUEUES, worker="replay", lease_s=LEASE_S, stopping=desk.stop)
        require_not_stopped(desk.stop)
        if run is not None:
            if run.outcome is not Outcome.SUCCEEDED:
                raise ReplayError(f"{run.claim.kind} {run.outcome}: {run.message}")
            continue
        live = (JobStatus.QUEUED.value, JobStatus.RUNNING.value)
        left = Job.objects.filter(status__in=live).first()
        if left is None:
            _require_none_dead()
            return
        desk.say(f"waiting for the lease of {left.kind}, left by a killed replay")
        time.sleep(LOOK_AGAIN_S)
        jobs.reap()


def serving(desk: Desk) -> ModelVersion:
    """Return the segmentation model that serves; ReplayError when there is none."""
    version = serving_version(desk.project, family=ModelFamily.SAM)
    if version is None:
        raise ReplayError("no segmentation model serves any more")
    return version


def _require_none_dead() -> None:
    dead = Job.objects.filter(status__in=(JobStatus.DEAD.value, JobStatus.FAILED.value)).first()
    if dead is not None:
        raise ReplayError(f"{dead.kind} is {dead.status}: {dead.error}")


def _next_job_text() -> str:
    waiting = Job.objects.filter(status=JobStatus.QUEUED.value).order_by("priority", "created_at")
    job = waiting.first()
    return "" if job is None else f"running {job.kind} (of {waiting.count()} jobs)"
