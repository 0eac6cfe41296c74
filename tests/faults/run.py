"""One fault run: annotators save, workers work, and everything is killed at random moments.

Afterwards the faults stop, the work must come to its end, and the history is checked.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from engine.domain.ids import uuid7
from masks.rle import Rle
from tests.faults.client import API, Client, NoAnswerError
from tests.faults.history import History, Save, Stored, check_jobs, check_masks
from tests.faults.servers import Postgres, Redis, free_port, wait_for_port
from tests.workers.photos import disc_photo
from tests.workers.platform import ROOT, Platform, Worker

HEAL_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does. `database`: "sqlite" (embedded workers) or "postgresql" (Celery, Redis)."""

    database: str
    num_kills: int = 60
    num_jobs: int = 120
    num_uploads: int = 30
    num_saves: int = 2_000
    num_annotators: int = 4
    num_workers: int = 2
    step_s: float = 0.05
    zombie_share: float = 0.05
    lost_answer_share: float = 0.05
    kill_every_s: tuple[float, float] = (0.4, 1.6)
    mutation: str = ""
    seed: int = 0


@dataclass
class Figures:
    """What a run found, for the report."""

    plan: Plan
    num_kills: dict[str, int]
    num_saves_acked: int
    num_saves_resent: int
    num_uploads_acked: int
    num_jobs: int
    num_dead_retried: int
    attempts: dict[str, int]
    statuses: dict[str, int]
    healed_s: float
    seconds: float
    wrong: dict[str, list[str]]

    def line(self) -> str:
        """One line of JSON: the figures, and how many of each kind of wrong were found."""
        found = {kind: len(items) for kind, items in self.wrong.items() if items}
        return json.dumps(
            {
                "test": "faults",
                "database": self.plan.database,
                "mutation": self.plan.mutation,
                "seed": self.plan.seed,
                "kills": self.num_kills,
                "saves_acked": self.num_saves_acked,
                "saves_resent": self.num_saves_resent,
                "uploads_acked": self.num_uploads_acked,
                "jobs": self.num_jobs,
                "dead_retried": self.num_dead_retried,
                "attempts": self.attempts,
                "http": self.statuses,
                "healed_s": round(self.healed_s, 1),
                "seconds": round(self.seconds),
                "wrong": found,
            }
        )


@dataclass
class Site:
    """The processes of one installation. Everything in `processes` is restarted when killed."""

    plan: Plan
    platform: Platform
    folder: Path
    port: int = field(default_factory=free_port)
    postgres: Postgres | None = None
    redis: Redis | None = None
    processes: dict[str, Worker] = field(default_factory=dict)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        if self.plan.database == "postgresql":
            self.postgres = Postgres()
            self.postgres.create()
            self.redis = Redis(self.folder / "redis")
            self.redis.start()
            self.platform.database_url = self.postgres.url
            self.platform.redis_url = self.redis.url
        self.platform.more_environment = {
            "SEGLOOP_TEST_MUTATION": self.plan.mutation,
            "SEGLOOP_TEST_ZOMBIES": str(self.plan.zombie_share),
            "SEGLOOP_TEST_PAUSE_S": "3.5",  # longer than the lease of 2 s and a sweep
            "SEGLOOP_TEST_STEP_S": str(self.plan.step_s),
        }
        self.platform.migrate()

    def start_processes(self) -> None:
        for name in ["web", *(f"worker-{place}" for place in range(self.plan.num_workers))]:
            self.restart(name)
        wait_for_port(self.port)

    def restart(self, name: str) -> None:
        if name == "web":
            arguments = [
                *("-m", "gunicorn", "tests.faults.wsgi:application", "--workers", "2"),
                *("--worker-class", "gthread", "--threads", "4", "--log-level", "warning"),
                *("--bind", f"127.0.0.1:{self.port}"),
            ]
        elif self.redis is None:
            arguments = ["-m", "tests.faults.lane"]
        else:
            arguments = [
                *("-m", "celery", "-A", "tests.faults.celery_app", "worker", "--pool", "solo"),
                *("--queues", "cpu,gpu", "--hostname", f"{name}@test", "--loglevel", "WARNING"),
                *("--without-mingle", "--without-gossip"),
            ]
        self.processes[name] = self.platform.start(*arguments)

    def kill_one(self, random_: random.Random) -> str:
        """Kill something at random, start it again, and say what it was."""
        targets = ["web", *(name for name in self.processes if name != "web")]
        if self.redis is not None:
            targets += ["postgres", "redis with its file", "redis without its file"]
        target = random_.choice(targets)
        if target in self.processes:
            self.processes[target].kill()
            self.restart(target)
            return target.split("-")[0]
        if target == "postgres":
            assert self.postgres is not None
            self.postgres.crash_and_restart()
        else:
            assert self.redis is not None
            self.redis.kill(with_file=target == "redis with its file")
            time.sleep(random_.uniform(0, 1.0))
            self.redis.start()
        return target

    def keep_alive(self) -> None:
        """Start again what ended by itself: a worker whose database went away may."""
        for name, worker in list(self.processes.items()):
            if worker.process.poll() is not None:
                self.restart(name)

    def step(self, *arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.steps", *arguments],
            cwd=ROOT,
            env=self.platform.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def stop(self) -> None:
        self.platform.stop()
        if self.redis is not None:
            self.redis.stop()
        if self.postgres is not None:
            self.postgres.stop()

    def output(self) -> str:
        return "\n".join(line for worker in self.platform.workers for line in worker.lines[-40:])


class Annotator(threading.Thread):
    """Draws masks until it has drawn enough; each is sent until its acknowledgement arrives."""

    def __init__(self, site: Site, history: History, *, place: int, session: str) -> None:
        super().__init__(name=f"annotator-{place}", daemon=True)
        self.place = place
        self.client = Client(site.base_url, session, timeout_s=10)
        self.plan = site.plan
        self.history = history
        self.random = random.Random(f"{site.plan.seed}-{place}")
        self.num_saves = site.plan.num_saves // site.plan.num_annotators
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            session = self._until_answered("POST", f"{API}/projects/faults/assignments/next", {})
            self._draw(session)
        except BaseException as error:  # told by the main thread
            self.error = error
        finally:
            self.client.close()

    def _draw(self, session: dict[str, Any]) -> None:
        image = session["image"]
        path = f"{API}/assignments/{session['assignment_id']}/masks"
        head: tuple[UUID, UUID] | None = None
        for seq in range(self.num_saves):
            is_edit = head is not None and self.random.random() < 0.3
            mask_id = head[0] if is_edit and head else uuid7()
            revision_id = uuid7()
            number = seq * self.plan.num_annotators + self.place
            rle = unique_shape(number, height_px=image["height_px"], width_px=image["width_px"])
            body = {
                "mask_id": str(mask_id),
                "revision_id": str(revision_id),
                "base_revision_id": str(head[1]) if is_edit and head else None,
                "rle": rle.to_coco(),
                "prompts": [{"type": "point", "x_px": 5.0, "y_px": 5.0, "label": 1}],
                "annotate_ms": 1500,
            }
            self._save(path, body, seq=seq, sha256=rle.sha256)
            head = (mask_id, revision_id)
            time.sleep(self.random.uniform(0.02, 0.16))

    def _save(self, path: str, body: dict[str, Any], *, seq: int, sha256: str) -> None:
        save = Save(
            client=self.name,
            seq=seq,
            revision_id=body["revision_id"],
            mask_id=body["mask_id"],
            sha256=sha256,
            invoked_s=time.monotonic(),
        )
        self.history.invoke(save)
        if self.random.random() < self.plan.lost_answer_share:
            save.num_sent += 1
            self.client.post_and_hang_up(path, body)
        save.num_sent += 1
        self._until_answered("POST", path, body, save=save)
        self.history.ack(save.revision_id)

    def _until_answered(
        self, method: str, path: str, body: object, *, save: Save | None = None
    ) -> dict[str, Any]:
        """Send until the answer is 2xx. What cannot pass by itself ends the run."""
        while True:
            try:
                answer = self.client.post(path, body)
                self.history.count(str(answer.status))
                if answer.status < 300:
                    return dict(answer.json())
                may_pass = answer.status == 503 or answer.json().get("code") == "not_ready"
                assert may_pass, f"{answer.status} {answer.body[:300]!r} for {path}"
            except NoAnswerError:
                self.history.count("no answer")
            if save is not None:
                save.num_sent += 1
            time.sleep(0.1)


def unique_shape(number: int, *, height_px: int, width_px: int) -> Rle:
    """A rectangle that no other number below (height / 2) * (width / 2) has, with a notch."""
    mask_hw = np.zeros((height_px, width_px), dtype=bool)
    y_px, x_px = divmod(number, width_px // 2)
    mask_hw[y_px : y_px + 20, x_px : x_px + 30] = True
    mask_hw[y_px, x_px] = False
    return Rle.encode(mask_hw)


def upload(site: Site, history: History, *, session: str, num_photos: int) -> None:
    """Upload photos one by one, each until it is acknowledged: each is also a job."""
    client = Client(site.base_url, session, timeout_s=10)
    for place in range(num_photos):
        data, _ = disc_photo(1_000 + place)
        while True:
            try:
                answer = client.upload(
                    f"{API}/projects/faults/images", data, file_name=f"{place}.png"
                )
                history.count(str(answer.status))
                if answer.status == 201:
                    history.ack_image(answer.json()["images"][0]["id"])
                    break
                assert answer.status == 503, answer.body
            except NoAnswerError:
                history.count("no answer")
            time.sleep(0.2)
        time.sleep(0.2)
    client.close()


def run(plan: Plan, *, folder: Path, starter_dir: Path) -> Figures:
    """Carry a plan out in an empty folder and return what was found."""
    started_s = time.monotonic()
    site = Site(plan, Platform(folder / "data", starter_dir), folder)
    try:
        site.start()
        people = site.step("prepare", str(plan.num_annotators), str(plan.num_jobs))
        site.start_processes()
        history, kills = _under_faults(site, people)
        num_dead, healed_s = _heal(site, lead=people["lead"])
        return _figures(
            site,
            history,
            people,
            kills=kills,
            num_dead=num_dead,
            healed_s=healed_s,
            started_s=started_s,
        )
    except BaseException:
        print(site.output(), file=sys.stderr)
        raise
    finally:
        site.stop()


def _under_faults(site: Site, people: dict[str, Any]) -> tuple[History, Counter[str]]:
    """Let people work while things are killed, until both are through."""
    history, random_ = History(), random.Random(site.plan.seed)
    annotators = [
        Annotator(site, history, place=place, session=session)
        for place, session in enumerate(people["annotators"])
    ]
    uploads = threading.Thread(
        target=upload,
        args=(site, history),
        kwargs={"session": people["lead"], "num_photos": site.plan.num_uploads},
        daemon=True,
    )
    threads = [*annotators, uploads]
    for thread in threads:
        thread.start()
    kills: Counter[str] = Counter()
    while kills.total() < site.plan.num_kills or any(thread.is_alive() for thread in threads):
        time.sleep(random_.uniform(*site.plan.kill_every_s))
        site.keep_alive()
        if kills.total() < site.plan.num_kills:
            kills[site.kill_one(random_)] += 1
        for annotator in annotators:
            if annotator.error is not None:
                raise annotator.error
    return history, kills


def _heal(site: Site, *, lead: str) -> tuple[int, float]:
    """Wait until all work is done, with no more faults; return how long it took.

    A job whose workers were killed three times is dead, as it should be: the lead retries it, as
    the jobs page would. Also returns how many those were.
    """
    client = Client(site.base_url, lead)
    started_s, num_dead = time.monotonic(), 0
    while True:
        site.keep_alive()
        for job in client.get(f"{API}/projects/faults/jobs?status=dead").json():
            assert "was lost" in job["error"], job
            assert client.post(f"{API}/jobs/{job['id']}/retry").status == 200
            num_dead += 1
        jobs = site.platform.jobs()
        live = [job for job in jobs if job["status"] in ("queued", "running", "waiting")]
        if not live:
            client.close()
            return num_dead, time.monotonic() - started_s
        if time.monotonic() - started_s > HEAL_S:
            raise AssertionError(f"still not done after {HEAL_S:g} s: {live[:5]}")
        time.sleep(0.3)


def _figures(
    site: Site,
    history: History,
    people: dict[str, Any],
    *,
    kills: Counter[str],
    num_dead: int,
    healed_s: float,
    started_s: float,
) -> Figures:
    found = site.step("outcome")
    rows = [Stored(*row) for row in found["revisions"]]
    masks = check_masks(history, rows, found["heads"])
    jobs = check_jobs(
        asked=people["keys"],
        jobs=found["jobs"],
        effects=[(job, fence) for job, fence in found["effects"]],
        attempts=found["attempts"],
    )
    embedded = Counter(found["embedded"])
    wrong = {f"masks {kind}": items for kind, items in masks.items()}
    wrong |= {f"jobs {kind}": items for kind, items in jobs.items()}
    wrong["embeddings missing"] = [image for image in history.images if not embedded[image]]
    wrong["embeddings doubled"] = [image for image, number in embedded.items() if number > 1]
    wrong["answers with an error"] = [
        status for status in history.statuses if status.startswith("5") and status != "503"
    ]
    saves = history.saves.values()
    return Figures(
        plan=site.plan,
        num_kills=dict(kills),
        num_saves_acked=sum(save.acked_s is not None for save in saves),
        num_saves_resent=sum(save.num_sent > 1 for save in saves),
        num_uploads_acked=len(history.images),
        num_jobs=len(found["jobs"]),
        attempts=dict(Counter(attempt["outcome"] for attempt in found["attempts"])),
        statuses=dict(history.statuses),
        num_dead_retried=num_dead,
        healed_s=healed_s,
        seconds=time.monotonic() - started_s,
        wrong=wrong,
    )


def report_to() -> Path | None:
    """Where figures are appended, if anywhere: SEGLOOP_FAULTS_REPORT."""
    path = os.environ.get("SEGLOOP_FAULTS_REPORT", "")
    return Path(path) if path else None
