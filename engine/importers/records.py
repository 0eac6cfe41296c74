"""What importers read and return, and the protocol of a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Protocol

import orjson

from engine.domain.errors import InvalidInput
from masks.rle import Rle

MAX_JSON_BYTES = 1 << 30
MAX_SMALL_JSON_BYTES = 1 << 26
"""What a file may inflate to that claims to be no larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedItem:
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
    def refused(self) -> Sequence[RefusedItem]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A mask of a dataset, not decoded yet.

    size_hw: the image's height and width in the dataset; None when it does not give them.
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
class Group:
    """The annotations of one image, which is found by the name that their dataset gives to it."""

    file: str
    image_name: str
    annotations: Sequence[Annotation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an importer found in one file: images, annotations of images, what it cannot use."""

    images: Sequence[File] = ()
    groups: Sequence[Group] = ()
    refused: Sequence[RefusedItem] = ()


class Content:
    """A file of a dataset as importers see it: parsed at most once, together with its source."""

    def __init__(self, file: File, source: Source) -> None:
        self.file = file
        self.source = source

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def suffix(self) -> str:
        """The ending of the name, in lower case and with its dot; empty when it has none."""
        return PurePosixPath(self.file.name).suffix.lower()

    @cached_property
    def json(self) -> Any:
        """The parsed JSON document; InvalidInput when it is too large or no JSON."""
        is_large = self.file.size_bytes > MAX_SMALL_JSON_BYTES
        limit = MAX_JSON_BYTES if is_large else MAX_SMALL_JSON_BYTES
        try:
            return orjson.loads(self.file.read(limit))
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise InvalidInput(f"it is not JSON: {error}") from None


class Importer(Protocol):
    """A format: which files of a dataset are of it, and what stands in them.

    A module of `formats` with these names is registered by itself. Each file of a dataset is shown
    to the importers of its suffix; exactly one may recognise it, else the file is refused.
    """

    NAME: str
    TITLE: str
    """What pages and messages call it."""
    DESCRIPTION: str
    """One sentence: what a dataset of this format consists of."""
    SUFFIXES: frozenset[str]
    """Endings of the names of its files, in lower case with their dot."""

    def recognises(self, content: Content) -> bool:
        """Tell whether a file is of this format; InvalidInput when it cannot be read at all."""

    def read(self, content: Content) -> Found:
        """Read a recognised file. Entries that cannot be used are returned as refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """Every image of a dataset with its annotations, and what is known to be unusable."""

    images: Sequence[tuple[File, Sequence[Annotation]]]
    refused: Sequence[RefusedItem]

    def __iter__(self) -> Iterator[tuple[File, Sequence[Annotation]]]:
        return iter(self.images)
