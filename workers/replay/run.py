"""The whole loop with an oracle instead of people: label, retrain, next stage, export.

Everything goes through the engine's services and the workers' own job code, one job after another.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from engine import storage
from engine.domain.jobs import QUEUES, JobKind
from engine.domain.stages import StageKind
from engine.domain.states import (
    ExportFormat,
    JobStatus,
    MaskSource,
    MaskStatus,
    ModelFamily,
    ModelVersionStatus,
    Role,
)
from engine.models import Image, Job, ModelVersion, Project, StateChange, User
from engine.selectors.masks import for_image
from engine.selectors.models import missing_parts, serving_version
from engine.selectors.stages import active_stage
from engine.services import (
    assignments,
    exports,
    images,
    jobs,
    model_versions,
    packed_masks,
    projects,
    stages,
    users,
)
from workers.replay import labelling, oracle
from workers.replay.dataset import Photo, ReplayError, choose_photos
from workers.replay.rounds import (
    AutomaticFigures,
    ExportCheck,
    Retrain,
    Round,
    RoundPlan,
    Tally,
    plan_rounds,
)
from workers.replay.served_decoder import ServedDecoder
from workers.run_job import Outcome, run_next
from workers.stopping import StopFlag

Say = Callable[[str], object]
AUTOMATIC_IOU = 0.75  # where the paper's audit starts to call masks alike (section 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What to replay."""

    dataset: Path
    num_images: int = 24
    num_rounds: int = 4
    masks_per_image: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found."""

    rounds: tuple[Round, ...]
    export: ExportCheck


@dataclass(slots=True)
class _Desk:
    """The project under replay, its one person, and which photo is which image."""

    project: Project
    lead: User
    say: Say
    stop: StopFlag
    photos: dict[Image, Photo] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    """RLE counts as the oracle left them, by revision id."""


def run_replay(
    settings: ReplaySettings, *, say: Say, on_image: Callable[[], object], stop: StopFlag
) -> Replay:
    """Replay a dataset in the present (fresh) database. ReplayError says what went wrong."""
    plans = plan_rounds(num_images=settings.num_images, num_rounds=settings.num_rounds)
    photos = choose_photos(
        settings.dataset,
        num_images=settings.num_images,
        masks_per_image=settings.masks_per_image,
        seed=settings.seed,
    )
    desk = _open_desk(photos, say=say, stop=stop)
    rounds = []
    for plan in plans:
        _enter_stage(desk, plan)
        if plan.stage is StageKind.FULLY_AUTOMATIC:
            rounds.append(_automatic_round(desk, plan, on_image=on_image))
        else:
            rounds.append(_labelled_round(desk, plan, on_image=on_image))
    return Replay(rounds=tuple(rounds), export=_check_export(desk))


def _open_desk(photos: list[Photo], *, say: Say, stop: StopFlag) -> _Desk:
    lead = users.create_user("oracle", role=Role.LEAD)
    project = projects.create_project("Replay", actor=lead)
    if serving_version(project, family=ModelFamily.SAM) is None:
        raise ReplayError(missing_parts(project)[0])
    desk = _Desk(project, lead, say, stop)
    for photo in photos:
        say(f"taking in {photo.path.name}")
        image, is_new = images.ingest_image(
            project, data=photo.path.read_bytes(), file_name=photo.path.name, actor=lead
        )
        if not is_new:
            raise ReplayError(f"{photo.path.name} is the same photo as {image.file_name}")
        desk.photos[image] = photo
    _run_jobs(desk)
    return desk


def _run_jobs(desk: _Desk) -> None:
    """Run every claimable job to its end; ReplayError when one fails or a stop is asked for."""
    while True:
        desk.say(_next_job_text())
        run = run_next(QUEUES, worker="replay", lease_s=None, stopping=desk.stop)
        if desk.stop.is_set():
            raise ReplayError("stopped")
        if run is None:
            return
        if run.outcome is not Outcome.SUCCEEDED:
            raise ReplayError(f"{run.claim.kind} {run.outcome}: {run.message}")


def _next_job_text() -> str:
    waiting = Job.objects.filter(status=JobStatus.QUEUED.value).order_by("priority", "created_at")
    job = waiting.first()
    return "" if job is None else f"running {job.kind} (of {waiting.count()} jobs)"


def _enter_stage(desk: _Desk, plan: RoundPlan) -> None:
    stage = active_stage(desk.project)
    if stage is not None and stage.kind != plan.stage:
        stages.advance_stage(desk.project, actor=desk.lead, reason=f"replay, round {plan.number}")
        if plan.stage is StageKind.FULLY_AUTOMATIC:
            _mask_only_fresh_images(desk)
        _run_jobs(desk)


def _mask_only_fresh_images(desk: _Desk) -> None:
    """Cancel automatic masks of labelled photos: the figures are of photos nobody has seen."""
    for job in Job.objects.filter(kind=JobKind.AUTOMASK_IMAGE.value, status=JobStatus.QUEUED.value):
        if Image.objects.get(pk=job.args["image"]).status != "ready":
            jobs.cancel(job, actor=desk.lead)


def _serving(desk: _Desk) -> ModelVersion:
    version = serving_version(desk.project, family=ModelFamily.SAM)
    if version is None:
        raise ReplayError("no segmentation model serves any more")
    return version


def _labelled_round(desk: _Desk, plan: RoundPlan, *, on_image: Callable[[], object]) -> Round:
    version = _serving(desk)
    decoder = ServedDecoder(version)
    tally = Tally()
    for place in range(plan.num_images):
        desk.say(f"round {plan.number}: labelling photo {place + 1} of {plan.num_images}")
        assignment = assignments.lease_next(desk.project, annotator=desk.lead)
        if assignment is None:
            raise ReplayError("the queue ran out of photos")
        desk.saved |= labelling.label_image(
            assignment,
            annotator=desk.lead,
            photo=desk.photos[assignment.image],
            decoder=decoder,
            version=version,
            tally=tally,
        )
        on_image()
    return Round(
        number=plan.number,
        stage=plan.stage.value,
        model_version=version.number,
        tally=tally,
        retrain=_retrain(desk, serving=version),
    )


def _retrain(desk: _Desk, *, serving: ModelVersion) -> Retrain:
    version, _ = model_versions.request_retrain(
        desk.project, family=ModelFamily.SAM, actor=desk.lead
    )
    _run_jobs(desk)
    version.refresh_from_db()
    is_promoted = version.status == ModelVersionStatus.SERVING
    decision = StateChange.objects.filter(subject_id=version.pk, to_state=version.status).latest(
        "created_at"
    )
    return Retrain(
        version=version.number,
        status=version.status,
        is_promoted=is_promoted,
        reasons=(decision.reason,) if decision.reason else (),
        clicks_1_miou=_one_click(version, of=version),
        serving_clicks_1_miou=_one_click(serving, of=version),
    )


def _one_click(version: ModelVersion, *, of: ModelVersion) -> float:
    """Return what a version measured on the snapshot of another."""
    evaluation = version.evaluations.get(snapshot=of.snapshot)
    return float(evaluation.metrics["clicks_1_miou"])


def _automatic_round(desk: _Desk, plan: RoundPlan, *, on_image: Callable[[], object]) -> Round:
    """Compare the automatic masks of the photos nobody labelled with the truth."""
    num_masks = num_truths = num_matched = 0
    tally = Tally()
    for image in desk.project.images.filter(status="ready"):
        truths = desk.photos[image].truths
        packed_masks.unpack(image)
        made = [
            labelling.decode_mask(mask)
            for mask in for_image(image).filter(
                source=MaskSource.AUTOMATIC.value, status=MaskStatus.ACCEPTED.value
            )
        ]
        num_masks += len(made)
        num_truths += len(truths)
        num_matched += len(oracle.match(made, truths, min_iou=AUTOMATIC_IOU))
        tally.num_images += 1
        on_image()
    return Round(
        number=plan.number,
        stage=plan.stage.value,
        model_version=_serving(desk).number,
        tally=tally,
        automatic=AutomaticFigures(
            num_masks=num_masks, num_truths=num_truths, num_matched=num_matched
        ),
    )


def _check_export(desk: _Desk) -> ExportCheck:
    """Export as COCO and compare the file with the masks as the oracle left them."""
    export = exports.request_export(desk.project, format=ExportFormat.COCO.value, actor=desk.lead)
    _run_jobs(desk)
    export.refresh_from_db()
    exported = exported_counts(storage.read_bytes(export.storage_key))
    return ExportCheck(
        num_saved=len(desk.saved),
        num_exported=len(exported),
        num_equal=sum(exported.get(key) == counts for key, counts in desk.saved.items()),
    )


def exported_counts(archive: bytes) -> dict[str, str]:
    """Return the RLE counts of every mask in a COCO export, by revision id."""
    with zipfile.ZipFile(BytesIO(archive)) as files:
        coco = json.loads(files.read("annotations.json"))
        provenance = files.read("provenance.jsonl").decode().splitlines()
    revisions = {line["annotation_id"]: line["revision_id"] for line in map(json.loads, provenance)}
    return {
        revisions[annotation["id"]]: annotation["segmentation"]["counts"]
        for annotation in coco["annotations"]
    }
