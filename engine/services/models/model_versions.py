"""Model versions: ask for training, keep what comes out, decide which one serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Max

from engine import storage
from engine.domain.errors import Conflict, InvalidInput, NotReady
from engine.domain.jobs import JobKind
from engine.domain.limits import MAX_REASON_CHARACTERS
from engine.domain.promotion import PromotionFacts, missing_parts
from engine.domain.promotion import promotion_blockers as blockers_of
from engine.domain.roles import Permission
from engine.domain.schedule import RoundSize, round_size
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Evaluation, Job, ModelVersion, Project, Snapshot, TrainingCurve, User
from engine.models.model_version import IN_WORK
from engine.selectors.models import detector_beside, previous_version, serving_version
from engine.selectors.stages import active_policy
from engine.services.images import embeddings
from engine.services.jobs import jobs, proposals
from engine.services.json_values import json_safe
from engine.services.models import snapshots
from engine.services.models.decoder_files import decoder_columns
from engine.services.people.roles import require
from engine.services.text import clean_line
from engine.services.transitions import move

__all__ = [
    "attach_decoder",
    "checkpoint_columns",
    "curve_of",
    "fail",
    "keep_curve",
    "mark_training",
    "next_number",
    "note_thresholds",
    "promote",
    "promotion_blockers",
    "record_evaluation",
    "register_checkpoint",
    "reject",
    "request_retrain",
    "require_none_in_work",
    "roll_back",
]

TRAIN_JOB = {
    ModelFamily.SAM: JobKind.TRAIN_SAM,
    ModelFamily.OBJECT_DETECTOR: JobKind.TRAIN_DETECTOR,
}
CHECKPOINT_KIND = "checkpoints"


@transaction.atomic
def request_retrain(
    project: Project,
    *,
    family: str,
    actor: User | None,
    trainable: RoundSize | None = None,
    trigger: str = "asked for by hand",
) -> tuple[ModelVersion, Job]:
    """Freeze what is labelled and queue a training that starts from the serving version.

    actor None: the schedule asks. trainable: how much of a SAM learns; None leaves it to the number
    of masks (low_rank_min_masks, full_min_masks of the policy). trigger: in words, for the page.
    Conflict while one of the family is in work; InvalidInput says what to label first; NotReady
    when no SAM serves (a detector may start from nothing, but reads a serving SAM's features).
    """
    if actor is not None:
        require(actor, Permission.TRAIN, project)
    if family not in list(ModelFamily):
        raise InvalidInput(f"family must be one of {', '.join(ModelFamily)}, not {family!r}")
    family = ModelFamily(family)
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)  # numbers one by one
    if serving_version(project, family=ModelFamily.SAM) is None:
        raise NotReady("no segmentation model serves this project yet", code="no_model")
    require_none_in_work(project, family=family)
    snapshot = snapshots.freeze_snapshot(project)
    if family == ModelFamily.OBJECT_DETECTOR:
        trainable = RoundSize.DECODER  # its head; the encoder under it is the serving SAM's
    elif trainable is None:
        trainable = round_size(snapshot.num_masks, policy=active_policy(project))
    version = ModelVersion.objects.create(
        project=project,
        family=family.value,
        number=next_number(project, family=family),
        parent=serving_version(project, family=family),
        snapshot=snapshot,
        trainable=trainable.value,
        requested_by=actor,
        trigger=trigger,
    )
    job = jobs.enqueue(
        TRAIN_JOB[family],
        project=project,
        args={"model_version": version.pk},
        idem_key=f"train:{version.pk}",
    )
    return version, job


def next_number(project: Project, *, family: ModelFamily) -> int:
    """Return the number of the family's next version; the caller has locked the project."""
    last = project.model_versions.filter(family=family.value).aggregate(last=Max("number"))["last"]
    return int(last or 0) + 1


def require_none_in_work(project: Project, *, family: ModelFamily) -> None:
    """Raise Conflict while a version of the family is trained or measured.

    The caller has locked the project.
    """
    running = project.model_versions.filter(family=family.value, status__in=IN_WORK).first()
    if running is not None:
        raise Conflict(
            f"version {running.number} is {running.status} already", code="already_training"
        )


def mark_training(version: ModelVersion) -> None:
    """Say that a worker trains it now; saying so again, after a restart, changes nothing."""
    version.refresh_from_db()
    if version.status == ModelVersionStatus.PENDING:
        move(version, ModelVersionStatus.TRAINING)


@transaction.atomic
def register_checkpoint(
    version: ModelVersion,
    *,
    checkpoint: Path,
    decoder: Path | None = None,
    encoder_sha256: str,
    config: Mapping[str, Any],
) -> ModelVersion:
    """Keep the files of a finished training; the version is trained afterwards."""
    changes: dict[str, Any] = {
        **checkpoint_columns(checkpoint),
        "encoder_sha256": encoder_sha256,
        "config": json_safe(config),
        "arch": str(config.get("arch", ""))[:40],
        "error": "",
    }
    if decoder is not None:
        changes.update(decoder_columns(decoder))
    mark_training(version)
    move(version, ModelVersionStatus.TRAINED, changes=changes)
    return version


def attach_decoder(version: ModelVersion, *, decoder: Path) -> ModelVersion:
    """Keep the decoder for browsers of a version that has none; a second one changes nothing."""
    columns = decoder_columns(decoder)
    ModelVersion.objects.filter(pk=version.pk, decoder_key="").update(**columns)
    version.refresh_from_db()
    return version


def keep_curve(version: ModelVersion, *, points: Sequence[Mapping[str, float]]) -> None:
    """Keep the figures of a training's steps so far; the last call counts."""
    TrainingCurve.objects.update_or_create(
        model_version=version, defaults={"points": json_safe(list(points))}
    )


def curve_of(version: ModelVersion) -> list[dict[str, float]]:
    """Return the figures of a training's steps so far, first to last."""
    kept = TrainingCurve.objects.filter(model_version=version).first()
    return list(kept.points) if kept else []


@transaction.atomic
def record_evaluation(
    version: ModelVersion, *, snapshot: Snapshot, metrics: Mapping[str, Any]
) -> Evaluation:
    """Keep what a version measured on a snapshot's held-out split (the last measure counts)."""
    evaluation, _ = Evaluation.objects.update_or_create(
        model_version=version, snapshot=snapshot, defaults={"metrics": json_safe(metrics)}
    )
    version.refresh_from_db()
    if version.status == ModelVersionStatus.TRAINED:
        move(version, ModelVersionStatus.EVALUATED)
    return evaluation


def note_thresholds(version: ModelVersion, thresholds: Mapping[str, Any]) -> ModelVersion:
    """Keep what the masks of a version have to score; kinds that are not named stay as they are."""
    version.refresh_from_db(fields=["thresholds"])
    version.thresholds = json_safe({**version.thresholds, **thresholds})
    version.save(update_fields=["thresholds"])
    return version


def promotion_blockers(version: ModelVersion) -> list[str]:
    """Say why the version should not serve, in sentences a lead reads; empty when it may."""
    policy = active_policy(version.project)
    return blockers_of(_candidate(version), policy=policy)


@transaction.atomic
def promote(version: ModelVersion, *, actor: User | None, reason: str = "") -> ModelVersion:
    """Let the version serve and retire the one that did, in one transaction.

    actor None: the automatic promotion of a job. A person may overrule figures, with a reason,
    but not missing files. Going back to a retired version needs no new figures.
    Conflict lists what speaks against it. Another encoder queues all embeddings anew.
    """
    if actor is not None:
        require(actor, Permission.PROMOTE, version.project)
    reason = clean_line(reason, what="the reason", max_characters=MAX_REASON_CHARACTERS)
    Project.objects.select_for_update(no_key=True).get(pk=version.project_id)
    version.refresh_from_db()
    if version.status == ModelVersionStatus.SERVING:
        return version
    _require_promotable(version, is_overruled=actor is not None and bool(reason))
    family = ModelFamily(version.family)
    before = serving_version(version.project, family=family)
    if before is not None:  # the old one first: only one may serve at any time
        move(before, ModelVersionStatus.RETIRED, actor=actor, reason=reason)
    move(version, ModelVersionStatus.SERVING, actor=actor, reason=reason)
    if family == ModelFamily.SAM:
        _let_a_fitting_detector_serve(version, actor=actor)
        embeddings.request_all(version.project)
    proposals.request_for_project(version.project)
    return version


@transaction.atomic
def roll_back(project: Project, *, family: str, actor: User, reason: str = "") -> ModelVersion:
    """Let the version serve again that served before; what was better then needs no new figures.

    Rolled back twice, the one before that. Conflict when there is none.
    """
    require(actor, Permission.PROMOTE, project)
    if family not in list(ModelFamily):
        raise InvalidInput(f"family must be one of {', '.join(ModelFamily)}, not {family!r}")
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    earlier = previous_version(project, family=ModelFamily(family))
    if earlier is None:
        raise Conflict("no earlier version has served", code="nothing_to_roll_back_to")
    return promote(earlier, actor=actor, reason=reason or "rolled back")


def _let_a_fitting_detector_serve(sam: ModelVersion, *, actor: User | None) -> None:
    """Let the last detector of this SAM's encoder serve when the serving one reads another.

    Without one nothing is prefilled until a detector has been trained; the schedule sees to that.
    """
    serving = serving_version(sam.project, family=ModelFamily.OBJECT_DETECTOR)
    fitting = detector_beside(sam)
    if fitting is None or fitting == serving:
        return
    reason = f"reads the encoder of version {sam.number}, which serves now"
    if serving is not None:
        move(serving, ModelVersionStatus.RETIRED, actor=actor, reason=reason)
    move(fitting, ModelVersionStatus.SERVING, actor=actor, reason=reason)


@transaction.atomic
def reject(version: ModelVersion, *, actor: User | None = None, reason: str) -> ModelVersion:
    """Put an evaluated version aside; a lead may still promote it with a reason."""
    move(version, ModelVersionStatus.REJECTED, actor=actor, reason=reason)
    return version


@transaction.atomic
def fail(version: ModelVersion, error: str) -> ModelVersion:
    """Record that the training failed; a version that is past training stays as it is."""
    version.refresh_from_db()
    if version.status in IN_WORK:
        text = error.replace("\x00", "")[: jobs.MAX_ERROR_CHARACTERS]
        move(version, ModelVersionStatus.FAILED, reason="training", changes={"error": text})
    return version


def _require_promotable(version: ModelVersion, *, is_overruled: bool) -> None:
    promotable = (
        ModelVersionStatus.EVALUATED,
        ModelVersionStatus.RETIRED,
        ModelVersionStatus.REJECTED,
    )
    if version.state not in promotable:
        raise Conflict(f"version {version.number} is {version.status}, not evaluated")
    blockers = missing_parts(_candidate(version))
    if not blockers and version.status != ModelVersionStatus.RETIRED and not is_overruled:
        blockers = promotion_blockers(version)
    if blockers:
        raise Conflict(
            f"version {version.number} should not serve: {'; '.join(blockers)}",
            code="promotion_blocked",
            blockers=blockers,
        )


def _candidate(version: ModelVersion) -> PromotionFacts:
    """Collect what promotion depends on: both versions on the candidate's latest snapshot."""
    family = ModelFamily(version.family)
    serving = serving_version(version.project, family=family)
    sam = serving_version(version.project, family=ModelFamily.SAM)
    latest = version.evaluations.order_by("created_at").last()
    serving_too = (
        serving.evaluations.filter(snapshot=latest.snapshot_id).first()
        if serving is not None and latest is not None
        else None
    )
    is_useful = serving is not None and _fits(serving, sam=sam)
    return PromotionFacts(
        family=family,
        has_checkpoint=bool(version.checkpoint_key),
        has_decoder=bool(version.decoder_key),
        fits_encoder=_fits(version, sam=sam),
        metrics=latest.metrics if latest else None,
        is_own_snapshot=version.snapshot_id is None  # shipped: it knows no image of the project
        or (latest is not None and latest.snapshot_id == version.snapshot_id),
        serving=serving.pk if serving and is_useful and serving != version else None,
        serving_metrics=serving_too.metrics if serving_too else None,
    )


def _fits(version: ModelVersion, *, sam: ModelVersion | None) -> bool:
    """Tell whether a version can work with the serving SAM; a SAM itself always can."""
    if version.family == ModelFamily.SAM:
        return True
    return sam is not None and sam.encoder_sha256 == version.encoder_sha256


def checkpoint_columns(checkpoint: Path) -> dict[str, str]:
    """Store a copy of the weights; return the columns of a version that name it."""
    key = storage.put_file(CHECKPOINT_KIND, checkpoint, ".safetensors")
    return {"checkpoint_key": key, "checkpoint_sha256": storage.sha256_of(key)}
