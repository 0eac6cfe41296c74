"""Runs the starter's recipe: `python -m training.starter --data DIR --out DIR --hours H`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from training.starter.data import ViewSettings, cached_pool
from training.starter.launch import train
from training.starter.recipe import StarterConfig
from training.starter.start import published_trunk


def trunk_file(name: str | None) -> Path | None:
    """Return the weight file that a path or the name of a package means."""
    if name is None:
        return None
    return Path(name) if Path(name).is_file() else published_trunk(name)


def main() -> None:
    """Cache the pool, then train with one process per core until the hours are over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training sets")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes if it exists")
    parser.add_argument("--start", type=Path, help="checkpoint to go on from, without dense part")
    parser.add_argument(
        "--trunk",
        help="begin with a published trunk: a weight file, or the name of an installed package",
    )
    parser.add_argument(
        "--trunk-share",
        type=float,
        default=StarterConfig.trunk_learning_rate_share,
        help="of the learning rate, for the trunk; 0 holds it still",
    )
    parser.add_argument(
        "--trunk-frozen-blocks", type=int, default=StarterConfig.trunk_frozen_blocks
    )
    parser.add_argument("--cache", type=Path, help="of photos and scenes; default: the run folder")
    parser.add_argument("--photo-share", type=float, default=ViewSettings.photo_share)
    parser.add_argument("--whole-share", type=float, default=ViewSettings.whole_share)
    parser.add_argument("--late-corrections", type=int, default=StarterConfig.late_corrections)
    parser.add_argument(
        "--keep-encoder", action="store_true", help="leave the encoder of --start as it is"
    )
    parser.add_argument("--decoder-share", type=float, default=StarterConfig.decoder_share)
    parser.add_argument("--warmup-steps", type=int, default=StarterConfig.warmup_steps)
    parser.add_argument("--hours", type=float, default=StarterConfig.hours, help="processor time")
    parser.add_argument("--learning-rate", type=float, default=StarterConfig.learning_rate)
    parser.add_argument("--size", type=int, default=ViewSettings.size_px, help="view side, pixels")
    parser.add_argument("--dense-share", type=float, default=StarterConfig.dense_share)
    parser.add_argument("--refine-share", type=float, default=StarterConfig.refine_share)
    parser.add_argument("--calibration-share", type=float, default=StarterConfig.calibration_share)
    parser.add_argument("--seed", type=int, default=StarterConfig.seed, help="of scenes and views")
    parser.add_argument("--scenes", type=int, default=2000, help="how many scenes to generate")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch-images", type=int, default=ViewSettings.batch_images)
    parser.add_argument("--device", default=StarterConfig.device, help="cpu or cuda")
    parser.add_argument("--loaders", type=int, default=0, help="processes that draw views ahead")
    parser.add_argument("--save-every", type=int, default=StarterConfig.save_every_steps)
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    cache: Path = arguments.cache or out
    config = StarterConfig(
        hours=arguments.hours,
        seed=arguments.seed,
        start=arguments.start,
        trunk=trunk_file(arguments.trunk),
        trunk_learning_rate_share=arguments.trunk_share,
        trunk_frozen_blocks=arguments.trunk_frozen_blocks,
        late_corrections=arguments.late_corrections,
        trains_encoder=not arguments.keep_encoder,
        decoder_share=arguments.decoder_share,
        warmup_steps=arguments.warmup_steps,
        learning_rate=arguments.learning_rate,
        dense_share=0.0 if arguments.start else arguments.dense_share,
        refine_share=arguments.refine_share,
        calibration_share=arguments.calibration_share,
        device=arguments.device,
        loaders=arguments.loaders,
        save_every_steps=arguments.save_every,
    )
    views = replace(
        config.views,
        batch_images=arguments.batch_images,
        size_px=arguments.size,
        photo_share=arguments.photo_share,
        whole_share=arguments.whole_share,
    )
    config = replace(config, views=views)
    pool = cached_pool(arguments.data, cache, num_scenes=arguments.scenes, seed=config.seed)
    learnt, _ = pool.parted()
    train(learnt, config, out, processes=arguments.processes)


if __name__ == "__main__":
    main()
