"""Blank images teach the starter that a click on nothing is answered by nothing."""

from __future__ import annotations

import torch

from sam.modeling.model import build
from sam.prompts import Prompts
from training.starter.blank import blank_images, blank_loss


def test_blank_images_differ_and_repeat_with_their_seed() -> None:
    first = blank_images(6, size_px=64, generator=torch.Generator().manual_seed(1))
    again = blank_images(6, size_px=64, generator=torch.Generator().manual_seed(1))

    assert torch.equal(first, again)
    assert first.shape == (6, 3, 64, 64)
    assert 0 <= first.min() <= first.max() <= 255
    assert len({round(float(image.mean()), 3) for image in first}) == 6


def test_a_model_learns_to_answer_blank_images_by_nothing() -> None:
    model = build("tiny", seed=2).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)

    losses = []
    for _ in range(40):
        loss = blank_loss(model, 2, iou_weight=2.0, generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.2 * losses[0]
    model.eval()
    pixels = blank_images(1, size_px=128, generator=torch.Generator().manual_seed(99))
    click = Prompts.make(torch.tensor([[[60.0, 60.0]]]), torch.tensor([[1]]))
    with torch.no_grad():
        decoded = model.decode(model.encode(model.normalise_and_pad(pixels)), click)
    assert (decoded.low_res_logits > 0).float().mean() < 0.02
    assert decoded.predicted_iou.max() < 0.3
