"""Where models run: the processor, or a graphics card of NVIDIA's (cuda) or Apple's (mps)."""

from __future__ import annotations

import os

import torch

from sam.tensor_files import reason

AUTO = "auto"
NAMES = (AUTO, "cpu", "cuda", "mps")
DEVICE_VARIABLE = "SEGLOOP_DEVICE"


def best_device() -> str:
    """Return cuda, mps or cpu, the first that is there; SEGLOOP_DEVICE names another."""
    if named := os.environ.get(DEVICE_VARIABLE):
        return str(checked_device(named))
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def checked_device(name: str) -> torch.device:
    """Return a device that is there; "auto" is the best one. Raises ValueError."""
    if name == AUTO:
        return torch.device(best_device())
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"device {name} cannot be used: {reason(error)}") from None
    return device


def synchronize(device: torch.device) -> None:
    """Wait until a graphics card has done what it was given; a processor always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
