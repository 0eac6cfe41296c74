"""Leases: one annotator on one image. They order work; they never make a save fail."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from engine.domain.errors import Conflict, NotAllowed, NotReady, StaleState
from engine.domain.limits import MAX_REASON_CHARACTERS
from engine.domain.roles import Permission
from engine.domain.states import AssignmentStatus, ImageStatus, StageStatus
from engine.models import Assignment, EngineStage, Image, Project, User
from engine.selectors.queue import waiting_images
from engine.selectors.stages import stage_policy
from engine.services.clock import database_now
from engine.services.people.roles import require
from engine.services.projects import stages
from engine.services.text import clean_line
from engine.services.transitions import move


def lease_next(project: Project, *, annotator: User) -> Assignment | None:
    """Give the annotator the image they hold in this project, else the next; None: nothing left.

    An image they hold in another project is released: a person labels one image at a time.
    """
    require(annotator, Permission.LABEL, project)
    _release(_leases_of(annotator).exclude(image__project=project), reason="went elsewhere")
    with transaction.atomic():
        stage = _lock_stage(project)
        _expire(Assignment.objects.filter(image__project=project).exclude(annotator=annotator))
        if held := _leases_of(annotator).first():
            return extend_lease(held, actor=annotator)
        _require_open(stage)
        image = waiting_images(project, annotator=annotator).first()
        return None if image is None else _lease(image, stage=stage, annotator=annotator)


def lease_image(image: Image, *, annotator: User) -> Assignment:
    """Give the annotator this very image. Conflict when somebody else holds it."""
    require(annotator, Permission.LABEL, image.project)
    _release(_leases_of(annotator).exclude(image=image), reason="went to another image")
    with transaction.atomic():
        stage = _lock_stage(image.project)
        _expire(image.assignments.exclude(annotator=annotator))
        if held := _leases_of(annotator).first():
            return extend_lease(held, actor=annotator)
        _require_open(stage)
        image.refresh_from_db()
        if image.status == ImageStatus.REJECTED:
            raise Conflict("this image has been rejected", code="image_rejected")
        if other := image.assignments.filter(status=AssignmentStatus.LEASED.value).first():
            name = other.annotator.username
            raise Conflict(f"{name} is labelling this image", code="image_is_leased")
        return _lease(image, stage=stage, annotator=annotator)


@transaction.atomic
def extend_lease(assignment: Assignment, *, actor: User) -> Assignment:
    """Start the lease anew. Conflict when it is over."""
    _require_own(assignment, actor=actor)
    expires_at = _expiry(assignment.stage)
    live = Assignment.objects.filter(pk=assignment.pk, status=AssignmentStatus.LEASED.value)
    if live.update(lease_expires_at=expires_at) != 1:
        raise Conflict("the time for this image is over; open it again", code="lease_over")
    assignment.lease_expires_at = expires_at
    return assignment


@transaction.atomic
def submit(assignment: Assignment, *, actor: User, num_left_out: int = 0) -> Assignment:
    """Say that the image is done, and how many of its objects were too hard to outline."""
    _require_own(assignment, actor=actor)
    stage = _lock_stage(assignment.image.project)
    assignment.refresh_from_db()
    if assignment.status == AssignmentStatus.SUBMITTED:
        return assignment  # the answer to the first request was lost
    _end(assignment, AssignmentStatus.SUBMITTED, actor=actor, num_left_out=num_left_out)
    image = Image.objects.get(pk=assignment.image_id)
    if image.status == ImageStatus.READY:
        move(image, ImageStatus.DONE, actor=actor, reason="submitted")
    stages.advance_if_drained(stage)
    return assignment


@transaction.atomic
def skip(
    assignment: Assignment, *, actor: User, reason: str = "", num_left_out: int = 0
) -> Assignment:
    """Leave the image to somebody else; `num_left_out` as in `submit`."""
    _require_own(assignment, actor=actor)
    reason = clean_line(reason, what="the reason", max_characters=MAX_REASON_CHARACTERS)
    stage = _lock_stage(assignment.image.project)
    assignment.refresh_from_db()
    if assignment.status == AssignmentStatus.SKIPPED:
        return assignment
    _end(
        assignment,
        AssignmentStatus.SKIPPED,
        actor=actor,
        reason=reason,
        num_left_out=num_left_out,
    )
    stages.advance_if_drained(stage)
    return assignment


def expire_leases() -> int:
    """End every lease whose time is over; return how many. What was saved under them stays."""
    overdue = Assignment.objects.filter(
        status=AssignmentStatus.LEASED.value, lease_expires_at__lt=database_now()
    )
    num_expired = 0
    for project in Project.objects.filter(images__assignments__in=overdue).distinct():
        with transaction.atomic():
            stage = _lock_stage(project)
            num_expired += _expire(Assignment.objects.filter(image__project=project))
            stages.advance_if_drained(stage)
    return num_expired


def _lock_stage(project: Project) -> EngineStage:
    """Take the project's lease lock: leasing, ending leases and changing stage exclude each other.

    Without it, a lease could slip in between "nobody labels any more" and closing the stage.
    """
    stage = stages.lock_active(project)
    if stage is None:
        raise NotReady("this project has no open stage", code="no_stage")
    return stage


def _require_open(stage: EngineStage) -> None:
    if stage.status != StageStatus.OPEN:
        raise NotReady(
            "this stage is ending: the images being labelled are finished, no new ones are given",
            code="stage_draining",
        )


def _require_own(assignment: Assignment, *, actor: User) -> None:
    if assignment.annotator_id != actor.pk:
        raise NotAllowed("this assignment belongs to somebody else")


def _leases_of(annotator: User) -> QuerySet[Assignment]:
    return annotator.assignments.filter(status=AssignmentStatus.LEASED.value).select_related(
        "image__project", "stage"
    )


def _release(held: QuerySet[Assignment], *, reason: str) -> None:
    for assignment in held:
        with transaction.atomic():
            stage = _lock_stage(assignment.image.project)
            _end(assignment, AssignmentStatus.RELEASED, reason=reason)
            stages.advance_if_drained(stage)


def _lease(image: Image, *, stage: EngineStage, annotator: User) -> Assignment:
    try:
        with transaction.atomic():
            return Assignment.objects.create(
                image=image,
                stage=stage,
                annotator=annotator,
                leased_at=database_now(),
                lease_expires_at=_expiry(stage),
            )
    except IntegrityError:  # the same person asked in two projects at once
        raise Conflict("you have just been given another image; try again") from None


def _expiry(stage: EngineStage) -> datetime:
    return database_now() + timedelta(seconds=stage_policy(stage).lease_s)


def _end(
    assignment: Assignment,
    to: AssignmentStatus,
    *,
    actor: User | None = None,
    reason: str = "",
    num_left_out: int = 0,
) -> None:
    changes = {"finished_at": database_now(), "num_left_out": num_left_out}
    try:
        move(assignment, to, actor=actor, reason=reason, changes=changes)
    except StaleState:
        raise Conflict("this assignment is over already", code="lease_over") from None


def _expire(candidates: QuerySet[Assignment]) -> int:
    overdue = candidates.filter(
        status=AssignmentStatus.LEASED.value, lease_expires_at__lt=database_now()
    )
    num_expired = 0
    for assignment in overdue.select_for_update(skip_locked=True, of=("self",)):
        move(
            assignment,
            AssignmentStatus.EXPIRED,
            reason="lease over",
            changes={"finished_at": database_now()},
        )
        num_expired += 1
    return num_expired
