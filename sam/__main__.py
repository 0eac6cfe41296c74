"""Command line of the model library: segment photos, fetch, look at and export checkpoints.

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
    from sam.automatic import AutomaticMask
    from sam.generate_files import Outcome
    from sam.model import Sam

STARTER = Path(__file__).parent / "starter" / "starter.safetensors"
_SETTING_OPTIONS = {
    "points_per_side": int,
    "points_per_batch": int,
    "crop_layers": int,
    "pred_iou_thresh": float,
    "stability_thresh": float,
    "stability_offset_logit": float,
    "nms_iou_thresh": float,
    "min_region_area_px": int,
}


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
        help="segment everything in photos",
        description="Write one JSON file for each photo, in SA-1B's layout. What is done already "
        "is skipped; settings or weights other than those of the folder's results are refused.",
    )
    generate.add_argument("--input", type=Path, required=True, metavar="IMAGE_OR_FOLDER")
    generate.add_argument("--output", type=Path, required=True, metavar="DIR")
    generate.add_argument("--checkpoint", default=str(STARTER), help=_CHECKPOINT_HELP)
    generate.add_argument("--preset", choices=("released", "paper"), default="released")
    for name, kind in _SETTING_OPTIONS.items():
        generate.add_argument(f"--{name.replace('_', '-')}", type=kind)
    generate.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    generate.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="for GPUs"
    )
    generate.add_argument("--compile", action="store_true", help="torch.compile, for long GPU runs")
    generate.add_argument("--engine", choices=("torch", "onnxruntime"), default="torch")
    generate.add_argument("--overlay", action="store_true", help="also write pictures of the masks")
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
        "--full-resolution", action="store_true", help="also masks at the photo's size"
    )
    export.set_defaults(run=_export_decoder)

    info = commands.add_parser("info", help="say what a checkpoint holds")
    info.add_argument("checkpoint", help=_CHECKPOINT_HELP)
    info.set_defaults(run=_info)
    return parser


def _generate(options: argparse.Namespace) -> int:
    from sam import automatic, checkpoints, generate_files

    path = _checkpoint(options.checkpoint)
    preset = automatic.PAPER_ENGINE if options.preset == "paper" else automatic.RELEASED
    given = {
        name: value for name in _SETTING_OPTIONS if (value := getattr(options, name)) is not None
    }
    settings, advice = generate_files.settings_for(preset, checkpoints.advice(path), given)
    tasks = generate_files.plan(options.input, options.output)
    model = checkpoints.load(path, device=checkpoints.checked_device(options.device))
    _accelerate(model, options)
    record = generate_files.open_output(
        options.output, settings=settings, checkpoint=path, redo=options.redo
    )
    if advice:
        shown = ", ".join(f"{name} {value}" for name, value in advice.items())
        print(f"settings: {options.preset}, with what the checkpoint recommends: {shown}")
    with (
        tqdm(total=len(tasks), unit="photo", disable=None) as photos,
        tqdm(total=100, unit="%", leave=False, disable=None) as inside,
    ):

        def segment(image: NDArray[np.uint8]) -> list[AutomaticMask]:
            inside.reset()
            return automatic.generate(
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
            on_done=lambda _: _move(photos, int(photos.n) + 1),
        )
    return _report(outcomes, options.output)


def _accelerate(model: Sam, options: argparse.Namespace) -> None:
    import torch

    if options.engine == "onnxruntime":
        from sam.official import cache_folder
        from sam.onnx_encoder import use_onnxruntime

        use_onnxruntime(model, cache_folder().parent / "encoders")
    model.accelerate(dtype=getattr(torch, options.dtype), compiled=options.compile)


def _report(outcomes: Sequence[Outcome], output: Path) -> int:
    failed = [outcome for outcome in outcomes if outcome.num_masks is None]
    made = [outcome for outcome in outcomes if outcome.num_masks is not None and outcome.is_new]
    num_masks = sum(outcome.num_masks or 0 for outcome in made)
    num_skipped = len(outcomes) - len(failed) - len(made)
    if len(failed) < len(outcomes):
        done = f", {num_skipped} done before" if num_skipped else ""
        print(f"{num_masks} masks of {len(made)} photos in {output}{done}")
    for outcome in failed:
        print(f"error: {outcome.reason}", file=sys.stderr)
    return 1 if failed else 0


def _fetch(options: argparse.Namespace) -> None:
    from sam import fetch, official

    file = official.OFFICIAL_FILES[options.name]
    print(_downloaded(file, options.to or official.cache_folder(), fetch))


def _checkpoint(text: str) -> Path:
    """Return the file meant, fetching an official one that is not there."""
    from sam import fetch, official

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
    from sam import checkpoint_info, checkpoints, onnx_export

    path = _checkpoint(options.checkpoint)
    report = onnx_export.export_decoder(
        checkpoints.load(path),
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
