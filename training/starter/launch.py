"""Starts the processes of one training of the starter."""

from __future__ import annotations

from pathlib import Path

from torch.multiprocessing.spawn import spawn

from training.starter.data import Pool
from training.starter.recipe import StarterConfig, train_worker


def train(pool: Pool, config: StarterConfig, out: Path, *, processes: int) -> None:
    """Train until the hours are over, in one process per core; resumes what is in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    rendezvous = out / "rendezvous"
    rendezvous.unlink(missing_ok=True)
    if processes == 1:
        train_worker(0, 1, pool, config, out, "")
        return
    spawn(  # type: ignore[no-untyped-call]
        train_worker,
        args=(processes, pool, config, out, rendezvous.absolute().as_uri()),
        nprocs=processes,
    )
