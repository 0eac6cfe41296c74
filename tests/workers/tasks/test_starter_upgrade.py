"""A newer starter for an older project, by the real tasks: measured, served, rolled back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import storage
from engine.domain.jobs import QUEUES
from engine.domain.states import ModelFamily, Role
from engine.models import Project, User
from engine.selectors.models import serving_version
from engine.selectors.starter import offer_for
from engine.services.images import embeddings, images
from engine.services.models import model_versions, starters
from engine.services.people import users
from engine.services.projects import projects, stages
from engine.stop_flag import StopFlag
from sam.checkpoints import embedding_files as embeddings_file
from tests.workers.disc_images import disc_image
from tests.workers.tasks.test_job_kinds import label, run_all
from tests.workers.tiny_models import with_another_encoder
from workers.execution.run_job import RunOutcome, run_next

pytestmark = pytest.mark.django_db(transaction=True)
SAM, DETECTOR = ModelFamily


@pytest.fixture(scope="module")
def poor_starter_dir(tmp_path_factory: pytest.TempPathFactory, tiny_starter_dir: Path) -> Path:
    folder = tmp_path_factory.mktemp("poor")
    return with_another_encoder(folder, starter=tiny_starter_dir, noise=1.0)


@pytest.fixture(scope="module")
def good_starter_dir(tmp_path_factory: pytest.TempPathFactory, tiny_starter_dir: Path) -> Path:
    folder = tmp_path_factory.mktemp("good")
    return with_another_encoder(folder, starter=tiny_starter_dir, noise=0.0001)


@pytest.fixture
def lead() -> User:
    return users.create_user("lead", role=Role.LEAD)


def made_with(starter: Path, settings: Any, lead: User) -> Project:
    """A project of an installation that shipped this starter."""
    settings.STARTER_DIR = starter
    return projects.create_project("Discs", actor=lead)


def serving(project: Project) -> list[tuple[str, int]]:
    rows = project.model_versions.filter(status="serving").order_by("family")
    return list(rows.values_list("family", "number"))


def encoders_of(project: Project) -> list[set[str]]:
    """Which encoders each image has an embedding of, read from the files themselves."""
    return [
        {
            embeddings_file.encoder_sha256_of(storage.read_bytes(one.storage_key))
            for one in image.embeddings.all()
        }
        for image in project.images.all()
    ]


def test_a_better_starter_is_measured_serves_and_every_image_is_embedded_anew(
    settings: Any, lead: User, poor_starter_dir: Path, good_starter_dir: Path
) -> None:
    project = made_with(poor_starter_dir, settings, lead)
    label(project, lead, num_images=3)
    run_all()
    old = serving_version(project, family=SAM)
    assert old is not None
    settings.STARTER_DIR = good_starter_dir
    offer = offer_for(project)
    assert offer is not None
    assert (offer.num_to_encode, offer.is_measured_first) == (3, True)
    assert offer.encode_s is not None
    assert offer.encode_s > 0

    version = starters.upgrade(project, actor=lead).version
    kinds = run_all()

    version.refresh_from_db()
    assert version.status == "serving", model_versions.promotion_blockers(version)
    assert sorted(kinds) == ["embed_image"] * 3 + ["embed_project", "evaluate_sam"]
    assert serving(project) == [("object_detector", 2), ("sam", 2)]
    assert encoders_of(project) == [{old.encoder_sha256, version.encoder_sha256}] * 3
    detector = serving_version(project, family=DETECTOR)
    assert detector is not None
    assert detector.encoder_sha256 == version.encoder_sha256
    assert set(version.thresholds.get("prefill", {})) <= {str(detector.pk)}

    model_versions.roll_back(project, family=SAM, actor=lead)

    assert run_all() == [], "what the old model needs is all there"
    assert serving(project) == [("object_detector", 1), ("sam", 1)]
    for image in project.images.all():
        assert embeddings.embedding_for(image).encoder_sha256 == old.encoder_sha256


def test_a_worse_starter_is_kept_back_until_a_lead_gives_a_reason(
    settings: Any, lead: User, poor_starter_dir: Path, good_starter_dir: Path
) -> None:
    project = made_with(good_starter_dir, settings, lead)
    label(project, lead, num_images=3)
    run_all()
    settings.STARTER_DIR = poor_starter_dir

    version = starters.upgrade(project, actor=lead).version
    assert run_all() == ["evaluate_sam"]

    version.refresh_from_db()
    assert version.status == "rejected"
    assert "worse" in "; ".join(model_versions.promotion_blockers(version))
    assert serving(project) == [("object_detector", 1), ("sam", 1)]
    model_versions.promote(version, actor=lead, reason="to see it")
    run_all()
    assert serving(project) == [("object_detector", 2), ("sam", 2)]


def test_without_labels_it_serves_at_once_and_prefills_by_its_own_detector(
    settings: Any, lead: User, poor_starter_dir: Path, good_starter_dir: Path
) -> None:
    project = made_with(poor_starter_dir, settings, lead)
    data, _ = disc_image(0)
    image, _ = images.ingest_image(project, data=data, file_name="a.png", actor=lead)
    run_all()
    stages.advance_stage(project, actor=lead, reason="a test")
    settings.STARTER_DIR = good_starter_dir

    taken = starters.upgrade(project, actor=lead)
    first = run_next(QUEUES, worker="test", lease_s=None, stopping=StopFlag())
    run_all()

    assert taken.job is None
    assert serving(project) == [("object_detector", 2), ("sam", 2)]
    assert first is not None
    assert (first.claim.kind, first.outcome) == ("embed_project", RunOutcome.SUCCEEDED)
    assert project.jobs.filter(kind="prelabel_image", status="cancelled").count() == 1
    assert project.jobs.filter(kind="prelabel_image", status="succeeded").count() == 1
    made_by = set(image.masks.values_list("head__model_version__number", flat=True))
    assert made_by <= {2}
