"""From the decoder's low-resolution logits to a mask of the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.decoding.frame import DecoderFrame

FloatArray = NDArray[np.float32]
MASK_THRESHOLD_LOGIT = 0.0
ROWS_AT_ONCE = 1024  # bounds the float copy of a large image's logits


def to_image_mask(low_res_logits: FloatArray, *, frame: DecoderFrame) -> NDArray[np.bool_]:
    """Return the (H, W) bool mask of the image from (S/4, S/4) logits.

    Upscales to the padded square, crops the padding, resizes to the image, then thresholds. All
    three are linear along one axis each, so one matrix per axis does them.
    """
    low_height, low_width = low_res_logits.shape
    (height, width), (input_height, input_width) = frame.image_hw, frame.input_hw
    size = frame.image_size_px
    down = (
        interpolation_matrix(input_height, height)
        @ (interpolation_matrix(low_height, size)[:input_height])
    )
    across = (
        interpolation_matrix(input_width, width)
        @ (interpolation_matrix(low_width, size)[:input_width])
    )
    half_way = low_res_logits @ across.T  # (low_height, W)
    mask = np.empty((height, width), bool)
    for top in range(0, height, ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        np.greater(down[rows] @ half_way, MASK_THRESHOLD_LOGIT, out=mask[rows])
    return mask


def interpolation_matrix(num_in: int, num_out: int) -> FloatArray:
    """Return (num_out, num_in) weights of a bilinear resize of one axis, align_corners=False."""
    position = np.maximum((np.arange(num_out) + 0.5) * (num_in / num_out) - 0.5, 0.0)
    lower = np.minimum(np.floor(position).astype(np.intp), num_in - 1)
    upper = np.minimum(lower + 1, num_in - 1)
    weight = (position - lower).astype(np.float32)
    matrix = np.zeros((num_out, num_in), np.float32)
    rows = np.arange(num_out)
    matrix[rows, lower] += 1.0 - weight
    matrix[rows, upper] += weight
    return matrix
