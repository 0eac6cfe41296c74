"""COCO instances: one tolerant reader of the document, for imports and for training data.

Works on parsed JSON and opens no file. What cannot be used is listed and the rest kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from masks.polygons import PolygonError, from_polygons
from masks.rle import Rle, RleError

MAX_VERTICES = 100_000
MAX_ID_CHARACTERS = 100


class SegmentationError(ValueError):
    """A segmentation that is no mask of its image; the message names the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoImage:
    """One listed image. size_hw: what the document gives as height and width, if it does.

    key: its id as text. entry: its object in the document, with fields that are not COCO's.
    """

    key: str
    file_name: str
    size_hw: tuple[int, int] | None
    entry: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoAnnotation:
    """One annotation of a listed image; its segmentation is not checked yet (see rle_of)."""

    annotation_id: str
    segmentation: Any = field(repr=False)
    category: str
    is_crowd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayAnnotation:
    """An annotation whose image is not listed; image_id as the document has it."""

    where: str
    image_id: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoDataset:
    """Images in the document's order, and the annotations of each by the image's key.

    problems: (place in the document, reason) of each entry that cannot be used.
    """

    images: Sequence[CocoImage]
    annotations: Mapping[str, Sequence[CocoAnnotation]]
    strays: Sequence[StrayAnnotation]
    problems: Sequence[tuple[str, str]]


def is_coco(document: Any) -> bool:
    """Tell whether parsed JSON is a COCO instances document."""
    match document:
        case {"images": list(), "annotations": list()}:
            return True
    return False


def read(document: Mapping[str, Any]) -> CocoDataset:
    """Read a document for which `is_coco` holds."""
    images, problems = _images(document["images"])
    categories = _categories(document.get("categories"))
    annotations: dict[str, list[CocoAnnotation]] = {key: [] for key in images}
    strays: list[StrayAnnotation] = []
    for place, entry in enumerate(document["annotations"]):
        where = _place_of(entry, place)
        if not isinstance(entry, dict):
            problems.append((where, "it is not an object"))
        elif (key := _key(entry.get("image_id"))) is None or key not in images:
            strays.append(StrayAnnotation(where=where, image_id=_id(entry.get("image_id"))))
        else:
            annotations[key].append(
                CocoAnnotation(
                    annotation_id=annotation_id_of(entry, place),
                    segmentation=entry.get("segmentation"),
                    category=categories.get(_id(entry.get("category_id")), ""),
                    is_crowd=bool(entry.get("iscrowd")),
                )
            )
    return CocoDataset(
        images=list(images.values()), annotations=annotations, strays=strays, problems=problems
    )


def rle_of(segmentation: Any, *, image_hw: tuple[int, int]) -> Rle:
    """Return the exact mask of polygons, a list of runs or compressed runs.

    Raises SegmentationError when it is none of these or no mask of an image of that size.
    """
    try:
        if isinstance(segmentation, dict):
            return Rle.from_coco(segmentation, image_hw=image_hw)
        if isinstance(segmentation, list) and segmentation:
            return from_polygons(_checked(segmentation), *image_hw)
    except (RleError, PolygonError) as error:
        raise SegmentationError(str(error)) from None
    raise SegmentationError("it has no segmentation")


def annotation_id_of(entry: Mapping[str, Any], place: int) -> str:
    """Return an annotation's id as text; of one without, its place in the list."""
    key = _id(entry.get("id"))
    known = key is not None and not isinstance(key, bool)
    return str(key)[:MAX_ID_CHARACTERS] if known else f"#{place}"


def size_hw_of(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the height and width in pixels that an image entry gives, or None."""
    height, width = image.get("height"), image.get("width")
    if _is_size(height) and _is_size(width):
        return int(height), int(width)  # type: ignore[arg-type]  # checked just now
    return None


def _images(entries: list[Any]) -> tuple[dict[str, CocoImage], list[tuple[str, str]]]:
    images: dict[str, CocoImage] = {}
    problems: list[tuple[str, str]] = []
    for place, entry in enumerate(entries):
        match entry:
            case {"id": int() | str() as given, "file_name": str(file_name)} if file_name:
                key = str(given)
                if key in images:
                    problems.append((f"image {key}", "its id is there twice"))
                else:
                    images[key] = CocoImage(
                        key=key, file_name=file_name, size_hw=size_hw_of(entry), entry=entry
                    )
            case _:
                problems.append((f"images[{place}]", "it needs an id and a file_name"))
    return images, problems


def _categories(entries: Any) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for one in entries if isinstance(entries, list) else ():
        match one:
            case {"id": int() | str() as key, "name": str(name)}:
                names[key] = name
    return names


def _place_of(entry: Any, place: int) -> str:
    key = entry.get("id") if isinstance(entry, dict) else None
    return f"annotation {key}"[:120] if isinstance(key, int | str) else f"annotations[{place}]"


def _id(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) else None


def _key(value: Any) -> str | None:
    found = _id(value)
    return None if found is None else str(found)


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0 and value == value // 1


def _checked(polygons: list[Any]) -> list[list[float]]:
    num_numbers = 0
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise SegmentationError("a polygon is a list of at least three x, y pairs")
        num_numbers += len(polygon)
        if num_numbers > 2 * MAX_VERTICES:
            raise SegmentationError(f"its polygons have more than {MAX_VERTICES} corners")
        for value in polygon:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value):
                raise SegmentationError("a polygon holds something that is no number")
    return polygons
