from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from masks.rle import Rle
from sam.checkpoints import checkpoint_files
from sam.coordinates import Frame
from sam.modeling.model import build
from training.data.crop_dataset import add_crops
from training.data.features import FeatureStore, load_image
from training.data.manifest import ImageRecord, MaskRecord, write_manifest
from training.evaluation.evaluate import evaluate
from training.evaluation.sessions import Session

SMALL = [(20, 30), (28, 40), (230, 200)]  # left, top; 12 x 10 px each, of an image of 256 px


@pytest.fixture
def image(tmp_path: Path) -> ImageRecord:
    pixels = np.random.default_rng(0).integers(0, 60, (240, 256, 3)).astype(np.uint8)
    masks = []
    for number, (x, y) in enumerate(SMALL):
        mask = np.zeros((240, 256), dtype=bool)
        mask[y : y + 10, x : x + 12] = True
        pixels[mask] += 120
        masks.append(MaskRecord(mask_id=f"small-{number}", rle=Rle.encode(mask)))
    large = np.zeros((240, 256), dtype=bool)
    large[80:160, 100:200] = True
    pixels[large] += 90
    masks.append(MaskRecord(mask_id="large", rle=Rle.encode(large)))
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(
        image_path=path,
        image_id="image",
        image_hw=(240, 256),
        split="holdout",
        source="made",
        features_path=None,
        masks=tuple(masks),
    )


def test_small_masks_go_to_the_squares_that_show_them_and_keep_their_pixels(
    image: ImageRecord,
) -> None:
    whole, *close = add_crops([image], max_per_image=9)

    assert [mask.mask_id for mask in whole.masks] == ["large"]
    assert whole.image_hw == (240, 256)
    assert [[mask.mask_id for mask in one.masks] for one in close] == [
        ["small-0", "small-1"],
        ["small-2"],
    ]
    pixels = load_image(whole)
    truths = {mask.mask_id: mask.rle.decode() for mask in image.masks}
    for one in close:
        assert one.crop_xywh_px is not None
        x, y, w, h = one.crop_xywh_px
        assert one.image_hw == (h, w) == (128, 128)
        assert np.array_equal(load_image(one), pixels[y : y + h, x : x + w])
        for mask in one.masks:
            back = np.zeros((240, 256), dtype=bool)
            back[y : y + h, x : x + w] = mask.rle.decode()
            assert np.array_equal(back, truths[mask.mask_id])


def test_beyond_the_limit_small_masks_stay_with_the_image(image: ImageRecord) -> None:
    whole, close = add_crops([image], max_per_image=1)

    assert {mask.mask_id for mask in whole.masks} == {"large", "small-2"}
    assert {mask.mask_id for mask in close.masks} == {"small-0", "small-1"}
    [everything] = add_crops([image], max_per_image=0)
    assert {mask.mask_id for mask in everything.masks} == {m.mask_id for m in image.masks}


def test_an_image_of_small_things_alone_is_only_prompted_in_crops(image: ImageRecord) -> None:
    small = replace(image, masks=image.masks[:2])

    records = add_crops([small], max_per_image=9)

    assert [record.crop_xywh_px is None for record in records] == [False]


def test_prompts_move_with_the_square(image: ImageRecord) -> None:
    prompts = (
        {"type": "point", "x_px": 236.5, "y_px": 205, "label": 1},
        {"type": "box", "x0_px": 230, "y0_px": 200, "x1_px": 242, "y1_px": 210},
        {"type": "brush", "size_px": 8, "strokes": 1},
    )
    remembered = replace(image, masks=(replace(image.masks[2], prompts=prompts),))

    [record] = add_crops([remembered], max_per_image=9)

    assert record.crop_xywh_px is not None
    x, y, _, _ = record.crop_xywh_px
    assert record.masks[0].prompts == (
        {"type": "point", "x_px": 236.5 - x, "y_px": 205 - y, "label": 1},
        {"type": "box", "x0_px": 230 - x, "y0_px": 200 - y, "x1_px": 242 - x, "y1_px": 210 - y},
        {"type": "brush", "size_px": 8, "strokes": 1},
    )


def test_the_cache_tells_squares_from_their_image(image: ImageRecord, tmp_path: Path) -> None:
    model = build("tiny", seed=0).eval()
    store = FeatureStore(model, cache_dir=tmp_path / "features")
    whole, close, _ = add_crops([image], max_per_image=9)

    first, again = store.get(close), store.get(close)

    assert torch.equal(first.image_embeddings, again.image_embeddings)
    assert not torch.equal(first.image_embeddings, store.get(whole).image_embeddings)


def test_an_evaluation_prompts_small_objects_in_their_squares(
    image: ImageRecord, tmp_path: Path
) -> None:
    model = build("tiny", seed=0).eval()
    checkpoint_files.save(model, tmp_path / "model.safetensors")
    manifest = tmp_path / "manifest.jsonl"
    write_manifest(manifest, images=[image])

    whole = evaluate(model, manifest, clicks=(1,))
    close = evaluate(model, manifest, clicks=(1,), crops_per_image=9)

    by_mask = {score.mask_id: score.ious["clicks_1"] for score in close.scores}
    assert by_mask.keys() == {mask.mask_id for mask in image.masks}
    assert {score.image_id for score in close.scores} == {"image"}
    before = {score.mask_id: score.ious["clicks_1"] for score in whole.scores}
    assert by_mask["large"] == before["large"]
    for record in add_crops([image], max_per_image=9)[1:]:
        features = FeatureStore(model, cache_dir=None).get(record)
        frame = Frame(record.image_hw, model.config.image_size_px)
        session = Session(
            model, features, frame, truths=[mask.rle.decode() for mask in record.masks]
        )
        ious, *_ = session.click_ious(1, on_mask=lambda *_: None)
        assert [by_mask[mask.mask_id] for mask in record.masks] == ious[:, 0].tolist()
