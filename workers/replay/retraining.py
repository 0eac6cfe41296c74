"""The training of a round: requested once, run to its end, and its outcome."""

from __future__ import annotations

from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import ModelVersion, StateChange
from engine.models.model_version import IN_WORK
from engine.services.models import model_versions
from workers.replay.rounds import Retrain, RoundPlan
from workers.replay.session import ReplaySession, run_jobs


def retrain(session: ReplaySession, plan: RoundPlan, *, serving: ModelVersion) -> Retrain:
    """Train SAM on the masks of the round; return what became of the candidate."""
    version = _candidate(session, plan, family=ModelFamily.SAM)
    run_jobs(session)
    version.refresh_from_db()
    is_promoted = version.status == ModelVersionStatus.SERVING
    decision = StateChange.objects.filter(subject_id=version.pk, to_state=version.status).latest(
        "created_at"
    )
    return Retrain(
        version=version.number,
        status=version.status,
        is_promoted=is_promoted,
        reasons=(decision.reason,) if decision.reason else (),
        clicks_1_miou=_one_click(version, of=version),
        serving_clicks_1_miou=_one_click(serving, of=version),
    )


def retrain_detector(session: ReplaySession, plan: RoundPlan) -> None:
    """Retrain the detector on the round's masks and the features of the new model."""
    _candidate(session, plan, family=ModelFamily.OBJECT_DETECTOR)
    run_jobs(session)


def _candidate(session: ReplaySession, plan: RoundPlan, *, family: ModelFamily) -> ModelVersion:
    """Request the round's training, or find the one requested before a kill."""
    what = f"retrain {family.value}"
    noted = session.journal.find(what, plan.number)
    if noted is not None:
        return ModelVersion.objects.get(pk=noted["version"])
    version = session.project.model_versions.filter(family=family.value, status__in=IN_WORK).first()
    if version is None:
        version, _ = model_versions.request_retrain(
            session.project, family=family, actor=session.lead, trainable=session.trainable
        )
    session.journal.note(what, plan.number, {"version": str(version.pk)})
    return version


def _one_click(version: ModelVersion, *, of: ModelVersion) -> float:
    """Return what a version measured on the snapshot of another."""
    evaluation = version.evaluations.get(snapshot=of.snapshot)
    return float(evaluation.metrics["clicks_1_miou"])
