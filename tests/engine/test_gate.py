"""The rules of the promotion gate, each by a report that breaks just this one."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from engine.domain.gate import ReportError, gate_blockers, memory_sentence, read_report
from engine.domain.policy import Policy
from tests.factories import difference, gate_report

POLICY = Policy()
Stored = dict[str, Any]


class Serving:
    pk = uuid4()


def report(**changes: float) -> Stored:
    return gate_report(Serving, **changes)  # type: ignore[arg-type]


def verdict(stored: Stored, *, has_serving: bool = True) -> list[str]:
    serving = Serving.pk if has_serving else None
    return gate_blockers(read_report(stored), serving=serving, policy=POLICY)


def probe(stored: Stored, **changes: object) -> Stored:
    return {**stored, "probe": {**stored["probe"], **changes}}


def test_a_better_model_and_an_equal_one_pass() -> None:
    assert verdict(report()) == []
    assert verdict(report(clicks_1=0.0, clicks_3=0.0, clicks_5=0.0, all=0.0)) == []


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (report(clicks_1=-0.001), "one click is worse by 0.001 on average"),
        (report(clicks_5=-0.02), "five clicks: surely worse (-0.020 to -0.020)"),
        (report(all=-0.01), "worse in 100% of the bootstrap's draws (at most 25%)"),
        (probe(report(), is_finite=False), "numbers that are none"),
        (probe(report(), empty_share=0.2), "20% of its first clicks give an empty mask"),
        (probe(report(), hit_share=0.5), "only 50% of its masks contain the click"),
        (probe(report(), encode_ms=151.0), "an image takes it 151 ms, the serving model 100 ms"),
        (probe(report(), decode_ms=16.0), "a click takes it 16 ms, the serving model 10 ms"),
        ({**report(), "decoder_error": "differs by 3"}, "does not answer as it does: differs by 3"),
        (
            {**report(), "slices": {"small objects": difference(-0.06)}},
            "small objects (20 masks): -0.060",
        ),
        ({**report(), "against": str(uuid4())}, "compared with another model"),
    ],
)
def test_what_speaks_against_it_is_said(stored: Stored, sentence: str) -> None:
    (said,) = verdict(stored)

    assert sentence in said


def test_a_small_loss_within_the_noise_of_five_clicks_is_forgiven() -> None:
    stored = report()
    stored["differences"]["clicks_5"] |= {"mean": -0.01, "low": -0.05, "high": 0.02}

    assert verdict(stored) == []


def test_a_gain_that_a_quarter_of_the_draws_doubt_passes_and_more_doubt_does_not() -> None:
    stored = report()
    stored["differences"]["all"] |= {"low": -0.02, "worse_share": 0.25}
    assert verdict(stored) == []

    stored["differences"]["all"]["worse_share"] = 0.26
    assert len(verdict(stored)) == 1


def memory(stored: Stored, **changes: float) -> Stored:
    found = {**difference(-0.1, num_masks=40), "serving": 0.8, "candidate": 0.7, **changes}
    return {**stored, "memory": found}


def test_prompts_of_people_that_bring_much_less_are_an_objection_and_noise_is_not() -> None:
    (said,) = verdict(memory(report()))

    assert "the prompts that led to 40 accepted masks bring them at mean IoU 0.700" in said
    assert "with the serving model at 0.800: surely worse" in said
    assert verdict(memory(report(), low=-0.2, high=0.0)) == []


def test_what_the_prompt_memory_brought_is_told_whatever_the_verdict() -> None:
    assert "at mean IoU 0.700" in memory_sentence(memory(report()))
    assert memory_sentence(report()) == memory_sentence(None) == ""
    assert memory_sentence({"memory": {"serving": "good"}}) == ""
    with pytest.raises(ReportError, match="of memory"):
        read_report({**report(), "memory": {"serving": "good"}})


def test_a_slice_of_few_masks_says_nothing() -> None:
    stored = {**report(), "slices": {"source a": difference(-0.5, num_masks=9)}}

    assert verdict(stored) == []


def test_without_a_serving_model_only_soundness_counts() -> None:
    stored = gate_report(None)
    assert verdict(stored, has_serving=False) == []

    assert len(verdict(probe(stored, hit_share=0.1), has_serving=False)) == 1


def without(key: str, *, of: str | None = None) -> Stored:
    stored = report()
    (stored if of is None else stored[of]).pop(key)
    return stored


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (None, "not put to the test"),
        (without("clicks_3", of="differences"), "the comparison lacks clicks_3"),
        (without("hit_share", of="probe"), "hit_share of probe"),
        (without("slices"), "the comparison lacks slices"),
        (report(all=float("nan")), "a figure is missing or not a number: mean of all"),
        ({**report(), "against": "v3"}, "does not say with which model"),
    ],
)
def test_a_spoilt_report_decides_nothing(stored: object, sentence: str) -> None:
    with pytest.raises(ReportError, match=sentence):
        read_report(stored)
