from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from masks.rgb import PixelDataError, check_single, grey_range, to_rgb

Values = Any
RNG = np.random.default_rng(7)


def grey_of(values: Values) -> Values:
    """Return the grey levels of an image of these values, and check that it is grey."""
    rgb = np.asarray(to_rgb(Image.fromarray(values)))
    assert (rgb == rgb[..., :1]).all()
    return rgb[..., 0].astype(int)


def cells(*, height: int = 200, width: int = 240) -> Values:
    """A 10-bit camera's image: a dim ground with noise and one soft cell on it."""
    y, x = np.mgrid[:height, :width]
    cell = 600 * np.exp(-((y - 90) ** 2 + (x - 100) ** 2) / 800)
    noise = np.random.default_rng(1).normal(0, 8, (height, width))
    return (100 + cell + noise).clip(0, 1023).astype(np.uint16)


def levels(grey: Values) -> int:
    return len(np.unique(grey))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize(
    "where",
    [
        [(50, 60)],
        [(0, 0)],
        [(199, 239)],
        [(50, 60), (50, 61)],
        [(50, 60), (50, 61), (50, 62), (50, 63)],
        [(7 * n % 200, 11 * n % 240) for n in range(20)],
    ],
    ids=["one", "corner", "last", "pair", "row", "twenty"],
)
def test_hot_pixels_turn_white_and_change_nothing_else(
    dtype: type, where: list[tuple[int, int]]
) -> None:
    values = cells().astype(dtype)
    hot = values.copy()
    for place in where:
        hot[place] = 65_535

    grey, usual = grey_of(hot), grey_of(values)

    is_hot = np.zeros(hot.shape, dtype=bool)
    is_hot[tuple(np.transpose(where))] = True
    assert (grey[is_hot] == 255).all()
    # Without its own brightest single pixels the range is a little narrower: 3 % here.
    assert np.abs(grey - usual)[~is_hot].max() <= 8
    assert levels(grey) > 200


def test_dead_pixels_turn_black_and_change_nothing_else() -> None:
    values = cells() + np.uint16(20_000)
    dead = values.copy()
    dead[30, 40] = dead[150, 3] = 0

    grey, usual = grey_of(dead), grey_of(values)

    assert (grey[30, 40], grey[150, 3]) == (0, 0)
    usual[30, 40] = usual[150, 3] = 0
    assert np.abs(grey - usual).max() <= 8


def test_hot_and_dead_pixels_together_leave_the_grey_levels_alone() -> None:
    values = cells().astype(np.int32)
    values[30, 40], values[150, 3] = -(2**31), 2**31 - 1

    grey = grey_of(values)

    assert levels(grey) > 200
    assert (grey[30, 40], grey[150, 3]) == (0, 255)


@pytest.mark.parametrize("side_px", [2, 3, 6])
def test_beads_are_objects_however_few_pixels_they_have(side_px: int) -> None:
    values = RNG.normal(200, 10, (512, 512)).astype(np.uint16)
    values[100 : 100 + side_px, 200 : 200 + side_px] = 5_000
    values[300 : 300 + side_px, 80 : 80 + side_px] = 2_600

    grey = grey_of(values)

    low = int(values.min())
    assert grey_range(Image.fromarray(values)) == (low, 5_000)
    assert grey[100, 200] == 255
    assert grey[300, 80] == round((2_600 - low) / (5_000 - low) * 255)  # not cut to white


def test_a_spot_as_sharp_as_optics_make_it_keeps_its_peak() -> None:
    y, x = np.mgrid[:400, :400]
    spot = 5_000 * np.exp(-((y - 200) ** 2 + (x - 170) ** 2) / 2)  # a sigma of one pixel

    values = (200 + spot).astype(np.uint16)

    assert grey_range(Image.fromarray(values)) == (200, 5_200)


def test_a_few_large_values_within_twice_the_range_are_no_outliers() -> None:
    values = cells().astype(np.float32)
    values[5, 5] = 1_200.0

    assert grey_range(Image.fromarray(values))[1] == 1_200.0


def test_a_hot_pixel_beside_beads_leaves_the_beads_their_levels() -> None:
    values = np.full((300, 300), 100, np.uint16)
    values[50:53, 50:53], values[200:203, 10:13], values[7, 7] = 4_000, 2_000, 65_535

    assert grey_range(Image.fromarray(values)) == (100, 4_000)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_one_value_everywhere_is_black(dtype: type) -> None:
    for value in (0, 1_000):
        assert (grey_of(np.full((40, 50), value, dtype)) == 0).all()


def test_a_single_bright_pixel_on_nothing_is_all_there_is_to_see() -> None:
    values = np.zeros((64, 64), np.uint16)
    values[3, 3] = 1_000

    grey = grey_of(values)

    assert (grey[3, 3], grey.sum()) == (255, 255)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    values = cells().astype(np.float32)
    values[10, 10] = bad

    with pytest.raises(PixelDataError, match="values that are no numbers"):
        to_rgb(Image.fromarray(values))


def test_negative_whole_numbers_and_floats_are_stretched_from_end_to_end() -> None:
    ramp = np.linspace(-30_000, 50_000, 64 * 64).reshape(64, 64)

    for dtype in (np.int32, np.float32):
        grey = grey_of(ramp.astype(dtype))
        assert np.abs(grey - (ramp + 30_000) / 80_000 * 255).max() <= 0.51


def test_the_largest_floats_do_not_overflow() -> None:
    values = np.array([[-3e38, 0.0, 3e38]], dtype=np.float32)

    assert grey_of(values).tolist() == [[0, 128, 255]]


def test_two_far_kinds_of_values_both_keep_their_place() -> None:
    values = np.where(RNG.random((200, 200)) < 0.3, 60_000, 500).astype(np.uint16)

    assert set(np.unique(grey_of(values))) == {0, 255}
    assert grey_range(Image.fromarray(values)) == (500, 60_000)


@pytest.mark.parametrize("high", [1_023, 4_095, 16_383, 65_535])
def test_cameras_of_any_depth_in_sixteen_bits_fill_the_range(high: int) -> None:
    ramp = np.linspace(0, high, 64 * 64).astype(np.uint16).reshape(64, 64)

    assert np.abs(grey_of(ramp) - ramp / high * 255).max() <= 0.51


def test_the_noise_of_an_empty_image_is_not_pulled_apart() -> None:
    values = RNG.integers(500, 512, (100, 100)).astype(np.uint16)

    assert np.array_equal(grey_of(values), values.astype(int) - 500)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_eight_bit_values_stay_as_they_are_in_a_deeper_file(dtype: type) -> None:
    values = RNG.integers(40, 200, (100, 100)).astype(dtype)
    assert np.array_equal(grey_of(values), values)

    values[5, 5] = 65_535 if dtype is np.uint16 else 255
    assert np.array_equal(grey_of(values), np.minimum(values, 255))


def test_eight_bit_and_bilevel_images_keep_every_value_outliers_or_not() -> None:
    grey = np.full((64, 64), 10, np.uint8)
    grey[3, 3] = 255
    colour = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)

    assert np.array_equal(grey_of(grey), grey)
    assert np.array_equal(grey_of(grey > 20), (grey > 20) * 255)
    assert np.array_equal(np.asarray(to_rgb(Image.fromarray(colour))), colour)


def test_an_image_of_many_bands_is_seen_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.gamma(2.0, 900.0, (50, 37)).astype(np.uint16)
    values[11:13, 5:7] = 30_000  # an object that crosses bands
    values[40, 8] = 65_535
    whole = grey_of(values)

    monkeypatch.setattr("masks.rgb._BAND_PX", 37 * 12)
    in_twelves = grey_of(values)
    monkeypatch.setattr("masks.rgb._BAND_PX", 1)
    row_by_row = grey_of(values)

    assert np.array_equal(in_twelves, whole)
    assert np.array_equal(row_by_row, whole)
    assert (whole[11, 5], whole[40, 8]) == (255, 255)


@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_sixteen_bits_are_read_in_either_byte_order(byte_order: str) -> None:
    values = cells()
    mode = "I;16" if byte_order == "<u2" else "I;16B"
    image = Image.frombytes(mode, (240, 200), values.astype(byte_order).tobytes())

    assert np.array_equal(np.asarray(to_rgb(image))[..., 0], grey_of(values))


def test_partly_transparent_images_are_laid_on_white() -> None:
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0, 0], rgba[1, 0] = (200, 0, 0, 255), (0, 0, 0, 128)

    rgb = np.asarray(to_rgb(Image.fromarray(rgba)))

    assert rgb.tolist() == [[[200, 0, 0], [255] * 3], [[127] * 3, [255] * 3]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_an_alpha_channel_of_nothing_but_zeros_is_ignored(mode: str) -> None:
    grey = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
    image = Image.fromarray(grey).convert("LA").convert("RGBA")
    image.putalpha(0)

    rgb = np.asarray(to_rgb(image if mode == "RGBA" else image.convert("LA").convert(mode)))

    assert np.array_equal(rgb[..., 0], grey)


def test_a_palette_of_transparent_colours_alone_shows_the_colours() -> None:
    buffer = io.BytesIO()
    image = Image.fromarray(RNG.integers(0, 4, (16, 16), dtype=np.uint8)).convert("P")
    image.save(buffer, "PNG", transparency=bytes(256))

    rgb = np.asarray(to_rgb(Image.open(buffer)))

    assert np.array_equal(rgb, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(
    ("format", "message"),
    [
        ("GIF", "it is an animated GIF of 3 frames, and one file is one image"),
        ("WEBP", "it is an animated WebP of 3 frames"),
        ("TIFF", "it is a TIFF file with 3 pages.*: split it into single images first"),
    ],
)
def test_animations_and_pages_are_named_with_what_to_do(format: str, message: str) -> None:
    frames = [Image.new("RGB", (16, 16), (shade, 0, 0)) for shade in (0, 100, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format, save_all=True, append_images=frames[1:])

    with pytest.raises(PixelDataError, match=message):
        check_single(Image.open(buffer))
    check_single(frames[0])
