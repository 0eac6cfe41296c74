"""The whole loop with an oracle instead of people: label, retrain, next stage, export.

Everything goes through the engine's services and the workers' own job code, one job after another.
Every step may be repeated: a replay that was killed is started again and finds what is done.
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
    MaskSource,
    MaskStatus,
    ModelFamily,
    ModelVersionStatus,
)
from engine.models import Image, Job, ModelVersion, StateChange
from engine.models.model_version import IN_WORK
from engine.selectors.masks import for_image
from engine.selectors.stages import active_stage
from engine.services.jobs import jobs
from engine.services.masks import assignments, packed_masks
from engine.services.models import model_versions
from engine.services.projects import stages
from workers.execution.stopping import StopFlag
from workers.replay import heldout, labelling, oracle
from workers.replay.dataset import Photo, ReplayError, choose_photos
from workers.replay.desk import (
    Desk,
    Say,
    open_desk,
    require_not_stopped,
    run_jobs,
    serving,
    take_in,
)
from workers.replay.export_check import check_export
from workers.replay.first_model import FirstModel
from workers.replay.journal import Journal
from workers.replay.rounds import (
    AutomaticFigures,
    ExportCheck,
    Retrain,
    Round,
    RoundPlan,
    Tally,
    plan_rounds,
)
from workers.replay.served_decoder import ServedDecoder

PAIR_IOU = 0.5
GOOD_IOU = 0.75  # where the paper's audit starts to call masks alike (section 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What to replay. heldout: a COCO folder that no model learns from, measured every round.

    sources: draw photos from these alone; none means all.
    trains: what of a SAM each round trains; None leaves it to the number of masks.
    """

    dataset: Path
    heldout: Path | None = None
    num_images: int = 40
    num_rounds: int = 5
    masks_per_image: int = 10
    heldout_masks_per_image: int = 3
    seed: int = 0
    trains: RoundSize | None = None
    sources: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, as they come back from a JSON file."""
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        return {**plain, "sources": list(self.sources)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found. heldout: figures of every version that served, by its number."""

    rounds: tuple[Round, ...]
    heldout: Mapping[int, Mapping[str, Any]]
    export: ExportCheck


def run_replay(
    settings: ReplaySettings,
    *,
    journal: Journal,
    say: Say,
    on_image: Callable[[], object],
    stop: StopFlag,
) -> Replay:
    """Replay a dataset in the present database, which is fresh or holds a replay that was stopped.

    ReplayError says what went wrong, or that the journal is of other settings.
    """
    plans = plan_rounds(num_images=settings.num_images, num_rounds=settings.num_rounds)
    photos = choose_photos(
        settings.dataset,
        num_images=settings.num_images,
        masks_per_image=settings.masks_per_image,
        seed=settings.seed,
        sources=settings.sources,
    )
    _require_same(settings, journal=journal)
    desk = open_desk(journal=journal, say=say, stop=stop)
    desk.trains = settings.trains
    _measure(desk, settings)
    rounds = []
    arriving = iter(photos)
    for plan, following in zip(plans, [*plans[1:], None], strict=True):
        new = list(islice(arriving, plan.num_images))
        rounds.append(_round(desk, plan, photos=new, on_image=on_image))
        if following and following.stage == plan.stage == StageKind.SEMI_AUTOMATIC:
            _retrain_detector(desk, plan)
        _measure(desk, settings)
    return Replay(
        rounds=tuple(rounds),
        heldout={int(number): found for number, found in journal.all("heldout").items()},
        export=check_export(desk),
    )


def _require_same(settings: ReplaySettings, *, journal: Journal) -> None:
    noted, asked = journal.find("settings", ""), settings.to_json()
    if noted is None:
        journal.note("settings", "", asked)
    elif noted != asked:
        names = sorted(name for name in asked if asked[name] != noted.get(name))
        raise ReplayError(f"this folder holds a replay with another {', '.join(names)}")


def _measure(desk: Desk, settings: ReplaySettings) -> None:
    """Measure the serving version on the held-out folder, once."""
    version = serving(desk)
    if settings.heldout is None or desk.journal.find("heldout", version.number):
        return
    figures = heldout.measure(
        version,
        settings.heldout,
        masks_per_image=settings.heldout_masks_per_image,
        say=desk.say,
        stop=desk.stop,
    )
    desk.journal.note("heldout", version.number, figures)


def _round(
    desk: Desk, plan: RoundPlan, *, photos: Sequence[Photo], on_image: Callable[[], object]
) -> Round:
    done = desk.journal.find("round", plan.number)
    if done is not None:
        take_in(desk, photos)
        for _ in range(plan.num_images):
            on_image()
        return Round.from_json(done)
    _enter_stage(desk, plan)
    # Now, not before the first round: the queue gives the easy ones first, and the rounds would
    # not compare, nor would the last photos be like the others.
    take_in(desk, photos)
    run_jobs(desk)
    is_last = plan.stage is StageKind.FULLY_AUTOMATIC
    one = (_automatic_round if is_last else _labelled_round)(desk, plan, on_image=on_image)
    desk.journal.note("round", plan.number, one.to_json())
    return one


def _enter_stage(desk: Desk, plan: RoundPlan) -> None:
    stage = active_stage(desk.project)
    if stage is not None and stage.kind != plan.stage:
        stages.advance_stage(desk.project, actor=desk.lead, reason=f"replay, round {plan.number}")
    if plan.stage is StageKind.FULLY_AUTOMATIC:
        _mask_only_fresh_images(desk)


def _mask_only_fresh_images(desk: Desk) -> None:
    """Cancel automatic masks of labelled photos: the figures are of photos nobody has seen."""
    for job in Job.objects.filter(kind=JobKind.AUTOMASK_IMAGE.value, status=JobStatus.QUEUED.value):
        if Image.objects.get(pk=job.args["image"]).status != ImageStatus.READY:
            jobs.cancel(job, actor=desk.lead)


def _labelled_round(desk: Desk, plan: RoundPlan, *, on_image: Callable[[], object]) -> Round:
    version = _version_of(desk, round_number=plan.number)
    if desk.journal.find("labelled", plan.number) is None:
        _label_photos(desk, plan, version=version, on_image=on_image)
        desk.journal.note("labelled", plan.number, {})
    else:
        for _ in range(plan.num_images):
            on_image()
    _draw_again_with_the_first(desk, plan, version=version)
    retrain = _retrain(desk, plan, serving=version)
    return Round(
        number=plan.number,
        stage=plan.stage.value,
        model_version=version.number,
        by_source=_tallies(desk, plan),
        retrain=retrain,
    )


def _version_of(desk: Desk, *, round_number: int) -> ModelVersion:
    """Return the version that serves the round, also when a later one serves by now."""
    noted = desk.journal.find("serves", round_number)
    if noted is None:
        version = serving(desk)
        desk.journal.note("serves", round_number, {"version": str(version.pk)})
        return version
    return ModelVersion.objects.get(pk=noted["version"])


def _label_photos(
    desk: Desk, plan: RoundPlan, *, version: ModelVersion, on_image: Callable[[], object]
) -> None:
    decoder = ServedDecoder(version)
    for place in range(plan.num_images):
        if place < _num_submitted(desk, plan):
            on_image()
            continue
        require_not_stopped(desk.stop)
        desk.say(f"round {plan.number}: labelling photo {place + 1} of {plan.num_images}")
        assignment = assignments.lease_next(desk.project, annotator=desk.lead)
        if assignment is None:
            raise ReplayError("the queue ran out of photos")
        image = assignment.image
        photo = desk.photos[image]
        labelled = labelling.label_image(
            assignment,
            annotator=desk.lead,
            photo=photo,
            decoder=decoder,
            version=version,
            run_jobs=partial(run_jobs, desk),
        )
        # Before the submit: a photo that is done must never lack its figures.
        desk.journal.note(
            "photo",
            image.pk,
            {"round": plan.number, "source": photo.source, **asdict(labelled)},
        )
        assignments.submit(assignment, actor=desk.lead)
        on_image()


def _draw_again_with_the_first(desk: Desk, plan: RoundPlan, *, version: ModelVersion) -> None:
    """Note what the round's drawn masks would have cost with the model of the first round."""
    first = _version_of(desk, round_number=1)
    if version.pk == first.pk:
        return
    model = FirstModel(first)
    noted = _photos_of(desk, plan)
    for place, (key, found) in enumerate(noted.items(), start=1):
        if desk.journal.find("first", key) is not None:
            continue
        require_not_stopped(desk.stop)
        desk.say(f"round {plan.number}: what the first model would cost, {place} of {len(noted)}")
        image = Image.objects.get(pk=key)
        photo = desk.photos[image]
        objects = labelling.drawn_objects(image, photo, saved=found["saved"])
        clicks = model.num_clicks(image, photo, objects=objects)
        desk.journal.note("first", key, {"num_clicks": clicks})


def _photos_of(desk: Desk, plan: RoundPlan) -> dict[str, Any]:
    noted = desk.journal.all("photo")
    return {key: photo for key, photo in noted.items() if photo["round"] == plan.number}


def _num_submitted(desk: Desk, plan: RoundPlan) -> int:
    in_round = list(_photos_of(desk, plan))
    return desk.project.images.filter(pk__in=in_round, status=ImageStatus.DONE.value).count()


def _tallies(desk: Desk, plan: RoundPlan) -> dict[str, Tally]:
    by_source: dict[str, list[Tally]] = {}
    for key, photo in _photos_of(desk, plan).items():
        tally = Tally(**photo["tally"])
        first = desk.journal.find("first", key)
        tally.num_first_clicks = tally.num_clicks if first is None else first["num_clicks"]
        by_source.setdefault(photo["source"], []).append(tally)
    return {source: Tally.total(parts) for source, parts in by_source.items()}


def _retrain(desk: Desk, plan: RoundPlan, *, serving: ModelVersion) -> Retrain:
    version = _candidate(desk, plan, family=ModelFamily.SAM)
    run_jobs(desk)
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


def _candidate(desk: Desk, plan: RoundPlan, *, family: ModelFamily) -> ModelVersion:
    """Ask for the round's training, or find the one that was asked for before a kill."""
    what = f"retrain {family.value}"
    noted = desk.journal.find(what, plan.number)
    if noted is not None:
        return ModelVersion.objects.get(pk=noted["version"])
    version = desk.project.model_versions.filter(family=family.value, status__in=IN_WORK).first()
    if version is None:
        version, _ = model_versions.request_retrain(
            desk.project, family=family, actor=desk.lead, trains=desk.trains
        )
    desk.journal.note(what, plan.number, {"version": str(version.pk)})
    return version


def _retrain_detector(desk: Desk, plan: RoundPlan) -> None:
    """Let the detector learn from the round's masks and read the new model's features."""
    _candidate(desk, plan, family=ModelFamily.OBJECT_DETECTOR)
    run_jobs(desk)


def _one_click(version: ModelVersion, *, of: ModelVersion) -> float:
    """Return what a version measured on the snapshot of another."""
    evaluation = version.evaluations.get(snapshot=of.snapshot)
    return float(evaluation.metrics["clicks_1_miou"])


def _automatic_round(desk: Desk, plan: RoundPlan, *, on_image: Callable[[], object]) -> Round:
    """Compare the automatic masks of the photos nobody labelled with the truth."""
    by_source: dict[str, AutomaticFigures] = {}
    tallies: dict[str, Tally] = {}
    for image in desk.project.images.filter(status=ImageStatus.READY.value):
        photo = desk.photos[image]
        found = _compare_automatic(image, photo)
        by_source.setdefault(photo.source, AutomaticFigures()).add(found)
        tallies.setdefault(photo.source, Tally()).num_images += 1
        on_image()
    return Round(
        number=plan.number,
        stage=plan.stage.value,
        model_version=serving(desk).number,
        by_source=tallies,
        automatic=by_source,
    )


def _compare_automatic(image: Image, photo: Photo) -> AutomaticFigures:
    packed_masks.unpack(image)
    made = [
        labelling.decode_mask(mask)
        for mask in for_image(image).filter(
            source=MaskSource.AUTOMATIC.value, status=MaskStatus.ACCEPTED.value
        )
    ]
    pairs = oracle.matched_pairs(made, photo.truths, min_iou=PAIR_IOU)
    return AutomaticFigures(
        num_masks=len(made),
        num_truths=len(photo.truths),
        num_pairs=len(pairs),
        num_good=sum(iou > GOOD_IOU for iou, _, _ in pairs),
    )
