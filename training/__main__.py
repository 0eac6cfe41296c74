"""The command line of training: evaluate, train, train-detector and evaluate-detector.

Bad input ends in one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sam import checkpoints, object_detector
from sam.checkpoints import CheckpointError
from sam.onnx_export import ParityError
from training.config import TrainConfig
from training.detector_config import DetectorTrainConfig
from training.evaluate import evaluate
from training.features import FeatureStore
from training.loop import TrainStopped
from training.manifest import ManifestError, combine, open_dataset, write_manifest
from training.metrics import Metrics, paired_difference
from training.run_folder import TrainError
from training.train import train
from training.train_detector import measure_detector, train_detector

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ManifestError, CheckpointError, ParityError, TrainError, TrainStopped) as error:
        return _complain(error)
    except OSError as error:
        return _complain(error)
    except KeyboardInterrupt:
        return _complain("interrupted; the same command resumes a training run")
    return 0


def _complain(error: object) -> int:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    print(f"error: {first_line}", file=sys.stderr)
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_evaluate(commands.add_parser("evaluate", help="measure click and box IoU"))
    _add_train(commands.add_parser("train", help="retrain the mask model"))
    _add_train_detector(commands.add_parser("train-detector", help="train the object detector"))
    _add_evaluate_detector(
        commands.add_parser("evaluate-detector", help="measure box recall and AP50")
    )
    return parser


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="COCO folder or manifest")
    parser.add_argument("--image-size", type=_positive, help="serve a pyramid model at this size")
    parser.add_argument("--max-masks-per-image", type=_positive, default=6)
    parser.add_argument("--max-images", type=_positive)
    parser.add_argument("--json", type=Path, metavar="OUT", help="write all figures, by mask")
    parser.add_argument("--compare", type=Path, metavar="JSON", help="an earlier --json of theirs")
    parser.set_defaults(run=_run_evaluate)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, required=True, help="where to start from")
    parser.add_argument("--data", type=Path, required=True, help="COCO folder or manifest")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes what it holds")
    parser.add_argument("--trainable", choices=("decoder", "all"), default="decoder")
    parser.add_argument("--max-images", type=_positive)
    parser.add_argument("--steps", type=_positive)
    parser.set_defaults(run=_run_train)


def _add_train_detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sam", type=Path, required=True, help="the model whose encoder it reads")
    parser.add_argument("--data", type=Path, required=True, nargs="+", help="COCO or manifests")
    parser.add_argument("--out", type=Path, required=True, help="run folder; resumes what it holds")
    parser.add_argument("--start", type=Path, help="a detector of the same encoder to start from")
    parser.add_argument("--steps", type=_positive)
    parser.add_argument("--holdout-every", type=_positive, default=10)
    parser.set_defaults(run=_run_train_detector)


def _add_evaluate_detector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sam", type=Path, required=True)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="COCO folder or manifest")
    parser.set_defaults(run=_run_evaluate_detector)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


def _run_evaluate(options: argparse.Namespace) -> None:
    model = checkpoints.load(options.checkpoint, image_size_px=options.image_size)
    earlier = None if options.compare is None else _read_metrics(options.compare)
    with _Bar() as bar:
        metrics = evaluate(
            model,
            options.data,
            max_masks_per_image=options.max_masks_per_image,
            max_images=options.max_images,
            on_progress=bar.show,
        )
    print(_table(metrics))
    if earlier is not None:
        print(_comparison(earlier, metrics))
    if options.json is not None:
        options.json.write_text(json.dumps(metrics.to_json(with_masks=True)), encoding="utf-8")


def _run_train(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    data = options.data
    if options.max_images is not None:
        images = open_dataset(data, side="train").require_side("train")[: options.max_images]
        data = options.out / "manifest.jsonl"
        write_manifest(data, images=images)
    config = TrainConfig(trainable=options.trainable, num_steps=options.steps)
    with _Bar() as bar:
        result = train(config, data, options.checkpoint, options.out, on_progress=bar.show)
    print(f"{result.checkpoint_path}\n{result.decoder_path}\n{json.dumps(dict(result.metrics))}")


def _run_train_detector(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    parts = [open_dataset(path, side="train") for path in options.data]
    manifest = options.out / "manifest.jsonl"
    write_manifest(manifest, images=combine(parts, holdout_every=options.holdout_every))
    config = replace(DetectorTrainConfig(), num_steps=options.steps)
    with _Bar() as bar:
        result = train_detector(
            config, manifest, options.sam, options.start, options.out, on_progress=bar.show
        )
    print(f"{result.checkpoint_path}\n{json.dumps(dict(result.metrics))}")


def _run_evaluate_detector(options: argparse.Namespace) -> None:
    images = open_dataset(options.data).require_side("holdout")
    store = FeatureStore(checkpoints.load(options.sam), cache_dir=None)
    detector = object_detector.load(options.detector)
    if detector.config.encoder_sha256 != store.encoder_sha256:
        raise TrainError(f"{options.detector} reads another encoder than {options.sam} has")
    with tqdm(total=len(images), unit="image") as bar:
        metrics = measure_detector(
            detector,
            images=images,
            store=store,
            max_area_share=DetectorTrainConfig().max_area_share,
            on_image=lambda done: bar.update(1),
        )
    print(json.dumps(metrics))


class _Bar:
    """A progress bar that fits `on_progress`."""

    def __enter__(self) -> _Bar:
        self._bar = tqdm(total=100.0, bar_format="{percentage:3.0f}% |{bar:30}| {elapsed} {desc}")
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def show(self, fraction: float, message: str, **figures: float) -> None:
        self._bar.set_description_str(message, refresh=False)
        self._bar.update(100.0 * fraction - self._bar.n)


def _read_metrics(path: Path) -> Metrics:
    try:
        return Metrics.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path} is no evaluation with masks: {error!r}") from error


def _table(metrics: Metrics) -> str:
    kinds = metrics.kinds
    head = f"{'':24} {'images':>6} {'masks':>6} " + " ".join(f"{kind:>9}" for kind in kinds)
    lines = [head]
    for source in metrics.sources:
        part = metrics.of_source(source)
        lines.append(_row(source, part, [part.mean(kind) for kind in kinds]))
    lines.append(_row("mean over sources", metrics, [metrics.macro(kind) for kind in kinds]))
    lines.append(_row("mean over masks", metrics, [metrics.mean(kind) for kind in kinds]))
    for name, index in (("  95 % from", 0), ("  95 % to", 1)):
        lines.append(_row(name, metrics, [metrics.interval(kind)[index] for kind in kinds]))
    return "\n".join(lines)


def _row(name: str, part: Metrics, values: Sequence[float]) -> str:
    figures = " ".join(f"{value:9.3f}" for value in values)
    return f"{name[:24]:24} {part.num_images:6} {part.num_masks:6} {figures}"


def _comparison(earlier: Metrics, metrics: Metrics) -> str:
    lines = ["against the earlier evaluation, on the same masks:"]
    for kind in metrics.kinds:
        change = paired_difference(earlier, metrics, kind=kind)
        lines.append(f"  {kind:10} {change.mean:+.3f}  [{change.low:+.3f}, {change.high:+.3f}]")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
