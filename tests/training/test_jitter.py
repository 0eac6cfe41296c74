"""Large-scale jitter: image and masks are scaled, cropped and padded together."""

from __future__ import annotations

import numpy as np
import torch

from masks.rle import Rle
from training.data.jitter import jittered

SIZE = 64


def square_photo(side_px: int = 100) -> tuple[np.ndarray, Rle]:
    image = np.zeros((side_px, side_px, 3), dtype=np.uint8)
    mask = np.zeros((side_px, side_px), dtype=bool)
    mask[30:70, 20:80] = True
    image[mask] = 255
    return image, Rle.encode(mask)


def view(scale: tuple[float, float], seed: int = 0):
    image, rle = square_photo()
    generator = torch.Generator().manual_seed(seed)
    return jittered(image, [rle], size_px=SIZE, scale=scale, max_masks=4, generator=generator)


def test_at_scale_one_the_whole_image_fills_the_model() -> None:
    pixels, masks = view((1.0, 1.0))

    assert pixels.shape == (3, SIZE, SIZE)
    assert masks.shape == (1, SIZE, SIZE)
    # 40 x 60 of 100 x 100 pixels, at 0.64: 25.6 x 38.4
    assert abs(int(masks.sum()) - 25.6 * 38.4) < 70
    assert ((pixels[0] > 127) ^ masks[0]).float().mean() < 0.03


def test_a_small_scale_leaves_room_to_pad() -> None:
    pixels, masks = view((0.25, 0.25))

    assert pixels.shape == (3, 16, 16)
    assert masks.shape == (1, SIZE, SIZE)
    assert not masks[:, 16:].any()
    assert not masks[:, :, 16:].any()


def test_a_large_scale_crops_image_and_mask_at_the_same_place() -> None:
    places = set()
    for seed in range(8):
        pixels, masks = view((2.0, 2.0), seed=seed)
        assert pixels.shape == (3, SIZE, SIZE)
        assert ((pixels[0] > 127) ^ masks[0]).float().mean() < 0.04
        places.add(int(masks.sum()))

    assert len(places) > 3


def test_a_mask_that_is_never_seen_gives_no_view() -> None:
    image = np.zeros((400, 400, 3), dtype=np.uint8)
    mask = np.zeros((400, 400), dtype=bool)
    mask[0, 0] = True
    generator = torch.Generator().manual_seed(0)

    result = jittered(
        image, [Rle.encode(mask)], size_px=32, scale=(0.1, 0.1), max_masks=4, generator=generator
    )

    assert result is None


def test_one_seed_gives_the_same_view() -> None:
    first, second = view((0.1, 2.0), seed=5), view((0.1, 2.0), seed=5)

    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
