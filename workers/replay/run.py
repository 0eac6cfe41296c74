"""The whole loop with an oracle as the annotator: label, retrain, next stage, export.

Everything goes through the engine's services and the workers' own job code, one job after another.
Every step may be repeated: a killed replay is started again and finds what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from engine.domain.jobs import JobKind
from engine.domain.schedule import RoundSize
from engine.domain.stages import StageKind
from engine.domain.states import (
    ImageStatus,
    JobStatus,
)
from engine.models import Image, Job, ModelVersion
from engine.selectors.stages import active_stage
from engine.services.jobs import jobs
from engine.services.masks import assignments
from engine.services.projects import stages
from engine.stop_flag import StopFlag
from workers.replay import heldout, labelling
from workers.replay.automatic_round import automatic_round
from workers.replay.dataset import DatasetImage, ReplayError, choose_images
from workers.replay.export_check import check_export
from workers.replay.first_model import FirstModel
from workers.replay.journal import Journal
from workers.replay.retraining import retrain, retrain_detector
from workers.replay.rounds import (
    ExportCheck,
    Round,
    RoundPlan,
    Tally,
    plan_rounds,
)
from workers.replay.served_decoder import ServedDecoder
from workers.replay.session import (
    OnProgress,
    ReplaySession,
    ingest_images,
    open_session,
    require_not_stopped,
    run_jobs,
    serving,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """Settings of a replay.

    Attributes:
        dataset: COCO folder whose images are labelled.
        heldout: COCO folder that no model learns from, measured every round.
        trainable: The part of SAM that each round trains; None chooses by the number of masks.
        sources: Draw images from these alone; empty means all.
    """

    dataset: Path
    heldout: Path | None = None
    num_images: int = 40
    num_rounds: int = 5
    masks_per_image: int = 10
    heldout_masks_per_image: int = 3
    seed: int = 0
    trainable: RoundSize | None = None
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the settings as plain values, equal to what is read back from a JSON file."""
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        return {**plain, "sources": list(self.sources)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The results of a replay. heldout: figures of every version that served, by its number."""

    rounds: tuple[Round, ...]
    heldout: Mapping[int, Mapping[str, Any]]
    export: ExportCheck


def run_replay(
    settings: ReplaySettings,
    *,
    journal: Journal,
    on_progress: OnProgress,
    on_image: Callable[[], object],
    stop: StopFlag,
) -> Replay:
    """Replay a dataset in the current database, which is new or holds a stopped replay.

    Args:
        on_progress: Called with a line of text.
        on_image: Called after each image.

    Raises:
        ReplayError: The replay cannot go on, or the journal is of other settings.
    """
    plans = plan_rounds(num_images=settings.num_images, num_rounds=settings.num_rounds)
    dataset_images = choose_images(
        settings.dataset,
        num_images=settings.num_images,
        masks_per_image=settings.masks_per_image,
        seed=settings.seed,
        sources=settings.sources,
    )
    _require_same(settings, journal=journal)
    session = open_session(journal=journal, on_progress=on_progress, stop=stop)
    session.trainable = settings.trainable
    _measure(session, settings)
    rounds = []
    arriving = iter(dataset_images)
    for plan, following in zip(plans, [*plans[1:], None], strict=True):
        new = list(islice(arriving, plan.num_images))
        rounds.append(_round(session, plan, dataset_images=new, on_image=on_image))
        if following and following.stage == plan.stage == StageKind.SEMI_AUTOMATIC:
            retrain_detector(session, plan)
        _measure(session, settings)
    return Replay(
        rounds=tuple(rounds),
        heldout={int(number): found for number, found in journal.all("heldout").items()},
        export=check_export(session),
    )


def _require_same(settings: ReplaySettings, *, journal: Journal) -> None:
    noted, asked = journal.find("settings", ""), settings.to_json()
    if noted is None:
        journal.note("settings", "", asked)
    elif noted != asked:
        names = sorted(name for name in asked if asked[name] != noted.get(name))
        raise ReplayError(f"this folder holds a replay with another {', '.join(names)}")


def _measure(session: ReplaySession, settings: ReplaySettings) -> None:
    """Measure the serving version on the held-out folder, once."""
    version = serving(session)
    if settings.heldout is None or session.journal.find("heldout", version.number):
        return
    figures = heldout.measure(
        version,
        settings.heldout,
        masks_per_image=settings.heldout_masks_per_image,
        on_progress=session.on_progress,
        stop=session.stop,
    )
    session.journal.note("heldout", version.number, figures)


def _round(
    session: ReplaySession,
    plan: RoundPlan,
    *,
    dataset_images: Sequence[DatasetImage],
    on_image: Callable[[], object],
) -> Round:
    done = session.journal.find("round", plan.number)
    if done is not None:
        ingest_images(session, dataset_images)
        for _ in range(plan.num_images):
            on_image()
        return Round.from_json(done)
    _enter_stage(session, plan)
    # Not before the first round: the queue serves easy images first, so the rounds could not be
    # compared, and the last images would differ from the others.
    ingest_images(session, dataset_images)
    run_jobs(session)
    is_last = plan.stage is StageKind.FULLY_AUTOMATIC
    one = (automatic_round if is_last else _labelled_round)(session, plan, on_image=on_image)
    session.journal.note("round", plan.number, one.to_json())
    return one


def _enter_stage(session: ReplaySession, plan: RoundPlan) -> None:
    stage = active_stage(session.project)
    if stage is not None and stage.kind != plan.stage:
        stages.advance_stage(
            session.project, actor=session.lead, reason=f"replay, round {plan.number}"
        )
    if plan.stage is StageKind.FULLY_AUTOMATIC:
        _mask_only_fresh_images(session)


def _mask_only_fresh_images(session: ReplaySession) -> None:
    """Cancel automatic masks of labelled images: the figures are of unlabelled images alone."""
    for job in Job.objects.filter(kind=JobKind.AUTOMASK_IMAGE.value, status=JobStatus.QUEUED.value):
        if Image.objects.get(pk=job.args["image"]).status != ImageStatus.READY:
            jobs.cancel(job, actor=session.lead)


def _labelled_round(
    session: ReplaySession, plan: RoundPlan, *, on_image: Callable[[], object]
) -> Round:
    version = _version_of(session, round_number=plan.number)
    if session.journal.find("labelled", plan.number) is None:
        _label_images(session, plan, version=version, on_image=on_image)
        session.journal.note("labelled", plan.number, {})
    else:
        for _ in range(plan.num_images):
            on_image()
    _redraw_with_first_model(session, plan, version=version)
    outcome = retrain(session, plan, serving=version)
    return Round(
        number=plan.number,
        stage=plan.stage.value,
        model_version=version.number,
        by_source=_tallies(session, plan),
        retrain=outcome,
    )


def _version_of(session: ReplaySession, *, round_number: int) -> ModelVersion:
    """Return the version that serves in this round, even when a later one serves now."""
    noted = session.journal.find("serves", round_number)
    if noted is None:
        version = serving(session)
        session.journal.note("serves", round_number, {"version": str(version.pk)})
        return version
    return ModelVersion.objects.get(pk=noted["version"])


def _label_images(
    session: ReplaySession,
    plan: RoundPlan,
    *,
    version: ModelVersion,
    on_image: Callable[[], object],
) -> None:
    decoder = ServedDecoder(version)
    for place in range(plan.num_images):
        if place < _num_submitted(session, plan):
            on_image()
            continue
        require_not_stopped(session.stop)
        session.on_progress(
            f"round {plan.number}: labelling image {place + 1} of {plan.num_images}"
        )
        assignment = assignments.lease_next(session.project, annotator=session.lead)
        if assignment is None:
            raise ReplayError("the queue ran out of images")
        image = assignment.image
        dataset_image = session.dataset_images[image]
        labelled = labelling.label_image(
            assignment,
            annotator=session.lead,
            dataset_image=dataset_image,
            decoder=decoder,
            version=version,
            run_jobs=partial(run_jobs, session),
        )
        # Before the submit: an image that is done must never lack its figures.
        session.journal.note(
            "image",
            image.pk,
            {"round": plan.number, "source": dataset_image.source, **asdict(labelled)},
        )
        assignments.submit(assignment, actor=session.lead)
        on_image()


def _redraw_with_first_model(
    session: ReplaySession, plan: RoundPlan, *, version: ModelVersion
) -> None:
    """Count the clicks of the round's drawn masks with the model of the first round."""
    first = _version_of(session, round_number=1)
    if version.pk == first.pk:
        return
    model = FirstModel(first)
    noted = _labelled_images(session, plan)
    for place, (key, found) in enumerate(noted.items(), start=1):
        if session.journal.find("first", key) is not None:
            continue
        require_not_stopped(session.stop)
        session.on_progress(
            f"round {plan.number}: what the first model would cost, {place} of {len(noted)}"
        )
        image = Image.objects.get(pk=key)
        dataset_image = session.dataset_images[image]
        objects = labelling.drawn_objects(image, dataset_image, saved=found["saved"])
        clicks = model.num_clicks(image, dataset_image, objects=objects)
        session.journal.note("first", key, {"num_clicks": clicks})


def _labelled_images(session: ReplaySession, plan: RoundPlan) -> dict[str, Any]:
    noted = session.journal.all("image")
    return {key: values for key, values in noted.items() if values["round"] == plan.number}


def _num_submitted(session: ReplaySession, plan: RoundPlan) -> int:
    in_round = list(_labelled_images(session, plan))
    return session.project.images.filter(pk__in=in_round, status=ImageStatus.DONE.value).count()


def _tallies(session: ReplaySession, plan: RoundPlan) -> dict[str, Tally]:
    by_source: dict[str, list[Tally]] = {}
    for key, labelled in _labelled_images(session, plan).items():
        tally = Tally(**labelled["tally"])
        first = session.journal.find("first", key)
        tally.num_first_clicks = tally.num_clicks if first is None else first["num_clicks"]
        by_source.setdefault(labelled["source"], []).append(tally)
    return {source: Tally.total(parts) for source, parts in by_source.items()}
