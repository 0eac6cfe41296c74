"""`manage.py replay`: let an oracle annotator turn the whole loop on a labelled dataset."""

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
from workers.stopping import stop_on_signals

INSIDE = "SEGLOOP_REPLAY_INSIDE"  # set for the process that has a database of its own


class Command(BaseCommand):
    help = (
        "Simulate annotators on a COCO folder (images/ and instances.json): three stages, "
        "retraining in between, everything through the real services. Uses a database and a data "
        "folder of its own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dataset", type=Path, required=True, help="COCO folder")
        parser.add_argument("--images", type=int, default=24, help="photos in all (default 24)")
        parser.add_argument("--rounds", type=int, default=4, help="at least 3 (default 4)")
        parser.add_argument("--masks-per-image", type=int, default=8, help="drawn at most")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--out", type=Path, help="folder for replay.json and rounds.csv")
        parser.add_argument("--keep", type=Path, help="keep database and files in this new folder")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["images"] < 1 or options["masks_per_image"] < 1:
            raise CommandError("--images and --masks-per-image must be at least 1")
        if os.environ.get(INSIDE):
            self._replay(options)
        else:
            self._start_inside(options["keep"])

    def _start_inside(self, keep: Path | None) -> None:
        """Run the same command again in a process whose settings point at a fresh folder."""
        if keep is not None and keep.exists() and any(keep.iterdir()):
            raise CommandError(f"{keep} is not empty")
        temporary = tempfile.TemporaryDirectory(prefix="segloop-replay-")
        with nullcontext(str(keep)) if keep is not None else temporary as folder:
            environment = {
                **os.environ,
                INSIDE: "1",
                "SEGLOOP_DATA_DIR": str(Path(folder).resolve()),
                "DATABASE_URL": "",
                "REDIS_URL": "",
            }
            # Ctrl-C reaches the child by itself; it ends in order and we with it.
            stop_on_signals()
            manage = str(django_settings.BASE_DIR / "manage.py")
            done = subprocess.run(  # noqa: S603
                [sys.executable, manage, *sys.argv[1:]], env=environment, check=False
            )
        if done.returncode:
            sys.exit(done.returncode)

    def _replay(self, options: dict[str, Any]) -> None:
        from training.manifest import ManifestError  # loads numpy and more: not for `--help`
        from workers.replay import report
        from workers.replay.dataset import ReplayError
        from workers.replay.run import ReplaySettings, run_replay

        settings = ReplaySettings(
            dataset=options["dataset"],
            num_images=options["images"],
            num_rounds=options["rounds"],
            masks_per_image=options["masks_per_image"],
            seed=options["seed"],
        )
        call_command("migrate", interactive=False, verbosity=0)
        with tqdm(total=settings.num_images, unit="photo", dynamic_ncols=True) as bar:
            try:
                replay = run_replay(
                    settings,
                    say=bar.set_postfix_str,
                    on_image=bar.update,
                    stop=stop_on_signals(),
                )
            except (ReplayError, ManifestError) as error:
                raise CommandError(str(error)) from None
            except DomainError as error:
                raise CommandError(error.message) from None
        self.stdout.write(report.table(replay))
        self.stdout.write("\n".join(report.remarks(replay)))
        if options["out"] is not None:
            for path in report.write(replay, settings=settings, out_dir=options["out"]):
                self.stdout.write(f"wrote {path}")
