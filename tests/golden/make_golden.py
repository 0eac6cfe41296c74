"""Write the golden vectors that Python and the page are both tested against.

Run `python -m tests.golden.make_golden` after a deliberate change of a rule and commit the result.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from masks import crops, seeds
from masks.rle import Rle
from sam.coordinates import Frame, as_tensor
from sam.prompting.selection import choose
from sam.prompts import Decoded, Prompts

FOLDER = Path(__file__).parent
FRAMES = [  # (image height, image width), model side
    ((480, 640), 1024),
    ((640, 480), 512),
    ((1500, 2250), 1024),
    ((1024, 1024), 1024),
    ((333, 1001), 512),
    ((2249, 1499), 512),
    ((37, 50), 128),
    ((1, 3), 128),
    ((5000, 7), 512),
]


def rle_cases() -> dict[str, Any]:
    random = np.random.default_rng(7)
    disc = np.hypot(*(np.mgrid[0:60, 0:80] - np.array([30, 40]).reshape(2, 1, 1))) < 21.3
    wide = np.zeros((700, 900), dtype=bool)
    wide[:, 450:] = True
    tall = np.zeros((900, 700), dtype=bool)
    tall[100:800, 3] = True
    corner = np.zeros((4, 6), dtype=bool)
    corner[0, 0] = corner[3, 5] = True
    named = {
        "empty": np.zeros((5, 7), dtype=bool),
        "full": np.ones((5, 7), dtype=bool),
        "one pixel, off": np.zeros((1, 1), dtype=bool),
        "one pixel, on": np.ones((1, 1), dtype=bool),
        "one row": np.array([[0, 1, 1, 0, 1]], dtype=bool),
        "one column": np.array([[0], [1], [1], [0], [1]], dtype=bool),
        "two corners": corner,
        "checkerboard": np.indices((9, 8)).sum(0) % 2 == 1,
        "noise": random.random((37, 53)) < 0.4,
        "disc": disc,
        "half of a large image": wide,
        "a long thin line": tall,
    }
    return {
        "valid": [_rle_case(name, mask) for name, mask in named.items()],
        "invalid": [
            {"why": "runs add up to too little", "rle": {"size": [5, 7], "counts": [3, 4]}},
            {"why": "runs add up to too much", "rle": {"size": [2, 2], "counts": [0, 5]}},
            {"why": "a negative run", "rle": {"size": [2, 2], "counts": [5, -2, 1]}},
            {"why": "a fraction", "rle": {"size": [2, 2], "counts": [1.5, 2.5]}},
            {"why": "no runs", "rle": {"size": [2, 2], "counts": []}},
            {"why": "an empty string", "rle": {"size": [2, 2], "counts": ""}},
            {"why": "a cut-off number", "rle": {"size": [2, 2], "counts": "T"}},
            {"why": "a foreign character", "rle": {"size": [2, 2], "counts": "1 3"}},
            {"why": "a huge run", "rle": {"size": [2, 2], "counts": "ooooooooo1"}},
            {"why": "more runs than pixels", "rle": {"size": [1, 1], "counts": "0010000"}},
            {"why": "no height", "rle": {"size": [0, 4], "counts": "0"}},
            {"why": "a size of one number", "rle": {"size": [4], "counts": "4"}},
            {"why": "no size", "rle": {"counts": "4"}},
        ],
    }


def _rle_case(name: str, mask: NDArray[np.bool_]) -> dict[str, Any]:
    rle = Rle.encode(mask)
    case: dict[str, Any] = {
        "name": name,
        "rle": rle.to_coco(),
        "runs": rle.runs().tolist(),
        "area_px": rle.area_px,
        "bbox_xywh_px": list(rle.bbox_xywh_px),
        "sha256": rle.sha256,
    }
    if mask.size <= 5000:
        case["rows"] = ["".join("1" if pixel else "0" for pixel in row) for row in mask]
    return case


def coordinate_cases() -> list[dict[str, Any]]:
    cases = []
    for image_hw, size in FRAMES:
        frame = Frame(image_hw, size)
        height, width = image_hw
        points = [[0.0, 0.0], [width - 1.0, height - 1.0], [width / 3, height / 7], [0.5, 0.25]]
        cases.append(
            {
                "image_hw": list(image_hw),
                "image_size_px": size,
                "input_hw": list(frame.input_hw),
                "scale_xy": list(frame.scale_xy),
                "points_xy_px": points,
                "points_xy_model": frame.to_model(points).tolist(),
            }
        )
    return cases


PROMPTS: dict[str, list[dict[str, Any]]] = {
    "one click": [{"type": "point", "x_px": 100.5, "y_px": 60, "label": 1}],
    "three clicks": [
        {"type": "point", "x_px": 100, "y_px": 60, "label": 1},
        {"type": "point", "x_px": 20, "y_px": 300.25, "label": 0},
        {"type": "point", "x_px": 210, "y_px": 7, "label": 1},
    ],
    "a box": [{"type": "box", "x0_px": 10, "y0_px": 20, "x1_px": 200, "y1_px": 310.5}],
    "a box and a click": [
        {"type": "point", "x_px": 100, "y_px": 60, "label": 0},
        {"type": "box", "x0_px": 10, "y0_px": 20, "x1_px": 200, "y1_px": 310.5},
    ],
    "a background click alone": [{"type": "point", "x_px": 100, "y_px": 60, "label": 0}],
    "a background click in the corner": [{"type": "point", "x_px": 640, "y_px": 333, "label": 0}],
    "a click on a mask": [
        {"type": "mask"},
        {"type": "point", "x_px": 100, "y_px": 60, "label": 1},
    ],
}


def feed_cases() -> list[dict[str, Any]]:
    cases = []
    for name, prompts in PROMPTS.items():
        for image_hw, size in (((480, 640), 1024), ((333, 1001), 512)):
            made = _feed(prompts, Frame(image_hw, size))
            cases.append(
                {
                    "name": name,
                    "image_hw": list(image_hw),
                    "image_size_px": size,
                    "prompts": prompts,
                    "point_coords": made.point_coords[0].tolist(),
                    "point_labels": made.point_labels[0].tolist(),
                    "has_mask_input": int(any(p["type"] == "mask" for p in prompts)),
                    "num_prompts": len(prompts),
                }
            )
    return cases


def _feed(prompts: list[dict[str, Any]], frame: Frame) -> Prompts:
    clicks = [p for p in prompts if p["type"] == "point"]
    boxes = [p for p in prompts if p["type"] == "box"]
    points, labels, box = None, None, None
    if clicks:
        labels = torch.tensor([[p["label"] for p in clicks]])
        xy = [[[p["x_px"], p["y_px"]] for p in clicks]]
        points = as_tensor(frame.clicks_to_model(xy, labels.numpy()))
    if boxes:
        corners = [[p["x0_px"], p["y0_px"], p["x1_px"], p["y1_px"]] for p in boxes]
        box = as_tensor(frame.boxes_to_model(corners))
    return Prompts.make(points, labels, box)


def selection_cases() -> list[dict[str, Any]]:
    cases = []
    nowhere = [False] * 4
    for iou in ([0.9, 0.2, 0.8, 0.7], [0.1, 0.2, -0.3, 1.2], [0.5, 0.6, 0.6, 0.6]):
        cases += [_selection_case(iou, num_prompts, nowhere) for num_prompts in (1, 2, 5)]
    crossings = [[True, False, True, False], [False, True, True, True], [True, False, True, True]]
    cases += [_selection_case([0.9, 0.2, 0.8, 0.7], 1, crossed) for crossed in crossings]
    return cases


def _selection_case(iou: list[float], num_prompts: int, is_crossed: list[bool]) -> dict[str, Any]:
    decoded = Decoded(torch.zeros(1, 4, 1, 1), torch.tensor([iou]))
    chosen = choose(decoded, num_prompts, is_crossed=torch.tensor([is_crossed]))
    return {
        "predicted_iou": iou,
        "num_prompts": num_prompts,
        "is_crossed": is_crossed,
        "index": int(chosen.index[0]),
    }


def upscale_cases() -> list[dict[str, Any]]:
    """Low-resolution logits and the image mask they mean (two bilinear resizes, threshold 0)."""
    cases = []
    for seed, (image_hw, size) in enumerate((((23, 30), 32), ((64, 41), 64), ((40, 40), 64))):
        logits = np.round(np.random.default_rng(seed).normal(size=(size // 4, size // 4)), 4)
        image = Frame(image_hw, size).to_image_logits(as_tensor(logits)[None, None])[0, 0]
        nearest = float(image.abs().min())
        cases.append(
            {
                "image_hw": list(image_hw),
                "image_size_px": size,
                "low_res_logits": logits.tolist(),
                "rle": Rle.encode((image > 0).numpy()).to_coco(),
                # Pixels closer to the threshold than rounding could differ between languages.
                "smallest_abs_logit": nearest,
            }
        )
    return cases


def seed_cases() -> list[dict[str, Any]]:
    """An existing mask as the decoder's mask input, and what is said beside a click on it."""
    cases = []
    frames = (((60, 80), 64), ((41, 97), 32), ((9, 7), 64), ((300, 200), 128))
    for seed, (image_hw, size) in enumerate(frames):
        random = np.random.default_rng(seed)
        height, width = image_hw
        rows, columns = np.mgrid[0:height, 0:width]
        centre = random.uniform(0.35, 0.65, 2) * image_hw
        reach = np.hypot((rows - centre[0]) / height, (columns - centre[1]) / width)
        mask = (reach < 0.3) & (random.random(image_hw) < 0.95)
        frame, side = Frame(image_hw, size), size // 4
        covered = seeds.coverage(mask, input_hw=frame.input_hw, side=side, stride_px=4)
        for adds in (True, False):
            x, y = round(width * (0.9 if adds else 0.5), 2), round(height * 0.45, 2)
            context = seeds.context_of(
                covered,
                Rle.encode(mask).bbox_xywh_px,
                image_hw=image_hw,
                cell_wh_px=(4 * width / frame.input_hw[1], 4 * height / frame.input_hw[0]),
                click_xy_px=(x, y),
                adds=adds,
            )
            answer = np.hypot(rows - y, columns - x) < height / 5
            edited = seeds.local_edit(
                mask, answer if adds else mask & ~answer, click_xy_px=(x, y), adds=adds
            )
            cases.append(
                {
                    "image_hw": list(image_hw),
                    "image_size_px": size,
                    "rle": Rle.encode(mask).to_coco(),
                    "seed_logits": np.round(seeds.seed_logits(covered), 4).tolist(),
                    "click": {"type": "point", "x_px": x, "y_px": y, "label": int(adds)},
                    "point_xy_px": [round(value, 4) for value in context.point_xy_px],
                    "box_xyxy_px": [round(value, 4) for value in context.box_xyxy_px],
                    "answer": Rle.encode(answer if adds else mask & ~answer).to_coco(),
                    "edited": None if edited is None else Rle.encode(edited).to_coco(),
                    "holes": [] if adds else [_hole(mask, frame, (x, y), c) for c in (1.1, 1.9)],
                }
            )
    return cases


def _hole(
    mask: NDArray[np.bool_], frame: Frame, click_xy_px: tuple[float, float], reach_cells: float
) -> dict[str, Any]:
    """A mask without a square around a click, and whether that is a pinhole."""
    cells = [4 / scale for scale in frame.scale_xy]
    rows, columns = np.indices(mask.shape) + 0.5
    away = np.maximum(
        np.abs(columns - click_xy_px[0]) / cells[0], np.abs(rows - click_xy_px[1]) / cells[1]
    )
    edited = mask & (away > reach_cells)
    return {
        "edited": Rle.encode(edited).to_coco(),
        "is_pinhole": seeds.is_pinhole(
            mask, edited, click_xy_px=click_xy_px, cell_wh_px=(cells[0], cells[1])
        ),
    }


def crop_cases() -> list[dict[str, Any]]:
    """Crops of images of all shapes: levels, grids, squares, and who looks where."""
    random = np.random.default_rng(11)
    cases: list[dict[str, Any]] = []
    for image_hw in [(256, 256), (512, 640), (603, 1272), (100, 1000), (50, 95), (191, 191),
                     (192, 100), (1024, 1024), (3001, 4001)]:  # fmt: skip
        height, width = image_hw
        deepest = crops.max_level(image_hw)
        views = []
        for _ in range(12):
            x, y = (float(np.round(value, 1)) for value in random.random(2) * (width, height))
            visible_px = float(np.round(max(image_hw) * random.random() ** 2, 1))
            level = crops.level_for_view(image_hw, visible_px=visible_px)
            found = crops.crop_at(image_hw, level, x_px=x, y_px=y) if level else None
            views.append(
                {
                    "x_px": x,
                    "y_px": y,
                    "visible_px": visible_px,
                    "crop": found and found.key,
                    "xywh_px": found and list(found.xywh_px(image_hw)),
                }
            )
        cases.append({"image_hw": list(image_hw), "max_level": deepest, "views": views})
    return cases


def all_files() -> dict[str, Any]:
    return {
        "rle.json": rle_cases(),
        "coordinates.json": coordinate_cases(),
        "feeds.json": feed_cases(),
        "selection.json": selection_cases(),
        "upscale.json": upscale_cases(),
        "seeds.json": seed_cases(),
        "crops.json": crop_cases(),
    }


def render(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    for name, content in all_files().items():
        (FOLDER / name).write_text(render(content))
        print(f"wrote {FOLDER / name}")
