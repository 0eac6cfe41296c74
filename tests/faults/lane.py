"""An embedded worker of both queues under test: python -m tests.faults.lane"""

from __future__ import annotations

import os

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engine.settings")
    import django

    django.setup()
    from engine.domain.jobs import QUEUES
    from engine.stop_flag import stop_on_signals
    from tests.faults.worker_setup import install
    from workers.config import from_environment
    from workers.execution.runner import run_lane

    install()
    run_lane(QUEUES, config=from_environment(), stopping=stop_on_signals(), emit=print)
