"""The same random weights in ours, in segment-anything and in transformers give the same answers.

`pytest -s` prints the largest differences. The two real sizes take minutes: they are `slow`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sam.coordinates import Frame
from sam.modeling.config import DecoderConfig, SamConfig
from sam.modeling.encoders.vit import VitConfig
from sam.modeling.features import ImageFeatures
from sam.modeling.model import Prompts, Sam
from sam.modeling.presets import PRESETS
from sam.prompting.predictor import Predictor
from sam.prompts import Decoded
from tests.peers import segment_anything_peer as peer
from tests.peers import transformers_peer

SMALL = SamConfig(
    arch="small",
    image_size_px=160,  # a 10 x 10 map: windows of 4 need padding, as 64 in windows of 14 does
    embed_channels=32,
    encoder=VitConfig(embed_dim=24, depth=3, num_heads=2, global_blocks=(1,), window_size=4),
    decoder=DecoderConfig(
        num_heads=4, mlp_dim=48, iou_hidden_dim=20, mask_channels=16, upscale_channels=(8, 4)
    ),
)
EMBEDDING_TOLERANCE = 1e-4
DECODER_TOLERANCE = 1e-3
IMAGE_HW = (333, 517)


class Rivals:
    """Three implementations on one set of weights; each encodes the one image at most once."""

    def __init__(self, name: str) -> None:
        self.name = name
        if name == "small":
            self.reference = peer.official_layout(SMALL)
        else:
            self.reference = peer.official_model(name)
        self.ours: Sam = peer.ours_with_same_weights(self.reference)
        self.transformers: Any = transformers_peer.transformers_model(self.ours)
        self.size = self.ours.config.image_size_px
        self.input = self.ours.preprocess(make_image(IMAGE_HW))
        self._embeddings: dict[str, Tensor] = {}

    def embedding(self, rival: str) -> Tensor:
        """(1, C, S/16, S/16) of "ours", "segment_anything" or "transformers"."""
        if rival not in self._embeddings:
            encode = {
                "ours": lambda x: self.ours.encode(x).image_embeddings,
                "segment_anything": self.reference.image_encoder,
                "transformers": self.transformers.get_image_embeddings,
            }
            self._embeddings[rival] = encode[rival](self.input)
        return self._embeddings[rival]


@pytest.fixture(
    scope="module",
    params=[
        "small",
        pytest.param("vit_b", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
        pytest.param("vit_l", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
    ],
)
def rivals(request: pytest.FixtureRequest) -> Iterator[Rivals]:
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    with torch.inference_mode():
        yield Rivals(request.param)
    gc.collect()
    torch.set_num_threads(threads)


def make_image(image_hw: tuple[int, int], *, seed: int = 4) -> np.ndarray:
    """Smooth blobs and fine noise, so that resizing and every patch have something to do."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: image_hw[0], : image_hw[1]]
    waves = [np.sin(x / random.uniform(3, 40) + y / random.uniform(3, 40)) for _ in range(3)]
    noise = random.normal(0, 20, (*image_hw, 3))
    return np.clip(128 + 80 * np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


def tell(what: str, found: Tensor, expected: Tensor, record: Any) -> float:
    """Return the largest difference; print it and keep it in the report."""
    largest = float((found - expected).abs().max())
    record(what, largest)
    print(f"\n{what}: max |difference| {largest:.2e} at std {float(expected.std()):.2f}", end="")
    return largest


@pytest.mark.parametrize("rival", ["segment_anything", "transformers"])
def test_embeddings_agree(rivals: Rivals, rival: str, record_property: Any) -> None:
    expected, found = rivals.embedding(rival), rivals.embedding("ours")

    largest = tell(f"{rivals.name} embedding, {rival}", found, expected, record_property)

    assert expected.std() > 0.5
    assert expected.std(dim=(2, 3)).mean() > 0.3  # the image matters, not the weights alone
    assert largest <= EMBEDDING_TOLERANCE


@dataclass(frozen=True)
class Case:
    """Prompts as shares of the model's side; logits for the mask input are drawn."""

    name: str
    points: list[list[tuple[float, float]]] | None = None
    labels: list[list[int]] | None = None
    boxes: list[tuple[float, float, float, float]] | None = None
    num_masks: int = 0

    def tensors(self, size: int) -> tuple[Tensor | None, ...]:
        """(N, P, 2) points, (N, P) labels, (N, 4) boxes, (N, 1, S/4, S/4) logits."""
        masks = None
        if self.num_masks:
            generator = torch.Generator().manual_seed(8)
            shape = (self.num_masks, 1, size // 4, size // 4)
            masks = 5 * torch.randn(shape, generator=generator)
        return (
            None if self.points is None else torch.tensor(self.points) * size,
            None if self.labels is None else torch.tensor(self.labels),
            None if self.boxes is None else torch.tensor(self.boxes) * size,
            masks,
        )


POINTS = [[(0.12, 0.19), (0.62, 0.87)], [(0.02, 0.04), (0.5, 0.08)]]
LABELS = [[1, 0], [1, 1]]
BOXES = [(0.06, 0.075, 0.56, 0.88), (0.0, 0.0, 0.19, 0.125)]
NINE = [[(0.1 * i, 0.95 - 0.08 * i) for i in range(9)]]
TWELVE = [[(0.08 * i, (0.37 * i) % 1)] for i in range(12)]
CASES = [
    Case("a point", POINTS[:1], [[1, 0]]),
    Case("a background point", [[(0.4, 0.6)]], [[0]]),
    Case("two sets of points", POINTS, LABELS),
    Case("nine points", NINE, [[1, 0, 1, 1, 0, 0, 1, 0, 1]]),
    Case("a batch of twelve", TWELVE, [[1]] * 12),
    Case("a box", boxes=BOXES[:1]),
    Case("boxes up to the border", boxes=[*BOXES, (0.0, 0.0, 1.0, 1.0)]),
    Case("points and boxes", POINTS, LABELS, BOXES),
    Case("points on a mask", POINTS[:1], LABELS[:1], num_masks=1),
    Case("a box on a mask", boxes=BOXES[:1], num_masks=1),
    Case("points and a box on a mask", POINTS[:1], LABELS[:1], BOXES[:1], 1),
    Case("boxes on masks", boxes=BOXES, num_masks=2),
    Case("a mask alone", num_masks=1),
]
# transformers takes one mask for all prompts of an image, and none alone.
CASES_OF_TRANSFORMERS = CASES[:-2]


def in_both_modes(single: tuple[Tensor, Tensor], several: tuple[Tensor, Tensor]) -> Decoded:
    """Order masks and qualities as ours are: the single mask, then the three."""
    return Decoded(*(torch.cat(pair, dim=1) for pair in zip(single, several, strict=True)))


def decoded_by_segment_anything(rivals: Rivals, case: Case) -> Decoded:
    points, labels, boxes, masks = case.tensors(rivals.size)
    model = rivals.reference
    sparse, dense = model.prompt_encoder(
        points=None if points is None else (points, labels), boxes=boxes, masks=masks
    )
    single, several = (
        model.mask_decoder(
            image_embeddings=rivals.embedding("segment_anything"),
            image_pe=model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=several,
        )
        for several in (False, True)
    )
    return in_both_modes(single, several)


def decoded_by_transformers(rivals: Rivals, case: Case) -> Decoded:
    points, labels, boxes, masks = case.tensors(rivals.size)
    single, several = (
        rivals.transformers(
            image_embeddings=rivals.embedding("transformers"),
            input_points=None if points is None else points[None],
            input_labels=None if labels is None else labels[None],
            input_boxes=None if boxes is None else boxes[None],
            input_masks=masks,
            multimask_output=several,
        )
        for several in (False, True)
    )
    return in_both_modes(
        (single.pred_masks[0], single.iou_scores[0]),
        (several.pred_masks[0], several.iou_scores[0]),
    )


def decoded_by_ours(rivals: Rivals, case: Case) -> Decoded:
    return rivals.ours.decode(
        ImageFeatures(rivals.embedding("ours")), Prompts.make(*case.tensors(rivals.size))
    )


def check(rivals: Rivals, rival: str, case: Case, expected: Decoded, record: Any) -> None:
    found, what = decoded_by_ours(rivals, case), f"{rivals.name}, {case.name}, {rival}"
    masks, quality = expected.low_res_logits, expected.predicted_iou

    of_masks = tell(f"logits: {what}", found.low_res_logits, masks, record)
    of_quality = tell(f"quality: {what}", found.predicted_iou, quality, record)

    assert masks.shape == found.low_res_logits.shape == (len(quality), 4, *masks.shape[2:])
    assert masks.std(dim=(2, 3)).min() > 0.2
    assert quality.std() > 0.05
    assert of_masks <= DECODER_TOLERANCE
    assert of_quality <= DECODER_TOLERANCE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_masks_and_predicted_quality_agree_with_segment_anything(
    rivals: Rivals, case: Case, record_property: Any
) -> None:
    expected = decoded_by_segment_anything(rivals, case)

    check(rivals, "segment_anything", case, expected, record_property)


@pytest.mark.parametrize("case", CASES_OF_TRANSFORMERS, ids=lambda case: case.name)
def test_masks_and_predicted_quality_agree_with_transformers(
    rivals: Rivals, case: Case, record_property: Any
) -> None:
    expected = decoded_by_transformers(rivals, case)

    check(rivals, "transformers", case, expected, record_property)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", ["points", "box", "both", "fed back"])
def test_the_two_predictors_draw_the_same_masks_on_the_image(
    rivals: Rivals, kind: str, multimask: bool
) -> None:
    prompt: dict[str, Any] = {"multimask_output": multimask}
    if kind != "box":
        prompt["point_coords"] = np.array([[400.0, 20.0], [37.5, 300.25]])
        prompt["point_labels"] = np.array([1, 0])
    if kind in ("box", "both"):
        prompt["box"] = np.array([15.0, 30.0, 480.5, 290.0])
    theirs, ours = peer.SamPredictor(rivals.reference), Predictor(rivals.ours)
    theirs.original_size = IMAGE_HW
    theirs.input_size = Frame(IMAGE_HW, rivals.size).input_hw
    theirs.features = rivals.embedding("segment_anything")
    theirs.is_image_set = True
    ours.set_features(ImageFeatures(rivals.embedding("ours")), IMAGE_HW)
    if kind == "fed back":
        _, quality, low_res = theirs.predict(**{**prompt, "multimask_output": True})
        prompt["mask_input"] = low_res[[quality.argmax()]]

    masks, quality, low_res = theirs.predict(**prompt)
    found = ours.predict(**prompt)

    assert found.masks_nhw.shape == masks.shape == (3 if multimask else 1, *IMAGE_HW)
    assert 0.02 < masks.mean() < 0.98
    assert (found.masks_nhw == masks).mean() > 0.9999  # a logit of zero may fall on either side
    assert np.abs(found.predicted_iou - quality).max() <= DECODER_TOLERANCE
    assert np.abs(found.low_res_logits - low_res).max() <= DECODER_TOLERANCE


@pytest.mark.parametrize("preset", ["vit_b", "vit_l", "vit_h"])
def test_our_presets_have_the_sizes_of_the_reference_s_builders(preset: str) -> None:
    with torch.device("meta"):
        reference = peer.segment_anything.sam_model_registry[preset]()

    assert replace(peer.config_of(reference), arch=preset) == PRESETS[preset]


# --- before and after the model -----------------------------------------------------------------

SIZES = [(1, 1), (1, 2000), (2000, 1), (333, 1023), (1024, 1024), (1200, 1800), (1023, 1025)]
SIZES += [(1800, 1200), (640, 427), (3, 5), (1024, 7), (2048, 2047)]


@pytest.fixture(scope="module", params=[160, 1024])
def frames(request: pytest.FixtureRequest) -> tuple[Any, Sam]:
    """A reference and our model that differ from the real ones in width and depth only."""
    reference = peer.official_layout(replace(SMALL, image_size_px=request.param))
    return reference, peer.ours_with_same_weights(reference)


@pytest.mark.parametrize("image_hw", SIZES, ids=str)
def test_preprocessing_is_the_same_pixel_for_pixel(
    frames: tuple[Any, Sam], image_hw: tuple[int, int]
) -> None:
    reference, ours = frames
    size = ours.config.image_size_px
    image = make_image(image_hw)
    if min(peer.ResizeLongestSide.get_preprocess_shape(*image_hw, size)) == 0:
        # The reference shrinks so narrow an image to nothing, and fails; ours keeps one pixel.
        has_image = ours.preprocess(image).ne(0).any(1)[0]
        assert has_image.any(0).sum() * has_image.any(1).sum() == size
        return

    resized = peer.ResizeLongestSide(size).apply_image(image)
    expected = reference.preprocess(torch.as_tensor(resized).permute(2, 0, 1)[None])

    assert torch.equal(ours.preprocess(image), expected)


sides = st.integers(1, 4000)


@settings(deadline=None)
@given(sides, sides, st.sampled_from([160, 512, 1024]), st.data())
def test_coordinates_are_scaled_the_same_for_every_image(
    height: int, width: int, size: int, data: st.DataObject
) -> None:
    transform, frame = peer.ResizeLongestSide(size), Frame((height, width), size)
    input_hw = transform.get_preprocess_shape(height, width, size)
    if min(input_hw) == 0:
        return  # the reference has no pixels left
    share = st.floats(0, 1)
    points = np.array(data.draw(st.lists(st.tuples(share, share), min_size=1, max_size=4)))
    points_xy = points * [width, height]
    corners = np.array([[0.0, 0.0, width, height], [0.0, 0.0, width / 2, height / 3]])

    assert frame.input_hw == input_hw
    assert np.array_equal(
        frame.to_model(points_xy), transform.apply_coords(points_xy, (height, width))
    )
    assert np.array_equal(
        frame.boxes_to_model(corners), transform.apply_boxes(corners, (height, width))
    )


@pytest.mark.parametrize("image_hw", [hw for hw in SIZES if max(hw) < 2000], ids=str)
def test_masks_are_brought_to_the_image_the_same(
    frames: tuple[Any, Sam], image_hw: tuple[int, int]
) -> None:
    reference, ours = frames
    size = ours.config.image_size_px
    frame = Frame(image_hw, size)
    generator = torch.Generator().manual_seed(6)
    logits = 6 * torch.randn(2, 1, size // 4, size // 4, generator=generator)

    expected = reference.postprocess_masks(logits, frame.input_hw, image_hw)
    found = frame.to_image_logits(logits)

    assert found.shape == (2, 1, *image_hw)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    clear = expected.abs() > 1e-4
    assert torch.equal((found > 0)[clear], (expected > 0)[clear])
