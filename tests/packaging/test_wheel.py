"""The wheel installs anywhere: no Node.js, no checkout, one name in site-packages."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from segloop import __version__
from segloop.cli import COMMANDS
from tests.faults.servers import free_port

pytest.importorskip("hatchling", reason="the wheel's build backend")

ROOT = Path(__file__).parents[2]
FRONT_END = ROOT / "annotator_ui" / "frontend" / "dist" / "manifest.json"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FRONT_END.exists(), reason="needs the built front end (make ui)"),
]
START_S = 120.0  # a busy machine; 10 s on a quiet one
STOP_S = 60.0


@dataclass(frozen=True)
class Installation:
    """A virtual environment that holds the wheel and sees the test environment's packages."""

    wheel: Path
    bin_dir: Path
    site_packages: Path
    added: frozenset[str]
    """What the wheel's installation added to site-packages."""

    def segloop(self, *arguments: str, cwd: Path, **environment: str) -> str:
        """Run `segloop` as a stranger's shell would: no PYTHONPATH, any folder."""
        return subprocess.run(
            [self.bin_dir / "segloop", *arguments],
            cwd=cwd,
            env=plain_environment(**environment),
            check=True,
            capture_output=True,
            text=True,
        ).stdout


def plain_environment(**changes: str) -> dict[str, str]:
    """The environment without anything of Segloop, Django or this test run."""
    ours = re.compile(r"SEGLOOP_|DJANGO_|PYTHONPATH$|PYTEST_|DATABASE_URL$|REDIS_URL$")
    kept = {name: value for name, value in os.environ.items() if not ours.match(name)}
    return {**kept, **changes}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env=plain_environment(),
    )
    (wheel,) = folder.glob("segloop-*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (site_packages,) = (folder / "venv").glob("lib/python*/site-packages")
    lines = "\n".join(path for path in sys.path if path.endswith("site-packages"))
    (site_packages / "test_environment.pth").write_text(lines + "\n")
    before = {path.name for path in site_packages.iterdir()}
    bin_dir = folder / "venv" / "bin"
    subprocess.run(
        [
            *(bin_dir / "python", "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--disable-pip-version-check", "--no-compile", str(wheel)),
        ],
        check=True,
        env=plain_environment(),
    )
    added = {path.name for path in site_packages.iterdir()} - before
    return Installation(wheel, bin_dir, site_packages, frozenset(added))


def test_nothing_but_segloop_lands_in_site_packages(installation: Installation) -> None:
    assert installation.added == {"segloop", f"segloop-{__version__}.dist-info"}


def test_the_wheel_holds_the_page_and_the_starter_but_no_sources_of_the_page(
    installation: Installation,
) -> None:
    with zipfile.ZipFile(installation.wheel) as archive:
        names = archive.namelist()

    app = "segloop/_app/"
    assert {f"{app}annotator_ui/frontend/dist/manifest.json", f"{app}manage.py"} <= set(names)
    assert f"{app}sam/starter/starter.safetensors" in names
    assert not [name for name in names if "node_modules" in name or "/frontend/src/" in name]
    assert not [name for name in names if name.startswith(("tests/", f"{app}tests/"))]


def test_the_command_tells_its_version_and_lists_its_commands(
    installation: Installation, tmp_path: Path
) -> None:
    assert installation.segloop("--version", cwd=tmp_path) == f"segloop {__version__}\n"

    listed = installation.segloop("--help", cwd=tmp_path)
    for word in COMMANDS:
        assert re.search(rf"^  {word} +\w", listed, re.M)


def test_the_model_library_answers_by_the_same_name(
    installation: Installation, tmp_path: Path
) -> None:
    assert "generate" in installation.segloop("model", "--help", cwd=tmp_path)


def test_up_serves_the_product_from_an_empty_folder(
    installation: Installation, tmp_path: Path
) -> None:
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    before = installed_files(installation)
    port = free_port()
    running = subprocess.Popen(
        [installation.bin_dir / "segloop", "up", "--port", str(port)],
        cwd=here,
        env=plain_environment(XDG_DATA_HOME=str(home)),
        stdout=(log := (tmp_path / "log").open("wb")),
        stderr=subprocess.STDOUT,
    )
    with log:
        try:
            page = fetch_when_up(f"http://127.0.0.1:{port}/sign-in/", running, tmp_path / "log")
            style = re.search(rb'"(/static/[^"]+\.css)"', page)
            assert style is not None
            static = urllib.request.urlopen(f"http://127.0.0.1:{port}{style[1].decode()}")
            assert static.status == 200
            wait_for_text(tmp_path / "log", "Segloop runs at", running)
        finally:
            running.send_signal(signal.SIGINT)
            status = running.wait(timeout=STOP_S)

    output = (tmp_path / "log").read_text()
    assert status == 0, output
    assert output.startswith(f"data folder: {home / 'segloop'}  (SEGLOOP_DATA_DIR names another)")
    assert "/sign-in/" in output  # the demo project's link
    assert (home / "segloop" / "segloop.sqlite3").is_file()
    assert (home / "segloop" / "static" / "ui" / "manifest.json").is_file()
    assert list(here.iterdir()) == []
    assert installed_files(installation) == before


def installed_files(installation: Installation) -> set[Path]:
    """Everything but compiled bytecode, which Python itself may add."""
    found = (installation.site_packages / "segloop").rglob("*")
    return {path for path in found if "__pycache__" not in path.parts}


def fetch_when_up(url: str, running: subprocess.Popen[bytes], log: Path) -> bytes:
    """Ask until the server answers."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s and running.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"{url} never answered:\n{log.read_text()}")


def wait_for_text(log: Path, text: str, running: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_S
    while text not in log.read_text():
        assert time.monotonic() < deadline_s, f"never: {text}\n{log.read_text()}"
        assert running.poll() is None, log.read_text()
        time.sleep(0.2)
