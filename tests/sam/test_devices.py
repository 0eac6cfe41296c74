"""Where models run. No graphics card of Apple's was at hand: what is told of mps is the choice."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from sam.devices import best_device, checked_device, synchronize

AUTO = "auto"


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGLOOP_DEVICE", raising=False)


@pytest.mark.parametrize(
    ("has_cuda", "has_mps", "best"),
    [
        (True, True, "cuda"),
        (True, False, "cuda"),
        (False, True, "mps"),
        (False, False, "cpu"),
    ],
)
def test_a_graphics_card_is_taken_before_the_processor(
    monkeypatch: pytest.MonkeyPatch, has_cuda: bool, has_mps: bool, best: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)

    assert best_device() == best
    assert checked_device(AUTO) == torch.device(best)


def test_the_environment_names_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setenv("SEGLOOP_DEVICE", "cpu")

    assert best_device() == "cpu"
    monkeypatch.setenv("SEGLOOP_DEVICE", "toaster")
    with pytest.raises(ValueError, match="device toaster cannot be used"):
        best_device()


@pytest.mark.parametrize("name", ["nonsense", "cuda:77", "mps:9"])
def test_a_device_that_is_not_there_is_told_in_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=f"device {name} cannot be used: ") as caught:
        checked_device(name)

    assert "\n" not in str(caught.value)


def test_a_processor_need_not_be_waited_for() -> None:
    synchronize(torch.device("cpu"))


def test_what_apple_s_cards_cannot_do_is_left_to_the_processor_before_torch_loads() -> None:
    code = (
        "import sam, os, sys; "
        "print(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'], 'torch' in sys.modules)"
    )
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTORCH_ENABLE_MPS_FALLBACK"
    }

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["1", "False"]
