"""The rules without weights that the starter's masks obey: those of boxes and those of clicks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sam.modeling.box_rules import box_bounds, box_gains, narrow_ellipses
from sam.modeling.click_rules import EMPTY_LOGIT, background_bounds, names_an_object
from sam.prompts import Prompts


@dataclass(frozen=True, slots=True)
class PromptRules:
    """The rules of N prompt sets.

    gain: (N,), added to the logits first.
    bounds: (N, S/4, S/4), upper limits of the logits after that.
    ellipse: (N, S/4, S/4), logits of the ellipse in a box.
    ellipse_share: (N,), its share of the answer.
    is_trusted: (N,) bool, False where predicted IoU is set to 0; None: all are trusted.
    """

    gain: Tensor
    bounds: Tensor
    ellipse: Tensor
    ellipse_share: Tensor
    is_trusted: Tensor | None

    @classmethod
    def of(
        cls, prompts: Prompts, *, size: int, image_size_px: int, is_learning: bool = False
    ) -> PromptRules:
        """Work out the rules on maps of size x size cells.

        is_learning: leave out what would take the gradient from cells that are to be learnt. The
        gain would be undone by it. A bound passes none where it binds, and a background click's
        binds on the very cells that it corrects: who learnt with it would leave them to the rule,
        and learn nothing of the wrong area around them.
        """
        ellipse, share = narrow_ellipses(prompts, size=size, image_size_px=image_size_px)
        bounds = box_bounds(prompts, size=size, image_size_px=image_size_px)
        gain = box_gains(prompts.point_labels)
        if is_learning:
            return cls(torch.zeros_like(gain), bounds, ellipse, share, is_trusted=None)
        around = background_bounds(prompts, size=size, image_size_px=image_size_px)
        named = names_an_object(prompts)
        bounds = torch.minimum(bounds, around)
        bounds = torch.where(named[:, None, None], bounds, EMPTY_LOGIT)
        return cls(gain, bounds, ellipse, share, is_trusted=named)

    def rows(self, rows: Tensor) -> PromptRules:
        """Pick prompt sets."""
        return PromptRules(
            self.gain[rows],
            self.bounds[rows],
            self.ellipse[rows],
            self.ellipse_share[rows],
            None if self.is_trusted is None else self.is_trusted[rows],
        )

    def apply(self, logits: Tensor) -> Tensor:
        """Return the logits (N, M, S/4, S/4) that the rules leave."""
        dtype = logits.dtype
        raised = logits + self.gain[:, None, None, None].to(dtype)
        bounded = torch.minimum(raised, self.bounds.unsqueeze(1).to(dtype))
        share = self.ellipse_share[:, None, None, None].to(dtype)
        return bounded + share * (self.ellipse.unsqueeze(1).to(dtype) - bounded)

    def adjust_iou(self, predicted_iou: Tensor) -> Tensor:
        """Return the predicted IoU (N, M) that the rules leave: 0 for masks they empty."""
        if self.is_trusted is None:
            return predicted_iou
        return torch.where(self.is_trusted.unsqueeze(1), predicted_iou, 0.0)
