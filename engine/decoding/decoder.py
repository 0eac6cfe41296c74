"""One decoder on one image: prompts in, masks in the image's pixels out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.decoding.feeds import prompt_feeds
from engine.decoding.frame import DecoderFrame, DecoderSizes
from engine.decoding.network import Feeds, Network, Run
from engine.decoding.prompts import CropXywh, DecoderPrompts
from engine.decoding.resize import to_image_mask
from engine.decoding.selection import choose_masks, num_prompts
from engine.domain.prompts import BoxPrompt, PointPrompt
from masks import seeds
from masks.boxes import pixels_of
from masks.rle import Rle

FloatArray = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MaskCandidate:
    """A mask of the whole image that is offered for the prompts."""

    rle: Rle
    predicted_iou: float


@dataclass(frozen=True, slots=True)
class DecodedMask:
    """A mask (H, W) of the decoder's frame. low_res_logits: (S/4, S/4), None after an edit."""

    mask_hw: Mask
    predicted_iou: float
    low_res_logits: FloatArray | None


@dataclass(frozen=True, slots=True)
class ImageDecoder:
    """A decoder on the embedding of one image, or of a crop of it: prompts are in its pixels."""

    run: Run
    frame: DecoderFrame
    sizes: DecoderSizes

    @classmethod
    def of(
        cls, network: Network, embedding: Feeds, *, sizes: DecoderSizes, image_hw: tuple[int, int]
    ) -> Self:
        """Prepare a network for an embedding. image_hw: size in pixels of what it shows."""
        frame = DecoderFrame(image_hw, sizes.image_size_px)
        return cls(network.prepare(embedding), frame, sizes)

    def decode(
        self, prompts: DecoderPrompts, mask_input: FloatArray | None = None
    ) -> list[DecodedMask]:
        """Return masks, best first: three for one prompt, else one.

        mask_input: (S/4, S/4) logits of the mask to refine.
        """
        low_res, scores = self.run(
            prompt_feeds(prompts, mask_input, frame=self.frame, sizes=self.sizes)
        )
        background = [
            self.frame.pixel_at(point.x_px, point.y_px)
            for point in prompts.points
            if point.label == 0
        ]

        @cache
        def mask_of(index: int) -> Mask:
            return to_image_mask(low_res[0, index], frame=self.frame)

        chosen = choose_masks(
            scores[0],
            num_prompts=num_prompts(prompts, has_mask_input=mask_input is not None),
            is_crossed=lambda index: any(mask_of(index)[pixel] for pixel in background),
        )
        return [
            DecodedMask(mask_of(index), float(scores[0, index]), low_res[0, index])
            for index in chosen
        ]

    def edit(self, base_mask: Mask, prompts: DecoderPrompts) -> list[DecodedMask]:
        """Change an existing mask (H, W) by its last prompt: the local edit first, if there is one.

        The page does the same in frontend/src/decoder/session.ts.
        """
        stride = self.sizes.low_res_stride_px
        covered = seeds.coverage(
            base_mask,
            input_hw=self.frame.input_hw,
            side=self.sizes.low_res_size,
            stride_px=stride,
        )
        logits = seeds.seed_logits(covered)
        if prompts.box is not None or not prompts.points:
            last = () if prompts.box is not None else prompts.points[-1:]
            return self.decode(DecoderPrompts(last, prompts.box), logits)
        click = prompts.points[-1]
        xy, adds = (click.x_px, click.y_px), click.label == 1
        cell_wh_px = self.frame.cell_wh_px(stride)
        context = seeds.context_of(
            covered,
            Rle.encode(base_mask).bbox_xywh_px,
            image_hw=self.frame.image_hw,
            cell_wh_px=cell_wh_px,
            click_xy_px=xy,
            adds=adds,
        )
        whole = self.decode(_with_context(click, context), logits)[0]
        edited = seeds.local_edit(base_mask, whole.mask_hw, click_xy_px=xy, adds=adds)
        is_followed = edited is not None and (
            adds or not seeds.is_pinhole(base_mask, edited, click_xy_px=xy, cell_wh_px=cell_wh_px)
        )
        if not is_followed:
            by_click = self._edit_by_click_alone(base_mask, click)
            edited = edited if by_click is None else by_click
        local = [] if edited is None else [DecodedMask(edited, whole.predicted_iou, None)]
        return [*local, whole]

    def _edit_by_click_alone(self, base_mask: Mask, click: PointPrompt) -> Mask | None:
        """Edit by what the click selects without the mask's context, which can outweigh it."""
        xy, adds = (click.x_px, click.y_px), click.label == 1
        if adds and base_mask[self.frame.pixel_at(*xy)]:
            return None
        inside = PointPrompt(x_px=click.x_px, y_px=click.y_px, label=1)
        alone = self.decode(DecoderPrompts((inside,)))[0].mask_hw
        wanted = alone if adds else base_mask & ~alone
        return seeds.local_edit(base_mask, wanted, click_xy_px=xy, adds=adds)


def _with_context(click: PointPrompt, context: seeds.Context) -> DecoderPrompts:
    x, y = context.point_xy_px
    x0, y0, x1, y1 = context.box_xyxy_px
    box = BoxPrompt(x0_px=x0, y0_px=y0, x1_px=x1, y1_px=y1)
    return DecoderPrompts((click, PointPrompt(x_px=x, y_px=y, label=1)), box)


def decode(
    prompts: DecoderPrompts,
    *,
    network: Network,
    embedding: Feeds,
    sizes: DecoderSizes,
    image_hw: tuple[int, int],
    crop_xywh_px: CropXywh | None = None,
    base_mask: Rle | None = None,
) -> list[MaskCandidate]:
    """Return masks of the image for prompts in its pixels, best first: three for one, else one.

    Args:
        crop_xywh_px: the part of the image that the embedding shows, which holds the prompts;
            pixels outside it stay as they are. None: the whole image.
        base_mask: an existing mask that the last prompt changes; its local edit comes first.

    Raises:
        DecodingError: the decoder does not run on the embedding.
    """
    xywh_px = crop_xywh_px or (0, 0, image_hw[1], image_hw[0])
    _, _, width, height = xywh_px
    crop = pixels_of(xywh_px)
    decoder = ImageDecoder.of(network, embedding, sizes=sizes, image_hw=(height, width))
    local = prompts.in_crop(xywh_px)
    mask_hw = np.zeros(image_hw, bool) if base_mask is None else base_mask.decode()
    if base_mask is None:
        found = decoder.decode(local)
    else:
        found = decoder.edit(mask_hw[crop].copy(), local)
    candidates = []
    for one in found:
        mask_hw[crop] = one.mask_hw
        candidates.append(MaskCandidate(Rle.encode(mask_hw), one.predicted_iou))
    return candidates
