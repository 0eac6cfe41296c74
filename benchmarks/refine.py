"""One click on a damaged mask: what the page does, against what the mask input alone would give.

python -m benchmarks.refine DATASET [--images 14] [--checkpoint sam/starter/starter.safetensors]

DATASET is a folder in COCO's layout (images/, instances.json). Each true mask is damaged twice: a
third is cut off, or a disc is added at its border; one click in the middle of it must mend it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.common import machine
from masks import seeds
from masks.regions import deepest_point, largest_component
from masks.rle import Rle
from sam.checkpoints import checkpoint_files
from sam.image_files import read_image
from sam.prompting.predictor import Predictor

Mask = NDArray[np.bool_]


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def damaged(truth: Mask, random: np.random.Generator, *, adds: bool) -> Mask:
    """A third cut off (adds: the click must add it), or a disc too much."""
    rows, columns = np.indices(truth.shape)
    if adds:
        angle = random.uniform(0, 2 * np.pi)
        along = columns * np.cos(angle) + rows * np.sin(angle)
        return truth & (along < np.quantile(along[truth], 0.7))
    border = np.argwhere(truth & ~ndimage.binary_erosion(truth))
    row, column = border[random.integers(len(border))]
    return truth | (np.hypot(rows - row, columns - column) < 0.6 * np.sqrt(truth.sum() / np.pi))


def answers(
    predictor: Predictor, mask: Mask, click: tuple[float, float], *, adds: bool
) -> dict[str, Mask]:
    """The mask after the click: by mask input alone, by the model's whole answer, and locally."""
    frame, side = predictor.frame, predictor.model.config.low_res_size
    stride = frame.image_size_px // side
    covered = seeds.coverage(mask, input_hw=frame.input_hw, side=side, stride_px=stride)
    logits = seeds.seed_logits(covered)[None]
    context = seeds.context_of(
        covered,
        Rle.encode(mask).bbox_xywh_px,
        image_hw=frame.image_hw,
        cell_wh_px=(stride / frame.scale_xy[0], stride / frame.scale_xy[1]),
        click_xy_px=click,
        adds=adds,
    )

    def ask(points: list[tuple[float, float]], labels: list[int], **more: object) -> Mask:
        found = predictor.predict(
            point_coords=np.array(points),
            point_labels=labels,
            multimask_output=False,
            **more,  # type: ignore[arg-type]
        )
        return np.asarray(found.masks_nhw[0])

    label = int(adds)
    alone = ask([click], [label], mask_input=logits)
    box = np.array(context.box_xyxy_px)
    whole = ask([click, context.point_xy_px], [label, 1], box=box, mask_input=logits)
    local = seeds.local_edit(mask, whole, click_xy_px=click, adds=adds)
    if local is None:
        said = predictor.predict(point_coords=np.array([click]), point_labels=[1])
        best = np.asarray(said.masks_nhw[int(said.predicted_iou.argmax())])
        local = seeds.local_edit(mask, best if adds else mask & ~best, click_xy_px=click, adds=adds)
    return {
        "mask input alone": alone,
        "whole answer": whole,
        "page": mask if local is None else local,
    }


def main() -> None:
    """Print the mean IoU with the truth before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--images", type=int, default=14)
    parser.add_argument("--checkpoint", type=Path, default=Path("sam/starter/starter.safetensors"))
    options = parser.parse_args()
    print(machine())
    random = np.random.default_rng(1)
    data = json.loads((options.dataset / "instances.json").read_text())
    predictor = Predictor(checkpoint_files.load(options.checkpoint))
    found: dict[str, dict[str, list[float]]] = {"add": {}, "remove": {}}
    for entry in random.permutation(data["images"])[: options.images]:
        predictor.set_image(read_image(options.dataset / "images" / entry["file_name"]))
        height, width = predictor.frame.image_hw
        own = [one for one in data["annotations"] if one["image_id"] == entry["id"]]
        for one in random.permutation(np.array(own, dtype=object))[:4]:
            truth = Rle.from_coco(one["segmentation"], image_hw=(height, width)).decode()
            if truth.sum() < 2000:
                continue
            for name, adds in (("add", True), ("remove", False)):
                mask = damaged(truth, random, adds=adds)
                wrong = truth & ~mask if adds else mask & ~truth
                if wrong.sum() < 100 or not mask.any():
                    continue
                x, y = deepest_point(largest_component(wrong))
                results = {
                    "before": mask,
                    **answers(predictor, mask, (x + 0.5, y + 0.5), adds=adds),
                }
                for what, result in results.items():
                    found[name].setdefault(what, []).append(iou(result, truth))
    for name, columns in found.items():
        before, after = np.array(columns["before"]), np.array(columns["page"])
        figures = ", ".join(f"{what} {np.mean(values):.3f}" for what, values in columns.items())
        share = f"{(after > before).mean():.0%}"
        print(f"  {name}: {len(before)} masks, mean IoU {figures}; better {share}")


if __name__ == "__main__":
    main()
