"""What an exporter may see: plain records, streamed image by image. No tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
    origin: dict[str, Any] | None = None
    """For a mask that was imported: how its dataset named it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image with its accepted masks. `number` counts from 1 through the whole export."""

    number: int
    image_id: str
    file_name: str
    path: Path
    sha256: str
    """Of the bytes at `path`."""
    width_px: int
    height_px: int
    split: str
    masks: list[MaskRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file of the dataset: bytes at hand, or a stored file whose SHA-256 is known."""

    name: str
    content: bytes | Path
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What holds for the whole export. `labels`: every label in use, sorted."""

    labels: tuple[str, ...]


class Exporter(Protocol):
    """A dataset format: files for each image, and files grown line by line over all images.

    A module of `formats` with these names is registered by itself.

    Everything must follow from the records alone: two exports of the same masks are the same
    bytes.
    """

    NAME: str
    """What the API and the command line call it: at most 16 lower-case letters and digits."""
    TITLE: str
    """What pages call it, as on the button "Export COCO"."""
    DESCRIPTION: str
    """One sentence: what lies in an export of this format."""

    def members(self, record: ImageRecord) -> Iterable[Member]:
        """Return the files of one image."""

    def lines(self, record: ImageRecord, dataset: Dataset) -> Mapping[str, bytes]:
        """Return what one image adds to each fragment, by the fragment's name."""

    def whole_files(
        self, dataset: Dataset, fragments: Mapping[str, Iterator[bytes]]
    ) -> Iterable[tuple[str, Iterable[bytes]]]:
        """Return (name, parts) of the files that are made of whole fragments, each read once."""
