"""A replay session: its project and images, the journal, and the jobs it waits for."""

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
from engine.stop_flag import StopFlag
from workers.execution.run_job import RunOutcome, run_next
from workers.replay.dataset import DatasetImage, ReplayError
from workers.replay.journal import Journal

OnProgress = Callable[[str], object]
LEASE_S = 60.0
"""For so long a job of a killed replay counts as running after a restart."""
POLL_S = 1.0


@dataclass(slots=True, kw_only=True)
class ReplaySession:
    """A replay in progress: its project, its only user, and the dataset image of each image."""

    project: Project
    lead: User
    journal: Journal
    on_progress: OnProgress
    stop: StopFlag
    trainable: RoundSize | None = None
    dataset_images: dict[Image, DatasetImage] = field(default_factory=dict)


def open_session(*, journal: Journal, on_progress: OnProgress, stop: StopFlag) -> ReplaySession:
    """Create or find the project.

    Raises:
        ReplayError: No model serves.
    """
    lead = User.objects.filter(username="oracle").first()
    lead = lead or users.create_user("oracle", role=Role.LEAD)
    project = Project.objects.first() or projects.create_project("Replay", actor=lead)
    if serving_version(project, family=ModelFamily.SAM) is None:
        raise ReplayError(missing_parts(project)[0])
    return ReplaySession(
        project=project, lead=lead, journal=journal, on_progress=on_progress, stop=stop
    )


def ingest_images(session: ReplaySession, dataset_images: Sequence[DatasetImage]) -> None:
    """Add images to the project, or find them there.

    Raises:
        ReplayError: Two of them have the same pixels.
    """
    for dataset_image in dataset_images:
        session.on_progress(f"importing {dataset_image.path.name}")
        image, _ = images.ingest_image(
            session.project,
            data=dataset_image.path.read_bytes(),
            file_name=dataset_image.path.name,
            actor=session.lead,
        )
        if image in session.dataset_images:
            raise ReplayError(f"{dataset_image.path.name} is the same image as {image.file_name}")
        session.dataset_images[image] = dataset_image


def require_not_stopped(stop: StopFlag) -> None:
    """Raise ReplayError when a stop is requested. Everything done so far is in the journal."""
    if stop.is_set():
        raise ReplayError("stopped; the same command with --keep goes on from here")


def run_jobs(session: ReplaySession) -> None:
    """Run every job to its end.

    Jobs that a killed replay left running are taken over when their lease expires.

    Raises:
        ReplayError: A job fails, or a stop is requested.
    """
    while True:
        session.on_progress(_next_job_text())
        run = run_next(QUEUES, worker="replay", lease_s=LEASE_S, stopping=session.stop)
        require_not_stopped(session.stop)
        if run is not None:
            if run.outcome is not RunOutcome.SUCCEEDED:
                raise ReplayError(f"{run.claim.kind} {run.outcome}: {run.message}")
            continue
        live = (JobStatus.QUEUED.value, JobStatus.RUNNING.value)
        left = Job.objects.filter(status__in=live).first()
        if left is None:
            _require_none_dead()
            return
        session.on_progress(f"waiting for the lease of {left.kind}, left by a killed replay")
        time.sleep(POLL_S)
        jobs.reap()


def serving(session: ReplaySession) -> ModelVersion:
    """Return the serving segmentation model.

    Raises:
        ReplayError: There is none.
    """
    version = serving_version(session.project, family=ModelFamily.SAM)
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
