"""The command line of training: evaluate and train models, detectors and automatic masks.

Exit codes: 0 done; 2 bad input, told in one line on stderr; 3 stopped by SIGTERM or Ctrl-C, the
state saved, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sam import devices
from sam.checkpoints import checkpoint_files
from sam.checkpoints.checkpoint_files import write_atomically
from sam.detection import object_detector
from sam.modeling.presets import PRESETS
from training.automatic_commands import add_evaluate_automatic, add_fit_automatic
from training.command_line import ProgressBar, exit_code_of
from training.data.features import FeatureStore
from training.data.manifest import (
    COCO_NAME,
    ManifestError,
    combine,
    open_dataset,
    shortened,
    write_manifest,
)
from training.detector.detector_config import DetectorTrainConfig
from training.detector.detector_metrics import detection_metrics, metrics_by_source
from training.detector.train_detector import detect_all, train_detector
from training.evaluation.evaluate import REPORT_CLICKS, Measures, evaluate
from training.evaluation.metrics import Metrics
from training.evaluation.plots import load_matplotlib, write_plots
from training.evaluation.recall import recall_settings
from training.evaluation.report import comparison, detector_table, table
from training.evaluation.samples import Samples
from training.finetuning.grow import write_grown
from training.finetuning.train import train
from training.loop.config import LARGE_SCALE_JITTER, TRAIN_PRESETS, TrainConfig
from training.loop.processes import joined
from training.loop.run_folder import PROBLEMS_NAME, TrainError
from training.loop.stopping import stop_on_signals

IOU_GOALS = (0.85, 0.90)
_DATA_HELP = f"COCO folder ({COCO_NAME} beside images/) or manifest of JSON lines"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_evaluate(commands.add_parser("evaluate", help="measure clicks, boxes and outlines"))
    _add_train(commands.add_parser("train", help="train the mask model"))
    _add_train_detector(commands.add_parser("train-detector", help="train the object detector"))
    _add_evaluate_detector(
        commands.add_parser("evaluate-detector", help="measure box recall and AP50")
    )
    add_evaluate_automatic(
        commands.add_parser("evaluate-automatic", help="measure segmenting everything")
    )
    add_fit_automatic(
        commands.add_parser("fit-automatic", help="fit what a checkpoint recommends for it")
    )
    return parser


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True)
    add("--data", type=Path, required=True, help=_DATA_HELP)
    add("--image-size", type=_positive, help="serve a pyramid model at this size")
    add("--max-masks-per-image", type=_positive, default=6)
    add("--max-images", type=_positive)
    add(
        "--crops",
        action="store_true",
        help="prompt objects under 1/16 of the image as people who zoom in on them do",
    )
    add("--baselines", action="store_true", help="GrabCut and flood fill too; needs OpenCV")
    add("--automatic", action="store_true", help="mask recall of automatic generation; slow")
    add("--points-per-side", type=_positive, default=32, help="grid of --automatic")
    add("--json", type=Path, metavar="OUT", help="write all figures, by mask")
    add("--plots", type=Path, metavar="DIR", help="write images; needs matplotlib")
    add("--samples", type=Path, metavar="DIR", help="draw what was answered on ten images")
    add("--compare", type=Path, metavar="JSON", help="an earlier --json of theirs")
    parser.set_defaults(run=_run_evaluate)


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="where to start from")
    add("--data", type=Path, required=True, help=_DATA_HELP)
    add("--out", type=Path, required=True, help="run folder; resumes what it holds")
    add("--preset", choices=tuple(TRAIN_PRESETS), default="retrain", help="all other numbers")
    add("--trainable", choices=("decoder", "all", "lora"), help="lora: adapters in the encoder")
    add("--mix", type=Path, metavar="DATA", help="an older set to mix in")
    add("--mix-share", type=float, help="its share of every step's images (0.5)")
    add("--jitter", action="store_true", help="large-scale jitter of 0.1 to 2.0")
    add("--grow-to", choices=tuple(PRESETS), help="train this model from what fits of the start")
    add("--encoder-from", type=Path, help="a checkpoint that lends its encoder to --grow-to")
    add("--max-images", type=_positive)
    add("--steps", type=_positive)
    add("--images-per-step", type=_positive, help="of all processes together")
    add("--masks-per-image", type=_positive)
    add("--learning-rate", type=float)
    add("--start-share", type=float, help="of the start in the saved weights (0.4)")
    add("--seed", type=int)
    add("--device", choices=devices.NAMES, default=devices.AUTO)
    parser.set_defaults(run=_run_train)


def _add_train_detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sam", type=Path, required=True, help="the model whose encoder it reads")
    parser.add_argument("--data", type=Path, required=True, nargs="+", help=_DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes what it holds")
    parser.add_argument("--start", type=Path, help="a detector of the same encoder to start from")
    parser.add_argument("--steps", type=_positive)
    parser.add_argument("--holdout-every", type=_positive, default=10)
    parser.add_argument(
        "--all-sizes",
        action="store_true",
        help="images of all kinds: do not keep how large objects typically are",
    )
    parser.set_defaults(run=_run_train_detector)


def _add_evaluate_detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sam", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help=_DATA_HELP)
    parser.add_argument(
        "--crops",
        action="store_true",
        help="look at crops too while objects are small, as prefilling does",
    )
    parser.set_defaults(run=_run_evaluate_detector)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _run_evaluate(options: argparse.Namespace) -> None:
    model = checkpoint_files.load(options.checkpoint, image_size_px=options.image_size)
    earlier = None if options.compare is None else _read_metrics(options.compare)
    if options.plots is not None:  # before the work, not after it
        load_matplotlib()
        options.plots.mkdir(parents=True, exist_ok=True)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    if options.crops and options.automatic:
        raise ManifestError("--automatic measures whole images: leave out --crops")
    settings = recall_settings(points_per_side=options.points_per_side)
    with ProgressBar() as bar:
        metrics = evaluate(
            model,
            options.data,
            clicks=REPORT_CLICKS,
            samples=None if options.samples is None else Samples(options.samples),
            measures=Measures(
                iou_goals=IOU_GOALS,
                boundary=True,
                calibration=True,
                own_mask=True,
                baselines=options.baselines,
                automatic=settings if options.automatic else None,
            ),
            max_masks_per_image=options.max_masks_per_image,
            max_images=options.max_images,
            crops_per_image=sys.maxsize if options.crops else 0,
            on_progress=bar.show,
        )
    print(table(metrics))
    if earlier is not None:
        print(comparison(earlier, metrics))
    _report_problems(metrics.problems)
    if options.json is not None:
        document = json.dumps(metrics.to_json(with_masks=True))
        write_atomically(options.json, document.encode())
    if options.plots is not None:
        for path in write_plots(metrics, options.plots):
            print(path)


def _run_train(options: argparse.Namespace) -> None:
    config = _train_config(options)
    with joined(options.device) as processes, stop_on_signals() as stop:
        start, data = options.checkpoint, options.data
        if options.grow_to is not None:
            start = options.out / "start.safetensors"
            processes.first(lambda: _grow(options, config, start))
        if options.max_images is not None:
            data = options.out / "manifest.jsonl"
            processes.first(lambda: _shorten(options, data))
        with ProgressBar(is_shown=processes.is_first) as bar:
            result = train(
                config,
                data,
                start,
                options.out,
                mix_path=options.mix,
                processes=processes,
                on_progress=bar.show,
                should_stop=stop,
            )
    if processes.is_first:
        _report_problems(result.problems, where=options.out / PROBLEMS_NAME)
        print(
            f"{result.checkpoint_path}\n{result.decoder_path}\n{json.dumps(dict(result.metrics))}"
        )


def _train_config(options: argparse.Namespace) -> TrainConfig:
    given = {
        "trainable": options.trainable,
        "mix_share": options.mix_share,
        "jitter_scale": LARGE_SCALE_JITTER if options.jitter else None,
        "num_steps": options.steps,
        "images_per_step": options.images_per_step,
        "masks_per_image": options.masks_per_image,
        "learning_rate": options.learning_rate,
        # What a grown model starts from is partly random.
        "start_share": 0.0 if options.grow_to else options.start_share,
        "seed": options.seed,
    }
    try:
        changes = {name: value for name, value in given.items() if value is not None}
        return replace(TRAIN_PRESETS[options.preset], **changes)
    except ValueError as error:
        raise TrainError(str(error)) from error


def _grow(options: argparse.Namespace, config: TrainConfig, start: Path) -> None:
    growth = write_grown(
        start,
        start=options.checkpoint,
        config=PRESETS[options.grow_to],
        encoder_from=options.encoder_from,
        seed=config.seed,
    )
    print(f"grown to {options.grow_to}: {growth.sentence()}", file=sys.stderr)
    if growth.has_random_encoder and config.trainable != "all":
        start.unlink()
        raise TrainError(
            f"the encoder of {options.grow_to} starts from random weights: "
            "give --encoder-from, or --trainable all"
        )


def _shorten(options: argparse.Namespace, manifest: Path) -> None:
    images = open_dataset(options.data, split="train").require_split("train")
    options.out.mkdir(parents=True, exist_ok=True)
    num = min(len(images), options.max_images)
    # Evenly over the list: sets are often sorted by source, and the first few all look alike.
    write_manifest(manifest, images=[images[i * len(images) // num] for i in range(num)])


def _report_problems(problems: Sequence[str], *, where: Path | None = None) -> None:
    if problems:
        message = f"left out {len(problems)}: {shortened(problems)}"
        print(message if where is None else f"{message} (all in {where})", file=sys.stderr)


def _run_train_detector(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    parts = [open_dataset(path, split="train") for path in options.data]
    manifest = options.out / "manifest.jsonl"
    write_manifest(manifest, images=combine(parts, holdout_every=options.holdout_every))
    config = replace(
        DetectorTrainConfig(), num_steps=options.steps, notes_object_size=not options.all_sizes
    )
    with ProgressBar() as bar, stop_on_signals() as stop:
        result = train_detector(
            config,
            manifest,
            options.sam,
            options.start,
            options.out,
            on_progress=bar.show,
            should_stop=stop,
        )
    _report_problems([problem for part in parts for problem in part.problems])
    print(f"{result.checkpoint_path}\n{json.dumps(dict(result.metrics))}")


def _run_evaluate_detector(options: argparse.Namespace) -> None:
    images = open_dataset(options.data).require_split("holdout")
    store = FeatureStore(checkpoint_files.load(options.sam), cache_dir=None)
    detector = object_detector.load(options.detector)
    if detector.config.encoder_sha256 != store.encoder_sha256:
        raise TrainError(f"{options.detector} reads another encoder than {options.sam} has")
    with tqdm(total=len(images), unit="image") as bar:
        found = detect_all(
            detector,
            images=images,
            store=store,
            max_area_share=DetectorTrainConfig().max_area_share,
            multi_scale=options.crops,
            on_image=lambda done: bar.update(1),
        )
    print(detector_table(found))
    print(json.dumps(detection_metrics(found) | {"sources": metrics_by_source(found)}))


def _read_metrics(path: Path) -> Metrics:
    try:
        return Metrics.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path} is no evaluation that --json wrote") from error


if __name__ == "__main__":
    sys.exit(main())
