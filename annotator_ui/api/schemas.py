"""Shapes of the JSON API. Input is strict: unknown fields, NaN and absurd sizes are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

from engine.domain.jobs import JobKind
from engine.domain.policy import (
    MAX_ANNOTATE_MS,
    MAX_LABEL_CHARACTERS,
    MAX_OPERATIONS_PER_BATCH,
    MAX_PROMPTS_PER_MASK,
    MAX_RLE_CHARACTERS,
)
from engine.domain.roles import Scope
from engine.domain.states import (
    AssignmentStatus,
    ImageStatus,
    JobStatus,
    MaskSource,
    MaskStatus,
    Role,
)
from engine.models.base import NAME_CHARACTERS
from engine.services.mask_operations import Outcome

MAX_SIDE_PX = 65_535

Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]


class StrictIn(Schema):
    """A request body: a field we do not know is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")


class RleIn(StrictIn):
    size: Annotated[list[Side], Field(min_length=2, max_length=2)]
    counts: Annotated[str, Field(max_length=MAX_RLE_CHARACTERS)]


class PointIn(StrictIn):
    type: Literal["point"]
    x_px: Coordinate
    y_px: Coordinate
    label: Literal[0, 1]


class BoxIn(StrictIn):
    type: Literal["box"]
    x0_px: Coordinate
    y0_px: Coordinate
    x1_px: Coordinate
    y1_px: Coordinate


class MaskPromptIn(StrictIn):
    """The mask was refined from an existing one."""

    type: Literal["mask"]


class StrokesIn(StrictIn):
    type: Literal["brush", "eraser"]
    size_px: Annotated[int, Field(ge=1, le=16_384)]
    strokes: Annotated[int, Field(ge=1, le=1_000_000)]


class EditIn(StrictIn):
    """Pixels changed by hand other than by strokes."""

    type: Literal["edit"]
    tool: Literal[
        "polygon",
        "lasso",
        "fill_holes",
        "largest_part",
        "merge",
        "subtract",
        "split",
        "overlap_cut",
    ]
    times: Annotated[int, Field(ge=1, le=1_000_000)]


Prompt = Annotated[PointIn | BoxIn | MaskPromptIn | StrokesIn | EditIn, Field(discriminator="type")]
DecodePrompt = Annotated[PointIn | BoxIn, Field(discriminator="type")]


class MaskIn(StrictIn):
    mask_id: UUID
    revision_id: UUID
    base_revision_id: UUID | None = None
    rle: RleIn
    prompts: Annotated[list[Prompt], Field(max_length=MAX_PROMPTS_PER_MASK)]
    label: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=MAX_LABEL_CHARACTERS)
    ] = ""
    annotate_ms: Annotated[int, Field(ge=0, le=MAX_ANNOTATE_MS)] | None = None
    model_version_id: UUID | None = None


class SaveOperation(MaskIn):
    type: Literal["save"]


class JudgeOperation(StrictIn):
    type: Literal["accept", "reject"]
    mask_id: UUID


Operation = Annotated[SaveOperation | JudgeOperation, Field(discriminator="type")]


class OperationsIn(StrictIn):
    """Operations are applied in order. One that is malformed is `refused`; the others count."""

    operations: Annotated[
        list[Annotated[Operation | dict[str, Any], Field(union_mode="left_to_right")]],
        Field(min_length=1, max_length=MAX_OPERATIONS_PER_BATCH),
    ]


class DecodeIn(StrictIn):
    model_version_id: UUID
    encoder_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    prompts: Annotated[list[DecodePrompt], Field(min_length=1, max_length=MAX_PROMPTS_PER_MASK)]
    under: RleIn | None = None
    """An existing mask that the last prompt changes."""


class EncoderQuery(StrictIn):
    encoder: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class ProjectIn(StrictIn):
    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_CHARACTERS)
    ]


class PageQuery(StrictIn):
    """`after`: the id of the last image of the page before."""

    after: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class OverlayQuery(StrictIn):
    masks: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")] | None = None


class NextIn(StrictIn):
    image_id: UUID | None = None


class SkipIn(StrictIn):
    reason: Reason = ""


class RetrainIn(StrictIn):
    family: Literal["sam", "object_detector"]


class ReasonIn(StrictIn):
    reason: Reason = ""


class PromoteIn(StrictIn):
    model_version_id: UUID
    reason: Reason = ""


class ExportIn(StrictIn):
    format: Literal["sa1b", "coco"]


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
    size: list[int]
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
    stage: str | None


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
    bbox_xywh_px: list[int]
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
    stage: str
    image: ImageOut
    model: ModelOut
    masks: list[MaskOut]
    upcoming: list[ImageOut]


class SavedMaskOut(Schema):
    mask_id: UUID
    revision_id: UUID
    rle_sha256: str
    area_px: int
    bbox_xywh_px: list[int]
    duplicate: bool
    conflict: bool


class OperationOut(Schema):
    """The answer to one operation, in the order of the batch.

    `applied`, or `duplicate` (applied before, nothing changed), or `conflict` (the revision is
    kept beside the mask's head), or `refused` with `code` and `message`.
    """

    outcome: Outcome
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

    status: str
    progress_pct: float
    progress_text: str
    error: str


class JobOut(Schema):
    id: UUID
    kind: str
    status: str
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


class JobsQuery(Schema):
    status: list[JobStatus] = Field(default=[], max_length=20)
    kind: list[JobKind] = Field(default=[], max_length=20)
    limit: int = Field(default=200, ge=1, le=500)
    offset: int = Field(default=0, ge=0, le=1_000_000)


class AttemptOut(Schema):
    """One claim of a job. `outcome` is empty while it runs."""

    fence: int
    worker: str
    pid: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    error: str


class ModelCostOut(Schema):
    """What people needed with one model version; number None: masks made without a model."""

    number: int | None
    num_masks: int
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
    """`figures` of this stay; `exit_blockers`: what usually should be there before leaving it."""

    kind: str
    ordinal: int
    status: str
    figures: FiguresOut
    exit_blockers: list[str]


class VersionOut(Schema):
    id: UUID
    family: str
    number: int
    arch: str
    status: str


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


class ImportOut(Schema):
    """Counts are those of a finished import; its report says what was refused."""

    id: UUID
    name: str
    status: str
    num_images: int
    num_known_images: int
    num_masks: int
    num_known_masks: int
    num_refused: int
    refused_url: str
    page_url: str
    job: JobOut | None


class ReportQuery(StrictIn):
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class ImportReportOut(Schema):
    num_refused: int
    refused: list[RefusedFile]


class ExportOut(Schema):
    id: UUID
    format: str
    status: str
    num_masks: int | None
    sha256: str | None
    file_url: str | None
    job: JobOut | None
