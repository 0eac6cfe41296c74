"""Command line of the model library: segment a photo, export a decoder, look at a checkpoint.

Errors are one line on stderr and exit status 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

STARTER = Path(__file__).parent / "starter" / "starter.safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {message}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sam", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    generate = commands.add_parser("generate", help="segment everything in a photo")
    generate.add_argument("image", type=Path)
    generate.add_argument("--checkpoint", type=Path, default=STARTER)
    generate.add_argument("--out", type=Path, help="JSON file (default: IMAGE with .json)")
    generate.add_argument("--preset", choices=("released", "paper"), default="released")
    generate.add_argument("--points-per-side", type=int)
    generate.add_argument("--pred-iou-thresh", type=float)
    generate.add_argument("--stability-thresh", type=float)
    generate.set_defaults(run=_generate)

    export = commands.add_parser("export-decoder", help="write decoder.onnx after a parity check")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("out", type=Path)
    export.set_defaults(run=_export_decoder)

    info = commands.add_parser("info", help="say what a checkpoint holds")
    info.add_argument("checkpoint", type=Path)
    info.set_defaults(run=_info)
    return parser


def _generate(options: argparse.Namespace) -> None:
    from sam import automatic, checkpoints  # torch loads only when a command needs it

    preset = automatic.PAPER_ENGINE if options.preset == "paper" else automatic.RELEASED
    names = ("points_per_side", "pred_iou_thresh", "stability_thresh")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    settings = replace(preset, **given)
    image = _read_image(options.image)
    model = checkpoints.load(options.checkpoint)
    with tqdm(total=100, unit="%", desc="segment", disable=None) as bar:
        masks = automatic.generate(
            model,
            image,
            settings,
            on_progress=lambda share, _: (bar.update(round(100 * share) - bar.n), None)[1],
        )
    out = options.out or options.image.with_suffix(".json")
    height, width = image.shape[:2]
    content = {
        "image": {"file_name": options.image.name, "height": height, "width": width},
        "settings": asdict(settings),
        "annotations": [_annotation(index, mask) for index, mask in enumerate(masks, start=1)],
    }
    checkpoints.write_atomically(out, (json.dumps(content) + "\n").encode())
    print(f"{len(masks)} masks in {out}")


def _annotation(index: int, mask: Any) -> dict[str, Any]:
    return {
        "id": index,
        "segmentation": mask.rle.to_coco(),
        "bbox": list(mask.bbox_xywh_px),
        "area": mask.area_px,
        "predicted_iou": mask.predicted_iou,
        "stability_score": mask.stability_score,
        "crop_box": list(mask.crop_box_xywh_px),
        "point_coords": [list(mask.point_xy_px)],
    }


def _export_decoder(options: argparse.Namespace) -> None:
    from sam import checkpoints, onnx_export

    report = onnx_export.export_decoder(checkpoints.load(options.checkpoint), options.out)
    print(
        f"wrote {report.path} ({report.size_bytes / 1e6:.1f} MB, sha256 {report.sha256[:12]}); "
        f"largest difference {report.max_logit_difference:.1e} over {report.num_checks} checks"
    )


def _info(options: argparse.Namespace) -> None:
    from sam import checkpoints

    model = checkpoints.load(options.checkpoint)
    sizes = {
        name: sum(parameter.numel() for parameter in part.parameters())
        for name, part in model.named_children()
    }
    print(f"arch            {model.config.arch} at {model.config.image_size_px} px")
    for name, size in sizes.items():
        print(f"{name:15s} {size:,} parameters")
    print(f"encoder sha256  {checkpoints.encoder_sha256(model)}")


def _read_image(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as file:
            return np.array(ImageOps.exif_transpose(file).convert("RGB"))
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not an image") from None


if __name__ == "__main__":
    sys.exit(main())
