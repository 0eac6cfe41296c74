"""Simulated annotators over real HTTP: how long a save takes while many people label.

    python -m benchmarks.load --database postgresql --annotators 20
    python -m benchmarks.load --database sqlite --annotators 10

Starts gunicorn as deployed (PostgreSQL: a private, durable cluster and deploy/gunicorn.conf.py;
SQLite: one process of eight threads, as `make run`), with the embedded runner beside it. Each
annotator takes an image, fetches the photo, draws `--masks-per-image` masks of a photo's size with
a think time of `--think-s` (uniform from half to one and a half of it) before each, submits and
takes the next. People need 10 s and more a mask, so 2 s is some five times their load. A lead's
page polls as the browser's does. Ends with code 1 when a limit of the plan is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from masks.rle import Rle
from tests.faults.client import API, Answer, Client, NoAnswerError
from tests.faults.servers import Postgres, free_port, wait_for_port
from tests.faults.starter import write_starter

ROOT = Path(__file__).parents[1]
HEIGHT_PX, WIDTH_PX = 1080, 1440
LIMITS_MS = {"postgresql": (95, 300.0), "sqlite": (99, 1_500.0)}


@dataclass
class Times:
    """Seconds of every request by what it was, and what was not answered well."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, what: str, call: Any) -> Answer | None:
        started_s = time.perf_counter()
        try:
            answer = call()
        except NoAnswerError as error:
            with self._lock:
                self.errors[f"{what}: {error}"] += 1
            return None
        with self._lock:
            self.seconds[what].append(time.perf_counter() - started_s)
            if answer.status >= 400:
                self.errors[f"{what}: {answer.status} {answer.body[:120]!r}"] += 1
        return answer if answer.status < 400 else None


def blob(random_: np.random.Generator) -> Rle:
    """An outline as people's masks have: wavy, 5 to 30 % of the photo's height in radius."""
    radius_px = random_.uniform(0.05, 0.3) * HEIGHT_PX
    centre_y, centre_x = random_.uniform(0.2, 0.8) * HEIGHT_PX, random_.uniform(0.2, 0.8) * WIDTH_PX
    ys, xs = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
    angle = np.arctan2(ys - centre_y, xs - centre_x)
    wave = sum(
        random_.uniform(0.02, 0.12) * np.sin(k * angle + random_.uniform(0, 6)) for k in range(2, 9)
    )
    rough = (
        random_.normal(0, 0.01, (HEIGHT_PX // 8 + 1, WIDTH_PX // 8 + 1)).repeat(8, 0).repeat(8, 1)
    )
    distance = np.hypot(ys - centre_y, xs - centre_x) / radius_px
    return Rle.encode(distance < 1 + wave + rough[:HEIGHT_PX, :WIDTH_PX])


class Annotator(threading.Thread):
    def __init__(self, client: Client, times: Times, *, shapes: list[Rle], plan: Any) -> None:
        super().__init__(daemon=True)
        self.client, self.times, self.shapes, self.plan = client, times, shapes, plan
        self.random = random.Random(client.session_key)

    def run(self) -> None:
        from engine.domain.ids import uuid7

        while time.monotonic() < self.plan.ends_at_s:
            taken = self._post("take the next image", f"{API}/projects/load/assignments/next", {})
            if taken is None or taken.status == 204:
                self._think()
                continue
            session = taken.json()
            self.times.timed("photo", partial(self.client.get, session["image"]["file_url"]))
            for _ in range(self.plan.masks_per_image):
                self._think()
                body = {
                    "mask_id": str(uuid7()),
                    "revision_id": str(uuid7()),
                    "rle": self.random.choice(self.shapes).to_coco(),
                    "prompts": [{"type": "point", "x_px": 9.0, "y_px": 9.0, "label": 1}] * 3,
                    "annotate_ms": 9_000,
                }
                self._post("save", f"{API}/assignments/{session['assignment_id']}/masks", body)
            self._post("submit", f"{API}/assignments/{session['assignment_id']}/submit", {})

    def _think(self) -> None:
        time.sleep(self.plan.think_s * self.random.uniform(0.5, 1.5))

    def _post(self, what: str, path: str, body: object) -> Answer | None:
        return self.times.timed(what, lambda: self.client.post(path, body))


def watch(client: Client, times: Times, *, ends_at_s: float) -> None:
    """A lead with the project's page open: polls every 1.5 s and reloads when it has changed."""
    revision = ""
    while time.monotonic() < ends_at_s:
        answer = times.timed("lead's poll", lambda: client.get(f"{API}/projects/load"))
        if answer is not None and answer.json()["revision"] != revision:
            revision = answer.json()["revision"]
            times.timed("lead's page", lambda: client.get("/projects/load/"))
        time.sleep(1.5)


def prepare(num_annotators: int, num_images: int) -> dict[str, Any]:
    """Fill the database: people with sessions, and photos straight into storage."""
    import io

    from PIL import Image as Pillow

    from engine import storage
    from engine.domain.states import Role
    from engine.models import Image
    from engine.services.people import members, users
    from engine.services.projects import policies, projects
    from tests.faults.steps import session_of

    lead = users.create_user("lead", role=Role.LEAD)
    project = projects.create_project("Load", actor=lead)
    # Saves are timed, not trainings: the schedule stays off.
    policies.change_policy(project, changes={"retrain_growth": 0}, actor=lead)
    for place in range(num_images):
        pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), place % 250, dtype=np.uint8)
        buffer = io.BytesIO()
        Pillow.fromarray(pixels).save(buffer, "JPEG", comment=str(place).encode())
        key = storage.put_bytes("images", buffer.getvalue(), ".jpg")
        Image.objects.create(
            project=project,
            sha256=storage.sha256_of(key),
            storage_key=key,
            thumbnail_key=key,
            file_name=f"{place}.jpg",
            width_px=WIDTH_PX,
            height_px=HEIGHT_PX,
        )
    people = [
        users.create_user(f"annotator-{place}", role=Role.ANNOTATOR)
        for place in range(num_annotators)
    ]
    for person in people:
        members.add_member(project, user=person, role=Role.ANNOTATOR, actor=lead)
    return {"lead": session_of(lead), "annotators": [session_of(user) for user in people]}


def measure(plan: argparse.Namespace) -> int:
    postgres = Postgres() if plan.database == "postgresql" else None
    processes: list[subprocess.Popen[bytes]] = []
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="segloop-load-") as name:
        folder = Path(name)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "engine.settings",
            "SEGLOOP_DATA_DIR": str(folder / "data"),
            "SEGLOOP_STARTER_DIR": str(write_starter(folder / "starter")),
            "SEGLOOP_BIND": f"127.0.0.1:{port}",
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "OMP_NUM_THREADS": "1",
        }
        try:
            if postgres is not None:
                postgres.create()
                environment["DATABASE_URL"] = postgres.url
            _python(environment, "manage.py", "migrate", "--verbosity", "0")
            people = json.loads(_python(environment, "-m", "benchmarks.load", *_preparation(plan)))
            web = ["-m", "gunicorn", "annotator_ui.wsgi"]
            if postgres is not None:
                web += ["-c", "deploy/gunicorn.conf.py", "--access-logfile", "/dev/null"]
            else:
                web += ["--workers", "1", "--worker-class", "gthread", "--threads", "8"]
                web += ["--bind", f"127.0.0.1:{port}", "--keep-alive", "75"]
            for command in (web, ["manage.py", "runner"]):
                log = (folder / "log").open("ab")
                processes.append(
                    subprocess.Popen(
                        [sys.executable, *command],
                        cwd=ROOT,
                        env=environment,
                        stdout=log,
                        stderr=log,
                    )
                )
            wait_for_port(port, timeout_s=60)
            times = _drive(plan, people, base_url=f"http://127.0.0.1:{port}")
            locked = (folder / "log").read_bytes().count(b"database is locked")
            return _report(plan, times, locked=locked)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(timeout=60)
            if postgres is not None:
                postgres.stop()


def _preparation(plan: argparse.Namespace) -> list[str]:
    num_images = int(plan.annotators * (2 + plan.seconds / (plan.think_s * plan.masks_per_image)))
    return ["--prepare", str(num_images), "--annotators", str(plan.annotators)]


def _python(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def _drive(plan: argparse.Namespace, people: dict[str, Any], *, base_url: str) -> Times:
    shapes = [blob(np.random.default_rng(seed)) for seed in range(40)]
    sizes = sorted(len(shape.counts) for shape in shapes)
    print(f"RLE characters: median {sizes[20]}, largest {sizes[-1]}")
    warm = Client(base_url, people["lead"])
    deadline_s = time.monotonic() + 120
    while warm.get("/projects/load/").status != 200 or not _is_ready(warm):
        assert time.monotonic() < deadline_s, "the site did not get ready"
        time.sleep(0.5)
    times = Times()
    plan.ends_at_s = time.monotonic() + plan.seconds
    threads: list[threading.Thread] = [
        Annotator(Client(base_url, session), times, shapes=shapes, plan=plan)
        for session in people["annotators"]
    ]
    threads.append(
        threading.Thread(target=watch, args=(warm, times), kwargs={"ends_at_s": plan.ends_at_s})
    )
    for thread in threads:
        thread.start()
        time.sleep(plan.think_s / len(threads))  # people do not start on the same beat
    for thread in threads:
        thread.join()
    return times


def _is_ready(client: Client) -> bool:
    """Whether nothing is being embedded any more: saves are measured, not the start."""
    jobs = client.get(f"{API}/projects/load/jobs?limit=1").json()
    return not jobs or jobs[0]["status"] not in ("queued", "running", "waiting")


def _report(plan: argparse.Namespace, times: Times, *, locked: int) -> int:
    print(f"{plan.database}, {plan.annotators} annotators, think {plan.think_s:g} s")
    print(f"{'request':22} {'n':>6} {'p50':>8} {'p95':>8} {'p99':>8} {'max':>8}  ms")
    for what, seconds in sorted(times.seconds.items()):
        ms = 1_000 * np.array(seconds)
        cells = " ".join(f"{np.percentile(ms, p):8.1f}" for p in (50, 95, 99, 100))
        print(f"{what:22} {len(ms):6} {cells}")
    percentile, limit_ms = LIMITS_MS[plan.database]
    saves_ms = 1_000 * np.array(times.seconds["save"])
    figure_ms = float(np.percentile(saves_ms, percentile))
    for error, number in times.errors.most_common(10):
        print(f"error x{number}: {error}")
    passed = figure_ms <= limit_ms and not times.errors and not locked
    print(
        json.dumps(
            {
                "test": f"load-{plan.database}-{plan.annotators}",
                "n": len(saves_ms),
                f"save_p{percentile}_ms": round(figure_ms, 1),
                "limit_ms": limit_ms,
                "saves_per_s": round(len(saves_ms) / plan.seconds, 1),
                "errors": sum(times.errors.values()),
                "locked": locked,
                "pass": bool(passed),
            }
        )
    )
    return 0 if passed else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=sorted(LIMITS_MS), default="sqlite")
    parser.add_argument("--annotators", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--think-s", type=float, default=2.0)
    parser.add_argument("--masks-per-image", type=int, default=8)
    parser.add_argument("--prepare", type=int, help=argparse.SUPPRESS)
    plan = parser.parse_args()
    if plan.prepare:
        import django

        django.setup()
        print(json.dumps(prepare(plan.annotators, plan.prepare)))
        return 0
    return measure(plan)


if __name__ == "__main__":
    sys.exit(main())
