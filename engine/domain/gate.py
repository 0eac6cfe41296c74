"""The gate a trained model passes before it serves: a stored report, and the rules about it.

The worker that measures writes the report (beside the figures of an evaluation); here it is read
with suspicion and turned into sentences. Thresholds are in policy.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from engine.domain.policy import Policy

KINDS: Mapping[str, str] = {
    "clicks_1": "one click",
    "clicks_3": "three clicks",
    "clicks_5": "five clicks",
}
ALL = "all"


class ReportError(ValueError):
    """The report is not one that can be decided by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedDifference:
    """Candidate minus serving model, mIoU on the same masks; a 95 % bootstrap interval.

    worse_share: the share of the bootstrap's draws of images that say "worse".
    """

    mean: float
    low: float
    high: float
    worse_share: float
    num_masks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedMemory:
    """What the prompts of people bring again: mean IoU with the masks they led to."""

    serving: float
    candidate: float
    difference: ReportedDifference

    def __str__(self) -> str:
        return (
            f"the prompts that led to {self.difference.num_masks} accepted masks bring them at "
            f"mean IoU {self.candidate:.3f}, with the serving model at {self.serving:.3f}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedProbe:
    """What first clicks on a few held-out images brought; shares of the answers, 0 to 1."""

    is_finite: bool
    empty_share: float
    hit_share: float
    encode_ms: float
    decode_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """What was seen of a candidate. `against` and what follows are None when nothing served.

    decoder_error: what is wrong with the decoder file for browsers; empty when nothing is.
    """

    probe: ReportedProbe
    decoder_error: str
    against: UUID | None
    against_probe: ReportedProbe | None
    differences: Mapping[str, ReportedDifference]
    slices: Mapping[str, ReportedDifference]
    memory: ReportedMemory | None = None


def read_report(stored: object) -> GateReport:
    """Read a stored report; ReportError says what is missing or not a number."""
    if not isinstance(stored, Mapping):
        raise ReportError("it was not put to the test beside the serving model")
    against = stored.get("against")
    differences = _differences(stored, "differences") if against else {}
    if against and (missing := {ALL, *KINDS} - set(differences)):
        raise ReportError(f"the comparison lacks {', '.join(sorted(missing))}")
    return GateReport(
        probe=_probe(stored, "probe"),
        decoder_error=str(stored.get("decoder_error", "")),
        against=_uuid(against) if against else None,
        against_probe=_probe(stored, "against_probe") if against else None,
        differences=differences,
        slices=_differences(stored, "slices") if against else {},
        memory=_memory(stored) if against else None,
    )


def memory_sentence(stored: object) -> str:
    """Say what a stored report knows of the prompt memory; empty when it knows nothing."""
    try:
        memory = _memory(stored) if isinstance(stored, Mapping) else None
    except ReportError:
        return ""
    return "" if memory is None else str(memory)


def gate_blockers(report: GateReport, *, serving: UUID | None, policy: Policy) -> list[str]:
    """Say in sentences why the candidate should not serve; empty when it may."""
    found = _broken(report, policy=policy)
    if serving is None:
        return found
    if report.against != serving:
        return [*found, "it was compared with another model than the one that serves now"]
    return [*found, *_slow(report, policy=policy), *_worse(report, policy=policy)]


def _broken(report: GateReport, *, policy: Policy) -> list[str]:
    probe, found = report.probe, []
    if not probe.is_finite:
        found.append("its answers hold numbers that are none (NaN or infinite)")
    if probe.empty_share > policy.promotion_max_empty_fraction:
        found.append(f"{probe.empty_share:.0%} of its first clicks give an empty mask")
    elif probe.hit_share < policy.promotion_min_hit_fraction:
        found.append(f"only {probe.hit_share:.0%} of its masks contain the click they answer")
    if report.decoder_error:
        found.append(f"its decoder for browsers does not answer as it does: {report.decoder_error}")
    return found


def _slow(report: GateReport, *, policy: Policy) -> list[str]:
    other = report.against_probe
    if other is None:
        return []
    found = []
    for what, ms, other_ms in (
        ("an image", report.probe.encode_ms, other.encode_ms),
        ("a click", report.probe.decode_ms, other.decode_ms),
    ):
        if ms > policy.promotion_max_latency_ratio * other_ms:
            found.append(
                f"{what} takes it {ms:.0f} ms, the serving model {other_ms:.0f} ms "
                f"(at most {policy.promotion_max_latency_ratio:g} times as long)"
            )
    return found


def _worse(report: GateReport, *, policy: Policy) -> list[str]:
    whole, first = report.differences[ALL], report.differences["clicks_1"]
    found = []
    if first.mean < 0:
        found.append(f"one click is worse by {-first.mean:.3f} on average")
    if whole.worse_share > policy.promotion_max_worse_fraction:
        found.append(
            f"one, three and five clicks together: {whole.mean:+.3f} "
            f"({whole.low:+.3f} to {whole.high:+.3f}), worse in {whole.worse_share:.0%} of the "
            f"bootstrap's draws (at most {policy.promotion_max_worse_fraction:.0%})"
        )
    for kind, words in KINDS.items():
        one = report.differences[kind]
        if one.high < -policy.promotion_tolerance:
            found.append(f"{words}: surely worse ({one.low:+.3f} to {one.high:+.3f})")
    memory = report.memory
    if memory is not None and memory.difference.high < -policy.promotion_tolerance:
        found.append(f"{memory}: surely worse")
    for name, one in report.slices.items():
        is_large_enough = one.num_masks >= policy.promotion_min_slice_masks
        if is_large_enough and one.mean < -policy.promotion_slice_tolerance:
            found.append(f"{name} ({one.num_masks} masks): {one.mean:+.3f}")
    return found


def _differences(stored: Mapping[str, Any], key: str) -> dict[str, ReportedDifference]:
    found = stored.get(key)
    if not isinstance(found, Mapping):
        raise ReportError(f"the comparison lacks {key}")
    return {str(name): _difference(one, name=str(name)) for name, one in found.items()}


def _memory(stored: Mapping[str, Any]) -> ReportedMemory | None:
    found = stored.get("memory")
    if found is None:
        return None  # no held-out mask has prompts, as in an imported dataset
    return ReportedMemory(
        serving=_number(found, "serving", of="memory"),
        candidate=_number(found, "candidate", of="memory"),
        difference=_difference(found, name="memory"),
    )


def _difference(stored: object, *, name: str) -> ReportedDifference:
    return ReportedDifference(
        mean=_number(stored, "mean", of=name),
        low=_number(stored, "low", of=name),
        high=_number(stored, "high", of=name),
        worse_share=_number(stored, "worse_share", of=name),
        num_masks=int(_number(stored, "num_masks", of=name)),
    )


def _probe(stored: Mapping[str, Any], key: str) -> ReportedProbe:
    found = stored.get(key)
    return ReportedProbe(
        is_finite=isinstance(found, Mapping) and found.get("is_finite") is True,
        empty_share=_number(found, "empty_share", of=key),
        hit_share=_number(found, "hit_share", of=key),
        encode_ms=_number(found, "encode_ms", of=key),
        decode_ms=_number(found, "decode_ms", of=key),
    )


def _number(stored: object, key: str, *, of: str) -> float:
    value = stored.get(key) if isinstance(stored, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ReportError(f"a figure is missing or not a number: {key} of {of}")
    return float(value)


def _uuid(value: object) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        raise ReportError("the comparison does not say with which model") from None
