"""The tensors of one decoder run: inputs of decoder.onnx that come from prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.decoding.frame import DecoderFrame, DecoderSizes
from engine.decoding.prompts import DecoderPrompts

FloatArray = NDArray[np.float32]
LABEL_PADDING, LABEL_BOX_TOP_LEFT, LABEL_BOX_BOTTOM_RIGHT = -1, 2, 3


def prompt_feeds(
    prompts: DecoderPrompts,
    mask_input: FloatArray | None,
    *,
    frame: DecoderFrame,
    sizes: DecoderSizes,
) -> dict[str, FloatArray]:
    """Return the four prompt inputs by name.

    Args:
        prompts: in pixels of the frame's image.
        mask_input: (S/4, S/4) logits of an earlier mask, or None.
    """
    coords, labels = point_feeds(prompts, frame=frame)
    side = sizes.low_res_size
    logits = np.zeros((side, side), np.float32) if mask_input is None else mask_input
    return {
        "point_coords": coords,
        "point_labels": labels,
        "mask_input": logits[None, None],
        "has_mask_input": np.full(1, mask_input is not None, np.float32),
    }


def point_feeds(prompts: DecoderPrompts, *, frame: DecoderFrame) -> tuple[FloatArray, FloatArray]:
    """Return point coordinates (1, N, 2) in the model frame and labels (1, N): points, then box.

    A padding point is appended only when there is no box (released ONNX rule).
    """
    box = prompts.box
    coords = [
        frame.to_model(point.x_px, point.y_px)
        if point.label
        else frame.background_to_model(point.x_px, point.y_px)
        for point in prompts.points
    ]
    labels: list[int] = [point.label for point in prompts.points]
    if box is None:
        coords.append((0.0, 0.0))
        labels.append(LABEL_PADDING)
    else:
        coords += [frame.to_model(box.x0_px, box.y0_px), frame.to_model(box.x1_px, box.y1_px)]
        labels += [LABEL_BOX_TOP_LEFT, LABEL_BOX_BOTTOM_RIGHT]
    return np.array([coords], np.float32), np.array([labels], np.float32)
