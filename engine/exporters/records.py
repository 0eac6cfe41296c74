"""What an exporter may see: plain records, streamed image by image. No tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masks.rle import Rle


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRecord:
    """One accepted mask. `number` counts from 1 through the whole export."""

    number: int
    mask_id: str
    revision_id: str
    rle: Rle
    area_px: int
    bbox_xywh_px: tuple[int, int, int, int]
    predicted_iou: float | None
    stability_score: float | None
    prompts: list[dict[str, Any]]
    label: str
    source: str
    stage: str
    author: str | None
    model_version: int | None
    annotate_ms: int | None
    confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image with its accepted masks. `number` counts from 1 through the whole export."""

    number: int
    image_id: str
    file_name: str
    path: Path
    width_px: int
    height_px: int
    side: str
    masks: list[MaskRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an exporter wrote."""

    num_images: int
    num_masks: int


Records = Iterator[ImageRecord]
