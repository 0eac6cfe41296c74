"""Attempts that older versions called "given back" are "released" after the migration."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor

from engine.domain.jobs import QUEUES
from engine.models import JobAttempt
from engine.services.jobs import jobs
from tests import factories

BEFORE, AFTER = ("engine", "0016_crop"), ("engine", "0017_released_attempts")


def migrate(*target: tuple[str, str]) -> None:
    MigrationExecutor(connection).migrate(list(target))


def outcomes() -> list[str]:
    """Without the model: it may have columns that the table does not have yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT outcome FROM engine_jobattempt")
        return [outcome for (outcome,) in cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
def test_given_back_attempts_are_renamed_and_stay_closed() -> None:
    project = factories.make_project()
    jobs.enqueue(
        "embed_image",
        project=project,
        args={"image": project.pk, "model_version": project.pk},
        idem_key="one",
    )
    claim = jobs.claim(QUEUES, worker="w")
    assert claim is not None
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    try:
        migrate(BEFORE)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE engine_jobattempt SET ended_at = started_at, outcome = 'given back'"
            )
        migrate(AFTER)
        assert outcomes() == ["released"]
        migrate(BEFORE)
        assert outcomes() == ["given back"]
    finally:
        migrate(*leaves)

    assert outcomes() == ["released"]
    with pytest.raises(IntegrityError, match="closed once"), transaction.atomic():
        JobAttempt.objects.update(outcome="lost")
