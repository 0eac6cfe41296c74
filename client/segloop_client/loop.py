"""The loop, for scripts of leads: how a stage stands, moving it, retraining, versions.

`segloop.loop` of a Client; every call raises as the client's own do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, cast
from uuid import UUID

from segloop_client.http import Http
from segloop_client.shapes import Job, Json

Family = Literal["sam", "object_detector"]
Trainable = Literal["decoder", "lora", "all"]
Shape = TypeVar("Shape")


def _read(kind: type[Shape], body: Json, **read: Any) -> Shape:
    """Make a dataclass of the body's values; `read` are those that are not taken as they are."""
    names = [field.name for field in fields(cast("Any", kind)) if field.name not in read]
    return kind(**{name: body[name] for name in names}, **read)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A target and its figure, `current` None while it cannot be known (`missing` says why)."""

    key: str
    title: str
    current: float | None
    target: float
    verdict: str
    missing: str

    @classmethod
    def of(cls, body: Json) -> Criterion:
        return _read(cls, body)


@dataclass(frozen=True, slots=True)
class Plan:
    """When a family's next round is; `roll_back_to` is the number of the version before."""

    family: str
    state: str
    message: str
    roll_back_to: int | None

    @classmethod
    def of(cls, body: Json) -> Plan:
        return _read(cls, body)


@dataclass(frozen=True, slots=True)
class StageEvaluation:
    """The present stage against its targets; `action` is "advance", "stay" or "back"."""

    stage: str
    status: str
    criteria: tuple[Criterion, ...]
    action: str
    reasons: tuple[str, ...]
    plans: tuple[Plan, ...]
    policy: Mapping[str, float]

    @classmethod
    def of(cls, body: Json) -> StageEvaluation:
        return _read(
            cls,
            body,
            criteria=tuple(Criterion.of(one) for one in body["criteria"]),
            action=body["recommendation"]["action"],
            reasons=tuple(body["recommendation"]["reasons"]),
            plans=tuple(Plan.of(one) for one in body["plans"]),
        )


@dataclass(frozen=True, slots=True)
class Version:
    """A model version as it stands."""

    id: UUID
    family: str
    number: int
    arch: str
    status: str

    @classmethod
    def of(cls, body: Json) -> Version:
        return _read(cls, body, id=UUID(body["id"]))


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a mask has to score, and what that kept of `num_truths` held-out objects."""

    predicted_iou: float
    stability_score: float
    precision: float
    recall: float
    num_truths: int

    @classmethod
    def of(cls, body: Json) -> Fitted:
        return _read(cls, body)


@dataclass(frozen=True, slots=True)
class MeasuredVersion(Version):
    """A version with its held-out figures and what blocks its promotion.

    `automatic` and `prefill` (by the id of the other model, SAM or detector) are thresholds fitted
    to held-out images; where there are none, the policy's hold.
    """

    trainable: str
    trained_on: int | None
    error: str
    blockers: tuple[str, ...]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    automatic: Fitted | None
    prefill: Mapping[UUID, Fitted]

    @classmethod
    def of(cls, body: Json) -> MeasuredVersion:
        automatic, prefill = body["thresholds"]["automatic"], body["thresholds"]["prefill"]
        return _read(
            cls,
            body,
            id=UUID(body["id"]),
            blockers=tuple(body["blockers"]),
            intervals={name: (low, high) for name, (low, high) in body["intervals"].items()},
            automatic=Fitted.of(automatic) if automatic else None,
            prefill={UUID(other): Fitted.of(one) for other, one in prefill.items()},
        )


class LoopCalls:
    """One method for each thing a lead decides; nothing here is repeated but reading."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def evaluation(self, slug: str) -> StageEvaluation:
        return StageEvaluation.of(self._http.json("GET", f"/projects/{slug}/loop", may_repeat=True))

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
        return Job.of(answer["job"])

    def versions(self, slug: str) -> list[MeasuredVersion]:
        """Every version, newest first in each family."""
        answer = self._http.json("GET", f"/projects/{slug}/model-versions", may_repeat=True)
        return [MeasuredVersion.of(one) for one in answer]

    def promote(self, slug: str, version_id: UUID, *, reason: str = "") -> Version:
        body = {"model_version_id": str(version_id), "reason": reason}
        path = f"/projects/{slug}/promote"
        return Version.of(self._http.json("POST", path, body=body, may_repeat=False))

    def upgrade_to_starter(self, slug: str) -> tuple[Version, Job | None]:
        """Take the starter the server ships; return it as a version, and the job that measures it.

        None: it is not being measured. It serves, or its status says what became of it.
        """
        path = f"/projects/{slug}/starter-upgrade"
        answer = self._http.json("POST", path, may_repeat=True)
        job = answer["job"]
        return Version.of(answer["model_version"]), Job.of(job) if job else None

    def roll_back(self, slug: str, family: Family, *, reason: str = "") -> Version:
        """Let the version before serve again; return it."""
        body = {"family": family, "reason": reason}
        path = f"/projects/{slug}/roll-back"
        return Version.of(self._http.json("POST", path, body=body, may_repeat=False))

    def _move(self, slug: str, action: str, reason: str) -> str:
        path = f"/projects/{slug}/{action}"
        answer = self._http.json("POST", path, body={"reason": reason}, may_repeat=False)
        return str(answer["status"])
