"""`evaluate-automatic` and `fit-automatic`: the command line of automatic masks."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from sam.automatic.automatic_settings import at_quality
from sam.automatic.mask_generator import RELEASED, AutomaticSettings
from sam.automatic.recommended_settings import (
    RecommendedSettingsError,
    recommended_by,
    with_recommended,
    write_recommended,
)
from sam.checkpoints import checkpoint_files
from sam.checkpoints.checkpoint_files import write_atomically
from training.command_line import ProgressBar
from training.data.manifest import ImageRecord, open_dataset, shortened
from training.evaluation.automatic_fit import collect, fit_automatic
from training.evaluation.automatic_quality import (
    chosen_images,
    load_settings,
    measure_automatic,
    quality_table,
)
from training.loop.run_folder import TrainError


def add_evaluate_automatic(parser: argparse.ArgumentParser) -> None:
    """Describe `evaluate-automatic`."""
    _add_common(parser)
    parser.add_argument("--no-blank", action="store_true", help="leave out the blank images")
    parser.add_argument("--quality", type=float, help="0 to 100, as of `python -m sam generate`")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures, by image")
    parser.set_defaults(run=_evaluate)


def add_fit_automatic(parser: argparse.ArgumentParser) -> None:
    """Describe `fit-automatic`."""
    _add_common(parser)
    parser.add_argument(
        "--min-precision",
        type=float,
        default=0.25,
        help="wanted at IoU 0.5, mean over sources; a lower bound where not all is labelled",
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="the checkpoint with its new advice"
    )
    parser.set_defaults(run=_fit)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, required=True, nargs="+", help="COCO folders or manifests"
    )
    parser.add_argument("--source", nargs="+", default=[], help="these sources alone")
    parser.add_argument(
        "--max-images", type=int, metavar="N", help="at most so many of each source, evenly"
    )
    parser.add_argument(
        "--settings",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="instead of the released ones with what the checkpoint recommends",
    )


def _chosen(options: argparse.Namespace) -> list[ImageRecord]:
    manifests = [open_dataset(path) for path in options.data]
    if options.max_images is not None and options.max_images < 1:
        raise TrainError("--max-images is at least 1")
    return chosen_images(manifests, sources=options.source, max_images=options.max_images)


def _settings(options: argparse.Namespace) -> AutomaticSettings:
    changes = load_settings(RELEASED, options.settings)
    recommended = recommended_by(options.checkpoint)
    if changes.get("adaptive_grid") is False:  # votes are counted with it only
        recommended.pop("full_votes", None)
    return with_recommended(RELEASED, recommended, changes)


def _evaluate(options: argparse.Namespace) -> None:
    images, settings = _chosen(options), _settings(options)
    if options.quality is not None:
        try:
            settings = at_quality(settings, options.quality)
        except ValueError as error:
            raise RecommendedSettingsError(str(error)) from None
    model = checkpoint_files.load(options.checkpoint)
    with ProgressBar() as bar:
        quality = measure_automatic(
            model, images, settings, with_blank=not options.no_blank, on_progress=bar.show
        )
    _print_line(quality_table(quality))
    _tell(quality.problems)
    if options.json is not None:
        document = {"settings": asdict(settings), **quality.to_json()}
        write_atomically(options.json, json.dumps(document).encode())


def _fit(options: argparse.Namespace) -> None:
    images, settings = _chosen(options), _settings(options)
    model = checkpoint_files.load(options.checkpoint)
    with ProgressBar() as bar:
        candidates, problems = collect(model, images, settings, on_progress=bar.show)
    _tell(problems)
    fitted = fit_automatic(candidates, settings, min_precision=options.min_precision)
    if fitted is None:
        raise TrainError("the images hold too few objects, or the model finds none of them")
    recommended = write_recommended(options.checkpoint, options.out, fitted.settings)
    fell_short = fitted.precision < options.min_precision
    listed = ", ".join(f"{name} {value}" for name, value in recommended.items())
    _print_line(f"{options.out}: {listed}")
    _print_line(
        f"on {fitted.num_images} images with {fitted.num_truths} objects, means over sources at "
        f"IoU 0.5: recall {fitted.recall:.3f}, precision {fitted.precision:.3f}"
        + (f"; no settings reach {options.min_precision:g}" if fell_short else "")
    )
    _print_line(
        f"measure it: python -m training evaluate-automatic --checkpoint {options.out} --data ..."
    )


def _tell(problems: list[str] | tuple[str, ...]) -> None:
    if problems:
        sys.stderr.write(f"left out {len(problems)}: {shortened(problems)}\n")


def _print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
