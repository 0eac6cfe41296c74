"""Rounds of the loop by the real tasks: sizes, curves, and input that nothing can be made of."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import storage
from engine.domain.jobs import QUEUES
from engine.domain.schedule import RoundSize
from engine.domain.states import ModelFamily, Role
from engine.models import Project, User
from engine.selectors.models import serving_version
from engine.selectors.retraining import plan_for
from engine.services.images import images
from engine.services.masks import assignments
from engine.services.models import model_versions, schedules
from engine.services.people import users
from engine.services.projects import policies, projects, stages
from engine.stop_flag import StopFlag
from tests import factories
from tests.workers.disc_images import disc_image
from tests.workers.tasks.test_job_kinds import label, run_all
from workers.execution.heartbeat import Progress
from workers.execution.run_job import RunOutcome, run_next
from workers.execution.sweeper import Sweeper
from workers.inference import registry
from workers.model_tasks.training_curve import MAX_POINTS, TrainingCurve

pytestmark = pytest.mark.django_db(transaction=True)
SAM, DETECTOR = ModelFamily


@pytest.fixture
def lead() -> User:
    return users.create_user("lead", role=Role.LEAD)


@pytest.fixture
def project(settings: Any, tiny_starter_dir: Path, lead: User) -> Project:
    settings.STARTER_DIR = tiny_starter_dir
    return projects.create_project("Discs", actor=lead)


def test_a_sweep_starts_a_round_that_trains_measures_and_keeps_its_curve(
    project: Project, lead: User
) -> None:
    label(project, lead, num_images=2)
    policies.change_policy(project, changes={"retrain_first_masks": 2}, actor=lead)

    Sweeper(every_s=60, schedule_s=60)._sweep()
    kinds = run_all()

    version = project.model_versions.get(family=SAM.value, number=2)
    assert kinds.count("train_sam") == kinds.count("evaluate_sam") == 1
    assert (version.trainable, version.requested_by) == ("decoder", None)
    assert version.status in ("serving", "rejected")
    curve = model_versions.curve_of(version)
    assert 2 <= len(curve) <= MAX_POINTS
    assert [one["step"] for one in curve] == sorted({one["step"] for one in curve})
    assert {"step", "loss", "first_iou", "last_iou"} == set(curve[0])
    assert schedules.run_due() == [], "the same masks teach nothing twice"


def test_a_low_rank_round_makes_another_encoder_and_embeds_in_the_background(
    project: Project, lead: User
) -> None:
    label(project, lead, num_images=2)
    run_all()
    before = serving_version(project, family=SAM)
    assert before is not None
    version, _ = model_versions.request_retrain(
        project, family=SAM, actor=lead, trainable=RoundSize.LOW_RANK
    )

    run_all()

    version.refresh_from_db()
    assert version.encoder_sha256 != before.encoder_sha256
    if version.status == "rejected":
        model_versions.promote(version, actor=lead, reason="for the test")
    held = assignments.lease_image(project.images.all()[0], annotator=lead)
    assert project.jobs.filter(kind="embed_project", status="queued").count() <= 1
    run_all()
    assert held.image.embeddings.filter(encoder_sha256=version.encoder_sha256).exists()
    assert held.image.embeddings.filter(encoder_sha256=before.encoder_sha256).exists(), (
        "who still labels with the old model finds its embedding"
    )
    held.refresh_from_db()
    assert held.status == "leased", "nobody was disturbed"


def test_a_detector_that_finds_nothing_leaves_the_image_to_people(
    project: Project, lead: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Large enough to be cut: detection in crops finds nothing either.
    image, _ = images.ingest_image(
        project,
        data=factories.image_bytes(width_px=400, height_px=400),
        file_name="a.png",
        actor=lead,
    )
    detector = serving_version(project, family=DETECTOR)
    assert detector is not None
    blind = registry.detector_of(detector)
    with torch.no_grad():
        bias = blind.score_head.bias.clone()
        blind.score_head.bias.fill_(-50.0)  # certain that there is no object anywhere
    reported: list[str] = []
    report = Progress.report

    def record(progress: Progress, fraction: float, text: str) -> None:
        reported.append(text)
        report(progress, fraction, text)

    monkeypatch.setattr(Progress, "report", record)
    try:
        stages.advance_stage(project, actor=lead, reason="a test")
        kinds = run_all()
    finally:
        with torch.no_grad():
            blind.score_head.bias.copy_(bias)

    assert "prelabel_image" in kinds
    job = project.jobs.get(kind="prelabel_image")
    assert (job.status, job.result["num_proposals"]) == ("succeeded", 0)
    processed = [text for text in reported if text.endswith("parts of the image processed")]
    assert len(processed) >= 4, "progress is reported for every crop, however slow the encoder"
    assert not image.masks.exists()
    held = assignments.lease_next(project, annotator=lead)
    assert held is not None
    assert held.image == image


def test_an_image_that_fails_is_told_and_keeps_no_other_waiting(
    project: Project, lead: User
) -> None:
    torn, sound = [
        images.ingest_image(project, data=disc_image(seed)[0], file_name=f"{seed}.png", actor=lead)[
            0
        ]
        for seed in range(2)
    ]
    path = storage.local_copy(torn.storage_key)
    path.chmod(0o644)
    path.write_bytes(b"torn")

    outcomes = {}
    while run := run_next(QUEUES, worker="test", lease_s=None, stopping=StopFlag()):
        outcomes[run.claim.args.get("image", "")] = run

    assert outcomes[str(sound.pk)].outcome is RunOutcome.SUCCEEDED
    assert outcomes[str(torn.pk)].outcome is RunOutcome.FAILED
    job = project.jobs.get(kind="embed_image", args__image=str(torn.pk))
    assert job.error
    assert sound.embeddings.exists()


def test_a_round_that_breaks_says_so_and_the_serving_model_goes_on(
    project: Project, lead: User
) -> None:
    label(project, lead, num_images=2)
    run_all()
    serving = serving_version(project, family=SAM)
    assert serving is not None
    version, _ = model_versions.request_retrain(project, family=SAM, actor=lead)
    assert version.snapshot is not None
    manifest = storage.local_copy(version.snapshot.manifest_key)
    manifest.chmod(0o644)
    manifest.write_text("no manifest")
    job = project.jobs.get(kind="train_sam")
    job.max_attempts = 1
    job.save()

    run = run_next(("gpu",), worker="test", lease_s=None, stopping=StopFlag())

    assert run is not None
    assert run.outcome is RunOutcome.FAILED
    version.refresh_from_db()
    assert version.status == "failed"
    assert version.error
    assert serving_version(project, family=SAM) == serving
    assert "running" not in plan_for(project, family=SAM).state


class _Context:
    def report(self, fraction: float, text: str = "") -> None: ...

    def publish_quietly(self, effects: Any) -> None:
        effects()


def curve_after(version: Any, steps: list[int]) -> list[dict[str, float]]:
    context: Any = _Context()
    curve = TrainingCurve(context, version)
    for step in steps:
        curve(step / 1000, "training", step=step, loss=1.0 / step, first_iou=float("nan"))
    curve.keep()
    return model_versions.curve_of(version)


def test_a_resumed_training_replaces_the_steps_it_repeats(project: Project) -> None:
    version = serving_version(project, family=SAM)
    curve_after(version, [1, 2, 3, 4, 5])

    points = curve_after(version, [3, 4, 5, 6])

    assert [one["step"] for one in points] == [1, 2, 3, 4, 5, 6]
    assert set(points[-1]) == {"step", "loss"}, "what is no number is not drawn"


def test_a_long_training_keeps_no_more_points_than_a_page_shows(project: Project) -> None:
    points = curve_after(serving_version(project, family=SAM), list(range(1, 3_001)))

    assert MAX_POINTS // 3 <= len(points) <= MAX_POINTS
    steps = [one["step"] for one in points]
    assert len({b - a for a, b in pairwise(steps)}) == 1, "evenly spaced"
