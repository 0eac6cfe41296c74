"""What a heartbeat reports; its effect on jobs is in test_run_job.py."""

from __future__ import annotations

import pytest

from workers.execution.heartbeat import Progress


@pytest.mark.parametrize(("fraction", "percent"), [(-1.0, 0), (0.256, 26), (7.0, 100)])
def test_progress_is_a_percentage_with_a_short_text(fraction: float, percent: int) -> None:
    progress = Progress()

    progress.report(fraction, "x" * 300)

    assert (progress.latest.percent, len(progress.latest.text)) == (percent, 200)
