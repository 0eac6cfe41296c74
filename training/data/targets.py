"""Ground-truth masks in the model's frame: what losses compare the decoder's masks with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from masks.rle import Rle
from sam.coordinates import Frame


def model_masks(rles: Sequence[Rle], *, frame: Frame) -> Tensor:
    """Return masks as (N, S, S) bool in the padded square, resized as the image is."""
    size = frame.image_size_px
    height, width = frame.input_hw
    rows = _nearest(height, frame.image_hw[0])
    columns = _nearest(width, frame.image_hw[1])
    masks = np.zeros((len(rles), size, size), dtype=bool)
    for index, rle in enumerate(rles):
        masks[index, :height, :width] = rle.decode()[rows][:, columns]
    return torch.from_numpy(masks)


def _nearest(model_px: int, image_px: int) -> NDArray[np.int64]:
    centers = (np.arange(model_px) + 0.5) * (image_px / model_px)
    return np.minimum(centers.astype(np.int64), image_px - 1)
