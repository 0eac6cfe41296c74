"""`manage.py replay`: run the whole loop on a labelled dataset with a simulated annotator."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from engine.domain.errors import DomainError
from engine.domain.schedule import RoundSize
from engine.stop_flag import stop_on_signals

JOURNAL = "replay.jsonl"
INSIDE = "SEGLOOP_REPLAY_INSIDE"  # set for the process that has a database of its own


class Command(BaseCommand):
    help = (
        "Simulate annotators on a COCO folder (images/ and instances.json): three stages, "
        "retraining in between, everything through the real services. Uses a database and a data "
        "folder of its own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--dataset", type=Path, required=True, help="COCO folder to label")
        add("--heldout", type=Path, help="COCO folder that no model learns from, measured by round")
        add("--sources", nargs="+", default=[], help="draw images from these sources alone")
        add("--images", type=int, default=40, help="images to label in all (default 40)")
        add("--rounds", type=int, default=5, help="at least 3 (default 5)")
        add("--masks-per-image", type=int, default=10, help="drawn at most (default 10)")
        add("--heldout-masks", type=int, default=3, help="measured an image at most (default 3)")
        add(
            "--trainable",
            type=RoundSize,
            choices=tuple(RoundSize),
            help="the part of the model that each round trains; default: by the number of masks",
        )
        add("--seed", type=int, default=0)
        add("--out", type=Path, help="folder for replay.json, rounds.csv and cost.png")
        add(
            "--keep",
            type=Path,
            help="keep database and files in this folder; the same command goes on after a stop",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if min(options["images"], options["masks_per_image"], options["heldout_masks"]) < 1:
            raise CommandError("--images, --masks-per-image and --heldout-masks are at least 1")
        if os.environ.get(INSIDE):
            self._replay(options)
        else:
            self._start_inside(options["keep"])

    def _start_inside(self, keep: Path | None) -> None:
        """Run the same command again in a process whose settings point at a folder of its own."""
        if keep is not None and keep.exists() and not keep.is_dir():
            raise CommandError(f"{keep} is no folder")
        if keep is not None and keep.exists() and any(keep.iterdir()):
            if not (keep / JOURNAL).exists():
                raise CommandError(f"{keep} is not empty and holds no replay")
            self.stdout.write(f"continuing the replay in {keep}")
        temporary = tempfile.TemporaryDirectory(prefix="segloop-replay-")
        with nullcontext(str(keep)) if keep is not None else temporary as folder:
            environment = {
                **os.environ,
                INSIDE: "1",
                "SEGLOOP_DATA_DIR": str(Path(folder).resolve()),
                "DATABASE_URL": "",
                "REDIS_URL": "",
            }
            # Ctrl-C reaches the child by itself; it ends in order, and this process with it.
            stop_on_signals()
            manage = str(django_settings.BASE_DIR / "manage.py")
            done = subprocess.run(  # noqa: S603
                [sys.executable, manage, *sys.argv[1:]], env=environment, check=False
            )
        if done.returncode:
            sys.exit(done.returncode if done.returncode > 0 else 1)

    def _replay(self, options: dict[str, Any]) -> None:
        from training.data.manifest import ManifestError  # loads numpy and more: not for `--help`
        from workers.replay import report
        from workers.replay.dataset import ReplayError
        from workers.replay.journal import Journal
        from workers.replay.run import ReplaySettings, run_replay

        settings = ReplaySettings(
            dataset=options["dataset"].resolve(),
            heldout=options["heldout"].resolve() if options["heldout"] else None,
            num_images=options["images"],
            num_rounds=options["rounds"],
            masks_per_image=options["masks_per_image"],
            heldout_masks_per_image=options["heldout_masks"],
            seed=options["seed"],
            trainable=options["trainable"],
            sources=tuple(options["sources"]),
        )
        with tqdm(total=settings.num_images, unit="image", dynamic_ncols=True) as bar:
            try:
                journal = Journal(Path(django_settings.DATA_DIR) / JOURNAL)
                call_command("migrate", interactive=False, verbosity=0)
                replay = run_replay(
                    settings,
                    journal=journal,
                    on_progress=bar.set_postfix_str,
                    on_image=bar.update,
                    stop=stop_on_signals(),
                )
            except (ReplayError, ManifestError) as error:
                raise CommandError(str(error)) from None
            except DomainError as error:
                raise CommandError(error.message) from None
        self.stdout.write(report.text(replay))
        if options["out"] is not None:
            for path in report.write(replay, settings=settings, out_dir=options["out"]):
                self.stdout.write(f"wrote {path}")
            self._plot(replay, options["out"])

    def _plot(self, replay: Any, out_dir: Path) -> None:
        from training.evaluation.plots import PlotError
        from workers.replay.plot import write_plot

        try:
            self.stdout.write(f"wrote {write_plot(replay, out_dir)}")
        except PlotError as error:
            self.stderr.write(f"no plot: {error}")
