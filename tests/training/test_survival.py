"""Runs survive: kill -9, SIGTERM, a full disk, and several processes, all of them real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sam.checkpoints import checkpoint_files
from tests.needs import missing
from tests.training.blobs import write_blobs
from tests.training.runs import losses, same_weights
from training.__main__ import main
from training.command_line import STOPPED
from training.loop.config import InteractiveConfig, TrainConfig

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
IN_CHECKOUT: dict[str, Any] = {"cwd": ROOT, "env": ENVIRONMENT, "text": True}
NUM_KILLS = 10

SHORT = TrainConfig(
    trainable="all",
    num_steps=40,
    images_per_step=2,
    masks_per_image=2,
    learning_rate=1e-3,
    warmup_steps=2,
    drop_path=0.2,
    checkpoint_every_steps=3,
    interactive=InteractiveConfig(num_corrections=1, mask_only_passes=1),
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "data", num_train=4)


def begin(command: Sequence[str]) -> subprocess.Popen[str]:
    """Start a process of its own in the checkout."""
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, **IN_CHECKOUT)


def ran(command: Sequence[str], *, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a process in the checkout to its end."""
    return subprocess.run(command, capture_output=True, timeout=timeout_s, **IN_CHECKOUT)


# A small parent that loads torch once and forks a real process per sitting, to be killed.
KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.training.test_survival import NUM_KILLS, SHORT
from training.finetuning.train import train

manifest, start, whole, cut = map(Path, sys.argv[1:])


def sit(out, told=None):
    pid = os.fork()
    if pid:
        return pid
    tell = lambda *_, **__: None if told is None else os.write(told, b".")
    try:
        train(SHORT, manifest, start, out, on_progress=tell)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


began = time.monotonic()
assert os.waitpid(sit(whole), 0)[1] == 0
step_s = (time.monotonic() - began) / SHORT.num_steps
moments = random.Random(20261125)
for kill in range(NUM_KILLS):
    hear, told = os.pipe()
    pid = sit(cut, told)
    os.close(told)
    for _ in range(4 + moments.randint(0, 4)):  # four images are read, then come the steps
        assert os.read(hear, 1) == b"."
    time.sleep(moments.uniform(0, step_s))  # in the next step, or while something is written
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it ended before it could be killed"
    os.close(hear)
assert os.waitpid(sit(cut), 0)[1] == 0
"""


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_with_the_same_weights_bit_for_bit(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"

    done = ran(
        [sys.executable, "-c", KILLER, *map(str, (manifest, start, whole, cut))],
        timeout_s=500,
    )

    assert done.returncode == 0, done.stderr
    assert same_weights(whole / "model.safetensors", cut / "model.safetensors")
    assert losses(whole) == losses(cut)
    assert len(losses(cut)) == SHORT.num_steps
    assert not list(cut.glob(".*"))


def train_command(manifest: Path, start: Path, out: Path, *more: str) -> list[str]:
    paths = ["--checkpoint", str(start), "--data", str(manifest), "--out", str(out)]
    return ["train", *paths, "--images-per-step", "2", "--masks-per-image", "2", *more]


def wait_for_steps(out: Path, num: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    path = out / "metrics.jsonl"
    while not path.exists() or len(path.read_text().splitlines()) < num:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_sigterm_saves_the_state_and_ends_with_its_own_code(
    tmp_path: Path, start: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = train_command(manifest, start, out, "--steps", "30")
    process = begin([sys.executable, "-m", "training", *command])
    wait_for_steps(out, 2, process)

    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=120)

    assert process.returncode == STOPPED == 3, told
    assert told.splitlines()[-1].startswith("stopped: stopped after")
    assert "Traceback" not in told
    assert (out / "state.safetensors").exists()
    assert not (out / "model.safetensors").exists()
    before = losses(out)
    assert main(command) == 0
    assert losses(out)[: len(before)] == before
    assert len(losses(out)) == 30


@pytest.mark.slow
def test_two_processes_learn_what_one_does_and_resume(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    rest = ("--trainable", "all", "--steps", "8", "--learning-rate", "1e-3", "--device", "cpu")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launch = [*torchrun, "--nproc-per-node=2", "-m", "training"]

    assert main(train_command(manifest, start, one, *rest)) == 0
    process = begin([*launch, *train_command(manifest, start, two, *rest)])
    wait_for_steps(two, 2, process)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=200)
    stopped_after = len(losses(two))
    assert (two / "state.safetensors").exists(), told
    assert not (two / "model.safetensors").exists(), told
    done = ran(
        [*launch, *train_command(manifest, start, two, *rest)],
        timeout_s=300,
    )

    assert done.returncode == 0, done.stderr
    assert 2 <= stopped_after < 8
    assert losses(two) == pytest.approx(losses(one), rel=2e-3)
    first, second = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], atol=5e-3), name
    assert done.stdout.count('"num_steps": 8') == 1  # the first process speaks for all


FULL_DISK = """
import resource, sys
from training.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # no file may be longer
sys.exit(main(sys.argv[1:]))
"""


def test_a_disk_that_takes_no_more_is_told_in_one_line_and_nothing_half_stays(
    tmp_path: Path, start: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = train_command(manifest, start, out, "--steps", "2")

    done = ran(
        [sys.executable, "-c", FULL_DISK, *command],
        timeout_s=200,
    )

    assert done.returncode == 2, done.stderr
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "state.safetensors: File too large" in told
    assert "Traceback" not in done.stderr
    left = {path.name for path in out.iterdir()}
    assert not left & {"state.safetensors", "model.safetensors", "decoder.onnx"}
    assert not [name for name in left if name.startswith(".")]
    assert main(command) == 0


def test_a_full_file_system_is_told_in_one_line(
    tmp_path: Path, start: Path, manifest: Path
) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        missing("only root with unshare can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=300k tmpfs "$0" && "$@"; code=$?; ls -A "$0/run"; exit $code'
    command = train_command(manifest, start, disk / "run", "--steps", "2")

    done = ran(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            script,
            disk,
            sys.executable,
            "-m",
            "training",
            *command,
        ],
        timeout_s=200,
    )

    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        missing(f"this machine does not let root mount: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "model.safetensors" not in done.stdout
    assert "decoder.onnx" not in done.stdout


def test_a_recipe_of_the_paper_runs_small(tmp_path: Path, start: Path, manifest: Path) -> None:
    from training.finetuning.train import train
    from training.loop.config import PAPER_VIT_B

    config = replace(PAPER_VIT_B, num_steps=2, images_per_step=2, jitter_scale=(0.5, 2.0))

    result = train(config, manifest, start, tmp_path / "run")

    assert result.metrics["num_steps"] == 2
    assert result.encoder_sha256 != checkpoint_files.encoder_sha256(checkpoint_files.load(start))
