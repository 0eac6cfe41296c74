"""Command line of the model library: segment images, fetch, look at and export checkpoints.

Errors are one line on stderr and exit status 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

if TYPE_CHECKING:  # torch loads only when a command needs it
    from sam.automatic.generate_files import Outcome
    from sam.automatic.mask_generator import AutomaticMask, AutomaticSettings
    from sam.modeling.model import Sam

STARTER = Path(__file__).parent / "starter" / "starter.safetensors"
_SETTING_OPTIONS = {
    "points_per_side": int,
    "points_per_batch": int,
    "crop_layers": int,
    "pred_iou_thresh": float,
    "stability_thresh": float,
    "stability_offset_logit": float,
    "nms_iou_thresh": float,
    "mask_nms_iou_thresh": float,
    "max_covered_share": float,
    "full_votes": int,
    "min_contrast_levels": float,
    "min_region_area_px": int,
    "max_area_share": float,
}
_SETTING_HELP = {
    "points_per_side": "of the grid of clicks: 32 asks 1,024 times",
    "crop_layers": "look at 4, then 16 overlapping crops too: for small objects, slow",
    "pred_iou_thresh": "least IoU that the model predicts for a mask",
    "stability_thresh": "least IoU of a mask cut a little higher and a little lower",
    "nms_iou_thresh": "of two masks whose boxes overlap more, the worse goes",
    "mask_nms_iou_thresh": "of two masks that overlap more themselves, the worse goes; a part "
    "stays beside its whole",
    "max_covered_share": "drop a mask of which better ones together cover more than this share",
    "full_votes": "points that must answer with a mask for it to count in full; needs "
    "--adaptive-grid",
    "min_contrast_levels": "least difference in colour (of 255) to the ring around a mask",
    "min_region_area_px": "remove smaller islands, fill smaller holes",
    "max_area_share": "drop masks of this share of the image or more",
}
_QUALITIES = {"low": 25.0, "medium": 50.0, "high": 75.0}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except (ValueError, OSError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"error: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130


_CHECKPOINT_HELP = "a file, or vit_b, vit_l, vit_h (fetched when it is not there)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sam", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    generate = commands.add_parser(
        "generate",
        help="segment everything in images",
        description="Write one JSON file for each image, in SA-1B's layout. What is done already "
        "is skipped; settings or weights other than those of the folder's results are refused.",
    )
    generate.add_argument("--input", type=Path, required=True, metavar="IMAGE_OR_FOLDER")
    generate.add_argument("--output", type=Path, required=True, metavar="DIR")
    generate.add_argument("--checkpoint", default=str(STARTER), help=_CHECKPOINT_HELP)
    generate.add_argument("--preset", choices=("released", "paper"), default="released")
    generate.add_argument(
        "--quality",
        type=_quality,
        metavar="0..100",
        help="low (25), medium, high (75) or a number: 0 keeps everything, 50 the thresholds that "
        "the checkpoint or the preset recommends, 100 only the surest masks",
    )
    for name, kind in _SETTING_OPTIONS.items():
        option = f"--{name.replace('_', '-')}"
        generate.add_argument(option, type=kind, help=_SETTING_HELP.get(name))
    generate.add_argument(
        "--drop-tiny-masks",
        action=argparse.BooleanOptionalAction,
        help="drop masks smaller than --min-region-area-px instead of keeping their largest island",
    )
    generate.add_argument(
        "--adaptive-grid",
        action=argparse.BooleanOptionalAction,
        help="ask few points first, more where nothing sure lies, and draw only what passes",
    )
    generate.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    generate.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="for GPUs"
    )
    generate.add_argument("--compile", action="store_true", help="torch.compile, for long GPU runs")
    generate.add_argument("--engine", choices=("torch", "onnxruntime"), default="torch")
    generate.add_argument("--overlay", action="store_true", help="also write images of the masks")
    generate.add_argument("--redo", action="store_true", help="make every result again")
    generate.set_defaults(run=_generate)

    fetch = commands.add_parser("fetch", help="download an official checkpoint")
    fetch.add_argument("name", choices=("vit_b", "vit_l", "vit_h"))
    fetch.add_argument("--to", type=Path, metavar="DIR", help="default: the user's cache folder")
    fetch.set_defaults(run=_fetch)

    export = commands.add_parser("export-decoder", help="write decoder.onnx after a parity check")
    export.add_argument("checkpoint", help=_CHECKPOINT_HELP)
    export.add_argument("out", type=Path)
    export.add_argument(
        "--quantized", action="store_true", help="weights of 8 bits: a quarter of the size"
    )
    export.add_argument(
        "--full-resolution", action="store_true", help="also masks at the image's size"
    )
    export.set_defaults(run=_export_decoder)

    info = commands.add_parser("info", help="say what a checkpoint holds")
    info.add_argument("checkpoint", help=_CHECKPOINT_HELP)
    info.set_defaults(run=_info)
    return parser


def _generate(options: argparse.Namespace) -> int:
    from sam.automatic import generate_files, mask_generator
    from sam.checkpoints import checkpoint_files

    path = _checkpoint(options.checkpoint)
    settings, advice = _settings(options, path)
    tasks = generate_files.plan(options.input, options.output)
    model = checkpoint_files.load(path, device=checkpoint_files.checked_device(options.device))
    _accelerate(model, options)
    record = generate_files.open_output(
        options.output, settings=settings, checkpoint=path, redo=options.redo
    )
    if advice:
        shown = ", ".join(f"{name} {value}" for name, value in advice.items())
        print(f"settings: {options.preset}, with what the checkpoint recommends: {shown}")
    with (
        tqdm(total=len(tasks), unit="image", disable=None) as images,
        tqdm(total=100, unit="%", leave=False, disable=None) as inside,
    ):

        def segment(image: NDArray[np.uint8]) -> list[AutomaticMask]:
            inside.reset()
            return mask_generator.generate(
                model,
                image,
                settings,
                on_progress=lambda share, _: _move(inside, round(100 * share)),
            )

        outcomes = generate_files.run(
            tasks,
            segment,
            record=record,
            with_overlay=options.overlay,
            on_done=lambda _: _move(images, int(images.n) + 1),
        )
    return _report(outcomes, options.output)


def _settings(
    options: argparse.Namespace, checkpoint: Path
) -> tuple[AutomaticSettings, dict[str, Any]]:
    """Return the settings, and which of them the checkpoint decided: given ones win over advice."""
    from sam.automatic.automatic_settings import PAPER_ENGINE, RELEASED, at_quality
    from sam.automatic.recommended_settings import recommended_by, with_recommended

    preset = PAPER_ENGINE if options.preset == "paper" else RELEASED
    names = (*_SETTING_OPTIONS, "drop_tiny_masks", "adaptive_grid")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    advice = {name: v for name, v in recommended_by(checkpoint).items() if name not in given}
    if given.get("adaptive_grid") is False:  # votes are counted with it only
        advice.pop("full_votes", None)
    base = with_recommended(preset, advice)
    if options.quality is not None:
        base = at_quality(base, options.quality)
    return with_recommended(base, given), advice


def _quality(text: str) -> float:
    value = _QUALITIES.get(text)
    try:
        value = float(text) if value is None else value
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no number, low, medium or high") from None
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{value:g} does not lie between 0 and 100")
    return value


def _accelerate(model: Sam, options: argparse.Namespace) -> None:
    import torch

    if options.engine == "onnxruntime":
        from sam.checkpoints.official import cache_folder
        from sam.export.onnx_encoder import use_onnxruntime

        use_onnxruntime(model, cache_folder().parent / "encoders")
    model.accelerate(dtype=getattr(torch, options.dtype), compiled=options.compile)


def _report(outcomes: Sequence[Outcome], output: Path) -> int:
    failed = [outcome for outcome in outcomes if outcome.num_masks is None]
    made = [outcome for outcome in outcomes if outcome.num_masks is not None and outcome.is_new]
    num_masks = sum(outcome.num_masks or 0 for outcome in made)
    num_skipped = len(outcomes) - len(failed) - len(made)
    if len(failed) < len(outcomes):
        done = f", {num_skipped} done before" if num_skipped else ""
        print(f"{num_masks} masks of {len(made)} images in {output}{done}")
    for outcome in failed:
        print(f"error: {outcome.reason}", file=sys.stderr)
    return 1 if failed else 0


def _fetch(options: argparse.Namespace) -> None:
    from sam.checkpoints import fetch, official

    file = official.OFFICIAL_FILES[options.name]
    print(_downloaded(file, options.to or official.cache_folder(), fetch))


def _checkpoint(text: str) -> Path:
    """Return the file meant, fetching an official one that is not there."""
    from sam.checkpoints import fetch, official

    if text not in official.OFFICIAL_FILES or Path(text).is_file():
        return Path(text)
    path = official.cached_path(text)
    if path.is_file():
        return path
    return _downloaded(official.OFFICIAL_FILES[text], official.cache_folder(), fetch)


def _downloaded(file: Any, folder: Path, fetch: Any) -> Path:
    with tqdm(
        total=file.size_bytes, unit="B", unit_scale=True, desc=file.file_name, disable=None
    ) as bar:
        path: Path = fetch.fetch(file, folder, on_progress=lambda done, _: _move(bar, done))
    return path


def _move(bar: Any, position: int) -> None:
    bar.update(position - bar.n)


def _export_decoder(options: argparse.Namespace) -> None:
    from sam import checkpoint_info
    from sam.checkpoints import checkpoint_files
    from sam.export import onnx_decoder

    path = _checkpoint(options.checkpoint)
    report = onnx_decoder.export_decoder(
        checkpoint_files.load(path),
        options.out,
        full_resolution=options.full_resolution,
        quantized=options.quantized,
        licence=checkpoint_info.licence_of(path),
    )
    print(
        f"wrote {report.path} ({report.size_bytes / 1e6:.1f} MB, sha256 {report.sha256[:12]}); "
        f"over {report.num_checks} checks the largest difference is "
        f"{report.max_logit_difference:.1e} and masks agree at IoU {report.mean_mask_iou:.4f}"
    )


def _info(options: argparse.Namespace) -> None:
    from sam import checkpoint_info

    lines = checkpoint_info.describe(options.checkpoint)
    width = max(len(label) for label, _ in lines)
    for label, value in lines:
        print(f"{label:{width}s}  {value}")


if __name__ == "__main__":
    sys.exit(main())
