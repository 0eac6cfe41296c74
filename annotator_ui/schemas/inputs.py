"""What the API takes: bodies and queries, strictly."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field, StringConstraints

from annotator_ui.schemas.registered import NameIn
from engine.domain.jobs import JOB_SPECS
from engine.domain.limits import (
    MAX_ANNOTATE_MS,
    MAX_LABEL_CHARACTERS,
    MAX_MASKS_PER_IMAGE,
    MAX_OPERATIONS_PER_BATCH,
    MAX_PROMPTS_PER_MASK,
    MAX_REASON_CHARACTERS,
    MAX_RLE_CHARACTERS,
)
from engine.domain.prompts import BoxPrompt, PointPrompt, Prompt
from engine.domain.schedule import RoundSize
from engine.domain.states import (
    JobStatus,
)
from engine.exporters import EXPORTERS
from engine.models.base import NAME_CHARACTERS

MAX_SIDE_PX = 65_535

Side = Annotated[int, Field(ge=1, le=MAX_SIDE_PX)]
CropKey = Annotated[str, StringConstraints(pattern=r"^[1-9]-[0-9]{1,3}-[0-9]{1,3}$")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_REASON_CHARACTERS)]


class StrictIn(Schema):
    """A request body: a field we do not know is a mistake worth telling."""

    model_config = ConfigDict(extra="forbid")


class RleIn(StrictIn):
    size: Annotated[list[Side], Field(min_length=2, max_length=2)]
    counts: Annotated[str, Field(max_length=MAX_RLE_CHARACTERS)]


DecodePrompt = Annotated[PointPrompt | BoxPrompt, Field(discriminator="type")]


class MaskIn(StrictIn):
    mask_id: UUID
    revision_id: UUID
    base_revision_id: UUID | None = None
    rle: RleIn
    prompts: Annotated[list[Prompt], Field(max_length=MAX_PROMPTS_PER_MASK)]
    label: (
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_LABEL_CHARACTERS)]
        | None
    ) = None
    """Left out or null: the mask keeps its own. Empty: it has none any more."""
    annotate_ms: Annotated[int, Field(ge=0, le=MAX_ANNOTATE_MS)] | None = None
    model_version_id: UUID | None = None


class SaveOperation(MaskIn):
    type: Literal["save"]


class ReviewOperation(StrictIn):
    type: Literal["accept", "reject"]
    mask_id: UUID


Operation = Annotated[SaveOperation | ReviewOperation, Field(discriminator="type")]


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
    base_mask: RleIn | None = None
    """An existing mask that the last prompt changes."""
    crop: CropKey | None = None
    """Decode in this crop, which holds every prompt; prompts and masks stay in pixels of the whole
    image."""


class EncoderQuery(StrictIn):
    """`crop`: level-row-column of a square crop of the image; left out, the whole image."""

    encoder: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    crop: CropKey | None = None


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


class SubmitIn(StrictIn):
    num_left_out: Annotated[int, Field(ge=0, le=MAX_MASKS_PER_IMAGE)] = 0
    """Objects that were too hard to outline."""


class SkipIn(SubmitIn):
    reason: Reason = ""


class RetrainIn(StrictIn):
    """`trainable`: how much of a SAM learns; by default what the policy says for so many masks."""

    family: Literal["sam", "object_detector"]
    trainable: RoundSize | None = None


class ReasonIn(StrictIn):
    reason: Reason = ""


class PromoteIn(StrictIn):
    model_version_id: UUID
    reason: Reason = ""


class ExportIn(StrictIn):
    format: Annotated[str, NameIn(EXPORTERS)]


class JobsQuery(Schema):
    status: list[JobStatus] = Field(default=[], max_length=20)
    kind: list[Annotated[str, NameIn(JOB_SPECS)]] = Field(default=[], max_length=20)
    limit: int = Field(default=200, ge=1, le=500)
    offset: int = Field(default=0, ge=0, le=1_000_000)


class ReportQuery(StrictIn):
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
