"""Ask a grid of points coarsely, and say which masks are worth drawing.

Most prompts of a grid answer with what a neighbour answers too, or with a plot of plain ground.
So answers are first made at half of the decoder's resolution, for a third of its work, and only
where nothing sure lies yet; they are judged among each other, and what passes is drawn in full.
*Votes* tell objects from plots: an object is the answer of several of its points, a plot only of
the point it was asked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sam.automatic.automatic_settings import AutomaticSettings
from sam.modeling.features import ImageFeatures
from sam.modeling.mask_decoder import NUM_AMBIGUOUS
from sam.modeling.model import Sam
from sam.nms import mask_nms
from sam.prompts import Prompts

SAME_IOU = 0.7
"""Two answers are one mask from there on."""
_LARGEST_SETTLED = 0.5
"""A mask of more than this share of the image settles nothing: objects lie on it."""
_CELLS = 64
"""Answers are compared on at most so many cells a side."""
_IOU_SLACK, _STABILITY_SLACK = 0.03, 0.1
"""By how much a coarse answer may miss a threshold: about two standard deviations of the
difference to its full form, measured on images."""
_DEFAULT_NMS_IOU = 0.9
"""Of masks nearer than this one alone is drawn when the settings leave mask NMS out."""

ToPrompts = Callable[[NDArray[np.float64]], Prompts]


@dataclass(frozen=True, slots=True)
class Pick:
    """Masks worth drawing: the points (M, 2) to ask again, and the votes (M, 3) of each of their
    ambiguity masks, 0 for those that are not wanted."""

    points_xy: NDArray[np.float64]
    votes: Tensor

    def rows(self, which: slice) -> Pick:
        """Return some of the points."""
        return Pick(self.points_xy[which], self.votes[which])


class Survey:
    """The coarse answers of one encoded crop."""

    def __init__(
        self,
        model: Sam,
        features: ImageFeatures,
        *,
        input_hw: tuple[int, int],
        settings: AutomaticSettings,
        to_prompts: ToPrompts,
    ) -> None:
        self.model, self.settings, self.to_prompts = model, settings, to_prompts
        self.features = features.coarse()
        self.input_hw = input_hw
        self._answers: list[_Answers] = []

    def ask(
        self, grid_xy: NDArray[np.float64], is_first: NDArray[np.bool_], size_xy: tuple[int, int]
    ) -> Iterator[int]:
        """Ask some points of a grid (M, 2) first, the others where nothing is settled.

        size_xy: of the crop that the points lie in. Yields how many points are dealt with.
        """
        yield from self._ask(grid_xy[is_first])
        rest = grid_xy[~is_first]
        open_ = rest[~self._is_settled(rest, size_xy)]
        num_dealt = len(grid_xy) - len(open_)
        for done in self._ask(open_):
            yield num_dealt + done

    def pick(self) -> Pick:
        """Return what passes, near-equal masks once, by coarse figures with some slack."""
        if not self._answers:
            return Pick(np.zeros((0, 2)), torch.zeros(0, NUM_AMBIGUOUS))
        answers = _Answers.concat(self._answers)
        passing = answers.passing(self.settings, iou_slack=_IOU_SLACK)
        votes = answers.votes(passing)
        counts = vote_weight(votes, self.settings)
        is_kept = answers.iou[passing] * counts > self.settings.pred_iou_thresh - _IOU_SLACK
        passing, votes = passing[is_kept], votes[is_kept]
        ranking = (-rank_score(answers.iou[passing], votes, self.settings)).argsort(stable=True)
        passing, votes = passing[ranking], votes[ranking]
        thresh = self.settings.mask_nms_iou_thresh
        masks = answers.masks[passing].cpu().numpy()
        kept = torch.from_numpy(mask_nms(masks, _DEFAULT_NMS_IOU if thresh is None else thresh))
        all_votes = torch.zeros(len(answers.iou), dtype=torch.int64, device=votes.device)
        all_votes[passing[kept.to(passing.device)]] = votes[kept.to(votes.device)]
        by_point = all_votes.reshape(len(answers.points_xy), NUM_AMBIGUOUS)
        asked = by_point.any(1).nonzero().flatten().cpu()
        return Pick(answers.points_xy[asked.numpy()], by_point[asked.to(by_point.device)])

    def _ask(self, points_xy: NDArray[np.float64]) -> Iterator[int]:
        step = self.settings.points_per_batch
        for start in range(0, len(points_xy), step):
            batch = points_xy[start : start + step]
            decoded = self.model.decode(self.features, self.to_prompts(batch))
            logits = decoded.low_res_logits[:, 1:].flatten(0, 1)
            is_image = self._is_image(logits.shape[-1], logits.device)
            offset = self.settings.stability_offset_logit
            inner = ((logits > offset) & is_image).sum((1, 2))
            outer = ((logits > -offset) & is_image).sum((1, 2))
            self._answers.append(
                _Answers(
                    points_xy=batch,
                    masks=_reduced((logits > 0) & is_image),
                    iou=decoded.predicted_iou[:, 1:].flatten(),
                    stability=inner / outer.clamp(min=1),
                )
            )
            yield start + len(batch)

    def _is_settled(
        self, points_xy: NDArray[np.float64], size_xy: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Say which points lie in a mask that passes and that enough points answered with."""
        least_votes = self.settings.settled_votes
        if not len(points_xy) or not self._answers or not least_votes:
            return np.zeros(len(points_xy), dtype=bool)
        answers = _Answers.concat(self._answers)
        passing = answers.passing(self.settings, iou_slack=0.0)
        votes = answers.votes(passing)
        sure = passing[votes >= max(least_votes, self.settings.full_votes)]
        share = answers.masks[sure].float().mean((1, 2)) / self._photo_share()
        cover = answers.masks[sure[share <= _LARGEST_SETTLED]].any(0).cpu().numpy()
        side = cover.shape[-1]
        height, width = self.input_hw
        share_xy = np.array([width, height]) / self.model.config.image_size_px / np.array(size_xy)
        column, row = np.clip((points_xy * share_xy * side).astype(int), 0, side - 1).T
        settled: NDArray[np.bool_] = cover[row, column]
        return settled

    def _photo_share(self) -> float:
        height, width = self.input_hw
        return height * width / self.model.config.image_size_px**2

    def _is_image(self, size: int, device: torch.device) -> Tensor:
        side = torch.arange(size, device=device) * (self.model.config.image_size_px // size)
        return (side < self.input_hw[0])[:, None] & (side < self.input_hw[1])


@dataclass(frozen=True, slots=True)
class _Answers:
    """Coarse answers of P points: points_xy (P, 2); masks (3 P, h, w), iou and stability (3 P,)."""

    points_xy: NDArray[np.float64]
    masks: Tensor
    iou: Tensor
    stability: Tensor

    @classmethod
    def concat(cls, parts: list[_Answers]) -> _Answers:
        return cls(
            np.concatenate([part.points_xy for part in parts]),
            torch.cat([part.masks for part in parts]),
            torch.cat([part.iou for part in parts]),
            torch.cat([part.stability for part in parts]),
        )

    def passing(self, settings: AutomaticSettings, *, iou_slack: float) -> Tensor:
        """Return which masks may pass if all votes are for them: (M,) indices."""
        slack = _STABILITY_SLACK if iou_slack else 0.0
        is_passing = self.iou > settings.pred_iou_thresh - iou_slack
        is_passing &= self.stability >= settings.stability_thresh - slack
        is_passing &= self.masks.flatten(1).any(1)
        return is_passing.nonzero().flatten()

    def votes(self, chosen: Tensor) -> Tensor:
        """Count the points that answer with (nearly) each of the chosen masks (M,)."""
        all_ = self.masks.flatten(1).float()
        some = all_[chosen]
        overlap = some @ all_.t()
        union = some.sum(1, keepdim=True) + all_.sum(1) - overlap
        is_same = overlap >= SAME_IOU * union
        by_point = is_same.reshape(len(chosen), len(self.points_xy), NUM_AMBIGUOUS).any(2)
        return by_point.sum(1).clamp(min=1)


def vote_weight(votes: Tensor, settings: AutomaticSettings) -> Tensor:
    """Return what the predicted IoU of masks with so many votes counts: up to 1."""
    if not settings.full_votes:
        return torch.ones_like(votes, dtype=torch.float32)
    return (votes.float().log1p() / math.log1p(settings.full_votes)).clamp(max=1.0)


def rank_score(iou: Tensor, votes: Tensor, settings: AutomaticSettings) -> Tensor:
    """Return by what masks are ranked: predicted IoU, times log(1 + votes) where votes count."""
    return iou * votes.float().log1p() if settings.full_votes else iou


def _reduced(masks_nhw: Tensor) -> Tensor:
    """Join the cells of masks until they are few enough; one is inside when half of it is."""
    size = masks_nhw.shape[-1]
    if size <= _CELLS:
        return masks_nhw
    return F.avg_pool2d(masks_nhw.float().unsqueeze(1), -(-size // _CELLS)).squeeze(1) >= 0.5
