"""The tables of moves are whole, and nothing but transitions.move writes a status."""

from __future__ import annotations

import ast
from enum import StrEnum
from pathlib import Path

import pytest
from django.db import IntegrityError, transaction

from engine.domain.errors import StaleState
from engine.domain.states import TRANSITIONS, ImageStatus, MaskStatus
from engine.models import Image, StateChange
from engine.services.transitions import move
from tests import factories

ROOT = Path(__file__).parents[2]
ONLY_WRITER = ROOT / "engine" / "services" / "transitions.py"


@pytest.mark.parametrize("machine", list(TRANSITIONS))
def test_every_state_is_in_the_table_and_every_target_is_a_state(machine: type[StrEnum]) -> None:
    assert set(TRANSITIONS[machine]) == set(machine)
    assert all(targets <= set(machine) for targets in TRANSITIONS[machine].values())


def writes_a_status(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(isinstance(one, ast.Attribute) and one.attr == "status" for one in targets)
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        sets_by_keyword = name in {"update", "update_or_create"} and any(
            keyword.arg == "status" for keyword in node.keywords
        )
        sets_by_name = name == "setattr" and any(
            isinstance(one, ast.Constant) and one.value == "status" for one in node.args
        )
        return sets_by_keyword or sets_by_name
    return False


def test_only_transitions_writes_a_status() -> None:
    sources = [
        path
        for package in ("engine", "annotator_ui", "workers")
        for path in (ROOT / package).rglob("*.py")
        if path != ONLY_WRITER and "node_modules" not in path.parts
    ]
    assert len(sources) > 50

    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if writes_a_status(node)
    ]

    assert offenders == []


@pytest.mark.parametrize(
    "line",
    ["job.status = 'x'", "rows.update(status='x')", "setattr(job, 'status', 'x')", "a.status += b"],
)
def test_the_search_for_offenders_finds_them(line: str) -> None:
    assert any(writes_a_status(node) for node in ast.walk(ast.parse(line)))


@pytest.mark.django_db
def test_a_move_is_kept_with_actor_and_reason() -> None:
    lead = factories.make_lead()
    image = factories.make_image(factories.make_project(lead=lead))

    move(image, ImageStatus.REJECTED, actor=lead, reason="a screenshot")

    image.refresh_from_db()
    assert image.status == "rejected"
    change = StateChange.objects.get(subject_id=image.pk)
    assert (change.from_state, change.to_state) == ("ready", "rejected")
    assert (change.actor, change.reason) == (lead, "a screenshot")


@pytest.mark.django_db
def test_the_slower_of_two_movers_is_told_and_nothing_is_written_twice() -> None:
    image = factories.make_image(factories.make_project())
    faster, slower = Image.objects.get(pk=image.pk), Image.objects.get(pk=image.pk)

    move(faster, ImageStatus.DONE)

    with pytest.raises(StaleState, match="somebody else was faster"):
        move(slower, ImageStatus.REJECTED)
    image.refresh_from_db()
    assert image.status == "done"
    assert StateChange.objects.filter(subject_id=image.pk).count() == 1


@pytest.mark.django_db
def test_a_move_that_is_not_in_the_table_is_refused() -> None:
    image = factories.make_image(factories.make_project())
    move(image, ImageStatus.REJECTED)

    with pytest.raises(StaleState, match="rejected and cannot become ready"):
        move(image, ImageStatus.READY)


@pytest.mark.django_db
def test_the_database_refuses_an_unknown_status() -> None:
    image = factories.make_image(factories.make_project())

    with pytest.raises(IntegrityError, match="image_status_known"), transaction.atomic():
        Image.objects.filter(pk=image.pk).update(**{"status": MaskStatus.ACCEPTED.value})
