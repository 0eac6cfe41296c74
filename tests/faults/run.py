"""One fault run: annotators save, workers work, and everything is killed at random moments.

Afterwards the faults stop, the work must come to its end, and the history is checked.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.annotators import Annotator, upload
from tests.faults.client import API, Client
from tests.faults.history import History, Stored, check_jobs, check_masks
from tests.faults.site import Plan, Site
from tests.workers.platform import Platform

HEAL_S = 120.0


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
        kwargs={"session": people["lead"], "num_images": site.plan.num_uploads},
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
