"""What the server answers with, as frozen dataclasses; fields are named as on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rle:
    """An exact mask: (height, width) in pixels and COCO compressed counts, column-major."""

    size: tuple[int, int]
    counts: str

    @classmethod
    def of(cls, body: Json) -> Rle:
        height_px, width_px = body["size"]
        return cls((height_px, width_px), body["counts"])

    def to_json(self) -> dict[str, Any]:
        """As COCO and pycocotools write it."""
        return {"size": list(self.size), "counts": self.counts}


@dataclass(frozen=True, slots=True)
class Me:
    username: str
    role: str
    token_scope: str | None

    @classmethod
    def of(cls, body: Json) -> Me:
        return cls(body["username"], body["role"], body["token_scope"])


@dataclass(frozen=True, slots=True)
class Project:
    """`role` is yours in the project."""

    slug: str
    name: str
    role: str
    stage: str | None

    @classmethod
    def of(cls, body: Json) -> Project:
        return cls(body["slug"], body["name"], body["role"], body["stage"])


@dataclass(frozen=True, slots=True)
class Image:
    """`status`, `num_masks` and `has_embedding` are told in lists of images only."""

    id: UUID
    file_name: str
    width_px: int
    height_px: int
    file_url: str
    status: str | None
    num_masks: int | None
    has_embedding: bool | None

    @classmethod
    def of(cls, body: Json) -> Image:
        return cls(
            id=UUID(body["id"]),
            file_name=body["file_name"],
            width_px=body["width_px"],
            height_px=body["height_px"],
            file_url=body["file_url"],
            status=body.get("status"),
            num_masks=body.get("num_masks"),
            has_embedding=body.get("has_embedding"),
        )


@dataclass(frozen=True, slots=True)
class RefusedFile:
    file_name: str
    message: str


@dataclass(frozen=True, slots=True)
class Uploaded:
    """The photos that are in the project now, and which files were refused and why."""

    images: list[Image]
    refused: list[RefusedFile]


@dataclass(frozen=True, slots=True)
class Model:
    """The SAM version that serves."""

    id: UUID
    number: int
    arch: str
    encoder_sha256: str

    @classmethod
    def of(cls, body: Json) -> Model:
        return cls(UUID(body["id"]), body["number"], body["arch"], body["encoder_sha256"])


@dataclass(frozen=True, slots=True)
class Mask:
    id: UUID
    revision_id: UUID
    source: str
    status: str
    rle: Rle
    area_px: int
    bbox_xywh_px: tuple[int, int, int, int]
    predicted_iou: float | None
    label: str
    author: str | None

    @classmethod
    def of(cls, body: Json) -> Mask:
        x_px, y_px, w_px, h_px = body["bbox_xywh_px"]
        return cls(
            id=UUID(body["id"]),
            revision_id=UUID(body["revision_id"]),
            source=body["source"],
            status=body["status"],
            rle=Rle.of(body["rle"]),
            area_px=body["area_px"],
            bbox_xywh_px=(x_px, y_px, w_px, h_px),
            predicted_iou=body["predicted_iou"],
            label=body["label"],
            author=body["author"],
        )


@dataclass(frozen=True, slots=True)
class Session:
    """An image that is yours to label until the lease ends; every save starts it anew."""

    assignment_id: UUID
    lease_expires_at: datetime
    stage: str
    image: Image
    model: Model
    masks: list[Mask]

    @classmethod
    def of(cls, body: Json) -> Session:
        return cls(
            assignment_id=UUID(body["assignment_id"]),
            lease_expires_at=datetime.fromisoformat(body["lease_expires_at"]),
            stage=body["stage"],
            image=Image.of(body["image"]),
            model=Model.of(body["model"]),
            masks=[Mask.of(one) for one in body["masks"]],
        )


@dataclass(frozen=True, slots=True)
class SavedMask:
    """`conflict`: the mask had moved on; the revision is kept beside its head."""

    mask_id: UUID
    revision_id: UUID
    rle_sha256: str
    area_px: int
    duplicate: bool
    conflict: bool

    @classmethod
    def of(cls, body: Json) -> SavedMask:
        return cls(
            mask_id=UUID(body["mask_id"]),
            revision_id=UUID(body["revision_id"]),
            rle_sha256=body["rle_sha256"],
            area_px=body["area_px"],
            duplicate=body["duplicate"],
            conflict=body["conflict"],
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    rle: Rle
    predicted_iou: float

    @classmethod
    def of(cls, body: Json) -> Candidate:
        return cls(Rle.of(body["rle"]), body["predicted_iou"])


@dataclass(frozen=True, slots=True)
class Decoded:
    """The best mask, and every mask that was offered, best first."""

    rle: Rle
    predicted_iou: float
    candidates: list[Candidate]

    @classmethod
    def of(cls, body: Json) -> Decoded:
        offered = [Candidate.of(one) for one in body["candidates"]]
        return cls(Rle.of(body["rle"]), body["predicted_iou"], offered)


@dataclass(frozen=True, slots=True)
class Job:
    id: UUID
    kind: str
    status: str
    progress_pct: float
    progress_line: str
    eta_s: float | None
    error: str

    @classmethod
    def of(cls, body: Json) -> Job:
        return cls(
            id=UUID(body["id"]),
            kind=body["kind"],
            status=body["status"],
            progress_pct=body["progress_pct"],
            progress_line=body["progress_line"],
            eta_s=body["eta_s"],
            error=body["error"],
        )


@dataclass(frozen=True, slots=True)
class Import:
    """The counts are those of a finished import; `known` is what the project had already."""

    id: UUID
    name: str
    status: str
    num_images: int
    num_known_images: int
    num_masks: int
    num_known_masks: int
    num_refused: int
    job: Job | None

    @classmethod
    def of(cls, body: Json) -> Import:
        return cls(
            id=UUID(body["id"]),
            name=body["name"],
            status=body["status"],
            num_images=body["num_images"],
            num_known_images=body["num_known_images"],
            num_masks=body["num_masks"],
            num_known_masks=body["num_known_masks"],
            num_refused=body["num_refused"],
            job=Job.of(body["job"]) if body["job"] else None,
        )


@dataclass(frozen=True, slots=True)
class Export:
    """`sha256`, `file_url` and `num_masks` are there once `status` is ready."""

    id: UUID
    format: str
    status: str
    num_masks: int | None
    sha256: str | None
    file_url: str | None
    job: Job | None

    @classmethod
    def of(cls, body: Json) -> Export:
        return cls(
            id=UUID(body["id"]),
            format=body["format"],
            status=body["status"],
            num_masks=body["num_masks"],
            sha256=body["sha256"],
            file_url=body["file_url"],
            job=Job.of(body["job"]) if body["job"] else None,
        )
