"""Generated from docs/openapi.json by `make contracts`; do not edit."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel


class BoxPrompt(BaseModel):
    """
    A box from its top left to its bottom right corner.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    type: Annotated[Literal["box"], Field(title="Type")] = "box"
    x0_px: Annotated[float, Field(ge=-1000000.0, le=1000000.0, title="X0 Px")]
    x1_px: Annotated[float, Field(ge=-1000000.0, le=1000000.0, title="X1 Px")]
    y0_px: Annotated[float, Field(ge=-1000000.0, le=1000000.0, title="Y0 Px")]
    y1_px: Annotated[float, Field(ge=-1000000.0, le=1000000.0, title="Y1 Px")]


class CurvePointOut(BaseModel):
    first_iou: Annotated[float | None, Field(title="First Iou")] = None
    last_iou: Annotated[float | None, Field(title="Last Iou")] = None
    loss: Annotated[float | None, Field(title="Loss")] = None
    step: Annotated[int, Field(title="Step")]


class Crop(RootModel[str]):
    root: Annotated[str, Field(pattern="^[1-9]-[0-9]{1,3}-[0-9]{1,3}$", title="Crop")]


class EditPrompt(BaseModel):
    """
    Pixels changed by hand other than by strokes.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    times: Annotated[int, Field(ge=1, le=1000000, title="Times")]
    tool: Annotated[
        Literal[
            "polygon",
            "lasso",
            "fill_holes",
            "largest_part",
            "merge",
            "subtract",
            "split",
            "overlap_cut",
        ],
        Field(title="Tool"),
    ]
    type: Annotated[Literal["edit"], Field(title="Type")] = "edit"


class Encoder(RootModel[str]):
    root: Annotated[str, Field(pattern="^[0-9a-f]{64}$", title="Encoder")]


class EncoderQuery(BaseModel):
    """
    `crop`: level-row-column of a square crop of the image; left out, the whole image.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    crop: Annotated[Crop | None, Field(title="Crop")] = None
    encoder: Annotated[Encoder | None, Field(title="Encoder")] = None


class ErrorOut(BaseModel):
    code: Annotated[str, Field(title="Code")]
    message: Annotated[str, Field(title="Message")]


class ExportIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    format: Annotated[Literal["sa1b", "coco"], Field(title="Format")]


class FieldError(BaseModel):
    field: Annotated[str, Field(title="Field")]
    message: Annotated[str, Field(title="Message")]


class FittedOut(BaseModel):
    """
    What a mask has to score, and what that kept of a held-out set of `num_truths` objects.
    """

    num_truths: Annotated[int, Field(title="Num Truths")]
    precision: Annotated[float, Field(title="Precision")]
    predicted_iou: Annotated[float, Field(title="Predicted Iou")]
    recall: Annotated[float, Field(title="Recall")]
    stability_score: Annotated[float, Field(title="Stability Score")]


class FittedThresholdsOut(BaseModel):
    """
    Fitted on held-out images. `prefill`: by the id of the other model, SAM or detector.
    """

    automatic: FittedOut | None = None
    prefill: Annotated[
        dict[str, FittedOut] | None, Field(title="Prefill", validate_default=True)
    ] = {}


class ImageOut(BaseModel):
    embedding_url: Annotated[str, Field(title="Embedding Url")]
    file_name: Annotated[str, Field(title="File Name")]
    file_url: Annotated[str, Field(title="File Url")]
    height_px: Annotated[int, Field(title="Height Px")]
    id: Annotated[UUID, Field(title="Id")]
    thumbnail_url: Annotated[str, Field(title="Thumbnail Url")]
    width_px: Annotated[int, Field(title="Width Px")]


class InvalidOut(BaseModel):
    code: Annotated[str, Field(title="Code")]
    fields: Annotated[list[FieldError] | None, Field(title="Fields", validate_default=True)] = []
    message: Annotated[str, Field(title="Message")]


class JobsQuery(BaseModel):
    kind: Annotated[
        list[
            Literal[
                "export_decoder",
                "embed_project",
                "embed_image",
                "suggest_masks",
                "export",
                "import",
                "prelabel_image",
                "evaluate_sam",
                "train_sam",
                "train_detector",
                "automask_image",
            ]
        ]
        | None,
        Field(max_length=20, title="Kind"),
    ] = []
    limit: Annotated[int | None, Field(ge=1, le=500, title="Limit")] = 200
    offset: Annotated[int | None, Field(ge=0, le=1000000, title="Offset")] = 0
    status: Annotated[
        list[Literal["queued", "running", "waiting", "succeeded", "failed", "dead", "cancelled"]]
        | None,
        Field(max_length=20, title="Status"),
    ] = []


class AnnotateMs(RootModel[int]):
    root: Annotated[int, Field(ge=0, le=86400000, title="Annotate Ms")]


class Label(RootModel[str]):
    root: Annotated[str, Field(max_length=200, title="Label")]


class MaskPrompt(BaseModel):
    """
    The mask was refined from an existing one.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    type: Annotated[Literal["mask"], Field(title="Type")] = "mask"


class ModelCostOut(BaseModel):
    """
    What people needed with one model version; number None: masks made without a model.
    """

    clicks_per_mask: Annotated[float | None, Field(title="Clicks Per Mask")]
    masks_per_image: Annotated[float | None, Field(title="Masks Per Image")]
    num_images: Annotated[int, Field(title="Num Images")]
    num_masks: Annotated[int, Field(title="Num Masks")]
    number: Annotated[int | None, Field(title="Number")]
    seconds_per_mask: Annotated[float | None, Field(title="Seconds Per Mask")]


class ModelOut(BaseModel):
    arch: Annotated[str, Field(title="Arch")]
    decoder_image_url: Annotated[str | None, Field(title="Decoder Image Url")]
    decoder_prompt_url: Annotated[str, Field(title="Decoder Prompt Url")]
    decoder_sha256: Annotated[str, Field(title="Decoder Sha256")]
    decoder_url: Annotated[str, Field(title="Decoder Url")]
    embed_channels: Annotated[int, Field(title="Embed Channels")]
    embedding_stride_px: Annotated[int, Field(title="Embedding Stride Px")]
    encoder_sha256: Annotated[str, Field(title="Encoder Sha256")]
    high_res_channels: Annotated[int, Field(title="High Res Channels")]
    id: Annotated[UUID, Field(title="Id")]
    image_size_px: Annotated[int, Field(title="Image Size Px")]
    low_res_stride_px: Annotated[int, Field(title="Low Res Stride Px")]
    number: Annotated[int, Field(title="Number")]


class NextIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    image_id: Annotated[UUID | None, Field(title="Image Id")] = None


class Masks(RootModel[str]):
    root: Annotated[str, Field(pattern="^[0-9a-f]{32}$", title="Masks")]


class OverlayQuery(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    masks: Annotated[Masks | None, Field(title="Masks")] = None


class PageQuery(BaseModel):
    """
    `after`: the id of the last image of the page before.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    after: Annotated[UUID | None, Field(title="After")] = None
    limit: Annotated[int | None, Field(ge=1, le=500, title="Limit")] = 100


class PointPrompt(BaseModel):
    """
    A click; label 1: on the object, 0: off it.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    label: Annotated[Literal[0, 1], Field(title="Label")]
    type: Annotated[Literal["point"], Field(title="Type")] = "point"
    x_px: Annotated[float, Field(ge=-1000000.0, le=1000000.0, title="X Px")]
    y_px: Annotated[float, Field(ge=-1000000.0, le=1000000.0, title="Y Px")]


class PolicyIn(BaseModel):
    """
    Numbers to set, by name; the others stay.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    changes: Annotated[dict[str, float], Field(max_length=100, min_length=1, title="Changes")]
    reason: Annotated[str | None, Field(max_length=500, title="Reason")] = ""


class PolicyOut(BaseModel):
    policy: Annotated[dict[str, float], Field(title="Policy")]


class ProjectIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    name: Annotated[str, Field(max_length=200, min_length=1, title="Name")]


class PromoteIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    model_version_id: Annotated[UUID, Field(title="Model Version Id")]
    reason: Annotated[str | None, Field(max_length=500, title="Reason")] = ""


class ReasonIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    reason: Annotated[str | None, Field(max_length=500, title="Reason")] = ""


class RefusedFile(BaseModel):
    file_name: Annotated[str, Field(title="File Name")]
    message: Annotated[str, Field(title="Message")]


class ReportQuery(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    limit: Annotated[int | None, Field(ge=1, le=1000, title="Limit")] = 100
    offset: Annotated[int | None, Field(ge=0, le=10000000, title="Offset")] = 0


class ReviewOperation(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    mask_id: Annotated[UUID, Field(title="Mask Id")]
    type: Annotated[Literal["accept", "reject"], Field(title="Type")]


class SizeItem(RootModel[int]):
    root: Annotated[int, Field(ge=1, le=65535)]


class RleIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    counts: Annotated[str, Field(max_length=4000000, title="Counts")]
    size: Annotated[list[SizeItem], Field(max_length=2, min_length=2, title="Size")]


class RleOut(BaseModel):
    counts: Annotated[str, Field(title="Counts")]
    size: Annotated[list[int], Field(max_length=2, min_length=2, title="Size")]


class RollBackIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    family: Annotated[Literal["sam", "object_detector"], Field(title="Family")]
    reason: Annotated[str | None, Field(max_length=500, title="Reason")] = ""


class SavedMaskOut(BaseModel):
    area_px: Annotated[int, Field(title="Area Px")]
    bbox_xywh_px: Annotated[list[int], Field(max_length=4, min_length=4, title="Bbox Xywh Px")]
    conflict: Annotated[bool, Field(title="Conflict")]
    duplicate: Annotated[bool, Field(title="Duplicate")]
    mask_id: Annotated[UUID, Field(title="Mask Id")]
    revision_id: Annotated[UUID, Field(title="Revision Id")]
    rle_sha256: Annotated[str, Field(title="Rle Sha256")]


class SkipIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    num_left_out: Annotated[int | None, Field(ge=0, le=2000, title="Num Left Out")] = 0
    reason: Annotated[str | None, Field(max_length=500, title="Reason")] = ""


class StarterOfferOut(BaseModel):
    """
    What taking the shipped starter would do. `replaces`: the number of the SAM that serves now;
    `loses_training`: that one was retrained here; `encode_s`: about how long its images take a
    worker; `waits_for`: says which version has to be finished first, or nothing.
    """

    encode_s: Annotated[float | None, Field(title="Encode S")]
    is_measured_first: Annotated[bool, Field(title="Is Measured First")]
    loses_training: Annotated[bool, Field(title="Loses Training")]
    num_to_encode: Annotated[int, Field(title="Num To Encode")]
    replaces: Annotated[int | None, Field(title="Replaces")]
    waits_for: Annotated[str, Field(title="Waits For")]


class StrokePrompt(BaseModel):
    """
    Pixels painted (brush) or removed (eraser) by hand.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    size_px: Annotated[int, Field(ge=1, le=16384, title="Size Px")]
    strokes: Annotated[int, Field(ge=1, le=1000000, title="Strokes")]
    type: Annotated[Literal["brush", "eraser"], Field(title="Type")]


class SubmitIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    num_left_out: Annotated[int | None, Field(ge=0, le=2000, title="Num Left Out")] = 0


class SuggestionsOut(BaseModel):
    """
    How the search for suggestions on an image stands; status "none": nobody asked.
    """

    error: Annotated[str, Field(title="Error")]
    progress_pct: Annotated[float, Field(title="Progress Pct")]
    progress_text: Annotated[str, Field(title="Progress Text")]
    status: Annotated[
        Literal["none"]
        | Literal["queued", "running", "waiting", "succeeded", "failed", "dead", "cancelled"],
        Field(title="Status"),
    ]


class UploadOut(BaseModel):
    images: Annotated[list[ImageOut], Field(title="Images")]


class UploadRefusedOut(BaseModel):
    code: Annotated[str, Field(title="Code")]
    images: Annotated[list[ImageOut], Field(title="Images")]
    message: Annotated[str, Field(title="Message")]
    refused: Annotated[list[RefusedFile], Field(title="Refused")]


class VersionOut(BaseModel):
    arch: Annotated[str, Field(title="Arch")]
    family: Annotated[Literal["sam", "object_detector"], Field(title="ModelFamily")]
    id: Annotated[UUID, Field(title="Id")]
    number: Annotated[int, Field(title="Number")]
    status: Annotated[
        Literal[
            "pending",
            "training",
            "trained",
            "evaluated",
            "serving",
            "retired",
            "rejected",
            "failed",
        ],
        Field(title="ModelVersionStatus"),
    ]


class AssignmentOut(BaseModel):
    assignment_id: Annotated[UUID, Field(title="Assignment Id")]
    lease_expires_at: Annotated[AwareDatetime, Field(title="Lease Expires At")]
    status: Annotated[
        Literal["leased", "submitted", "skipped", "released", "expired"],
        Field(title="AssignmentStatus"),
    ]


class AttemptOut(BaseModel):
    """
    One claim of a job. `outcome` is empty while it runs.
    """

    ended_at: Annotated[AwareDatetime | None, Field(title="Ended At")]
    error: Annotated[str, Field(title="Error")]
    fence: Annotated[int, Field(title="Fence")]
    outcome: Annotated[
        Literal[""]
        | Literal["succeeded", "failed", "released", "lost", "stalled", "timed out", "cancelled"],
        Field(title="Outcome"),
    ]
    pid: Annotated[int, Field(title="Pid")]
    started_at: Annotated[AwareDatetime, Field(title="Started At")]
    worker: Annotated[str, Field(title="Worker")]


class CandidateOut(BaseModel):
    predicted_iou: Annotated[float, Field(title="Predicted Iou")]
    rle: RleOut


class CriterionOut(BaseModel):
    """
    A target and its figure. `current` is None and the verdict `not_enough_data` while it cannot
    be known; `missing` says in a sentence what is not there; `is_at_most`: lower is better.
    """

    current: Annotated[float | None, Field(title="Current")]
    is_at_most: Annotated[bool, Field(title="Is At Most")]
    is_share: Annotated[bool, Field(title="Is Share")]
    key: Annotated[str, Field(title="Key")]
    missing: Annotated[str, Field(title="Missing")]
    target: Annotated[float, Field(title="Target")]
    title: Annotated[str, Field(title="Title")]
    verdict: Annotated[Literal["met", "not_met", "not_enough_data"], Field(title="Verdict")]


class CurveOut(BaseModel):
    """
    A training's figures so far, at most a few hundred points; they grow while it runs.
    """

    points: Annotated[list[CurvePointOut], Field(title="Points")]
    status: Annotated[
        Literal[
            "pending",
            "training",
            "trained",
            "evaluated",
            "serving",
            "retired",
            "rejected",
            "failed",
        ],
        Field(title="ModelVersionStatus"),
    ]


class DecodeIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    base_mask: RleIn | None = None
    crop: Annotated[Crop | None, Field(title="Crop")] = None
    encoder_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", title="Encoder Sha256")]
    model_version_id: Annotated[UUID, Field(title="Model Version Id")]
    prompts: Annotated[
        list[Annotated[PointPrompt | BoxPrompt, Field(discriminator="type")]],
        Field(max_length=500, min_length=1, title="Prompts"),
    ]


class DecodeOut(BaseModel):
    """
    The best mask, and every mask that was offered (best first, itself included).
    """

    candidates: Annotated[list[CandidateOut], Field(title="Candidates")]
    predicted_iou: Annotated[float, Field(title="Predicted Iou")]
    rle: RleOut


class FiguresOut(BaseModel):
    by_model_version: Annotated[list[ModelCostOut], Field(title="By Model Version")]
    clicks_per_mask: Annotated[float | None, Field(title="Clicks Per Mask")]
    masks_per_image: Annotated[float | None, Field(title="Masks Per Image")]
    num_automatic_masks: Annotated[int, Field(title="Num Automatic Masks")]
    num_human_masks: Annotated[int, Field(title="Num Human Masks")]
    num_images: Annotated[int, Field(title="Num Images")]
    num_images_done: Annotated[int, Field(title="Num Images Done")]
    num_images_with_masks: Annotated[int, Field(title="Num Images With Masks")]
    num_imported_masks: Annotated[int, Field(title="Num Imported Masks")]
    num_masks: Annotated[int, Field(title="Num Masks")]
    num_prefilled_masks: Annotated[int, Field(title="Num Prefilled Masks")]
    num_proposed_masks: Annotated[int, Field(title="Num Proposed Masks")]
    seconds_per_mask: Annotated[float | None, Field(title="Seconds Per Mask")]


class ImageRowOut(BaseModel):
    embedding_url: Annotated[str, Field(title="Embedding Url")]
    file_name: Annotated[str, Field(title="File Name")]
    file_url: Annotated[str, Field(title="File Url")]
    has_embedding: Annotated[bool, Field(title="Has Embedding")]
    height_px: Annotated[int, Field(title="Height Px")]
    id: Annotated[UUID, Field(title="Id")]
    num_masks: Annotated[int, Field(title="Num Masks")]
    status: Annotated[Literal["ready", "done", "rejected"], Field(title="ImageStatus")]
    thumbnail_url: Annotated[str, Field(title="Thumbnail Url")]
    width_px: Annotated[int, Field(title="Width Px")]


class ImportReportOut(BaseModel):
    num_refused: Annotated[int, Field(title="Num Refused")]
    refused: Annotated[list[RefusedFile], Field(title="Refused")]


class JobOut(BaseModel):
    attempts: Annotated[int, Field(title="Attempts")]
    can_cancel: Annotated[bool, Field(title="Can Cancel")]
    can_retry: Annotated[bool, Field(title="Can Retry")]
    created_at: Annotated[AwareDatetime, Field(title="Created At")]
    error: Annotated[str, Field(title="Error")]
    eta_s: Annotated[float | None, Field(title="Eta S")]
    finished_at: Annotated[AwareDatetime | None, Field(title="Finished At")]
    id: Annotated[UUID, Field(title="Id")]
    kind: Annotated[
        Literal[
            "export_decoder",
            "embed_project",
            "embed_image",
            "suggest_masks",
            "export",
            "import",
            "prelabel_image",
            "evaluate_sam",
            "train_sam",
            "train_detector",
            "automask_image",
        ]
        | str,
        Field(title="Kind"),
    ]
    max_attempts: Annotated[int, Field(title="Max Attempts")]
    parent_id: Annotated[UUID | None, Field(title="Parent Id")]
    priority: Annotated[int, Field(title="Priority")]
    progress_line: Annotated[str, Field(title="Progress Line")]
    progress_pct: Annotated[float, Field(title="Progress Pct")]
    progress_text: Annotated[str, Field(title="Progress Text")]
    started_at: Annotated[AwareDatetime | None, Field(title="Started At")]
    status: Annotated[
        Literal["queued", "running", "waiting", "succeeded", "failed", "dead", "cancelled"],
        Field(title="JobStatus"),
    ]


class MaskIn(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    annotate_ms: Annotated[AnnotateMs | None, Field(title="Annotate Ms")] = None
    base_revision_id: Annotated[UUID | None, Field(title="Base Revision Id")] = None
    label: Annotated[Label | None, Field(title="Label")] = None
    mask_id: Annotated[UUID, Field(title="Mask Id")]
    model_version_id: Annotated[UUID | None, Field(title="Model Version Id")] = None
    prompts: Annotated[
        list[
            Annotated[
                PointPrompt | BoxPrompt | MaskPrompt | StrokePrompt | EditPrompt,
                Field(discriminator="type"),
            ]
        ],
        Field(max_length=500, title="Prompts"),
    ]
    revision_id: Annotated[UUID, Field(title="Revision Id")]
    rle: RleIn


class MaskOut(BaseModel):
    area_px: Annotated[int, Field(title="Area Px")]
    author: Annotated[str | None, Field(title="Author")]
    bbox_xywh_px: Annotated[list[int], Field(max_length=4, min_length=4, title="Bbox Xywh Px")]
    id: Annotated[UUID, Field(title="Id")]
    label: Annotated[str, Field(title="Label")]
    predicted_iou: Annotated[float | None, Field(title="Predicted Iou")]
    revision_id: Annotated[UUID, Field(title="Revision Id")]
    rle: RleOut
    source: Annotated[
        Literal["human", "prefilled", "automatic", "imported"],
        Field(description="Who drew the first revision of a mask.", title="MaskSource"),
    ]
    status: Annotated[Literal["proposed", "accepted", "rejected"], Field(title="MaskStatus")]


class MeOut(BaseModel):
    """
    `role` is of the account; `token_scope` is null in a browser session.
    """

    role: Annotated[
        Literal["annotator", "reviewer", "lead", "admin"],
        Field(description="Who may do what stands in domain/roles.py.", title="Role"),
    ]
    token_scope: Literal["read", "label", "lead"] | None
    username: Annotated[str, Field(title="Username")]


class MeasuredVersionOut(BaseModel):
    """
    A model version, what it measured on the held-out split, and what speaks against it.

    `metrics` holds the plain figures; `<kind>_ci95` in `intervals` are (low, high). `trained_on`
    counts the masks of its snapshot, None for a shipped one. `requested_by` is None when the
    schedule asked.
    """

    arch: Annotated[str, Field(title="Arch")]
    blockers: Annotated[list[str], Field(title="Blockers")]
    created_at: Annotated[AwareDatetime, Field(title="Created At")]
    error: Annotated[str, Field(title="Error")]
    family: Annotated[Literal["sam", "object_detector"], Field(title="ModelFamily")]
    id: Annotated[UUID, Field(title="Id")]
    intervals: Annotated[dict[str, list[float]], Field(title="Intervals")]
    metrics: Annotated[dict[str, float], Field(title="Metrics")]
    number: Annotated[int, Field(title="Number")]
    requested_by: Annotated[str | None, Field(title="Requested By")]
    status: Annotated[
        Literal[
            "pending",
            "training",
            "trained",
            "evaluated",
            "serving",
            "retired",
            "rejected",
            "failed",
        ],
        Field(title="ModelVersionStatus"),
    ]
    thresholds: FittedThresholdsOut
    trainable: Annotated[
        Literal["decoder", "lora", "all"],
        Field(
            description="What of a SAM is trained in a round; values as in training/loop/config.py.",
            title="RoundSize",
        ),
    ]
    trained_on: Annotated[int | None, Field(title="Trained On")]
    trigger: Annotated[str, Field(title="Trigger")]


class OperationOut(BaseModel):
    """
    The answer to one operation, in the order of the batch.

    `applied`, or `duplicate` (applied before, nothing changed), or `conflict` (the revision is
    kept beside the mask's head), or `refused` with `code` and `message`.
    """

    code: Annotated[str | None, Field(title="Code")]
    mask_id: Annotated[UUID | None, Field(title="Mask Id")]
    message: Annotated[str | None, Field(title="Message")]
    outcome: Annotated[
        Literal["applied", "duplicate", "conflict", "refused"], Field(title="OperationOutcome")
    ]
    saved: SavedMaskOut | None
    status: Literal["proposed", "accepted", "rejected"] | None


class OperationsOut(BaseModel):
    results: Annotated[list[OperationOut], Field(title="Results")]


class PlanOut(BaseModel):
    """
    When the next scheduled round is; `message` is one sentence.
    """

    at: Annotated[AwareDatetime | None, Field(title="At")]
    at_masks: Annotated[int | None, Field(title="At Masks")]
    family: Annotated[Literal["sam", "object_detector"], Field(title="ModelFamily")]
    message: Annotated[str, Field(title="Message")]
    roll_back_to: Annotated[int | None, Field(title="Roll Back To")]
    state: Annotated[
        Literal["off", "waiting", "blocked", "due", "running"], Field(title="PlanState")
    ]


class ProjectRowOut(BaseModel):
    """
    `role` is yours in the project.
    """

    name: Annotated[str, Field(title="Name")]
    role: Annotated[
        Literal["annotator", "reviewer", "lead", "admin"],
        Field(description="Who may do what stands in domain/roles.py.", title="Role"),
    ]
    slug: Annotated[str, Field(title="Slug")]
    stage: Literal["assisted_manual", "semi_automatic", "fully_automatic"] | None


class RecommendationOut(BaseModel):
    action: Annotated[Literal["stay", "advance", "back"], Field(title="StageAction")]
    reasons: Annotated[list[str], Field(title="Reasons")]


class RetrainIn(BaseModel):
    """
    `trainable`: how much of a SAM learns; by default what the policy says for so many masks.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    family: Annotated[Literal["sam", "object_detector"], Field(title="Family")]
    trainable: Literal["decoder", "lora", "all"] | None = None


class RetrainOut(BaseModel):
    job: JobOut
    model_version: VersionOut


class SaveOperation(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
    )
    annotate_ms: Annotated[AnnotateMs | None, Field(title="Annotate Ms")] = None
    base_revision_id: Annotated[UUID | None, Field(title="Base Revision Id")] = None
    label: Annotated[Label | None, Field(title="Label")] = None
    mask_id: Annotated[UUID, Field(title="Mask Id")]
    model_version_id: Annotated[UUID | None, Field(title="Model Version Id")] = None
    prompts: Annotated[
        list[
            Annotated[
                PointPrompt | BoxPrompt | MaskPrompt | StrokePrompt | EditPrompt,
                Field(discriminator="type"),
            ]
        ],
        Field(max_length=500, title="Prompts"),
    ]
    revision_id: Annotated[UUID, Field(title="Revision Id")]
    rle: RleIn
    type: Annotated[Literal["save"], Field(title="Type")]


class SessionOut(BaseModel):
    assignment_id: Annotated[UUID, Field(title="Assignment Id")]
    image: ImageOut
    lease_expires_at: Annotated[AwareDatetime, Field(title="Lease Expires At")]
    masks: Annotated[list[MaskOut], Field(title="Masks")]
    model: ModelOut
    stage: Annotated[
        Literal["assisted_manual", "semi_automatic", "fully_automatic"], Field(title="StageKind")
    ]
    upcoming: Annotated[list[ImageOut], Field(title="Upcoming")]


class StageOut(BaseModel):
    """
    `figures` of this visit; `exit_blockers`: what usually should be there before leaving it.
    """

    exit_blockers: Annotated[list[str], Field(title="Exit Blockers")]
    figures: FiguresOut
    kind: Annotated[
        Literal["assisted_manual", "semi_automatic", "fully_automatic"], Field(title="StageKind")
    ]
    ordinal: Annotated[int, Field(title="Ordinal")]
    status: Annotated[Literal["open", "draining", "closed"], Field(title="StageStatus")]


class UpgradeOut(BaseModel):
    """
    The shipped starter as a version; `job` measures it and lets it serve if the gate may.
    """

    job: JobOut | None
    model_version: VersionOut


class ExportOut(BaseModel):
    file_url: Annotated[str | None, Field(title="File Url")]
    format: Annotated[Literal["sa1b", "coco"] | str, Field(title="Format")]
    id: Annotated[UUID, Field(title="Id")]
    job: JobOut | None
    num_masks: Annotated[int | None, Field(title="Num Masks")]
    sha256: Annotated[str | None, Field(title="Sha256")]
    status: Annotated[Literal["pending", "ready", "failed"], Field(title="ExportStatus")]


class ImagePageOut(BaseModel):
    """
    `next`: hand it in as `after`; null on the last page.
    """

    images: Annotated[list[ImageRowOut], Field(title="Images")]
    next: Annotated[UUID | None, Field(title="Next")]


class ImportOut(BaseModel):
    """
    Counts are those of a finished import; its report says what was refused.
    """

    id: Annotated[UUID, Field(title="Id")]
    job: JobOut | None
    name: Annotated[str, Field(title="Name")]
    num_images: Annotated[int, Field(title="Num Images")]
    num_known_images: Annotated[int, Field(title="Num Known Images")]
    num_known_masks: Annotated[int, Field(title="Num Known Masks")]
    num_masks: Annotated[int, Field(title="Num Masks")]
    num_refused: Annotated[int, Field(title="Num Refused")]
    page_url: Annotated[str, Field(title="Page Url")]
    refused_url: Annotated[str, Field(title="Refused Url")]
    status: Annotated[Literal["pending", "done", "failed"], Field(title="ImportStatus")]


class LoopOut(BaseModel):
    """
    The present stage against its targets. `policy`: every number of the stage by name;
    `starter_offer` is None while the project has the shipped starter, or none ships.
    """

    criteria: Annotated[list[CriterionOut], Field(title="Criteria")]
    plans: Annotated[list[PlanOut], Field(title="Plans")]
    policy: Annotated[dict[str, float], Field(title="Policy")]
    recommendation: RecommendationOut
    stage: Annotated[
        Literal["assisted_manual", "semi_automatic", "fully_automatic"], Field(title="StageKind")
    ]
    starter_offer: StarterOfferOut | None
    status: Annotated[Literal["open", "draining", "closed"], Field(title="StageStatus")]


class OperationsIn(BaseModel):
    """
    Operations are applied in order. One that is malformed is `refused`; the others count.
    """

    model_config = ConfigDict(
        extra="forbid",
    )
    operations: Annotated[
        list[SaveOperation | ReviewOperation | dict[str, Any]],
        Field(max_length=200, min_length=1, title="Operations"),
    ]


class ProjectOut(BaseModel):
    """
    Live figures of a project. `revision` changes when the page's tables need a fresh look.
    """

    figures: FiguresOut
    name: Annotated[str, Field(title="Name")]
    revision: Annotated[str, Field(title="Revision")]
    running_jobs: Annotated[list[JobOut], Field(title="Running Jobs")]
    serving: Annotated[list[VersionOut], Field(title="Serving")]
    slug: Annotated[str, Field(title="Slug")]
    stage: StageOut | None
