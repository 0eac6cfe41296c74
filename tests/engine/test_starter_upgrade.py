"""Another starter ships: it is offered, taken once, measured where it can be, and rolled back."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from engine import shipped, storage
from engine.domain.errors import Conflict, NotAllowed, NotReady
from engine.domain.jobs import JobKind
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Embedding, Job, ModelVersion, Project, StateChange
from engine.selectors.models import serving_version
from engine.selectors.starter import offer_for
from engine.services.images import embeddings
from engine.services.jobs import jobs
from engine.services.models import model_versions, starters
from engine.services.projects import stages
from engine.services.transitions import move
from tests import factories
from tests.engine.test_races import in_threads

pytestmark = pytest.mark.django_db
SAM, DETECTOR = ModelFamily
OLD, NEW = factories.ENCODER, "f" * 64


@pytest.fixture
def project() -> Project:
    """A project of an older installation, whose code ships another starter since."""
    factories.write_starter(encoder_sha256=OLD, has_decoder=True)
    project = factories.make_project()
    factories.write_starter(encoder_sha256=NEW, has_decoder=True)
    return project


def take(project: Project) -> starters.Upgrade:
    return starters.upgrade(project, actor=project.created_by)


def serving(project: Project) -> list[tuple[str, int]]:
    rows = project.model_versions.filter(status="serving").order_by("family")
    return list(rows.values_list("family", "number"))


def measure(version: ModelVersion, job: Job, *, gain: float) -> None:
    """Record what the job would have found out, beside the serving version."""
    before = serving_version(version.project, family=SAM)
    gains = dict.fromkeys(("clicks_1", "clicks_3", "clicks_5", "all"), gain)
    figures = {f"clicks_{n}_miou": 0.6 for n in (1, 3, 5)}
    snapshot = version.project.snapshots.get(pk=job.args["snapshot"])
    model_versions.record_evaluation(
        version,
        snapshot=snapshot,
        metrics={**figures, "gate": factories.gate_report(before, **gains)},
    )


def test_a_project_made_with_the_shipped_starter_is_offered_nothing() -> None:
    factories.write_starter(has_decoder=True)

    assert offer_for(factories.make_project()) is None


def test_another_starter_is_offered_with_what_it_means(project: Project) -> None:
    for _ in range(3):
        factories.make_image(project)
    now = timezone.now()
    for seconds in (2, 4, 90):  # the first loads the model
        job = jobs.enqueue(
            JobKind.EMBED_IMAGE,
            project=project,
            args={"image": project.pk, "model_version": project.pk},
            idem_key=f"done-{seconds}",
        )
        started = now - timedelta(seconds=seconds)
        Job.objects.filter(pk=job.pk).update(
            status="succeeded", started_at=started, finished_at=now
        )

    offer = offer_for(project)

    assert offer is not None
    assert offer.serving == serving_version(project, family=SAM)
    assert (offer.num_to_encode, offer.encode_s) == (3, 12.0)
    assert (offer.is_measured_first, offer.loses_training, offer.in_work) == (False, False, "")


def test_a_retrained_project_is_told_that_its_training_is_not_in_the_starter(
    project: Project,
) -> None:
    factories.label_images(project, num_images=2)
    version, job = model_versions.request_retrain(project, family=SAM, actor=project.created_by)

    waiting = offer_for(project)

    assert waiting is not None
    assert waiting.in_work == "version 2 is pending"
    jobs.cancel(job, actor=project.created_by)
    other = factories.make_version(
        project, status=ModelVersionStatus.RETIRED, snapshot=version.snapshot
    )
    model_versions.promote(other, actor=project.created_by)
    offer = offer_for(project)
    assert offer is not None
    assert (offer.loses_training, offer.is_measured_first, offer.in_work) == (True, True, "")


@pytest.mark.parametrize(
    "missing", ["everything", "starter.safetensors", "decoder.onnx", "folder is a file"]
)
def test_a_missing_starter_is_no_offer_and_no_error(project: Project, missing: str) -> None:
    folder = Path(settings.STARTER_DIR)
    if missing in ("everything", "folder is a file"):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        if missing == "folder is a file":
            folder.write_text("")
    else:
        (folder / missing).unlink()

    assert offer_for(project) is None
    with pytest.raises(NotReady, match="no complete starter model ships with this installation"):
        take(project)
    assert serving(project) == [("object_detector", 1), ("sam", 1)]


@pytest.mark.parametrize("content", [b"", b"not safetensors at all", b"\xff" * 64])
def test_a_torn_starter_is_no_offer_and_no_error(project: Project, content: bytes) -> None:
    (Path(settings.STARTER_DIR) / "starter.safetensors").write_bytes(content)

    assert offer_for(project) is None


def test_asking_reads_a_file_once_for_each_time_it_changes(project: Project) -> None:
    offer_for(project)
    num_read = shipped._read.cache_info().misses

    assert offer_for(project) is not None
    assert shipped._read.cache_info().misses == num_read
    path = Path(settings.STARTER_DIR) / "starter.safetensors"
    path.write_bytes(path.read_bytes() + b"weights")
    starter = shipped.shipped_starter()

    assert starter is not None
    assert starter.sam.sha256 == storage.sha256_of(
        storage.put_bytes("checkpoints", path.read_bytes(), ".safetensors")
    )
    assert shipped._read.cache_info().misses == num_read + 1
    os.utime(path, ns=(1, 1))
    shipped.shipped_starter()
    assert shipped._read.cache_info().misses == num_read + 2


def test_without_labels_it_serves_at_once_as_a_shipped_model(project: Project) -> None:
    lead = project.created_by
    images = [factories.make_image(project) for _ in range(2)]
    before = serving_version(project, family=SAM)
    assert before is not None

    taken = take(project)

    version = taken.version
    assert taken.job is None
    assert (version.number, version.status, version.encoder_sha256) == (2, "serving", NEW)
    assert (version.parent, version.snapshot, version.requested_by) == (None, None, lead)
    assert version.trigger == "upgrade to the shipped starter"
    assert storage.read_bytes(version.decoder_key) == b"onnx"
    assert serving(project) == [("object_detector", 2), ("sam", 2)]
    change = StateChange.objects.get(subject_id=version.pk, to_state="serving")
    assert (change.actor, change.reason) == (lead, "upgrade to the shipped starter")
    before.refresh_from_db()
    assert before.status == "retired"
    embed = project.jobs.get(kind="embed_project", args__model_version=str(version.pk))
    assert embeddings.request_parts(embed) == len(images)
    assert offer_for(project) is None


def test_taken_twice_it_is_one_version(project: Project) -> None:
    first, second = take(project), take(project)

    assert first.version == second.version
    assert project.model_versions.count() == 4  # two SAMs, two detectors
    assert StateChange.objects.filter(subject_id=first.version.pk, to_state="serving").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_labelled", [False, True])
def test_two_leads_at_once_make_one_version(project: Project, is_labelled: bool) -> None:
    if is_labelled:
        factories.label_images(project, num_images=2)
    other = factories.make_lead("other")

    results = in_threads(
        lambda: starters.upgrade(project, actor=project.created_by),
        lambda: starters.upgrade(project, actor=other),
    )

    taken = [one for one in results if isinstance(one, starters.Upgrade)]
    assert len(taken) == 2, results
    assert taken[0].version == taken[1].version
    assert taken[0].job == taken[1].job
    numbers = project.model_versions.order_by("family", "number").values_list("family", "number")
    assert list(numbers) == [
        ("object_detector", 1),
        ("object_detector", 2),
        ("sam", 1),
        ("sam", 2),
    ]
    assert project.jobs.filter(kind="evaluate_sam").count() == int(is_labelled)


def test_only_who_may_promote_may_take_it(project: Project) -> None:
    for other in (factories.make_user(), factories.make_outsider()):
        with pytest.raises(NotAllowed):
            starters.upgrade(project, actor=other)

    assert project.model_versions.count() == 2


def test_while_another_version_is_in_the_making_it_waits(project: Project) -> None:
    factories.label_images(project, num_images=2)
    model_versions.request_retrain(project, family=SAM, actor=project.created_by)

    with pytest.raises(Conflict, match="version 2 is pending already"):
        take(project)

    assert project.model_versions.count() == 3


def test_with_held_out_images_it_serves_when_the_gate_has_no_objection(project: Project) -> None:
    factories.label_images(project, num_images=2)

    taken = take(project)

    version, job = taken.version, taken.job
    assert job is not None
    assert (version.status, version.snapshot, job.kind) == ("trained", None, "evaluate_sam")
    assert serving(project) == [("object_detector", 1), ("sam", 1)]
    assert take(project) == taken
    measure(version, job, gain=0.1)
    assert model_versions.promotion_blockers(version) == []
    model_versions.promote(version, actor=None, reason="passed the gate")
    assert serving(project) == [("object_detector", 2), ("sam", 2)]


def test_kept_back_it_may_be_promoted_with_a_reason(project: Project) -> None:
    factories.label_images(project, num_images=2)
    version, job = take(project).version, take(project).job
    assert job is not None
    measure(version, job, gain=-0.2)
    blockers = model_versions.promotion_blockers(version)
    assert "one click is worse by 0.200 on average" in blockers
    model_versions.reject(version, reason="; ".join(blockers))

    assert take(project).version.status == "rejected"
    assert offer_for(project) is None
    with pytest.raises(Conflict, match="should not serve"):
        model_versions.promote(version, actor=project.created_by)
    model_versions.promote(version, actor=project.created_by, reason="for its encoder")

    assert serving(project) == [("object_detector", 2), ("sam", 2)]


def test_when_measuring_was_cancelled_the_same_version_is_measured_anew(project: Project) -> None:
    factories.label_images(project, num_images=2)
    first = take(project)
    assert first.job is not None
    jobs.cancel(first.job, actor=project.created_by)
    first.version.refresh_from_db()
    assert first.version.status == "failed"
    assert offer_for(project) is not None

    again = take(project)

    assert again.version == first.version
    assert again.job is not None
    assert again.job != first.job
    assert (again.version.status, again.version.error) == ("trained", "")
    assert project.model_versions.count() == 4


def test_rolling_back_brings_the_old_models_with_their_embeddings(project: Project) -> None:
    image = factories.make_image(project)
    old = embeddings.store_embedding(image, encoder_sha256=OLD, data=b"old")
    version = take(project).version
    embeddings.store_embedding(image, encoder_sha256=NEW, data=b"new")
    num_jobs = project.jobs.count()

    model_versions.roll_back(project, family=SAM, actor=project.created_by)

    assert serving(project) == [("object_detector", 1), ("sam", 1)]
    assert embeddings.embedding_for(image) == old
    assert project.jobs.count() == num_jobs, "nothing is made anew"
    for row in project.model_versions.all():
        assert storage.is_intact(row.checkpoint_key)
    assert offer_for(project) is None, "it is a version of the project: promote it"
    model_versions.promote(version, actor=project.created_by)
    assert serving(project) == [("object_detector", 2), ("sam", 2)]
    assert Embedding.objects.count() == 2


def test_prefilling_that_waits_is_asked_for_anew_by_the_new_models(project: Project) -> None:
    for _ in range(2):
        factories.make_image(project)
    stages.advance_stage(project, actor=project.created_by, reason="a test")

    take(project)

    rows = project.jobs.filter(kind="prelabel_image")
    assert rows.filter(status="cancelled").count() == 2
    waiting = rows.filter(status="queued")
    assert all("sam2:object_detector2" in job.idem_key for job in waiting)
    assert waiting.count() == 2


def test_a_detector_of_another_encoder_does_not_come_along(project: Project) -> None:
    factories.write_starter("detector.safetensors", encoder_sha256="d" * 64)

    take(project)

    assert serving(project) == [("object_detector", 1), ("sam", 2)]
    assert project.model_versions.filter(family=DETECTOR.value).count() == 1


def test_a_waiting_detector_never_serves_beside_another_encoder(project: Project) -> None:
    factories.label_images(project, num_images=2)
    take(project)
    waiting = project.model_versions.get(family=DETECTOR.value, number=2)
    assert waiting.status == "evaluated"

    with pytest.raises(Conflict, match="made for another encoder"):
        model_versions.promote(waiting, actor=project.created_by, reason="now")


def test_a_project_that_has_no_model_gets_its_first() -> None:
    project = factories.make_project()
    assert serving(project) == []
    factories.write_starter(has_decoder=True)

    offer = offer_for(project)
    take(project)

    assert offer is not None
    assert offer.serving is None
    assert serving(project) == [("object_detector", 1), ("sam", 1)]


def test_a_starter_that_was_measured_is_not_taken_for_one_that_was_trained(
    project: Project,
) -> None:
    factories.label_images(project, num_images=2)
    version = take(project).version
    move(version, ModelVersionStatus.EVALUATED)
    model_versions.promote(version, actor=project.created_by, reason="a test")

    later, _ = model_versions.request_retrain(project, family=SAM, actor=project.created_by)

    assert (later.number, later.parent) == (3, version)
    assert later.snapshot is not None
