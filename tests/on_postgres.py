"""Run a command with DATABASE_URL naming a PostgreSQL cluster of its own, removed afterwards.

python -m tests.on_postgres pytest -q tests/engine

The cluster needs no configured server, and only its programs: tests/services.sh provides them.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.faults.servers import Postgres


def main(command: list[str]) -> int:
    postgres = Postgres(is_durable=False)  # what a crash would lose does not matter here
    postgres.create()
    try:
        environment = {**os.environ, "DATABASE_URL": postgres.url}
        return subprocess.call([sys.executable, "-m", *command], env=environment)
    finally:
        postgres.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
