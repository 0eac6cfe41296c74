"""Manifests: which images to learn from or to measure on, with their masks, as JSON lines.

Read here and nowhere else; a bad record is reported and skipped, a useless manifest is an error.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from PIL import Image

from masks import coco, sa1b
from masks.rle import Rle, RleError

Split = Literal["train", "holdout"]
SPLITS: tuple[Split, ...] = ("train", "holdout")
MAX_LISTED_PROBLEMS = 3
COCO_NAME = "instances.json"
LAYOUTS = (
    f"data is a COCO folder ({COCO_NAME} beside images/), or a manifest of JSON lines, an image a "
    'line: {"image": FILE, "image_id": ID, "split": "train" or "holdout", "masks": '
    '[{"id": ID, "rle": {"size": [H, W], "counts": ...}}]}'
)
Entry = TypeVar("Entry")


class ManifestError(ValueError):
    """Say in one sentence why a manifest or a data folder cannot be used."""


class _BadRecordError(ValueError):
    """One record cannot be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRecord:
    """One ground-truth mask of an image, and the prompts that led to it where they are known."""

    mask_id: str
    rle: Rle
    prompts: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """One image with its ground-truth masks; every mask has the size of the image.

    crop_xywh_px: the image is only this part of the file, and has its size.
    """

    image_path: Path
    image_id: str
    image_hw: tuple[int, int]
    split: Split
    source: str
    features_path: Path | None
    masks: tuple[MaskRecord, ...]
    crop_xywh_px: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The usable records of a manifest and one sentence about each thing that was skipped."""

    path: Path
    images: tuple[ImageRecord, ...]
    problems: tuple[str, ...]

    @property
    def num_masks(self) -> int:
        return sum(len(image.masks) for image in self.images)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what is learned from; where the files lie does not matter."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(json.dumps([image.image_id, image.split, image.source]).encode())
            for mask in image.masks:
                digest.update(json.dumps([mask.mask_id, mask.rle.sha256]).encode())
        return digest.hexdigest()

    def in_split(self, split: Split) -> tuple[ImageRecord, ...]:
        """Return the images of one split, in the order of the manifest."""
        return tuple(image for image in self.images if image.split == split)

    def require_split(self, split: Split) -> tuple[ImageRecord, ...]:
        """Return the images of one split; ManifestError when there are none."""
        images = self.in_split(split)
        if not images:
            raise ManifestError(f"{self.path}: no usable image on the {split} split")
        return images


def image_size_hw(path: Path) -> tuple[int, int]:
    """Return height and width in pixels from the header of an image file; OSError if unreadable."""
    try:
        with Image.open(path) as image:
            width_px, height_px = image.size
    except Image.DecompressionBombError as error:
        raise OSError(str(error)) from error
    return height_px, width_px


def read_manifest(path: Path) -> Manifest:
    """Read a JSON-lines manifest; ManifestError when nothing in it can be used.

    Relative paths are taken from the folder of the manifest.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"cannot read the manifest {path}: {error}") from error
    lines = [(f"line {i}", line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise ManifestError(f"{path}: the manifest is empty")
    return _collect(lines, parse=_parse_object, path=path)


def from_coco(folder: Path, *, split: Split = "holdout") -> Manifest:
    """Read a COCO folder (`instances.json`, `images/`); crowd regions are left out.

    The source of an image is its `source`, else its `stain`, else the name of the folder.
    """
    folder = Path(folder)
    path = folder / COCO_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path} is not a COCO instances file: {error!r}") from error
    if not coco.is_coco(document):
        raise ManifestError(f"{path} is not a COCO instances file: it needs images and annotations")
    dataset = coco.read(document)

    def parse(image: coco.CocoImage) -> Mapping[str, Any]:
        return _coco_record(image, dataset.annotations[image.key], folder=folder, split=split)

    entries = [(f"image {image.key}", image) for image in dataset.images]
    manifest = _collect(entries, parse=parse, path=path)
    strays = {
        f"image {one.image_id}: it has annotations but is not listed" for one in dataset.strays
    }
    unusable = [f"{where}: {reason}" for where, reason in dataset.problems]
    return replace(manifest, problems=(*manifest.problems, *unusable, *sorted(strays)))


def open_dataset(path: Path, *, split: Split = "holdout") -> Manifest:
    """Open a manifest file, or a COCO folder whose images all go to `split`.

    Raises ManifestError, which names the layouts there are for one that is another.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / COCO_NAME).is_file():
            raise ManifestError(f"{path} holds no {COCO_NAME}: {LAYOUTS}")
        return from_coco(path, split=split)
    if kind := _other_kind_of_json(path):
        raise ManifestError(f"{path} is {kind}, not JSON lines: {LAYOUTS}")
    return read_manifest(path)


def _other_kind_of_json(path: Path) -> str:
    """Say what a file is that holds one JSON document; empty when it may be JSON lines."""
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # JSON lines are no document; nor is bad text
        return ""
    if coco.is_coco(document):
        return f"a COCO file (give its folder, with the file called {COCO_NAME})"
    if sa1b.is_annotation_file(document):
        return "an SA-1B file"
    is_record = isinstance(document, dict) and "image" in document
    return "" if is_record else "one JSON document"  # a manifest of a single line


def write_manifest(path: Path, *, images: Iterable[ImageRecord]) -> None:
    """Write records as a JSON-lines manifest with absolute paths."""
    lines = [json.dumps(_to_object(image)) for image in images]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def combine(manifests: Sequence[Manifest], *, holdout_every: int) -> list[ImageRecord]:
    """Join sets into one list, holding out every n-th image of each source.

    Image ids get the number of their set before them, so that two sets may use the same ids.
    Images that a manifest itself holds out stay held out.
    """
    joined: list[ImageRecord] = []
    num_seen: Counter[str] = Counter()
    for number, manifest in enumerate(manifests):
        for image in manifest.images:
            num_seen[image.source] += 1
            held_out = image.split == "holdout" or num_seen[image.source] % holdout_every == 0
            joined.append(
                replace(
                    image,
                    image_id=f"{number}-{image.image_id}",
                    split="holdout" if held_out else "train",
                )
            )
    return joined


def _to_object(image: ImageRecord) -> dict[str, object]:
    masks = [
        {"id": mask.mask_id, "rle": mask.rle.to_coco(), "prompts": list(mask.prompts)}
        for mask in image.masks
    ]
    record: dict[str, object] = {
        "image": str(image.image_path.absolute()),
        "image_id": image.image_id,
        "split": image.split,
        "source": image.source,
        "masks": masks,
    }
    if image.features_path is not None:
        record["features"] = str(image.features_path.absolute())
    return record


def _collect(
    entries: Iterable[tuple[str, Entry]],
    *,
    parse: Callable[[Entry], Mapping[str, Any]],
    path: Path,
) -> Manifest:
    images: dict[str, ImageRecord] = {}
    problems: list[str] = []
    for where, entry in entries:
        try:
            record = parse(entry)
            image = _image_record(record, root=path.parent, where=where, problems=problems)
        except _BadRecordError as error:
            problems.append(f"{where}: {error}")
            continue
        if image.image_id in images:
            problems.append(f"{where}: image_id {image.image_id!r} was used before")
        else:
            images[image.image_id] = image
    if not images:
        raise ManifestError(f"{path}: no usable image: {shortened(problems)}")
    return Manifest(path=path, images=tuple(images.values()), problems=tuple(problems))


def shortened(problems: Sequence[str]) -> str:
    """Return the first problems in one line, and how many more there are."""
    listed = "; ".join(problems[:MAX_LISTED_PROBLEMS]) or "it lists no image"
    more = len(problems) - MAX_LISTED_PROBLEMS
    return f"{listed}; and {more} more" if more > 0 else listed


def _parse_object(line: str) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise _BadRecordError(f"not JSON: {error}") from error
    if not isinstance(record, dict):
        raise _BadRecordError(f"expected a JSON object, found {type(record).__name__}")
    return record


def _text(record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise _BadRecordError(f"{key!r} must be a non-empty string, found {value!r}")
    return str(value)


def _image_record(
    record: Mapping[str, Any], *, root: Path, where: str, problems: list[str]
) -> ImageRecord:
    image_path = root / _text(record, "image")
    try:
        image_hw = image_size_hw(image_path)
    except OSError as error:
        raise _BadRecordError(f"cannot read the image {image_path}: {error}") from error
    split = record.get("split", record.get("side", "train"))  # "side" until version 0.1
    if split not in SPLITS:
        raise _BadRecordError(f"'split' must be train or holdout, found {split!r}")
    features = record.get("features")
    masks = _mask_records(record, image_hw=image_hw, where=where, problems=problems)
    return ImageRecord(
        image_path=image_path,
        image_id=_text(record, "image_id"),
        image_hw=image_hw,
        split=cast(Split, split),
        source=str(record.get("source") or "all"),
        features_path=None if features is None else root / _text(record, "features"),
        masks=masks,
    )


def _mask_records(
    record: Mapping[str, Any], *, image_hw: tuple[int, int], where: str, problems: list[str]
) -> tuple[MaskRecord, ...]:
    entries = record.get("masks")
    if not isinstance(entries, list):
        raise _BadRecordError("'masks' must be a list")
    masks: dict[str, MaskRecord] = {}
    for position, entry in enumerate(entries, start=1):
        try:
            mask = _mask_record(entry, image_hw=image_hw)
            if mask.mask_id in masks:
                raise _BadRecordError(f"the id {mask.mask_id!r} was used before in this image")
            masks[mask.mask_id] = mask
        except (_BadRecordError, RleError) as error:
            problems.append(f"{where}: mask {position}: {error}")
    if not masks:
        raise _BadRecordError(f"none of its {len(entries)} masks can be used")
    return tuple(masks.values())


def _mask_record(entry: object, *, image_hw: tuple[int, int]) -> MaskRecord:
    if not isinstance(entry, dict):
        raise _BadRecordError(f"expected a JSON object, found {type(entry).__name__}")
    rle_object = entry.get("rle")
    if not isinstance(rle_object, dict):
        raise _BadRecordError("it needs an RLE object with size and counts")
    rle = Rle.from_coco(rle_object, image_hw=image_hw)
    if (rle.height_px, rle.width_px) != image_hw:
        raise _BadRecordError(
            f"the RLE is {rle.height_px}x{rle.width_px} (height x width), "
            f"the image is {image_hw[0]}x{image_hw[1]}"
        )
    if rle.area_px == 0:
        raise _BadRecordError("the mask is empty")
    prompts = entry.get("prompts")
    known = [one for one in prompts if isinstance(one, dict)] if isinstance(prompts, list) else []
    return MaskRecord(mask_id=_text(entry, "id"), rle=rle, prompts=tuple(known))


def _coco_record(
    image: coco.CocoImage,
    annotations: Iterable[coco.CocoAnnotation],
    *,
    folder: Path,
    split: Split,
) -> dict[str, object]:
    return {
        "image": f"images/{image.file_name}",
        "image_id": image.key,
        "split": split,
        "source": image.entry.get("source") or image.entry.get("stain") or folder.name,
        "masks": list(_coco_masks(annotations, size_hw=image.size_hw)),
    }


def _coco_masks(
    annotations: Iterable[coco.CocoAnnotation], *, size_hw: tuple[int, int] | None
) -> Iterator[dict[str, object]]:
    """Yield manifest entries of all but crowds; None for polygons that cannot be filled."""
    for annotation in annotations:
        if annotation.is_crowd:
            continue
        rle = annotation.segmentation
        if isinstance(rle, list):
            try:
                rle = coco.rle_of(rle, image_hw=size_hw).to_coco() if size_hw else None
            except coco.SegmentationError:
                rle = None
        yield {"id": annotation.annotation_id, "rle": rle}
