"""Blank images: a click on nothing is to be answered by nothing, and the model is to know it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sam.modeling.model import Sam
from sam.prompts import Prompts
from training.loop.precision import step_autocast
from training.losses.mask_losses import focal_loss, iou_loss

CLICKS = 3
FOCAL_WEIGHT = 20.0
_GRAIN_PX = (1, 4, 16, 64)


def blank_images(num: int, *, size_px: int, generator: torch.Generator) -> Tensor:
    """Draw plain, shaded and noisy images without objects: (N, 3, S, S) float in 0..255."""
    images = []
    for _ in range(num):
        colour = torch.rand(3, 1, 1, generator=generator) * 255
        ends = (torch.rand(2, generator=generator) - 0.5) * 80
        ramp = torch.linspace(float(ends[0]), float(ends[1]), size_px)
        image = colour + (ramp if torch.rand(1, generator=generator) < 0.5 else ramp[:, None])
        grain = _GRAIN_PX[int(torch.randint(len(_GRAIN_PX), (1,), generator=generator))]
        cells = torch.randn(1, 3, size_px // grain, size_px // grain, generator=generator)
        strength = float(torch.rand(1, generator=generator)) ** 2 * 60
        noise = F.interpolate(cells, (size_px, size_px), mode="bilinear", align_corners=False)[0]
        if torch.rand(1, generator=generator) < 0.5:
            noise = noise.mean(0, keepdim=True)
        images.append((image + strength * noise).clamp(0, 255))
    return torch.stack(images)


def blank_loss(model: Sam, num: int, *, iou_weight: float, generator: torch.Generator) -> Tensor:
    """Return the loss of single clicks on blank images: masks empty, predicted IoU zero."""
    size_px = model.config.image_size_px
    pixels = blank_images(num, size_px=size_px, generator=generator).to(model.device)
    images = model.normalise_and_pad(pixels).contiguous(memory_format=torch.channels_last)
    with step_autocast(model.device):
        encoded = model.encode(images)
    features = encoded.to(dtype=torch.float32)
    points = torch.rand(num * CLICKS, 1, 2, generator=generator) * (size_px - 1)
    labels = torch.ones(num * CLICKS, 1, dtype=torch.int64)
    prompts = Prompts.make(points.to(model.device), labels.to(model.device))
    of_image = torch.arange(num).repeat_interleave(CLICKS).to(model.device)
    decoded = model.decode(features.images(of_image), prompts, is_learning=True)
    logits = decoded.low_res_logits.float()
    empty = focal_loss(logits, torch.zeros_like(logits)).mean()
    predicted = decoded.predicted_iou.float()
    return (
        FOCAL_WEIGHT * empty + iou_weight * iou_loss(predicted, torch.zeros_like(predicted)).mean()
    )
