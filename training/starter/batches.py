"""Turns views into the tensors of a step, here or in processes of their own.

A GPU takes views faster than one process draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from sam.modeling.model import Sam
from training.starter.data import Pool, ViewSettings, draw_batch
from training.starter.views import View

Batch = TypeVar("Batch", covariant=True)


class Numbered(Protocol[Batch]):
    """Batches by number."""

    def __getitem__(self, number: int) -> Batch: ...


@dataclass(frozen=True, slots=True)
class ViewBatch:
    """The views of one step.

    images_b3ss: encoder input, float32. masks_nss: bool, those of all views.
    view_of_mask: (N,) int64, which view each mask belongs to, rising; place_in_view: (N,) int64,
    0 for the first mask of its view.
    """

    images_b3ss: Tensor
    masks_nss: Tensor
    view_of_mask: Tensor
    place_in_view: Tensor

    @classmethod
    def of(cls, model: Sam, views: Sequence[View]) -> ViewBatch:
        """Collect views; the model says how pixels are normalised."""
        counts = [len(view.masks_nhw) for view in views]
        places = [torch.arange(count) for count in counts]
        return cls(
            images_b3ss=images_of(model, views),
            masks_nss=torch.from_numpy(np.concatenate([view.masks_nhw for view in views])),
            view_of_mask=torch.arange(len(views)).repeat_interleave(torch.tensor(counts)),
            place_in_view=torch.cat(places),
        )

    def pin_memory(self) -> ViewBatch:
        """Let a GPU fetch it by itself; the loader calls this."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device) -> ViewBatch:
        """Move everything."""
        return self._each(lambda part: part.to(device, non_blocking=True))

    def _each(self, change: Callable[[Tensor], Tensor]) -> ViewBatch:
        return ViewBatch(
            images_b3ss=change(self.images_b3ss),
            masks_nss=change(self.masks_nss),
            view_of_mask=change(self.view_of_mask),
            place_in_view=change(self.place_in_view),
        )


def images_of(model: Sam, views: Sequence[View]) -> Tensor:
    """Return the views as encoder input (B, 3, S, S)."""
    batch = []
    for view in views:
        height, width = view.valid_hw
        pixels = torch.from_numpy(view.image_hwc_u8[:height, :width].copy()).permute(2, 0, 1)
        batch.append(model.normalise_and_pad(pixels.float()))
    return torch.cat(batch).contiguous(memory_format=torch.channels_last)


class Batches(IterableDataset[ViewBatch]):
    """Batches without end; `seed` and the number of loading processes settle what they hold."""

    def __init__(
        self, model: Sam, pool: Pool, settings: ViewSettings, *, seed: Sequence[int]
    ) -> None:
        super().__init__()
        self.model, self.pool, self.settings, self.seed = model, pool, settings, tuple(seed)

    def __iter__(self) -> Iterator[ViewBatch]:
        loading = get_worker_info()
        parts = [] if loading is None else [loading.id]
        rng = np.random.default_rng([*self.seed, *parts])
        while True:
            yield ViewBatch.of(self.model, draw_batch(self.pool, self.settings, rng=rng))


def batches(dataset: Batches, *, loaders: int) -> Iterator[ViewBatch]:
    """Draw batches here (0 loaders) or in processes ahead of the step."""
    return _drawn_ahead(dataset, loaders=loaders) if loaders else iter(dataset)


def in_order(dataset: Numbered[Batch], numbers: Sequence[int], *, loaders: int) -> Iterator[Batch]:
    """Draw these batches here (0 loaders) or in processes ahead of the step; both are the same."""
    if not loaders:
        return map(dataset.__getitem__, numbers)
    return _drawn_ahead(dataset, loaders=loaders, numbers=numbers)


def _drawn_ahead(
    dataset: Any, *, loaders: int, numbers: Sequence[int] | None = None
) -> Iterator[Any]:
    # forked: each gets the pool as it is, and none touches a GPU
    return iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=numbers,
            num_workers=loaders,
            prefetch_factor=4,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context="fork",
            worker_init_fn=_one_thread,
        )
    )


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def first_masks(batch: ViewBatch, *, views: Tensor, most: int) -> Tensor:
    """Return the rows of at most `most` masks of each view that `views` (B,) bool chooses."""
    is_chosen = views.to(batch.view_of_mask.device)[batch.view_of_mask]
    return (is_chosen & (batch.place_in_view < most)).nonzero().flatten()
