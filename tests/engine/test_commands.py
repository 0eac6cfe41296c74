"""The commands an operator runs, and the checks that speak before the server starts."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from engine import checks
from engine.models import Project, User
from engine.services.people import users
from tests import factories


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "samples"
    folder.mkdir()
    for seed in (1, 2):
        (folder / f"{seed}.jpg").write_bytes(factories.image_bytes(seed=seed, format="JPEG"))
    (folder / "LICENSES.md").write_text("free")
    monkeypatch.setattr("engine.management.commands.create_demo.SAMPLES_DIR", folder)
    return folder


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_the_demo_is_ready_to_label_and_making_it_twice_adds_only_a_link(samples: Path) -> None:
    factories.write_starter(has_decoder=True)

    first, complaints = run("create_demo", "--base-url", "http://localhost:9000/")
    second, _ = run("create_demo")

    assert complaints == ""
    project = Project.objects.get()
    assert (project.name, project.created_by.username) == ("Demo photos", "demo")
    assert project.created_by.role == "lead"
    assert sorted(project.images.values_list("file_name", flat=True)) == ["1.jpg", "2.jpg"]
    assert [job.kind for job in project.jobs.all()] == ["embed_image"] * 2
    match = re.fullmatch(r"Open http://localhost:9000/sign-in/(\S+)/ \(.*\)\n", first)
    assert match
    assert users.redeem_sign_in_token(match[1]) == User.objects.get(username="demo")
    assert match[1] not in second


@pytest.mark.django_db
def test_the_demo_says_when_the_starter_is_missing_and_takes_it_later(samples: Path) -> None:
    _, complaints = run("create_demo")
    assert "No segmentation model serves this project" in complaints

    factories.write_starter(has_decoder=True)
    _, complaints = run("create_demo")

    assert complaints == ""
    assert [job.kind for job in Project.objects.get().jobs.all()] == ["embed_project"]


def test_the_shipped_samples_are_sane_photos() -> None:
    from engine.management.commands.create_demo import SAMPLES_DIR
    from engine.services.images.sandboxed_decode import decode_image

    photos = sorted(SAMPLES_DIR.glob("*.jpg"))
    assert len(photos) >= 5
    decoded = decode_image(photos[0].read_bytes(), file_name=photos[0].name)
    assert min(decoded.width_px, decoded.height_px) >= 200


@pytest.mark.django_db
def test_a_link_is_printed_for_known_people_only() -> None:
    ann = factories.make_user("ann")

    out, _ = run("sign_in_link", "ann")

    token = out.strip().removeprefix("http://127.0.0.1:8000/sign-in/").rstrip("/")
    assert users.redeem_sign_in_token(token) == ann
    with pytest.raises(CommandError, match="there is no active user 'eve'"):
        run("sign_in_link", "eve")


def test_an_unwritable_data_folder_is_an_error(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings.DATA_DIR = tmp_path / "file" / "data"

    (message,) = checks.check_data_dir()

    assert message.id == "engine.E001"
    assert "SEGLOOP_DATA_DIR" in str(message.hint)


def test_a_missing_starter_is_a_warning(settings: Any) -> None:
    assert [one.id for one in checks.check_starter()] == ["engine.W001"]
    factories.write_starter()
    assert checks.check_starter() == []


@pytest.mark.django_db
def test_postgresql_that_may_lose_commits_is_an_error() -> None:
    from django.db import connection

    assert checks.check_durability(databases=["default"]) == []
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
    try:
        assert [one.id for one in checks.check_durability(databases=["default"])] == ["engine.E002"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET synchronous_commit")


@pytest.mark.django_db
def test_migrations_say_what_the_tables_are() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
