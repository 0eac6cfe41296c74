"""Put the pictures of a dataset together with their annotations.

An annotation file is recognised by what it holds: "images" and "annotations" is COCO, "image" and
"annotations" is the file that SA-1B has beside each picture.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import orjson

from engine.domain.errors import InvalidInput
from engine.importers.records import Annotation, File, Plan, Refused, Source

PICTURE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ""),
}
OWN_FILES = {"provenance.jsonl", "manifest.sha256"}
"""What our own exports hold beside pictures and annotations: nothing to say about them."""
MAX_ANNOTATIONS_BYTES = 1 << 30
MAX_SA1B_BYTES = 1 << 26


def plan(source: Source) -> Plan:
    """Read the annotation files and find the picture of every entry. Pictures are not opened."""
    refused = list(source.refused)
    pictures: dict[str, File] = {}
    collected = _Collected(refused)
    for file in source.files:
        suffix = PurePosixPath(file.name).suffix.lower()
        if suffix in PICTURE_SUFFIXES:
            pictures[file.name] = file
        elif suffix == ".json":
            collected.read(file)
        elif PurePosixPath(file.name).name not in OWN_FILES:
            refused.append(Refused(name=file.name, reason="its name is not that of a picture"))
    by_picture = collected.match(pictures)
    if not pictures:
        refused.append(Refused(name="(everything)", reason="there is no picture in it"))
    return Plan(
        pictures=[(file, by_picture.get(name, ())) for name, file in pictures.items()],
        refused=refused,
    )


class _Collected:
    """Annotations by the file name that their dataset gives to the picture."""

    def __init__(self, refused: list[Refused]) -> None:
        self._refused = refused
        self._groups: list[tuple[str, str, Sequence[Annotation]]] = []

    def read(self, file: File) -> None:
        try:
            limit = MAX_ANNOTATIONS_BYTES if file.size_bytes > MAX_SA1B_BYTES else MAX_SA1B_BYTES
            content = orjson.loads(file.read(limit))
        except InvalidInput as error:
            self._refuse(file.name, error.message.removeprefix(f"{file.name}: "))
        except (orjson.JSONDecodeError, RecursionError) as error:
            self._refuse(file.name, f"it is not JSON: {error}")
        else:
            self._take(file.name, content)

    def match(self, pictures: Mapping[str, File]) -> dict[str, list[Annotation]]:
        """Find each group's picture: the name as it is, beside the file, or the only such end."""
        by_last: dict[str, list[str]] = defaultdict(list)
        for name in pictures:
            by_last[PurePosixPath(name).name].append(name)
        matched: dict[str, list[Annotation]] = defaultdict(list)
        for file, picture, group in self._groups:
            names = _candidates(file, picture, pictures=pictures, by_last=by_last)
            if len(names) == 1:
                matched[names[0]].extend(group)
            elif group or not names:
                reason = "several pictures have" if names else "there is no picture of"
                lost = f" ({len(group)} masks)" if group else ""
                self._refuse(f"{file}: {picture}", f"{reason} this name{lost}")
        return matched

    def _take(self, name: str, content: Any) -> None:
        match content:
            case {"images": list(images), "annotations": list(annotations)}:
                categories = content.get("categories")
                self._take_coco(name, images, annotations, _titles(categories))
            case {"image": dict(image), "annotations": list(annotations)}:
                self._take_sa1b(name, image, annotations)
            case _:
                self._refuse(name, "it is neither a COCO nor an SA-1B annotation file")

    def _take_coco(
        self, name: str, images: list[Any], annotations: list[Any], titles: Mapping[Any, str]
    ) -> None:
        sizes: dict[Any, tuple[int, int] | None] = {}
        pictures: dict[Any, str] = {}
        for place, image in enumerate(images):
            match image:
                case {"id": int() | str() as key, "file_name": str(file_name)} if file_name:
                    if key in pictures:
                        self._refuse(f"{name}: image {key}", "its id is there twice")
                        continue
                    pictures[key], sizes[key] = file_name, _size_hw(image)
                case _:
                    self._refuse(f"{name}: images[{place}]", "it needs an id and a file_name")
        groups: dict[Any, list[Annotation]] = {key: [] for key in pictures}
        for place, entry in enumerate(annotations):
            where = f"{name}: {_called(entry, place)}"
            if not isinstance(entry, dict):
                self._refuse(where, "it is not an object")
            elif (of := _hashable(entry.get("image_id"))) not in groups:
                self._refuse(where, f"there is no image {of!r}"[:200])
            else:
                title = titles.get(_hashable(entry.get("category_id")), "")
                groups[of].append(_annotation(name, entry, place, sizes[of], title))
        self._groups.extend((name, pictures[key], group) for key, group in groups.items())

    def _take_sa1b(self, name: str, image: dict[str, Any], annotations: list[Any]) -> None:
        file_name = image.get("file_name")
        if not isinstance(file_name, str) or not file_name:
            self._refuse(name, "its image has no file_name")
            return
        size_hw = _size_hw(image)
        group = []
        for place, entry in enumerate(annotations):
            if isinstance(entry, dict):
                group.append(_annotation(name, entry, place, size_hw, ""))
            else:
                self._refuse(f"{name}: annotations[{place}]", "it is not an object")
        self._groups.append((name, file_name, group))

    def _refuse(self, name: str, reason: str) -> None:
        self._refused.append(Refused(name=name, reason=reason))


def _candidates(
    file: str, picture: str, *, pictures: Mapping[str, File], by_last: Mapping[str, list[str]]
) -> list[str]:
    folder = PurePosixPath(file).parent
    for name in (picture, str(folder / picture), str(folder / "images" / picture)):
        if name in pictures:
            return [name]
    same_last = by_last.get(PurePosixPath(picture.replace("\\", "/")).name, [])
    same_end = [name for name in same_last if name.endswith(f"/{picture}")]
    return same_end if len(same_end) == 1 else same_last


def _titles(categories: Any) -> dict[Any, str]:
    titles: dict[Any, str] = {}
    for one in categories if isinstance(categories, list) else ():
        match one:
            case {"id": int() | str() as key, "name": str(title)}:
                titles[key] = title
    return titles


def _annotation(
    file: str, entry: dict[str, Any], place: int, size_hw: tuple[int, int] | None, category: str
) -> Annotation:
    key = entry.get("id")
    known = isinstance(key, int | str) and not isinstance(key, bool)
    return Annotation(
        file=file,
        annotation_id=str(key)[:100] if known else f"#{place}",
        segmentation=entry.get("segmentation"),
        category=category,
        is_crowd=bool(entry.get("iscrowd")),
        size_hw=size_hw,
    )


def _called(entry: Any, place: int) -> str:
    key = entry.get("id") if isinstance(entry, dict) else None
    return f"annotation {key}"[:120] if isinstance(key, int | str) else f"annotations[{place}]"


def _size_hw(image: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return (height, width)
    return None


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | str) else None
