"""Measuring and painting along edges must give what upscaling everything gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sam.automatic.mask_generator import stability_score
from sam.coordinates import Frame
from sam.prompting.upscale import Upscaler

SIZE = 32  # low-resolution cells a side, of a frame of 128 px


def blobs(num: int, *, seed: int, noise: float = 0.0) -> Tensor:
    """Draw smooth logits around zero, from a few large blobs to many small ones."""
    random = torch.Generator().manual_seed(seed)
    drawn = [
        F.interpolate(
            torch.randn(1, 1, cells, cells, generator=random), (SIZE, SIZE), mode="bicubic"
        )[0, 0]
        for cells in torch.randint(2, 12, (num,), generator=random).tolist()
    ]
    return 8 * torch.stack(drawn) - 2 + noise * torch.randn(num, SIZE, SIZE, generator=random)


def check(logits: Tensor, image_hw: tuple[int, int], *, offset: float) -> None:
    frame = Frame(image_hw, 4 * SIZE)
    upscaler = Upscaler(frame, low_res_size=SIZE)

    found = upscaler.measure(logits, offset=offset)

    image = frame.to_image_logits(logits[:, None])[:, 0]
    near = (image.abs() < 1e-4).sum((1, 2))  # pixels that rounding may put on either side
    near_cuts = sum(((image - cut).abs() < 1e-4).sum((1, 2)) for cut in (-offset, offset))
    assert torch.all((found.area - (image > 0).sum((1, 2))).abs() <= near)
    spread = 1e-6 + near_cuts / found.num_outer.clamp(min=1)
    assert torch.all((found.stability - stability_score(image, 0.0, offset)).abs() <= spread)
    for index, mask in enumerate(image > 0):
        painted = upscaler.paint(logits[index])
        assert painted.shape == image_hw
        assert (painted != mask.numpy()).sum() <= near[index]
        if near[index] == 0:
            assert found.box_xyxy[index].tolist() == tight_box(painted)


def tight_box(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return [mask.shape[1], mask.shape[0], -1, -1]
    return [columns[0], rows[0], columns[-1], rows[-1]]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    seed=st.integers(0, 2**31),
    noise=st.sampled_from([0.0, 0.5, 8.0]),
    offset=st.sampled_from([0.0, 0.5, 1.0, 4.0]),
)
def test_figures_and_masks_are_those_of_upscaling_everything(
    height: int, width: int, seed: int, noise: float, offset: float
) -> None:
    check(blobs(3, seed=seed, noise=noise), (height, width), offset=offset)


@pytest.mark.parametrize(
    "logits",
    [
        torch.full((1, SIZE, SIZE), -5.0),
        torch.full((1, SIZE, SIZE), 5.0),
        torch.full((1, SIZE, SIZE), 0.5),  # inside for two of the cuts everywhere
        F.pad(torch.full((1, 1, 1), 30.0), (9, SIZE - 10, 20, SIZE - 21), value=-5.0),
        F.pad(torch.full((1, 1, 1), 30.0), (0, SIZE - 1, SIZE - 1, 0), value=-5.0),
        torch.where(torch.arange(SIZE) % 2 == 0, 6.0, -6.0).expand(1, SIZE, SIZE),
    ],
    ids=["empty", "full", "unstable", "one cell", "a corner", "stripes"],
)
@pytest.mark.parametrize("image_hw", [(128, 128), (77, 130), (5, 400), (1, 1)], ids=str)
def test_plain_and_odd_masks_are_measured_too(logits: Tensor, image_hw: tuple[int, int]) -> None:
    check(logits, image_hw, offset=1.0)


def test_many_edge_cells_are_worked_out_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam.prompting.upscale._PIXELS_AT_ONCE", 500)

    check(blobs(4, seed=1, noise=6.0), (150, 90), offset=1.0)
