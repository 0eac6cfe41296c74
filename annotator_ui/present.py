"""Rows in, response shapes out."""

from __future__ import annotations

from dataclasses import asdict

from django.utils import timezone

from annotator_ui import schemas
from annotator_ui.http.addresses import API_BASE
from annotator_ui.live import figures_of, revision_of
from annotator_ui.progress import eta_s, progress_line
from engine.decoding.decoder import MaskCandidate
from engine.domain.errors import NotReady
from engine.domain.stages import StageKind
from engine.domain.states import (
    AssignmentStatus,
    AttemptOutcome,
    ExportStatus,
    ImageStatus,
    ImportStatus,
    JobStatus,
    MaskSource,
    MaskStatus,
    ModelFamily,
    ModelVersionStatus,
    Role,
    StageStatus,
)
from engine.models import (
    Assignment,
    DatasetImport,
    Export,
    Image,
    Job,
    JobAttempt,
    Mask,
    ModelVersion,
    Project,
)
from engine.models.job import LIVE
from engine.selectors import jobs as job_rows
from engine.selectors import masks as mask_rows
from engine.selectors import models as model_versions
from engine.selectors import queue
from engine.selectors.progress import Figures, ProjectFigures
from engine.selectors.stages import active_stage
from engine.services.masks import packed_masks
from engine.services.masks.masks import SavedMask
from engine.services.models import decoder_files
from masks.rle import Rle

NUM_UPCOMING = 3  # images whose bytes the page may fetch ahead


def image_out(image: Image, *, encoder_sha256: str = "") -> schemas.ImageOut:
    """`encoder_sha256`: which embedding to point at; empty for the serving model's."""
    base = f"{API_BASE}/images/{image.pk}"
    asked = f"?encoder={encoder_sha256}" if encoder_sha256 else ""
    return schemas.ImageOut(
        id=image.pk,
        file_name=image.file_name,
        width_px=image.width_px,
        height_px=image.height_px,
        file_url=f"{base}/file",
        thumbnail_url=f"{base}/thumbnail",
        embedding_url=f"{base}/embedding{asked}",
    )


def image_row_out(image: Image) -> schemas.ImageRowOut:
    """A row of selectors.images.for_project."""
    return schemas.ImageRowOut(
        **image_out(image).model_dump(),
        status=ImageStatus(image.status),
        num_masks=image.num_masks,  # type: ignore[attr-defined]  # annotated by the selector
        has_embedding=image.has_embedding,  # type: ignore[attr-defined]
    )


def model_out(version: ModelVersion) -> schemas.ModelOut:
    config = version.config
    base = f"{API_BASE}/model-versions/{version.pk}"
    is_cut = bool(decoder_files.halves_of(version).image)
    return schemas.ModelOut(
        id=version.pk,
        number=version.number,
        arch=version.arch,
        encoder_sha256=version.encoder_sha256,
        decoder_url=f"{base}/decoder",
        decoder_image_url=f"{base}/decoder-image" if is_cut else None,
        decoder_prompt_url=f"{base}/decoder-prompt",
        decoder_sha256=version.decoder_sha256,
        image_size_px=config["image_size_px"],
        embedding_stride_px=config["embedding_stride_px"],
        low_res_stride_px=config["low_res_stride_px"],
        embed_channels=config["embed_channels"],
        high_res_channels=config["high_res_channels"],
    )


def mask_out(mask: Mask) -> schemas.MaskOut:
    head, image = mask.head, mask.image
    return schemas.MaskOut(
        id=mask.pk,
        revision_id=head.pk,
        source=MaskSource(mask.source),
        status=MaskStatus(mask.status),
        rle=schemas.RleOut(size=[image.height_px, image.width_px], counts=head.rle_counts),
        bbox_xywh_px=list(head.bbox_xywh_px),
        area_px=head.area_px,
        predicted_iou=head.predicted_iou,
        label=mask.label,
        author=head.author.get_username() if head.author else None,
    )


def masks_of(image: Image, *, with_rejected: bool) -> list[schemas.MaskOut]:
    packed_masks.unpack(image)
    rows = mask_rows.for_image(image).select_related("image")
    if not with_rejected:
        rows = rows.exclude(status=MaskStatus.REJECTED.value)
    return [mask_out(mask) for mask in rows]


def assignment_out(assignment: Assignment) -> schemas.AssignmentOut:
    return schemas.AssignmentOut(
        assignment_id=assignment.pk,
        status=AssignmentStatus(assignment.status),
        lease_expires_at=assignment.lease_expires_at,
    )


def session_out(assignment: Assignment) -> schemas.SessionOut:
    """Everything the labelling page needs to start on an image. NotReady without a model."""
    image, project = assignment.image, assignment.image.project
    serving = model_versions.serving_version(project, family=ModelFamily.SAM)
    if serving is None:
        raise NotReady(" ".join(model_versions.missing_parts(project)), code="no_model")
    if not serving.decoder_key:  # its export is under way: the page asks again by itself
        raise NotReady(" ".join(model_versions.missing_parts(project)))
    following = queue.next_images(project, assignment.annotator, NUM_UPCOMING + 1)
    upcoming = [one for one in following if one.pk != image.pk][:NUM_UPCOMING]
    encoder = serving.encoder_sha256
    return schemas.SessionOut(
        assignment_id=assignment.pk,
        lease_expires_at=assignment.lease_expires_at,
        stage=StageKind(assignment.stage.kind),
        image=image_out(image, encoder_sha256=encoder),
        model=model_out(serving),
        masks=masks_of(image, with_rejected=False),
        upcoming=[image_out(one, encoder_sha256=encoder) for one in upcoming],
    )


def saved_mask_out(saved: SavedMask) -> schemas.SavedMaskOut:
    revision = saved.revision
    return schemas.SavedMaskOut(
        mask_id=saved.mask.pk,
        revision_id=revision.pk,
        rle_sha256=revision.rle_sha256,
        area_px=revision.area_px,
        bbox_xywh_px=list(revision.bbox_xywh_px),
        duplicate=saved.duplicate,
        conflict=saved.conflict,
    )


def _rle_out(rle: Rle) -> schemas.RleOut:
    return schemas.RleOut(size=[rle.height_px, rle.width_px], counts=rle.counts)


def decode_out(candidates: list[MaskCandidate]) -> schemas.DecodeOut:
    offered = [
        schemas.CandidateOut(rle=_rle_out(one.rle), predicted_iou=one.predicted_iou)
        for one in candidates
    ]
    best = offered[0]
    return schemas.DecodeOut(rle=best.rle, predicted_iou=best.predicted_iou, candidates=offered)


def job_out(job: Job) -> schemas.JobOut:
    remaining_s = eta_s(
        progress_pct=job.progress_pct,
        started_at=job.started_at,
        finished_at=job.finished_at,
        now=timezone.now(),
    )
    return schemas.JobOut(
        id=job.pk,
        kind=job.kind,
        status=JobStatus(job.status),
        progress_pct=job.progress_pct,
        progress_text=job.progress_text,
        progress_line=progress_line(job.progress_pct, job.progress_text, remaining_s),
        eta_s=remaining_s,
        error=job.error,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        priority=job.priority,
        parent_id=job.parent_id,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        can_cancel=job.status in LIVE,
        can_retry=job.status in (JobStatus.FAILED, JobStatus.DEAD),
    )


def attempt_out(attempt: JobAttempt) -> schemas.AttemptOut:
    return schemas.AttemptOut(
        fence=attempt.fence,
        worker=attempt.worker,
        pid=attempt.pid,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        outcome=AttemptOutcome(attempt.outcome) if attempt.outcome else "",
        error=attempt.error,
    )


def version_out(version: ModelVersion) -> schemas.VersionOut:
    return schemas.VersionOut(
        id=version.pk,
        family=ModelFamily(version.family),
        number=version.number,
        arch=version.arch,
        status=ModelVersionStatus(version.status),
    )


def export_out(export: Export) -> schemas.ExportOut:
    ready = export.status == ExportStatus.READY
    return schemas.ExportOut(
        id=export.pk,
        format=export.format,
        status=ExportStatus(export.status),
        num_masks=export.num_masks if ready else None,
        sha256=export.sha256 if ready else None,
        file_url=f"{API_BASE}/exports/{export.pk}/file" if ready else None,
        job=job_out(export.job) if export.job else None,
    )


def import_out(run: DatasetImport) -> schemas.ImportOut:
    return schemas.ImportOut(
        id=run.pk,
        name=run.name,
        status=ImportStatus(run.status),
        num_images=run.num_images,
        num_known_images=run.num_known_images,
        num_masks=run.num_masks,
        num_known_masks=run.num_known_masks,
        num_refused=run.num_refused,
        refused_url=f"/api/v1/imports/{run.pk}/refused",
        page_url=f"/projects/{run.project.slug}/imports/{run.pk}/",
        job=job_out(run.job) if run.job else None,
    )


def stage_out(project: Project) -> schemas.StageOut:
    """The stage the project is in now, with its figures."""
    stage = _stage_out(project, figures_of(project, revision=revision_of(project)))
    if stage is None:
        raise NotReady("this project has no open stage", code="no_stage")
    return stage


def _stage_out(project: Project, figures: ProjectFigures) -> schemas.StageOut | None:
    stage = active_stage(project)
    if stage is None:
        return None
    visit = next(one for one in figures.stages if one.stage.pk == stage.pk)
    return schemas.StageOut(
        kind=StageKind(stage.kind),
        ordinal=stage.ordinal,
        status=StageStatus(stage.status),
        figures=_figures_out(visit.figures),
        exit_blockers=figures.exit_blockers,
    )


def _figures_out(figures: Figures) -> schemas.FiguresOut:
    return schemas.FiguresOut.model_validate(asdict(figures))


def project_row_out(project: Project, *, role: Role) -> schemas.ProjectRowOut:
    stage = active_stage(project)
    return schemas.ProjectRowOut(
        slug=project.slug,
        name=project.name,
        role=role,
        stage=StageKind(stage.kind) if stage else None,
    )


def project_out(project: Project, *, with_jobs: bool) -> schemas.ProjectOut:
    revision = revision_of(project)
    figures = figures_of(project, revision=revision)
    serving = project.model_versions.filter(status=ModelVersionStatus.SERVING.value)
    under_way = [JobStatus.RUNNING.value, JobStatus.WAITING.value]
    running = job_rows.live(project).filter(status__in=under_way) if with_jobs else []
    return schemas.ProjectOut(
        slug=project.slug,
        name=project.name,
        revision=revision,
        figures=_figures_out(figures.figures),
        stage=_stage_out(project, figures),
        serving=[version_out(version) for version in serving],
        running_jobs=[job_out(job) for job in running],
    )
