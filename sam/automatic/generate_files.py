"""Segment everything in an image or a folder of images: one JSON file each, in SA-1B's layout.

What is done is not done again; `automatic` does the segmenting, the command line the talking.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from masks.rle import Rle
from masks.sa1b import Sa1bMask, annotation_file
from sam.automatic.mask_generator import AutomaticMask, AutomaticSettings
from sam.checkpoints.checkpoint_files import write_atomically
from sam.image_files import SUFFIXES, ImageError, read_image
from sam.overlay import overlay

RECORD_NAME = "segloop-generate.settings"
_OVERLAY_SUFFIX = ".overlay.jpg"
_NOT_IN_RESULT = ("points_per_batch", "band")
"""What bounds memory and changes no mask; and files always hold whole images, never bands."""

Segment = Callable[[NDArray[np.uint8]], list[AutomaticMask]]


class GenerateError(ValueError):
    """A run that cannot start; the message says why."""


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image and the files made of it. file_name: relative to the input folder."""

    pixels: Path
    file_name: str
    json_path: Path

    @property
    def overlay_path(self) -> Path:
        """Where the image of the masks goes."""
        return self.json_path.with_name(self.json_path.name[: -len(".json")] + _OVERLAY_SUFFIX)

    @property
    def image_id(self) -> int:
        """N of a file called sa_N, else 52 bits of the name's SHA-256: the same in every run."""
        if found := re.fullmatch(r"sa_(\d{1,15})", Path(self.file_name).stem):
            return int(found[1])
        return int(hashlib.sha256(os.fsencode(self.file_name)).hexdigest()[:13], 16)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image: num_masks, or None with the reason; is_new unless skipped."""

    task: ImageTask
    num_masks: int | None
    is_new: bool
    reason: str = ""


class Watcher(Protocol):
    """Told when an image is finished."""

    def __call__(self, outcome: Outcome) -> None: ...


def plan(source: Path, output: Path) -> list[ImageTask]:
    """List the images of a folder and its subfolders, or the one image, in name order.

    The JSON files lie like the images do, x.json for x.jpg; where names of images differ in their
    ending only, x.jpg.json. Raises GenerateError when there is nothing to do.
    """
    if source.is_file():
        return [ImageTask(source, source.name, output / f"{source.stem}.json")]
    if not source.is_dir():
        raise GenerateError(f"there is no image or folder at {source}")
    images = _images_in(source, skip=output)
    if not images:
        raise GenerateError(f"{source} holds no images ({', '.join(SUFFIXES)})")
    num_of_stem = Counter(pixels.with_suffix("") for pixels in images)
    tasks = []
    for pixels in images:
        relative = pixels.relative_to(source)
        is_alone = num_of_stem[pixels.with_suffix("")] == 1
        name = f"{relative.stem if is_alone else relative.name}.json"
        tasks.append(ImageTask(pixels, relative.as_posix(), output / relative.parent / name))
    return tasks


def open_output(output: Path, *, settings: AutomaticSettings, checkpoint: Path, redo: bool) -> Path:
    """Make the output folder, note what its files are made with, and return the note's path.

    Raises GenerateError when the folder holds results of other settings or weights; redo replaces
    them image by image.
    """
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    shown = {name: value for name, value in asdict(settings).items() if name not in _NOT_IN_RESULT}
    wanted = {"checkpoint_sha256": digest, **shown}
    path = output / RECORD_NAME
    if path.is_file() and not redo:
        found = _read_json(path) or {}
        # A setting that an older record does not know was not there: it was as released.
        before = {**asdict(AutomaticSettings()), **found}
        changed = [name for name in wanted if before.get(name) != wanted[name]]
        if not changed:
            return path
        raise GenerateError(
            f"{output} holds masks made with another {', '.join(changed)}; "
            "choose another folder, or --redo to replace them"
        )
    write_atomically(path, _as_json(wanted))  # newer than every result it does not hold for
    return path


def run(
    tasks: Sequence[ImageTask],
    segment: Segment,
    *,
    record: Path,
    with_overlay: bool = False,
    on_done: Watcher | None = None,
) -> list[Outcome]:
    """Segment every image that has no result yet. An image that fails does not stop the others.

    record: what open_output returned; results older than it, or than their image, are made again.
    Raises OSError when results cannot be written.
    """
    outcomes = []
    for task in tasks:
        try:
            outcome = _one(task, segment, record, with_overlay=with_overlay)
        except (ImageError, ValueError, RuntimeError, MemoryError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            outcome = Outcome(task, None, True, reason)
        outcomes.append(outcome)
        if on_done is not None:
            on_done(outcome)
    return outcomes


def sa1b(task: ImageTask, image_hw: tuple[int, int], masks: Sequence[AutomaticMask]) -> Any:
    """Return the masks of an image as SA-1B's annotation file (see masks/sa1b.py)."""
    return annotation_file(
        (
            Sa1bMask(
                number=number,
                rle=mask.rle,
                area_px=mask.area_px,
                bbox_xywh_px=mask.bbox_xywh_px,
                predicted_iou=mask.predicted_iou,
                stability_score=mask.stability_score,
                crop_box_xywh_px=mask.crop_box_xywh_px,
                point_xy_px=mask.point_xy_px,
            )
            for number, mask in enumerate(masks, start=1)
        ),
        image_id=task.image_id,
        file_name=task.file_name,
        image_hw=image_hw,
    )


def _one(task: ImageTask, segment: Segment, record: Path, *, with_overlay: bool) -> Outcome:
    content = _finished(task, record)
    is_new = content is None
    needs_overlay = with_overlay and (is_new or not _is_current(task.overlay_path, task, record))
    if content is None or needs_overlay:
        image = read_image(task.pixels)
        hw = (image.shape[0], image.shape[1])
        if content is None:
            content = sa1b(task, hw, segment(image))
            write_atomically(task.json_path, _as_json(content))
        if needs_overlay:
            rles = [
                Rle.from_coco(item["segmentation"], image_hw=hw) for item in content["annotations"]
            ]
            _write_image(task.overlay_path, overlay(image, rles))
    return Outcome(task, len(content["annotations"]), is_new)


def _finished(task: ImageTask, record: Path) -> Any:
    """Return what an earlier run made of an image, or None."""
    if not _is_current(task.json_path, task, record):
        return None
    content = _read_json(task.json_path)
    is_whole = content is not None and isinstance(content.get("annotations"), list)
    return content if is_whole else None


def _is_current(path: Path, task: ImageTask, record: Path) -> bool:
    try:
        made_ns = path.stat().st_mtime_ns
        return made_ns >= max(record.stat().st_mtime_ns, task.pixels.stat().st_mtime_ns)
    except FileNotFoundError:
        return False


def _images_in(folder: Path, *, skip: Path) -> list[Path]:
    images = []
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (here / name).resolve() != skip.resolve()
        )
        images += [
            here / name
            for name in names
            if name.lower().endswith(SUFFIXES)
            and not name.startswith(".")
            and not name.endswith(_OVERLAY_SUFFIX)
        ]
    return sorted(images)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _as_json(content: Any) -> bytes:
    return (json.dumps(content) + "\n").encode()


def _write_image(path: Path, image_hwc_u8: NDArray[np.uint8]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(image_hwc_u8).save(buffer, "JPEG", quality=90)
    write_atomically(path, buffer.getvalue())
