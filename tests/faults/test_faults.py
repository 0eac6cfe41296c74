"""kill -9 of anything at any moment: nothing acknowledged is lost, nothing happens twice.

A short run here on each database; `make faults` does the full one. The last tests take a
protection out and must see the checker notice.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import mutations
from tests.faults.run import Figures, report_to, run
from tests.faults.site import Plan

pytestmark = pytest.mark.slow

SHORT = Plan(database="sqlite", num_kills=14, num_jobs=30, num_uploads=6, num_saves=240)
FULL = Plan(database="sqlite", step_s=0.5)  # so that there is work for as long as kills last
PLAN = FULL if os.environ.get("SEGLOOP_FAULTS") == "full" else SHORT
CALM = Plan(
    database="sqlite", num_kills=0, num_jobs=0, num_uploads=0, num_saves=1, num_annotators=1
)


def reported(figures: Figures) -> Figures:
    print(figures.line())
    if path := report_to():
        with path.open("a") as file:
            file.write(figures.line() + "\n")
    return figures


def wrong_of(figures: Figures) -> dict[str, list[str]]:
    return {kind: items for kind, items in figures.wrong.items() if items}


@pytest.mark.parametrize(
    "database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_nothing_acknowledged_is_lost_and_nothing_happens_twice(
    database: str, tmp_path: Path, starter_dir: Path
) -> None:
    plan = replace(PLAN, database=database, seed=int(os.environ.get("SEGLOOP_FAULTS_SEED", "0")))

    figures = reported(run(plan, folder=tmp_path, starter_dir=starter_dir))

    assert wrong_of(figures) == {}, figures.line()
    assert sum(figures.num_kills.values()) == plan.num_kills
    assert figures.num_saves_acked == plan.num_saves
    assert figures.num_uploads_acked == plan.num_uploads
    assert figures.num_saves_resent > 0  # else nothing was ever in doubt, and the test is weak
    assert figures.attempts.get("lost", 0) > 0


def test_without_the_fence_a_worker_that_lost_its_job_is_caught_writing(
    tmp_path: Path, starter_dir: Path
) -> None:
    plan = replace(CALM, num_jobs=10, step_s=0.7, zombie_share=0.9, mutation=mutations.NO_FENCE)

    figures = reported(run(plan, folder=tmp_path, starter_dir=starter_dir))

    assert {"jobs stale effect", "jobs effect doubled", "jobs attempts wrong"} & set(
        wrong_of(figures)
    )


def test_with_ids_made_by_the_server_a_repeated_save_is_caught_as_a_duplicate(
    tmp_path: Path, starter_dir: Path
) -> None:
    plan = replace(CALM, num_saves=20, lost_answer_share=0.5, mutation=mutations.NO_CLIENT_IDS)

    figures = reported(run(plan, folder=tmp_path, starter_dir=starter_dir))

    assert figures.wrong["masks duplicated"]
