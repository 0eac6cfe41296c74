"""The loop, for scripts of leads: how a stage stands, moving it, retraining, versions.

`segloop.loop` of a Client; every call raises as the client's own do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from segloop_client.http import Http
from segloop_client.shapes import Job, MeasuredVersion, StageEvaluation, Version

Family = Literal["sam", "object_detector"]
Trainable = Literal["decoder", "lora", "all"]


class LoopCalls:
    """One method for each thing a lead decides; nothing here is repeated but reading."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def evaluation(self, slug: str) -> StageEvaluation:
        return StageEvaluation.model_validate(
            self._http.json("GET", f"/projects/{slug}/loop", may_repeat=True)
        )

    def set_policy(
        self, slug: str, changes: Mapping[str, float], *, reason: str = ""
    ) -> Mapping[str, float]:
        """Set numbers of the present stage, all of them or none; return every number."""
        body = {"changes": dict(changes), "reason": reason}
        path = f"/projects/{slug}/policy"
        policy: Mapping[str, float] = self._http.json("PATCH", path, body=body, may_repeat=True)[
            "policy"
        ]
        return policy

    def advance(self, slug: str, *, reason: str = "") -> str:
        """Close the stage; the next opens when its open images are done. Return its status."""
        return self._move(slug, "advance", reason)

    def back(self, slug: str, *, reason: str = "") -> str:
        """Return to the stage before, likewise."""
        return self._move(slug, "back", reason)

    def retrain(self, slug: str, family: Family, *, trainable: Trainable | None = None) -> Job:
        """Queue a round; `trainable` by the number of masks when left out. Wait for its job."""
        body: dict[str, Any] = {"family": family}
        if trainable is not None:
            body["trainable"] = trainable
        answer = self._http.json("POST", f"/projects/{slug}/retrain", body=body, may_repeat=False)
        return Job.model_validate(answer["job"])

    def versions(self, slug: str) -> list[MeasuredVersion]:
        """Every version, newest first in each family."""
        answer = self._http.json("GET", f"/projects/{slug}/model-versions", may_repeat=True)
        return [MeasuredVersion.model_validate(one) for one in answer]

    def promote(self, slug: str, version_id: UUID, *, reason: str = "") -> Version:
        body = {"model_version_id": str(version_id), "reason": reason}
        path = f"/projects/{slug}/promote"
        return Version.model_validate(self._http.json("POST", path, body=body, may_repeat=False))

    def upgrade_to_starter(self, slug: str) -> tuple[Version, Job | None]:
        """Take the starter the server ships; return it as a version, and the job that measures it.

        None: it is not being measured. It serves, or its status says what became of it.
        """
        path = f"/projects/{slug}/starter-upgrade"
        answer = self._http.json("POST", path, may_repeat=True)
        job = answer["job"]
        return Version.model_validate(answer["model_version"]), Job.model_validate(
            job
        ) if job else None

    def roll_back(self, slug: str, family: Family, *, reason: str = "") -> Version:
        """Let the version before serve again; return it."""
        body = {"family": family, "reason": reason}
        path = f"/projects/{slug}/roll-back"
        return Version.model_validate(self._http.json("POST", path, body=body, may_repeat=False))

    def _move(self, slug: str, action: str, reason: str) -> str:
        path = f"/projects/{slug}/{action}"
        answer = self._http.json("POST", path, body={"reason": reason}, may_repeat=False)
        return str(answer["status"])
