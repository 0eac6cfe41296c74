"""Large-scale jitter: an image and its masks at a random scale, cropped or padded to the model.

Paper section A (data of the first stages), after Ghiasi et al. 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from masks.rle import Rle

TRIES = 5


def jittered(
    image_hwc_u8: NDArray[np.uint8],
    rles: Sequence[Rle],
    *,
    size_px: int,
    scale: tuple[float, float],
    max_masks: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor] | None:
    """Return pixels (3, h, w) float in 0..255 and masks (N, S, S) bool, or None.

    The long side becomes size_px times a factor drawn uniformly from `scale`; what is larger than
    the model is cropped at a random place, what is smaller will be padded. At most max_masks of
    the masks that are still seen; None when none was, in five tries.
    """
    image_hw = image_hwc_u8.shape[0], image_hwc_u8.shape[1]
    for _ in range(TRIES):
        place = _draw(image_hw, size_px=size_px, scale=scale, generator=generator)
        order = torch.randperm(len(rles), generator=generator).tolist()
        masks: list[NDArray[np.bool_]] = []
        for index in order:
            mask = _visible(rles[index].decode(), place, size_px=size_px)
            if mask.any():
                masks.append(mask)
            if len(masks) == max_masks:
                break
        if masks:
            return _pixels(image_hwc_u8, place), torch.from_numpy(np.stack(masks))
    return None


class _Place:
    """Where the model looks: rows and columns of the resized image, and its size."""

    def __init__(
        self, image_hw: tuple[int, int], resized_hw: tuple[int, int], window: tuple[int, ...]
    ) -> None:
        self.top, self.left, self.height, self.width = window
        self.step_y = image_hw[0] / resized_hw[0]
        self.step_x = image_hw[1] / resized_hw[1]
        self.rows = _nearest(self.top, self.height, self.step_y, image_hw[0])
        self.columns = _nearest(self.left, self.width, self.step_x, image_hw[1])


def _draw(
    image_hw: tuple[int, int],
    *,
    size_px: int,
    scale: tuple[float, float],
    generator: torch.Generator,
) -> _Place:
    uniform = torch.rand(3, generator=generator).tolist()
    factor = scale[0] + (scale[1] - scale[0]) * uniform[0]
    ratio = factor * size_px / max(image_hw)
    resized_hw = max(1, round(image_hw[0] * ratio)), max(1, round(image_hw[1] * ratio))
    height, width = min(size_px, resized_hw[0]), min(size_px, resized_hw[1])
    top = int(uniform[1] * (resized_hw[0] - height + 1))
    left = int(uniform[2] * (resized_hw[1] - width + 1))
    return _Place(image_hw, resized_hw, (top, left, height, width))


def _nearest(first: int, count: int, step: float, limit: int) -> NDArray[np.int64]:
    centers = (np.arange(first, first + count) + 0.5) * step
    return np.minimum(centers.astype(np.int64), limit - 1)


def _visible(mask: NDArray[np.bool_], place: _Place, *, size_px: int) -> NDArray[np.bool_]:
    visible = np.zeros((size_px, size_px), dtype=bool)
    visible[: place.height, : place.width] = mask[place.rows][:, place.columns]
    return visible


def _pixels(image_hwc_u8: NDArray[np.uint8], place: _Place) -> Tensor:
    box = (
        place.left * place.step_x,
        place.top * place.step_y,
        min(image_hwc_u8.shape[1], (place.left + place.width) * place.step_x),
        min(image_hwc_u8.shape[0], (place.top + place.height) * place.step_y),
    )
    image = Image.fromarray(image_hwc_u8)
    resized = image.resize((place.width, place.height), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()
