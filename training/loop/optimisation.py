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
from typing import Protocol

import torch
from torch import Tensor, nn

from training.loop.config import Schedule
from training.loop.processes import Processes, alone
from training.loop.run_folder import RunFolder, SavedState, TrainError

FINAL_LEARNING_RATE_SHARE = 0.05


class TrainStopped(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The run was asked to stop; its state is saved and the same call resumes it."""


class OnProgress(Protocol):
    """Hear how far a run is: fraction in [0, 1], a sentence for a person, figures by name."""

    def __call__(self, fraction: float, message: str, **figures: float) -> object: ...


class ComputeGradients(Protocol):
    """Fill the gradients of one step and return its loss and other figures.

    Among several processes: of this process's part of the step; the parts are added up.
    """

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
    clip_norm: float | None
    checkpoint_every_steps: int
    seed: int
    log_every_steps: int = 1
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = "cosine"
    milestones: tuple[int, ...] = ()
    decay_factor: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters that learn at `learning_rate_share` of the run's learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate_share: float = 1.0


def step_generator(*, seed: int, step: int, place: int | None = None) -> torch.Generator:
    """Return the random generator of one step, or of one of its images."""
    text = f"{seed}:{step}" if place is None else f"{seed}:{step}:{place}"
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def learning_rate_share(step: int, settings: LoopSettings) -> float:
    """Return the share of the peak learning rate at a step (from 0).

    A linear warm-up, then the schedule; milestones count from the start of the run, and the step
    at a milestone is the first with the lower rate.
    """
    if step < settings.warmup_steps:
        return (step + 1) / (settings.warmup_steps + 1)
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "step":
        passed = sum(step >= milestone for milestone in settings.milestones)
        return float(settings.decay_factor**passed)
    done = (step - settings.warmup_steps) / max(1, settings.num_steps - settings.warmup_steps)
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
    processes: Processes | None = None,
) -> None:
    """Take the steps that are left and leave the trained modules at the last one.

    Raises TrainStopped after saving the state when asked to stop, and TrainError before a step
    whose loss or gradient is not finite.
    """
    processes = processes or alone("cpu")
    optimizer = _optimizer(groups, settings=settings)
    first_step, earlier_s = _restore(trained, optimizer=optimizer, run=run)
    processes.first(lambda: run.rewind_log(step=first_step))
    started = time.monotonic()

    def save(step: int) -> None:
        if processes.is_first:
            elapsed_s = earlier_s + time.monotonic() - started
            run.save_state(_state(trained, optimizer=optimizer, step=step, elapsed_s=elapsed_s))

    for step in range(first_step, settings.num_steps):
        if processes.any_of(should_stop()):
            save(step)
            raise TrainStopped(f"stopped after {step} of {settings.num_steps} steps")
        figures = _take_step(
            optimizer, groups, compute_gradients, settings=settings, step=step, processes=processes
        )
        done = step + 1
        elapsed_s = earlier_s + time.monotonic() - started
        is_last = done == settings.num_steps
        if processes.is_first and (done % settings.log_every_steps == 0 or is_last):
            run.log(step=done, elapsed_s=round(elapsed_s, 3), **figures)
        if done % settings.checkpoint_every_steps == 0 or is_last:
            save(done)
        message = f"step {done} of {settings.num_steps}, loss {figures['loss']:.3f}"
        on_progress(done / settings.num_steps, message, step=done, **figures)


def _optimizer(groups: Sequence[ParameterGroup], *, settings: LoopSettings) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [{"params": list(g.parameters), "share": g.learning_rate_share} for g in groups],
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )


def _take_step(
    optimizer: torch.optim.AdamW,
    groups: Sequence[ParameterGroup],
    compute_gradients: ComputeGradients,
    *,
    settings: LoopSettings,
    step: int,
    processes: Processes,
) -> dict[str, float]:
    share = learning_rate_share(step, settings)
    for group in optimizer.param_groups:
        group["lr"] = settings.learning_rate * share * group["share"]
    optimizer.zero_grad(set_to_none=True)
    generator = step_generator(seed=settings.seed, step=step)
    with torch.random.fork_rng(devices=[]):  # layers that draw from the global generator
        torch.manual_seed(generator.initial_seed())
        part = dict(compute_gradients(step=step, generator=generator))
    figures = dict(zip(part, processes.sum_of(list(part.values())), strict=True))
    _require_finite(figures["loss"], what="loss", step=step)
    parameters = [parameter for group in groups for parameter in group.parameters]
    processes.add_up_gradients(parameters)
    limit = math.inf if settings.clip_norm is None else settings.clip_norm
    norm: Tensor = nn.utils.clip_grad_norm_(parameters, limit)
    _require_finite(float(norm), what="gradient", step=step)
    optimizer.step()
    return figures | {"gradient_norm": float(norm), "learning_rate": settings.learning_rate * share}


def _require_finite(value: float, *, what: str, step: int) -> None:
    if not math.isfinite(value):
        raise TrainError(
            f"step {step + 1}: the {what} is {value}; the step was not taken "
            "(lower the learning rate, or look for odd images in the manifest)"
        )


def _state(
    trained: Mapping[str, nn.Module],
    *,
    optimizer: torch.optim.AdamW,
    step: int,
    elapsed_s: float,
) -> SavedState:
    tensors = {
        f"model/{name}/{key}": value
        for name, module in trained.items()
        for key, value in module.state_dict().items()
    }
    for place, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{place}/{key}": value for key, value in values.items()}
    return SavedState(tensors=tensors, step=step, elapsed_s=elapsed_s)


def _restore(
    trained: Mapping[str, nn.Module], *, optimizer: torch.optim.AdamW, run: RunFolder
) -> tuple[int, float]:
    """Load the saved state and return its number of steps and seconds."""
    state = run.load_state()
    if state is None:
        return 0, 0.0
    try:
        for name, module in trained.items():
            module.load_state_dict(_below(f"model/{name}/", state))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer/", state).items():
            place, key = name.split("/")
            moments.setdefault(int(place), {})[key] = value
        kept = optimizer.state_dict() | {"state": moments}
        optimizer.load_state_dict(kept)
    except (KeyError, RuntimeError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise TrainError(f"the saved state of {run.path} is of another model: {first_line}") from (
            error
        )
    return state.step, state.elapsed_s


def _below(prefix: str, state: SavedState) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.tensors.items() if k.startswith(prefix)}
