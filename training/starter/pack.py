"""Packs the training images small enough to travel to a machine with a GPU.

`python -m training.starter.pack --data DIR --out FOLDER`; there, `python -m training.starter.plan
--pool FOLDER` trains from the folder alone.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from training.command_line import exit_code_of
from training.scenes import LabelledImage
from training.starter.data import Pool, cached_pool, on_every_core
from training.starter.recipe import StarterConfig

LONG_SIDE_PX = 576
QUALITY = 50


def pack(
    pool: Pool, out: Path, *, long_side_px: int = LONG_SIDE_PX, quality: int = QUALITY
) -> Pool:
    """Write a pool anew into a folder, scaled down and as WebP; what is there already stays."""
    out.mkdir(parents=True, exist_ok=True)
    placed: dict[Path, Path] = {}
    for paths in (*pool.photos_by_source.values(), pool.scenes):
        placed |= {path: out / path.name for path in paths}
    missing = [(path, target) for path, target in placed.items() if not target.exists()]
    on_every_core(partial(_pack_one, long_side_px, quality), missing)
    packed = Pool(
        {
            source: tuple(placed[path] for path in paths)
            for source, paths in pool.photos_by_source.items()
        },
        tuple(placed[path] for path in pool.scenes),
    )
    packed.save(out)
    return packed


def _pack_one(long_side_px: int, quality: int, wanted: tuple[Path, Path]) -> None:
    path, target = wanted
    small = LabelledImage.load(path).at_most(long_side_px)
    small.save(target, image_format="WEBP", quality=quality)


def main() -> int:
    """Run the command and return its exit code."""
    return exit_code_of(_run)


def _run() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.starter.pack", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training sets")
    parser.add_argument("--cache", type=Path, help="of photos and scenes; default: the out folder")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--scenes", type=int, default=2000, help="how many scenes to generate")
    parser.add_argument("--long-side", type=int, default=LONG_SIDE_PX, help="pixels, at most")
    parser.add_argument("--quality", type=int, default=QUALITY, help="of WebP, 1 to 100")
    options = parser.parse_args()
    cache: Path = options.cache or options.out / "full"
    pool = cached_pool(options.data, cache, num_scenes=options.scenes, seed=StarterConfig.seed)
    pack(pool, options.out / "pool", long_side_px=options.long_side, quality=options.quality)
    size = sum(path.stat().st_size for path in (options.out / "pool").iterdir())
    sys.stdout.write(f"{options.out / 'pool'}: {size / 1e6:.0f} MB\n")


if __name__ == "__main__":
    sys.exit(main())
