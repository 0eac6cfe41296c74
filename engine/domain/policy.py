"""Every product threshold, with its reason and source. A stage keeps a snapshot of its own.

The model library's own thresholds of automatic masks are in sam/automatic/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from engine.domain.errors import InvalidInput
from engine.domain.policy_fields import FIELDS

MIN_GROWTH = 1.05
"""Growth of masks that is worth a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers a lead may want to change. Fractions are 0 to 1."""

    lease_s: float = 900
    """An untouched image goes back to the queue after this long; every save starts it anew."""

    min_predicted_iou: float = 0.88
    """Drop automatic masks the model itself rates lower. Paper section B and released default."""
    min_stability_score: float = 0.95
    """Drop automatic masks whose outline depends on the threshold. Paper section B."""
    prefill_min_predicted_iou: float = 0.5
    """The same for prefilled masks; low, as a person confirms each. The paper gives no number."""
    prefill_min_stability_score: float = 0.8
    max_area_fraction: float = 0.95
    """Drop proposals covering this much of the image or more. Paper section B."""
    min_area_px: int = 100
    """Drop proposals smaller than this on images of SA-1B's size (see `min_area_of`). Paper section
    B (small spurious parts)."""
    duplicate_iou: float = 0.7
    """A proposal overlapping a kept mask this much says nothing new. NMS of paper section B."""

    promotion_tolerance: float = 0.005
    """How much worse than the serving model a candidate may measure: the noise of a small set."""
    promotion_max_worse_fraction: float = 0.25
    """Of the bootstrap's draws of held-out images, how many may say that a candidate is worse.
    Two held-out images with opposite votes are just within; a loss on most images is not."""
    promotion_slice_tolerance: float = 0.05
    """How much a slice (size of object, source) may lose while the whole wins."""
    promotion_min_slice_masks: float = 10
    """Slices of fewer held-out masks say too little."""
    promotion_max_latency_ratio: float = 1.5
    """How much longer than the serving model an image or a click may take."""
    promotion_max_empty_fraction: float = 0.1
    promotion_min_hit_fraction: float = 0.8
    """First clicks that give no mask, and masks that contain the click: broken models, not bad
    ones. The starter, far from good, measures 0.0 and above 0.95."""

    retrain_first_masks: int = 20
    """A decoder learns something from about this many masks in about a minute."""
    retrain_every_masks: int = 0
    retrain_growth: float = 1.5
    """Rounds at 20, 30, 45, 68, ... masks: often while a round is cheap and each mask tells much.
    The paper retrained "once enough new masks were there" and gives no number."""
    retrain_every_hours: float = 0
    low_rank_min_masks: int = 2_000
    full_min_masks: int = 20_000
    """What a round trains: the decoder alone, low-rank adapters in the encoder too, everything.
    Another encoder means that every image is embedded anew and the detector trained anew."""

    exit_min_masks: int = 8
    exit_min_images: int = 2
    """Small, so that a demonstration can turn the whole loop; two images give both splits."""
    exit_min_promoted: int = 1
    exit_min_masks_per_image: float = 0
    exit_max_seconds_fall_fraction: float = 1
    exit_min_accept_fraction: float = 0
    exit_min_audit_fraction: float = 0
    audit_min_iou: float = 0.9
    """The paper's audit (section 5): 94 % of automatic masks reach it against corrected ones."""
    plateau_window_masks: int = 20
    min_reviewed_masks: int = 20
    back_max_accept_fraction: float = 0.3
    """People who throw away two of three masks would draw faster by themselves."""

    holdout_every: int = 5
    holdout_first: int = 2
    """The 2nd, 7th, 12th, ... labelled image measures models and is never trained on."""

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InvalidInput(f"policy: {name} must be a number, not {value!r}")
            if not field.low <= value <= field.high:  # NaN lies nowhere
                raise InvalidInput(
                    f"policy: {name} must lie between {field.low:g} and {field.high:g}"
                )
            if field.is_whole and value != int(value):
                raise InvalidInput(f"policy: {name} must be a whole number, not {value}")
        if 0 < self.retrain_growth < MIN_GROWTH:
            raise InvalidInput(
                f"policy: retrain_growth must be 0 or at least {MIN_GROWTH}: "
                "less would train without end"
            )
        if self.holdout_first > self.holdout_every:
            raise InvalidInput("policy: holdout_first must lie between 1 and holdout_every")

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Policy:
        """Read a stored snapshot; numbers it does not name have today's defaults."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})

    def min_area_of(self, *, height_px: int, width_px: int) -> int:
        """Return the least area of a proposal on an image of this size, in its own pixels.

        The paper's 100 px are of images of 1500 x 2250 px: a speck there is a cell on a microscope
        image of 256 px. Smaller images keep the share, down to 4 x 4 px.
        """
        share = min(1.0, height_px * width_px / AREA_OF_SA_1B_PX)
        return min(self.min_area_px, max(LEAST_AREA_PX, round(self.min_area_px * share)))

    def to_json(self) -> dict[str, Any]:
        """Return the snapshot to store."""
        return asdict(self)

    def with_changes(self, changes: Mapping[str, object]) -> Policy:
        """Return the policy with other numbers, given as numbers or as text.

        InvalidInput names what is unknown, fixed for good, or out of its bounds.
        """
        unknown = sorted(set(changes) - set(FIELDS))
        if unknown:
            raise InvalidInput(f"policy: there is no {', '.join(unknown)}")
        numbers = {name: _number(name, value) for name, value in changes.items()}
        for name, value in numbers.items():
            if FIELDS[name].is_fixed and value != getattr(self, name):
                raise InvalidInput(
                    f"policy: {name} is fixed: which images are held out never changes"
                )
        return replace(self, **numbers)  # type: ignore[arg-type]  # checked by __post_init__

    def is_holdout(self, position: int) -> bool:
        """Tell whether the image labelled at this position (from 1) of a project is held out."""
        return position % self.holdout_every == self.holdout_first % self.holdout_every


def _number(name: str, value: object) -> int | float:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise InvalidInput(f"policy: {name} must be a number, not {str(value)[:40]!r}")
    return int(number) if FIELDS[name].is_whole and number == int(number) else number


DEFAULT_POLICY = Policy()

AREA_OF_SA_1B_PX = 1500 * 2250
LEAST_AREA_PX = 16
"""A smaller mask is two cells of a decoder's map: it has no outline to speak of."""
