"""The processes of one run: one alone, or several that torchrun started, on one host or more.

Each works on its share of every step's images; what they find is added up. No torch module is
wrapped: a step has several backward passes, and gradients travel once, at its end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn

from sam.devices import AUTO, best_device, checked_device
from training.loop.run_folder import TrainError

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """One process among `world`; the first, of rank 0, writes all files."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share_of(self, items: Sequence[Item]) -> list[tuple[int, Item]]:
        """Return this process's items, each with its place among all."""
        return list(enumerate(items))[self.rank :: self.world]

    def any_of(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return self.sum_of([float(flag)])[0] > 0

    def sum_of(self, values: Sequence[float]) -> list[float]:
        """Add up figures over the processes; a value that is not finite stays so."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def union_of(self, texts: Mapping[int, str]) -> dict[int, str]:
        """Join what the processes say, each about other numbers, in the order of the numbers."""
        parts: list[Mapping[int, str]] = [texts]
        if self.world > 1:
            parts = [{} for _ in range(self.world)]
            dist.all_gather_object(parts, dict(texts))
        joined = {number: text for part in parts for number, text in part.items()}
        return dict(sorted(joined.items()))

    def add_up_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Leave in every process the sum of all processes' gradients.

        A parameter that none of them used keeps no gradient, as in a process alone.
        """
        if self.world == 1:
            return
        used = [0.0 if p.grad is None else 1.0 for p in parameters]
        used = self.sum_of(used)
        learning = [p for p, count in zip(parameters, used, strict=True) if count]
        if not learning:
            return
        flat = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in learning]
        )
        dist.all_reduce(flat)
        start = 0
        for parameter in learning:
            part = flat[start : start + parameter.numel()]
            parameter.grad = part.view(parameter.shape).clone()
            start += parameter.numel()

    def first(self, action: Callable[[], object]) -> None:
        """Let the first process do something while the others wait; its failure is everybody's.

        Raises what the action raised in the first process and TrainError in the others.
        """
        if self.world == 1:
            action()
            return
        message: list[str | None] = [None]
        failure: BaseException | None = None
        if self.is_first:
            try:
                action()
            except Exception as error:
                failure, message = error, [str(error)]
        dist.broadcast_object_list(message, src=0)
        if failure is not None:
            raise failure
        if message[0] is not None:
            raise TrainError(f"the first process says: {message[0]}")


def alone(device: str = "auto") -> Processes:
    """Return the processes of a run that is one: "auto" takes a GPU when there is one.

    Raises TrainError for a device that is not there.
    """
    return Processes(device=_device(device, place=0))


@contextmanager
def joined(device: str = "auto") -> Iterator[Processes]:
    """Join the group that torchrun's environment describes; without one, be alone.

    Raises TrainError for a device that is not there or not for several processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield alone(device)
        return
    place = _device_of_many(device, place=int(os.environ.get("LOCAL_RANK", "0")))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Processes(rank=dist.get_rank(), world=world, device=place)
    finally:
        dist.destroy_process_group()


def _device(name: str, *, place: int) -> torch.device:
    try:
        kind = best_device() if name == AUTO else name
        if kind == "cuda" and torch.cuda.is_available():
            return torch.device("cuda", place % torch.cuda.device_count())
        return checked_device(kind)
    except ValueError as error:
        raise TrainError(f"{error}; leave --device out, or --device cpu") from None


def _device_of_many(name: str, *, place: int) -> torch.device:
    device = _device(name, place=place)
    if device.type != "mps":
        return device
    if name != AUTO:  # no backend of torch.distributed knows it
        raise TrainError("several processes cannot train on mps: leave --device out")
    return torch.device("cpu")
