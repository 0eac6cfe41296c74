"""A process that ends is started again, with a delay, and not too often."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from django.core.management.base import CommandError

from engine.management.commands.up import MAX_RESTARTS, RESTARTS, RESTARTS_WITHIN_S
from engine.stop_flag import StopFlag
from engine.supervision import RestartPolicy, SupervisedProcess, keep_running, stop_all


def ended_process() -> SupervisedProcess:
    def start() -> subprocess.Popen[bytes]:
        started = subprocess.Popen(["false"])
        started.wait()
        return started

    return SupervisedProcess("web", start, policy=RESTARTS)


def test_a_process_that_keeps_ending_is_abandoned() -> None:
    process = ended_process()
    for second in range(MAX_RESTARTS):
        process.restart(now_s=second)

    with pytest.raises(CommandError, match=r"ended 6 times within 5 minutes.* code 1"):
        process.restart(now_s=100)


def test_a_process_that_ends_now_and_then_is_started_for_ever() -> None:
    process = ended_process()

    for number in range(3 * MAX_RESTARTS):
        process.restart(now_s=number * RESTARTS_WITHIN_S / (MAX_RESTARTS - 1))


def test_the_delay_doubles_up_to_its_limit_and_starts_anew_after_a_steady_run() -> None:
    policy = RestartPolicy(min_delay_s=0.5, max_delay_s=1.5, steady_after_s=60)
    process = SupervisedProcess("lane", lambda: subprocess.Popen(["true"]), policy=policy)
    delays_s = []
    for _ in range(3):
        process.process.wait()
        delays_s.append(process.restart_delay_s(now_s=time.monotonic()))
        process.restart(now_s=time.monotonic())
    process.process.wait()

    assert delays_s == [0.5, 1.0, 1.5]
    assert process.restart_delay_s(now_s=time.monotonic() + 61) == 0.5


def test_what_ends_is_reported_and_started_again_and_what_does_not_stop_is_killed() -> None:
    script = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    started: list[int] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", script] if started else ["false"]
        process = subprocess.Popen(command)
        started.append(process.pid)
        return process

    stopping, lines = StopFlag(), []

    def emit(line: str) -> None:
        lines.append(line)
        stopping.set()

    lane = SupervisedProcess("cpu lane", start, policy=RestartPolicy())
    keep_running([lane], stopping=stopping, emit=emit)
    assert lines == ["cpu lane ended with status 1, starting it again"]
    assert len(started) == 1, "it was to stop: nothing is started any more"

    lane.restart(now_s=time.monotonic())
    time.sleep(1)  # until it ignores the signal
    stop_all([lane], grace_s=0.2)

    assert lane.process.returncode is not None
