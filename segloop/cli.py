"""The `segloop` command: management commands, model library and training by one name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from segloop import __version__, app_path


@dataclass(frozen=True, slots=True)
class Command:
    """A word after `segloop`: a management command, or a library's own command line.

    module: module with a `main(arguments) -> int`; empty for a management command.
    prints_data_dir: whether the first line of output names the data folder.
    """

    help: str
    django_name: str = ""
    module: str = ""
    prints_data_dir: bool = False


COMMANDS = {
    "up": Command("start everything on this machine", "up", prints_data_dir=True),
    "import": Command("read images and masks from a folder or zip into a project", "import"),
    "export": Command("write a project's accepted masks as a dataset", "export"),
    "replay": Command("run the loop with an oracle annotator on labelled data", "replay"),
    "worker": Command("run queued jobs (under Celery with --celery)", "runner"),
    "account": Command("make an account, change its role, block it", "account"),
    "sign-in-link": Command("print a link that signs an account in, once", "sign_in_link"),
    "token": Command("make an API token for scripts", "api_token"),
    "stage": Command("show a project's stage, change its numbers, advance or go back", "stage"),
    "retrain": Command("start a training of a project's model", "retrain"),
    "roll-back": Command("let the previous model version serve again", "roll_back"),
    "demo": Command("make the demo project of sample images", "create_demo"),
    "migrate": Command("bring the database to this version", "migrate"),
    "collectstatic": Command("gather the pages' static files in the data folder", "collectstatic"),
    "check": Command("check settings and database", "check"),
    "migrate-to-postgres": Command("copy an SQLite installation", "migrate_to_postgres"),
    "model": Command("model library: segment images, fetch and export weights", module="sam"),
    "training": Command("train and evaluate models from files", module="training"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 2 for an unknown command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "help"}:
        print(usage())
        return 0
    if words[0] == "--version":
        print(f"segloop {__version__}")
        return 0
    command = COMMANDS.get(words[0])
    if command is None:
        print(f"segloop: there is no command {words[0]!r}\n\n{usage()}", file=sys.stderr)
        return 2
    app_path.activate()
    if command.module:
        return _run_library(command.module, words)
    return _run_management_command(command, words)


def usage() -> str:
    """Return the help text: one line a command."""
    lines = [f"  {word:<20} {command.help}" for word, command in COMMANDS.items()]
    return "\n".join(
        [
            f"segloop {__version__}: label images and train the model that helps, in one loop",
            "",
            "usage: segloop COMMAND [OPTIONS]      options of one: segloop COMMAND --help",
            "",
            *lines,
            "",
            f"Data is kept in {app_path.default_data_dir(os.environ)}; "
            f"{app_path.DATA_DIR_VARIABLE} names another folder.",
        ]
    )


def _run_library(module: str, words: list[str]) -> int:
    sys.argv = [f"segloop {words[0]}", *words[1:]]
    return int(importlib.import_module(f"{module}.__main__").main(words[1:]))


def _run_management_command(command: Command, words: list[str]) -> int:
    from django.conf import settings
    from django.core.management import execute_from_command_line

    # Commands that start a process of their own pass sys.argv[1:] on to manage.py.
    sys.argv = ["segloop", command.django_name, *words[1:]]
    if command.prints_data_dir:
        variable = app_path.DATA_DIR_VARIABLE
        print(f"data folder: {settings.DATA_DIR}  ({variable} names another)", flush=True)
    execute_from_command_line(sys.argv)
    return 0
