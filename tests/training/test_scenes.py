"""Generated scenes: repeatable, sane, and honest about what can be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.scenes import LabelledImage, SceneAssets, generate_scene
from training.scenes.fields import array_scene, cell_scene, grain_scene
from training.scenes.labelled import pack_layers
from training.scenes.objects import object_scene
from training.scenes.shapes import any_shape, split_parts
from training.starter.views import MAX_MASK_SHARE, MIN_MASK_AREA_PX, draw_view

SIZE = 128


@pytest.fixture
def assets(tmp_path: Path) -> SceneAssets:
    """A red disc as the only cut-out, a blue photo as the only background."""
    cutouts = tmp_path / "cutouts-train" / "discs"
    cutouts.mkdir(parents=True)
    yy, xx = np.mgrid[:40, :40]
    disc = np.zeros((40, 40, 4), np.uint8)
    disc[np.hypot(xx - 20, yy - 20) < 18] = (255, 0, 0, 255)
    Image.fromarray(disc).save(cutouts / "disc.png")
    backgrounds = tmp_path / "backgrounds-train" / "images"
    backgrounds.mkdir(parents=True)
    Image.new("RGB", (60, 40), (0, 0, 255)).save(backgrounds / "blue.jpg")
    Image.new("RGB", (60, 40), (0, 255, 0)).save(backgrounds / "grocery__shelf.jpg")
    return SceneAssets.find(tmp_path)


def test_assets_leave_out_unlabelled_clutter(assets: SceneAssets) -> None:
    assert [path.name for path in assets.backgrounds] == ["blue.jpg"]
    assert [len(source) for source in assets.cutouts_by_source] == [1]
    assert assets.textures == ()


def test_one_seed_gives_the_same_scene(assets: SceneAssets) -> None:
    first = generate_scene(np.random.default_rng(3), assets, size_px=SIZE)
    again = generate_scene(np.random.default_rng(3), assets, size_px=SIZE)
    other = generate_scene(np.random.default_rng(4), assets, size_px=SIZE)

    assert np.array_equal(first.image_hwc_u8, again.image_hwc_u8)
    assert np.array_equal(first.layers_lhw, again.layers_lhw)
    assert not np.array_equal(first.image_hwc_u8, other.image_hwc_u8)


@pytest.mark.parametrize("seed", range(12))
def test_scenes_without_any_material_are_still_scenes(seed: int) -> None:
    scene = generate_scene(np.random.default_rng(seed), SceneAssets(), size_px=SIZE)

    assert scene.image_hwc_u8.shape == (SIZE, SIZE, 3)
    assert scene.image_hwc_u8.dtype == np.uint8
    assert scene.layers_lhw.dtype == np.int16
    assert scene.layers_lhw.shape[1:] == (SIZE, SIZE)
    assert (scene.layers_lhw > 0).any()


def test_the_mask_of_a_cutout_lies_where_its_colour_is(assets: SceneAssets) -> None:
    agreed = []
    for seed in range(8):
        rgb, layers = object_scene(np.random.default_rng(seed), assets, size_px=SIZE)
        ids, counts = np.unique(layers[0][layers[0] > 0], return_counts=True)
        for number, count in zip(ids, counts, strict=True):
            mask = layers[0] == number
            reddish = (rgb[..., 0] > 0.4) & (rgb[..., 1:].max(axis=2) < 0.3)
            if count > 60 and reddish[mask].mean() > 0.5:
                agreed.append(reddish[mask].mean())

    assert len(agreed) >= 5
    assert np.mean(agreed) > 0.9


def test_parts_lie_inside_their_wholes(assets: SceneAssets) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        coverage = any_shape(rng, radius_px=20)
        parts = split_parts(rng, coverage)

        assert not (parts[coverage < 0.5] > 0).any()


def test_cells_are_brighter_or_darker_than_what_surrounds_them() -> None:
    contrasts = []
    for seed in range(10):
        rgb, layers = cell_scene(np.random.default_rng(seed), size_px=SIZE)
        grey, inside = rgb.mean(axis=2), layers[0] > 0
        if 0.02 < inside.mean() < 0.98:
            contrasts.append(abs(grey[inside].mean() - grey[~inside].mean()) / grey.std())

    assert len(contrasts) >= 8
    assert np.median(contrasts) > 0.5


def test_cells_reach_from_specks_by_the_hundred_to_large_ones_and_from_dim_to_bright() -> None:
    sizes, counts, glows = [], [], []
    for seed in range(40):
        rgb, layers = cell_scene(np.random.default_rng(seed), size_px=SIZE)
        areas = np.bincount(layers[0].ravel())[1:]
        inside = layers[0] > 0
        sizes.append(float(np.sqrt(np.median(areas[areas > 0]))))
        counts.append(int((areas > 0).sum()))
        is_on_black = rgb[~inside].mean() < 0.2
        if is_on_black:
            glows.append(float(rgb[inside].mean() - rgb[~inside].mean()))

    assert min(sizes) < 6
    assert max(sizes) > 30
    assert max(counts) > 100
    assert min(glows) < 0.15
    assert max(glows) > 0.4


def test_fields_hold_many_separate_things() -> None:
    for seed in range(4):
        _, grains = grain_scene(np.random.default_rng(seed), SceneAssets(), size_px=SIZE)
        _, windows = array_scene(np.random.default_rng(seed), SceneAssets(), size_px=SIZE)

        assert len(np.unique(grains[0])) > 4
        assert windows.shape == (2, SIZE, SIZE)


def test_a_stored_scene_comes_back_with_the_same_masks(tmp_path: Path) -> None:
    scene = generate_scene(np.random.default_rng(1), SceneAssets(), size_px=SIZE)

    scene.save(tmp_path / "scene.npz")
    loaded = LabelledImage.load(tmp_path / "scene.npz")

    assert np.array_equal(loaded.layers_lhw, scene.layers_lhw)
    difference = loaded.image_hwc_u8.astype(int) - scene.image_hwc_u8.astype(int)
    assert np.abs(difference).mean() < 12  # JPEG
    assert [path.name for path in tmp_path.iterdir()] == ["scene.npz"]


def test_overlapping_masks_go_to_different_layers() -> None:
    whole = np.zeros((10, 10), bool)
    whole[1:9, 1:9] = True
    part = np.zeros((10, 10), bool)
    part[3:6, 3:6] = True
    beside = np.zeros((10, 10), bool)
    beside[:, 9] = True

    layers = pack_layers([part, whole, beside])

    recovered = [layers[k] == n for k in range(len(layers)) for n in np.unique(layers[k]) if n]
    for mask in (whole, part, beside):
        assert any(np.array_equal(mask, other) for other in recovered)
    assert len(layers) == 2


def test_packing_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        pack_layers([])


@pytest.mark.parametrize("seed", range(6))
def test_a_view_shows_its_masks_where_the_picture_shows_them(seed: int) -> None:
    """A white square on black keeps image and mask together through window, turn and scale."""
    image = np.zeros((90, 120, 3), np.uint8)
    image[30:60, 40:80] = 255
    layers = np.zeros((1, 90, 120), np.int16)
    layers[0, 30:60, 40:80] = 1
    rng = np.random.default_rng(seed)

    view = None
    while view is None:
        view = draw_view(rng, LabelledImage(image, layers), size_px=64, max_masks=4)

    height, width = view.valid_hw
    assert view.image_hwc_u8.shape == (64, 64, 3)
    assert view.masks_nhw.shape[1:] == (64, 64)
    assert not view.masks_nhw[:, height:].any()
    assert not view.masks_nhw[:, :, width:].any()
    grey = view.image_hwc_u8[:height, :width].mean(axis=2)
    mask = view.masks_nhw[0, :height, :width]
    if mask.any() and not mask.all():
        light = np.abs(grey - grey[mask].mean()) < np.abs(grey - grey[~mask].mean())
        assert (light == mask).mean() > 0.93


def test_a_view_leaves_out_specks_and_masks_that_fill_it() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    layers = np.zeros((2, 64, 64), np.int16)
    layers[0] = 1
    layers[1, 5, 5] = 1
    rng = np.random.default_rng(0)

    views = [
        draw_view(rng, LabelledImage(image, layers), size_px=64, max_masks=4) for _ in range(20)
    ]

    for view in views:
        if view is not None:
            areas = view.masks_nhw.sum((1, 2))
            assert (areas >= MIN_MASK_AREA_PX).all()
            assert (areas <= MAX_MASK_SHARE * 64 * 64).all()
