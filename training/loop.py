"""The optimisation loop shared by the mask model and the detector: AdamW, warm-up, states, stops.

Every step draws from a generator made of the seed and the step alone, so a resumed run repeats an
uninterrupted one bit for bit on the same machine.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from training.run_folder import RunFolder, TrainError

FINAL_LEARNING_RATE_SHARE = 0.05


class TrainStopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The run was asked to stop; its state is saved and the same call resumes it."""


class OnProgress(Protocol):
    """Hear how far a run is: fraction in [0, 1], a sentence for a person, figures by name."""

    def __call__(self, fraction: float, message: str, **figures: float) -> object: ...


class ComputeGradients(Protocol):
    """Fill the gradients of one step and return its loss and other figures."""

    def __call__(self, *, step: int, generator: torch.Generator) -> Mapping[str, float]: ...


def no_progress(fraction: float, message: str, **figures: float) -> None:
    """Tell nobody."""


def never_stop() -> bool:
    """Let a run go on to its end."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """The figures of one optimisation; `training.config` says where they come from."""

    num_steps: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    clip_norm: float
    checkpoint_every_steps: int
    seed: int
    log_every_steps: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that learn at `learning_rate_share` of the run's learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate_share: float = 1.0


def step_generator(*, seed: int, step: int) -> torch.Generator:
    """Return the random generator of one step."""
    digest = hashlib.sha256(f"{seed}:{step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def learning_rate_share(step: int, *, num_steps: int, warmup_steps: int) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then half a cosine."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    done = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return FINAL_LEARNING_RATE_SHARE + (1 - FINAL_LEARNING_RATE_SHARE) * cosine


def run_loop(
    trained: Mapping[str, nn.Module],
    *,
    groups: Sequence[ParameterGroup],
    settings: LoopSettings,
    run: RunFolder,
    compute_gradients: ComputeGradients,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> None:
    """Take the steps that are left and leave the trained modules at the last one.

    Raises TrainStopped after saving the state when asked to stop, and TrainError before a step
    whose loss or gradient is not finite.
    """
    optimizer = _optimizer(groups, settings=settings)
    first_step = _restore(trained, optimizer=optimizer, run=run)
    started = time.monotonic()
    for step in range(first_step, settings.num_steps):
        if should_stop():
            _save(trained, optimizer=optimizer, run=run, step=step)
            raise TrainStopped(f"stopped after {step} of {settings.num_steps} steps")
        figures = _take_step(optimizer, groups, compute_gradients, settings=settings, step=step)
        done = step + 1
        elapsed_s = time.monotonic() - started
        if done % settings.log_every_steps == 0 or done == settings.num_steps:
            run.log(step=done, elapsed_s=round(elapsed_s, 3), **figures)
        if done % settings.checkpoint_every_steps == 0 or done == settings.num_steps:
            _save(trained, optimizer=optimizer, run=run, step=done)
        message = f"step {done} of {settings.num_steps}, loss {figures['loss']:.3f}"
        on_progress(done / settings.num_steps, message, step=done, **figures)


def _optimizer(groups: Sequence[ParameterGroup], *, settings: LoopSettings) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [{"params": list(g.parameters), "share": g.learning_rate_share} for g in groups],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )


def _take_step(
    optimizer: torch.optim.AdamW,
    groups: Sequence[ParameterGroup],
    compute_gradients: ComputeGradients,
    *,
    settings: LoopSettings,
    step: int,
) -> dict[str, float]:
    share = learning_rate_share(
        step, num_steps=settings.num_steps, warmup_steps=settings.warmup_steps
    )
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * share * group["share"]
    optimizer.zero_grad(set_to_none=True)
    generator = step_generator(seed=settings.seed, step=step)
    with torch.random.fork_rng(devices=[]):  # layers that draw from the global generator
        torch.manual_seed(generator.initial_seed())
        figures = dict(compute_gradients(step=step, generator=generator))
    _require_finite(figures["loss"], what="loss", step=step)
    parameters = [parameter for group in groups for parameter in group.parameters]
    norm: Tensor = nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
    _require_finite(float(norm), what="gradient", step=step)
    optimizer.step()
    return figures | {"gradient_norm": float(norm), "learning_rate": settings.learning_rate * share}


def _require_finite(value: float, *, what: str, step: int) -> None:
    if not math.isfinite(value):
        raise TrainError(
            f"step {step + 1}: the {what} is {value}; the step was not taken "
            "(lower the learning rate, or look for odd images in the manifest)"
        )


def _save(
    trained: Mapping[str, nn.Module], *, optimizer: torch.optim.AdamW, run: RunFolder, step: int
) -> None:
    models = {name: module.state_dict() for name, module in trained.items()}
    run.save_state({"step": step, "models": models, "optimizer": optimizer.state_dict()})


def _restore(
    trained: Mapping[str, nn.Module], *, optimizer: torch.optim.AdamW, run: RunFolder
) -> int:
    state: dict[str, Any] | None = run.load_state()
    if state is None:
        run.rewind_log(step=0)
        return 0
    try:
        for name, module in trained.items():
            module.load_state_dict(state["models"][name])
        optimizer.load_state_dict(state["optimizer"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainError(f"the saved state of {run.path} is of another model: {error}") from error
    step = int(state["step"])
    run.rewind_log(step=step)
    return step
