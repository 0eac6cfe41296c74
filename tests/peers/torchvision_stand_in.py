"""The four functions that segment-anything takes from torchvision, for as long as it is imported.

torchvision ties itself to one build of torch; what the reference needs of it is small and exact.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def to_pil_image(image_hwc_u8: NDArray[np.uint8]) -> Image.Image:
    """Wrap an RGB array, as torchvision does for uint8 (H, W, 3)."""
    if image_hwc_u8.dtype != np.uint8 or image_hwc_u8.ndim != 3 or image_hwc_u8.shape[2] != 3:
        raise TypeError("the stand-in knows RGB arrays only")
    return Image.fromarray(image_hwc_u8)


def resize(image: Image.Image, size_hw: Sequence[int]) -> Image.Image:
    """Resize to (height, width), bilinear: torchvision's default on a PIL image."""
    height, width = size_hw
    return image.resize((width, height), Image.Resampling.BILINEAR)


def box_area(boxes_xyxy: Tensor) -> Tensor:
    """Return the areas of (N, 4) boxes."""
    return (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])


def batched_nms(
    boxes_xyxy: Tensor, scores: Tensor, categories: Tensor, iou_threshold: float
) -> Tensor:
    """Return the indices kept, best first: greedy, equal scores in their order.

    As torchvision's CPU kernel: float32 areas, a box goes when its IoU is above the threshold;
    two boxes without area have no IoU (0 / 0) and both stay. One category only.
    """
    if categories.unique().numel() > 1:
        raise NotImplementedError("the stand-in knows one category only")
    boxes = boxes_xyxy.detach().cpu().float().numpy()
    order = scores.detach().cpu().sort(stable=True, descending=True).indices.numpy()
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        with np.errstate(invalid="ignore"):
            iou = shared / (areas[best] + areas[rest] - shared)
        # The kernel compares in double precision, in which float32's 0.7 is not above 0.7.
        order = rest[~(iou.astype(np.float64) > iou_threshold)]
    return torch.tensor(kept, dtype=torch.int64, device=boxes_xyxy.device)


@contextmanager
def standing_in() -> Iterator[None]:
    """Answer `import torchvision` with this module; afterwards nothing of it is left."""
    modules = _modules()
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_torchvision(name)}
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


def _is_torchvision(name: str) -> bool:
    return name == "torchvision" or name.startswith("torchvision.")


def _modules() -> dict[str, ModuleType]:
    names = ("", ".transforms", ".transforms.functional", ".ops", ".ops.boxes")
    modules = {f"torchvision{name}": ModuleType(f"torchvision{name}") for name in names}
    for function in (resize, to_pil_image):
        setattr(modules["torchvision.transforms.functional"], function.__name__, function)
    for function in (batched_nms, box_area):
        setattr(modules["torchvision.ops.boxes"], function.__name__, function)
    return modules
