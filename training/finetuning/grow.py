"""Grow a model: start another architecture from what a smaller one has learned.

The data engine does so (paper section 4: from ViT-B to ViT-H as data came in). What fits is
copied by name and shape; the encoder only as a whole, for half an encoder knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sam.automatic.recommended_settings import carried_on
from sam.checkpoints import checkpoint_files
from sam.modeling.config import SamConfig
from sam.modeling.model import Sam

ENCODER_PREFIX = "image_encoder."


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What a grown model was made of. New tensors have random weights."""

    encoder_from: str
    num_copied: int
    new_names: tuple[str, ...]

    @property
    def has_random_encoder(self) -> bool:
        return self.encoder_from == "random weights"

    def sentence(self) -> str:
        """Tell what was copied, in one line."""
        description = f"encoder: {self.encoder_from}; {self.num_copied} other tensors copied"
        if not self.new_names:
            return f"{description}, none new"
        parts = sorted({_part(name) for name in self.new_names})
        return f"{description}, {len(self.new_names)} new in {', '.join(parts)}"


def grow(
    start: Sam, config: SamConfig, *, encoder_from: Sam | None = None, seed: int = 0
) -> tuple[Sam, Growth]:
    """Build a model of `config` from what fits of `start`; the rest is random by the seed.

    encoder_from: a model whose encoder is taken instead, as an official checkpoint of the new
    size. Raises CheckpointError when that encoder does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        grown = Sam(config).eval()
    tensors = grown.state_dict()
    known = start.state_dict()
    lender, description = start, f"of the {start.config.arch} that was given"
    if encoder_from is not None:
        lender, description = encoder_from, f"of the {encoder_from.config.arch} checkpoint"
    fits = _encoder_fits(tensors, lender.state_dict())
    if encoder_from is not None and not fits:
        raise checkpoint_files.CheckpointError(
            f"the encoder of a {encoder_from.config.arch} does not fit a {config.arch}"
        )
    taken: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(ENCODER_PREFIX):
            if fits:
                taken[name] = lender.state_dict()[name]
        elif name in known and known[name].shape == tensor.shape:
            taken[name] = known[name]
    grown.load_state_dict({**tensors, **taken})
    others = [name for name in tensors if not name.startswith(ENCODER_PREFIX)]
    return grown, Growth(
        encoder_from=description if fits else "random weights",
        num_copied=sum(name in taken for name in others),
        new_names=tuple(name for name in others if name not in taken),
    )


def write_grown(
    path: Path,
    *,
    start: Path,
    config: SamConfig,
    encoder_from: Path | None = None,
    seed: int = 0,
) -> Growth:
    """Write the grown model as a checkpoint to start from; the same call writes the same bytes.

    Raises CheckpointError.
    """
    lender = None if encoder_from is None else checkpoint_files.load(encoder_from)
    grown, growth = grow(checkpoint_files.load(start), config, encoder_from=lender, seed=seed)
    checkpoint_files.save(grown, path, {"grown": growth.sentence(), **carried_on(start)})
    return growth


def _encoder_fits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> bool:
    names = [name for name in wanted if name.startswith(ENCODER_PREFIX)]
    return all(name in given and given[name].shape == wanted[name].shape for name in names)


def _part(name: str) -> str:
    """Return the module two levels down, for a list a person reads."""
    return ".".join(name.split(".")[:2])
