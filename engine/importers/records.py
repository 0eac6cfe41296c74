"""What an importer hands over, and what it says about the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from masks.rle import Rle


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One thing that was not taken, named as its dataset names it, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a dataset. `name` is for people and for matching; it is never opened as a path.

    `read(limit)` returns at most `limit` bytes; InvalidInput when there are more, or when the
    bytes cannot be had.
    """

    name: str
    size_bytes: int
    read: Callable[[int], bytes] = field(repr=False)


class Source(Protocol):
    """A folder or an archive: its sound files in a fixed order, and what else lies in it."""

    @property
    def files(self) -> Sequence[File]: ...

    @property
    def refused(self) -> Sequence[Refused]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A mask of a dataset, not decoded yet.

    size_hw: what the dataset says of the image's height and width; None when it says nothing.
    """

    file: str
    annotation_id: str
    segmentation: Any = field(repr=False)
    category: str
    is_crowd: bool
    size_hw: tuple[int, int] | None

    @property
    def name(self) -> str:
        return f"{self.file}: annotation {self.annotation_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignMask:
    """An exact mask of a dataset, and where it came from."""

    annotation: Annotation
    rle: Rle

    @property
    def origin(self) -> dict[str, Any]:
        """Return what is kept as the revision's `origin`."""
        return {
            "file": self.annotation.file,
            "annotation_id": self.annotation.annotation_id,
            "category": self.annotation.category,
            "iscrowd": int(self.annotation.is_crowd),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every picture of a dataset with its annotations, and what is known to be unusable."""

    pictures: Sequence[tuple[File, Sequence[Annotation]]]
    refused: Sequence[Refused]

    def __iter__(self) -> Iterator[tuple[File, Sequence[Annotation]]]:
        return iter(self.pictures)
