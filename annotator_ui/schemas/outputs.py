"""What the API answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field

from annotator_ui.schemas.registered import NameIn
from engine.domain.jobs import JOB_SPECS
from engine.domain.roles import Scope
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
from engine.exporters import EXPORTERS
from engine.services.masks.mask_operations import OperationOutcome

HeightWidth = Annotated[list[int], Field(min_length=2, max_length=2)]
BoxXywh = Annotated[list[int], Field(min_length=4, max_length=4)]
JobKindName = Annotated[str, NameIn(JOB_SPECS, is_checked=False)]
FormatName = Annotated[str, NameIn(EXPORTERS, is_checked=False)]


class ErrorOut(Schema):
    code: str
    message: str


class FieldError(Schema):
    field: str
    message: str


class InvalidOut(ErrorOut):
    fields: list[FieldError] = []


class RefusedFile(Schema):
    file_name: str
    message: str


class RleOut(Schema):
    size: HeightWidth
    counts: str


class ImageOut(Schema):
    id: UUID
    file_name: str
    width_px: int
    height_px: int
    file_url: str
    thumbnail_url: str
    embedding_url: str


class ImageRowOut(ImageOut):
    status: ImageStatus
    num_masks: int
    has_embedding: bool


class ImagePageOut(Schema):
    """`next`: hand it in as `after`; null on the last page."""

    images: list[ImageRowOut]
    next: UUID | None


class MeOut(Schema):
    """`role` is of the account; `token_scope` is null in a browser session."""

    username: str
    role: Role
    token_scope: Scope | None


class ProjectRowOut(Schema):
    """`role` is yours in the project."""

    slug: str
    name: str
    role: Role
    stage: StageKind | None


class UploadOut(Schema):
    images: list[ImageOut]


class UploadRefusedOut(UploadOut):
    code: str
    message: str
    refused: list[RefusedFile]


class ModelOut(Schema):
    id: UUID
    number: int
    arch: str
    encoder_sha256: str
    decoder_url: str
    decoder_image_url: str | None
    decoder_prompt_url: str
    decoder_sha256: str
    image_size_px: int
    embedding_stride_px: int
    low_res_stride_px: int
    embed_channels: int
    high_res_channels: int


class MaskOut(Schema):
    id: UUID
    revision_id: UUID
    source: MaskSource
    status: MaskStatus
    rle: RleOut
    bbox_xywh_px: BoxXywh
    area_px: int
    predicted_iou: float | None
    label: str
    author: str | None


class AssignmentOut(Schema):
    assignment_id: UUID
    status: AssignmentStatus
    lease_expires_at: datetime


class SessionOut(Schema):
    assignment_id: UUID
    lease_expires_at: datetime
    stage: StageKind
    image: ImageOut
    model: ModelOut
    masks: list[MaskOut]
    upcoming: list[ImageOut]


class SavedMaskOut(Schema):
    mask_id: UUID
    revision_id: UUID
    rle_sha256: str
    area_px: int
    bbox_xywh_px: BoxXywh
    duplicate: bool
    conflict: bool


class OperationOut(Schema):
    """The answer to one operation, in the order of the batch.

    `applied`, or `duplicate` (applied before, nothing changed), or `conflict` (the revision is
    kept beside the mask's head), or `refused` with `code` and `message`.
    """

    outcome: OperationOutcome
    mask_id: UUID | None
    status: MaskStatus | None
    saved: SavedMaskOut | None
    code: str | None
    message: str | None


class OperationsOut(Schema):
    results: list[OperationOut]


class CandidateOut(Schema):
    rle: RleOut
    predicted_iou: float


class DecodeOut(CandidateOut):
    """The best mask, and every mask that was offered (best first, itself included)."""

    candidates: list[CandidateOut]


class SuggestionsOut(Schema):
    """How the search for suggestions on an image stands; status "none": nobody asked."""

    status: JobStatus | Literal["none"]
    progress_pct: float
    progress_text: str
    error: str


class JobOut(Schema):
    id: UUID
    kind: JobKindName
    status: JobStatus
    progress_pct: float
    progress_text: str
    progress_line: str
    eta_s: float | None
    error: str
    attempts: int
    max_attempts: int
    priority: int
    parent_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    can_cancel: bool
    can_retry: bool


class AttemptOut(Schema):
    """One claim of a job. `outcome` is empty while it runs."""

    fence: int
    worker: str
    pid: int
    started_at: datetime
    ended_at: datetime | None
    outcome: AttemptOutcome | Literal[""]
    error: str


class ModelCostOut(Schema):
    """What people needed with one model version; number None: masks made without a model."""

    number: int | None
    num_masks: int
    num_images: int
    masks_per_image: float | None
    seconds_per_mask: float | None
    clicks_per_mask: float | None


class FiguresOut(Schema):
    num_images: int
    num_images_done: int
    num_images_with_masks: int
    num_masks: int
    num_human_masks: int
    num_prefilled_masks: int
    num_automatic_masks: int
    num_imported_masks: int
    num_proposed_masks: int
    masks_per_image: float | None
    seconds_per_mask: float | None
    clicks_per_mask: float | None
    by_model_version: list[ModelCostOut]


class StageOut(Schema):
    """`figures` of this visit; `exit_blockers`: what usually should be there before leaving it."""

    kind: StageKind
    ordinal: int
    status: StageStatus
    figures: FiguresOut
    exit_blockers: list[str]


class VersionOut(Schema):
    id: UUID
    family: ModelFamily
    number: int
    arch: str
    status: ModelVersionStatus


class ProjectOut(Schema):
    """Live figures of a project. `revision` changes when the page's tables need a fresh look."""

    slug: str
    name: str
    revision: str
    figures: FiguresOut
    stage: StageOut | None
    serving: list[VersionOut]
    running_jobs: list[JobOut]


class RetrainOut(Schema):
    model_version: VersionOut
    job: JobOut


class UpgradeOut(Schema):
    """The shipped starter as a version; `job` measures it and lets it serve if the gate may."""

    model_version: VersionOut
    job: JobOut | None


class ImportOut(Schema):
    """Counts are those of a finished import; its report says what was refused."""

    id: UUID
    name: str
    status: ImportStatus
    num_images: int
    num_known_images: int
    num_masks: int
    num_known_masks: int
    num_refused: int
    refused_url: str
    page_url: str
    job: JobOut | None


class ImportReportOut(Schema):
    num_refused: int
    refused: list[RefusedFile]


class ExportOut(Schema):
    id: UUID
    format: FormatName
    status: ExportStatus
    num_masks: int | None
    sha256: str | None
    file_url: str | None
    job: JobOut | None
