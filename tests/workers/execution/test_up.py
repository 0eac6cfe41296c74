"""`manage.py up`, as `make run` starts it: what crashes comes back, and Ctrl-C leaves nothing."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.servers import free_port
from tests.workers.platform import Platform, Worker


def descendants_of(pid: int) -> set[int]:
    """The children of a process, their children, and so on."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            stat = (folder / "stat").read_text()
            parents[int(folder.name)] = int(stat.rsplit(")", 1)[1].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def children_of(pid: int) -> dict[str, int]:
    """The direct children of a process, by what they are."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (folder / "cmdline").read_text()
        except (OSError, IndexError):
            continue  # it has just ended
        if parent == pid:
            found["web" if "gunicorn" in command else "runner"] = int(folder.name)
    return found


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(is_so: Callable[[], object], *, what: str, worker: Worker) -> None:
    deadline_s = time.monotonic() + 240  # a crowded machine starts five processes slowly
    while not is_so():
        assert time.monotonic() < deadline_s, f"never: {what}\n" + "\n".join(worker.lines)
        time.sleep(0.1)


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    running = Platform(data_dir=tmp_path / "data", starter_dir=tmp_path / "starter")
    yield running
    running.stop()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds children in /proc")
def test_killed_children_come_back_and_ctrl_c_leaves_nothing(platform: Platform) -> None:
    port = free_port()
    up = platform.start("manage.py", "up", "--no-demo", "--port", str(port))

    until(lambda: any("Segloop runs at" in line for line in up.lines), what="up", worker=up)
    first = children_of(up.process.pid)
    os.killpg(first["web"], signal.SIGKILL)
    os.kill(first["runner"], signal.SIGKILL)
    until(
        lambda: (
            set(children_of(up.process.pid).values()).isdisjoint(first.values())
            and len(children_of(up.process.pid)) == 2
            and answers(port)
        ),
        what="both are back",
        worker=up,
    )
    second = children_of(up.process.pid)

    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(timeout=60) == 0
    assert not any(is_there(pid) for pid in second.values())
    assert not answers(port)
    assert up.lines[-1] == "stopped"
    assert sum("starting it again" in line for line in up.lines) == 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds children in /proc")
def test_no_process_outlives_a_killed_parent(platform: Platform) -> None:
    port = free_port()
    up = platform.start("manage.py", "up", "--no-demo", "--port", str(port))
    until(lambda: any("Segloop runs at" in line for line in up.lines), what="up", worker=up)
    until(lambda: len(descendants_of(up.process.pid)) >= 5, what="web and lanes", worker=up)
    family = descendants_of(up.process.pid)

    up.process.send_signal(signal.SIGKILL)

    until(lambda: not any(is_there(pid) for pid in family), what="all have ended", worker=up)
    assert not answers(port)
