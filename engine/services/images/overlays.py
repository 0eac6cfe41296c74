"""Small pictures of an image's masks, drawn once and kept beside the stored files.

A cache: its names are the codes of selectors/overlays.py, so a change makes another file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from django.conf import settings

from engine.domain.errors import NotFound
from engine.models import Image
from engine.selectors.overlays import overlay_marks, shown_masks
from masks.thumbnails import label_map

SIDE_PX = 240
OPACITY = 150
COLOURS = (
    *((31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189)),
    *((140, 86, 75), (227, 119, 194), (188, 189, 34), (23, 190, 207), (255, 187, 120)),
)
_MARK = re.compile(r"[0-9a-f]{32}")


def overlay_of(image: Image) -> tuple[Path, str]:
    """Return the picture of the image's masks as they are now, and its code.

    NotFound when it has none to show.
    """
    mark = overlay_marks([image.pk]).get(image.pk)
    if mark is None:
        raise NotFound("this image has no masks to show", code="no_masks")
    path = _path(mark)
    if not path.exists():
        _draw(image, path)
    return path, mark


def _draw(image: Image, path: Path) -> None:
    from PIL import Image as Pillow  # the web process needs it for this alone

    scale = min(1.0, SIDE_PX / max(image.width_px, image.height_px))
    labels = label_map(
        shown_masks(image),
        height_px=max(round(image.height_px * scale), 1),
        width_px=max(round(image.width_px * scale), 1),
    )
    picture = Pillow.fromarray(labels, "P")
    palette = [0, 0, 0]
    for place in range(255):
        palette.extend(COLOURS[place % len(COLOURS)])
    picture.putpalette(palette)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    picture.save(part, "PNG", transparency=bytes([0] + [OPACITY] * 255), compress_level=1)
    part.replace(path)


def _path(mark: str) -> Path:
    if not _MARK.fullmatch(mark):
        raise ValueError(f"not a code of an overlay: {mark!r}")
    return Path(settings.DATA_DIR) / "cache" / "overlays" / mark[:2] / f"{mark}.png"
