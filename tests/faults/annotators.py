"""Simulated annotators that retry each request until it is acknowledged."""

from __future__ import annotations

import random
import threading
import time
from typing import Any
from uuid import UUID

import numpy as np

from engine.domain.ids import uuid7
from masks.rle import Rle
from tests.faults.client import API, Client, NoAnswerError
from tests.faults.history import History, Save
from tests.faults.site import Site
from tests.workers.disc_images import disc_image


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
        except BaseException as error:  # reported by the main thread
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


def upload(site: Site, history: History, *, session: str, num_images: int) -> None:
    """Upload images one by one, each until it is acknowledged: each is also a job."""
    client = Client(site.base_url, session, timeout_s=10)
    for place in range(num_images):
        data, _ = disc_image(1_000 + place)
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
