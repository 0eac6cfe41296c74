"""The `segloop` command in a checkout: its table matches what Django and the libraries offer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from segloop import __version__, app_path, cli

ROOT = Path(__file__).parents[2]


def test_every_word_is_a_management_command_or_a_library() -> None:
    known = get_commands()
    for command in cli.COMMANDS.values():
        if command.module:
            assert (ROOT / command.module / "__main__.py").is_file()
        else:
            assert command.django_name in known


def test_every_management_command_of_ours_has_a_word() -> None:
    ours = {name for name, app in get_commands().items() if app in {"engine", "workers"}}

    assert ours <= {command.django_name for command in cli.COMMANDS.values()}


def test_an_unknown_word_is_answered_by_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lable"]) == 2

    printed = capsys.readouterr().err
    assert "there is no command 'lable'" in printed
    assert "segloop COMMAND --help" in printed


def test_child_processes_find_the_packages_and_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    environment = {"PYTHONPATH": "/elsewhere"}

    app_path.activate(environment)
    app_path.activate(environment)

    assert environment["PYTHONPATH"] == f"{ROOT}{os.pathsep}/elsewhere"
    assert environment["DJANGO_SETTINGS_MODULE"] == "engine.settings"
    assert environment["SEGLOOP_DATA_DIR"] == str(ROOT / "var")


def test_an_installation_keeps_its_data_in_the_users_folder_for_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_path, "is_installed", lambda: True)

    assert app_path.default_data_dir({"XDG_DATA_HOME": "/data"}) == Path("/data/segloop")
    assert app_path.default_data_dir({}) == Path("~/.local/share/segloop").expanduser()


def test_the_version_has_one_home() -> None:
    """segloop/__init__.py; what must repeat it (for people, for libraries of papers) agrees."""
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_a_data_folder_that_is_set_wins() -> None:
    environment = {"SEGLOOP_DATA_DIR": "/mine"}

    app_path.activate(environment)

    assert environment["SEGLOOP_DATA_DIR"] == "/mine"
