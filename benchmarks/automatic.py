"""Automatic masks: a 32 x 32 grid on a 2-megapixel image, against segment-anything's generator.

python -m benchmarks.automatic [--threads 2] [--rounds 1]

Whole generation runs each side in a process of its own, for its peak memory; then everything
after the decoder alone. ViT-B, both sides' default settings; see `canned` for the masks.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco

from benchmarks.canned import CannedMasks, replace_ours, replace_theirs
from benchmarks.common import machine, sample_pixels, table
from sam.automatic.mask_generator import RELEASED, generate
from tests.peers.segment_anything_peer import (
    SamAutomaticMaskGenerator,
    official_model,
    ours_with_same_weights,
)

SIDES = ("segment-anything", "ours")
WIDTH_PX, HEIGHT_PX = 1800, 1200


def main() -> None:
    """Print the tables, or run one side when told to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--without-model", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.side:
        run = _run(options.side, with_model=not options.without_model)
        options.out.write_text(json.dumps(run))
        return
    print(machine())
    for title, extra in (
        ("whole generation", []),
        ("all that follows the decoder", ["--without-model"]),
    ):
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
        for _ in range(options.rounds):
            for side in SIDES:
                runs[side].append(_in_process(side, options.threads, extra))
        seconds = {side: [run["seconds"] for run in runs[side]] for side in SIDES}
        print(table(f"{title}, {WIDTH_PX} x {HEIGHT_PX} px", seconds, peer=SIDES[0]))
        theirs, ours = (runs[side][0] for side in SIDES)
        print(_agreement(theirs["masks"], ours["masks"]))
        if not extra:
            peaks = [run["peak_bytes"] / 1e9 for run in (theirs, ours)]
            print(
                f"  peak memory: {peaks[0]:.2f} GB against {peaks[1]:.2f} GB: "
                f"{peaks[1] / peaks[0]:.2f} x"
            )


def _in_process(side: str, threads: int, extra: list[str]) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "run.json"
        command = [sys.executable, "-m", "benchmarks.automatic", "--side", side]
        subprocess.run([*command, "--threads", str(threads), "--out", str(out), *extra], check=True)
        run: dict[str, Any] = json.loads(out.read_text())
    return run


def _run(side: str, *, with_model: bool) -> dict[str, Any]:
    image = sample_pixels(WIDTH_PX, HEIGHT_PX)
    canned = CannedMasks(image, points_per_side=RELEASED.points_per_side)
    reference = official_model("vit_b")
    if side == "ours":
        model = ours_with_same_weights(reference)
        del reference
        replace_ours(model, canned, with_model=with_model)
        make = lambda: [  # noqa: E731
            {"segmentation": m.rle.to_coco(), "bbox": m.bbox_xywh_px}
            for m in generate(model, image, RELEASED)
        ]
    else:
        replace_theirs(reference, canned, with_model=with_model)
        generator = SamAutomaticMaskGenerator(reference, output_mode="coco_rle")
        make = lambda: generator.generate(image)  # noqa: E731
    canned.restart()
    started = time.perf_counter()
    masks = make()
    seconds = time.perf_counter() - started - canned.seconds
    kept = [{"segmentation": mask["segmentation"], "bbox": list(mask["bbox"])} for mask in masks]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "masks": kept, "peak_bytes": peak}


def _agreement(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> str:
    iou = coco.iou(
        [mask["segmentation"] for mask in theirs],
        [mask["segmentation"] for mask in ours],
        [0] * len(ours),
    )
    partner = np.argmax(iou, axis=1)
    boxes = 0
    for index, mask in enumerate(theirs):
        x, y, w, h = mask["bbox"]  # theirs ends at the last pixel, ours after it
        boxes += [x, y, w + 1, h + 1] == ours[partner[index]]["bbox"]
    same = len(theirs) == len(ours) == len(set(partner.tolist()))
    return (
        f"  kept {len(theirs)} and {len(ours)} masks, {'' if same else 'NOT '}one to one; "
        f"{boxes} boxes equal; smallest IoU of a pair {iou.max(axis=1).min():.5f}"
    )


if __name__ == "__main__":
    main()
