"""The whole recipe in one command: phases one after another, each by its share of the time.

`python -m training.starter.plan --data DIR --out DIR --hours H --start CHECKPOINT`. On a GPU:
`--pool FOLDER --device cuda --loaders 14`, from what `training.starter.pack` wrote. The same
command goes on where it was stopped; `OUT/starter.safetensors` is the last phase's.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from training.command_line import exit_code_of
from training.starter.__main__ import trunk_file
from training.starter.data import Pool, ViewSettings, cached_pool
from training.starter.launch import train
from training.starter.recipe import EXPORT_NAME, StarterConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One training of a plan.

    share: of the plan's hours. memory: images of a step as a multiple of what --batch-images says
    for 256 px.
    """

    name: str
    share: float
    size_px: int
    memory: float
    learning_rate: float
    trunk_share: float
    refine_share: float
    whole_share: float
    late_corrections: int = 4
    trains_encoder: bool = True
    decoder_share: float = StarterConfig.decoder_share


PHASES = (
    Phase(
        name="small",
        share=0.3,
        size_px=256,
        memory=1.0,
        learning_rate=1.2e-3,
        trunk_share=0.2,
        refine_share=0.15,
        whole_share=0.4,
    ),
    Phase(
        name="large",
        share=0.5,
        size_px=512,
        memory=0.6,
        learning_rate=6e-4,
        trunk_share=0.3,
        refine_share=0.4,
        whole_share=0.5,
    ),
    Phase(
        name="decoder",
        share=0.2,
        size_px=512,
        memory=0.5,
        learning_rate=4e-4,
        trunk_share=0.0,
        refine_share=1.0,
        whole_share=0.5,
        late_corrections=6,
        trains_encoder=False,
        decoder_share=1.0,
    ),
)
"""Many small views first, which are cheap; then the size that serves, for large objects; last the
decoder alone, for corrections and boxes, which lag."""


def run_plan(
    pool: Pool,
    config: StarterConfig,
    out: Path,
    *,
    hours: float,
    processes: int,
    phases: tuple[Phase, ...] = PHASES,
) -> Path:
    """Run the phases that are not done yet; returns the last one's checkpoint."""
    start, trunk = config.start, config.trunk
    for phase in phases:
        folder = out / phase.name
        done = folder / EXPORT_NAME
        if not done.exists():
            views = replace(
                config.views,
                size_px=phase.size_px,
                batch_images=max(1, round(config.views.batch_images * phase.memory)),
                whole_share=phase.whole_share,
            )
            settings = replace(
                config,
                hours=hours * phase.share,
                start=start,
                trunk=trunk,
                dense_share=0.0,
                calibration_share=0.0,
                learning_rate=phase.learning_rate,
                trunk_learning_rate_share=phase.trunk_share,
                refine_share=phase.refine_share,
                late_corrections=phase.late_corrections,
                trains_encoder=phase.trains_encoder,
                decoder_share=phase.decoder_share,
                views=views,
            )
            train(pool, settings, folder, processes=processes)
        start, trunk = done, None
    assert start is not None
    shutil.copyfile(start, out / EXPORT_NAME)
    return out / EXPORT_NAME


def main() -> int:
    """Run the command and return its exit code."""
    return exit_code_of(_run)


def _run() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.starter.plan", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder of the training sets")
    source.add_argument("--pool", type=Path, help="what training.starter.pack wrote")
    parser.add_argument("--cache", type=Path, help="of photos and scenes; default: the run folder")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes if it exists")
    parser.add_argument("--hours", type=float, required=True, help="of the whole plan")
    parser.add_argument("--start", type=Path, required=True, help="checkpoint to begin with")
    parser.add_argument("--trunk", help="published trunk to begin with: a file or a package")
    parser.add_argument("--scenes", type=int, default=2000, help="how many scenes to generate")
    parser.add_argument("--seed", type=int, default=StarterConfig.seed)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch-images", type=int, default=10, help="of a step, at 256 px")
    parser.add_argument("--device", default=StarterConfig.device, help="cpu or cuda")
    parser.add_argument("--loaders", type=int, default=0, help="processes that draw views ahead")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if options.pool is not None:
        pool = Pool.load(options.pool)
    else:
        cache: Path = options.cache or out
        pool = cached_pool(options.data, cache, num_scenes=options.scenes, seed=options.seed)
    learnt, _ = pool.parted()
    config = StarterConfig(
        seed=options.seed,
        start=options.start,
        trunk=trunk_file(options.trunk),
        device=options.device,
        loaders=options.loaders,
        views=ViewSettings(batch_images=options.batch_images),
    )
    processes = 1 if options.device != "cpu" else options.processes
    path = run_plan(learnt, config, out, hours=options.hours, processes=processes)
    sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    sys.exit(main())
