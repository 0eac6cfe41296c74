"""Training, evaluation, promotion and roll back; what is frozen and what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from engine import storage
from engine.domain.errors import Conflict, InvalidInput, NotAllowed, NotReady
from engine.domain.ids import uuid7
from engine.domain.jobs import QUEUES, URGENT
from engine.domain.states import ModelFamily
from engine.models import Embedding, Project, Snapshot
from engine.selectors.models import missing_parts
from engine.services.images import embeddings
from engine.services.jobs import jobs
from engine.services.masks import assignments, masks
from engine.services.models import model_versions, snapshots
from tests import factories

pytestmark = pytest.mark.django_db
SAM = ModelFamily.SAM


@pytest.fixture
def project() -> Project:
    return factories.make_project()


def manifest_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    text = storage.read_bytes(snapshot.manifest_key).decode()
    return [json.loads(line) for line in text.splitlines()]


def test_a_snapshot_freezes_confirmed_masks_with_their_files(project: Project) -> None:
    factories.make_version(project)
    train, holdout = factories.label_images(project, num_images=2, masks_per_image=2)
    embeddings.store_embedding(train, encoder_sha256=factories.ENCODER, data=b"features")
    Embedding.objects.create(
        image=holdout,
        encoder_sha256=factories.ENCODER,
        crop="1-0-0",
        storage_key="k",
        sha256="s",
        size_bytes=1,
    )
    masks.reject_mask(holdout.masks.first(), actor=project.created_by)

    snapshot = snapshots.freeze_snapshot(project)

    assert (snapshot.num_images, snapshot.num_masks) == (2, 3)
    first, second = manifest_of(snapshot)
    assert (first["split"], second["split"]) == ("train", "holdout")
    assert first["image"] == f"../../{train.storage_key}"
    folder = storage.local_copy(snapshot.manifest_key).parent
    assert (folder / first["image"]).resolve() == storage.local_copy(train.storage_key).resolve()
    assert (folder / first["features"]).read_bytes() == b"features"
    assert "features" not in second
    head = train.masks.first().head
    assert first["masks"][0] == {
        "id": str(head.mask_id),
        "rle": {"size": [32, 48], "counts": head.rle_counts},
        "prompts": head.prompts,
    }
    assert head.prompts


def test_a_snapshot_remembers_what_led_to_a_refined_mask_from_the_start(project: Project) -> None:
    image, _ = factories.label_images(project, num_images=2)
    head = image.masks.get().head
    again = assignments.lease_image(image, annotator=head.author)
    click = {"type": "point", "x_px": 9.0, "y_px": 8.0, "label": 0}

    masks.save_mask(
        again,
        actor=head.author,
        mask_id=head.mask_id,
        revision_id=uuid7(),
        base_revision_id=head.pk,
        rle=factories.square(image, x_px=2, side_px=8),
        prompts=[{"type": "mask"}, click],
    )

    found = manifest_of(snapshots.freeze_snapshot(project))[0]["masks"][0]["prompts"]
    assert found == [*head.prompts, {"type": "mask"}, click]


def test_training_reads_the_manifest(project: Project) -> None:
    manifest = pytest.importorskip("training.data.manifest")
    factories.label_images(project, num_images=2)

    snapshot = snapshots.freeze_snapshot(project)

    read = manifest.read_manifest(storage.local_copy(snapshot.manifest_key))
    assert (len(read.images), read.num_masks, read.problems) == (2, 2, ())


def test_the_same_labels_are_the_same_snapshot(project: Project) -> None:
    factories.label_images(project, num_images=2)

    assert snapshots.freeze_snapshot(project) == snapshots.freeze_snapshot(project)


@pytest.mark.parametrize(
    ("num_images", "sentence"),
    [(0, "nothing is labelled yet"), (1, "label at least one object on a second image")],
)
def test_an_empty_split_is_explained(project: Project, num_images: int, sentence: str) -> None:
    factories.label_images(project, num_images=num_images)

    with pytest.raises(InvalidInput, match=sentence):
        snapshots.freeze_snapshot(project)


def test_a_retrain_is_numbered_has_a_parent_and_a_job(project: Project) -> None:
    serving = factories.make_version(project)
    factories.label_images(project, num_images=2)

    version, job = model_versions.request_retrain(project, family="sam", actor=project.created_by)

    assert (version.number, version.parent, version.status) == (2, serving, "pending")
    assert (job.kind, job.args) == ("train_sam", {"model_version": str(version.pk)})
    with pytest.raises(Conflict, match="version 2 is pending already"):
        model_versions.request_retrain(project, family="sam", actor=project.created_by)


def test_a_retrain_needs_a_lead_a_model_and_a_known_family(project: Project) -> None:
    lead = project.created_by
    with pytest.raises(NotAllowed):
        model_versions.request_retrain(project, family="sam", actor=factories.make_user())
    with pytest.raises(InvalidInput, match="family must be one of"):
        model_versions.request_retrain(project, family="gpt", actor=lead)
    with pytest.raises(NotReady, match="no segmentation model"):
        model_versions.request_retrain(project, family="sam", actor=lead)


def test_a_failed_training_fails_its_version_and_a_retry_reopens_it(project: Project) -> None:
    factories.make_version(project)
    factories.label_images(project, num_images=2)
    project.jobs.all().delete()
    version, job = model_versions.request_retrain(project, family=SAM, actor=project.created_by)
    claim = jobs.claim(QUEUES, worker="w")
    assert claim is not None
    model_versions.mark_training(version)

    jobs.fail(claim, error="out of memory", retryable=False)

    version.refresh_from_db()
    assert (version.status, version.error) == ("failed", "out of memory")
    jobs.retry(job, actor=project.created_by)
    version.refresh_from_db()
    assert (version.status, version.error) == ("pending", "")


def test_the_database_refuses_two_serving_versions(project: Project) -> None:
    factories.make_version(project)

    with (
        pytest.raises(IntegrityError, match=r"model_one_serving_per_family|family"),
        transaction.atomic(),
    ):
        factories.make_version(project)


def test_a_new_project_is_served_by_the_starters_at_once() -> None:
    factories.write_starter(has_decoder=True)

    project = factories.make_project()

    versions = {one.family: one for one in project.model_versions.all()}
    assert set(versions) == {"sam", "object_detector"}
    sam = versions["sam"]
    assert (sam.number, sam.arch, sam.status) == (1, "tiny", "serving")
    assert (sam.encoder_sha256, sam.config["image_size_px"]) == (factories.ENCODER, 64)
    assert storage.read_bytes(sam.decoder_key) == b"onnx"
    assert project.jobs.count() == 0
    assert missing_parts(project) == []


def test_a_starter_without_decoder_has_it_exported(tmp_path: Path) -> None:
    factories.write_starter("starter.safetensors")

    project = factories.make_project()

    version = project.model_versions.get()
    job = project.jobs.get()
    assert (job.kind, job.args) == ("export_decoder", {"model_version": str(version.pk)})
    assert "being prepared" in missing_parts(project)[0]
    decoder = tmp_path / "decoder.onnx"
    decoder.write_bytes(b"graph")
    model_versions.attach_decoder(version, decoder=decoder)
    assert missing_parts(project) == []


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\xff" * 64])
def test_a_project_is_created_without_a_usable_starter(content: bytes | None) -> None:
    if content is not None:
        folder = factories.write_starter()
        (folder / "starter.safetensors").write_bytes(content)

    project = factories.make_project()

    assert project.model_versions.count() == 0
    assert "No segmentation model serves this project" in missing_parts(project)[0]


def test_a_detector_for_another_encoder_is_not_registered() -> None:
    factories.write_starter("starter.safetensors", has_decoder=True)
    factories.write_starter("detector.safetensors", encoder_sha256="d" * 64)

    project = factories.make_project()

    assert [one.family for one in project.model_versions.all()] == ["sam"]


def test_waiting_for_an_embedding_queues_it_and_an_old_one_is_named(project: Project) -> None:
    version = factories.make_version(project)
    image = factories.make_image(project)
    with pytest.raises(NotReady, match="still being computed"):
        embeddings.embedding_for(image)
    assert project.jobs.get().kind == "embed_image"

    with pytest.raises(Conflict) as outdated:
        embeddings.embedding_for(image, encoder_sha256="0" * 64)
    assert outdated.value.code == "outdated_embedding"

    stored = embeddings.store_embedding(image, encoder_sha256=version.encoder_sha256, data=b"f")
    assert embeddings.embedding_for(image) == stored
    assert (
        embeddings.store_embedding(image, encoder_sha256=version.encoder_sha256, data=b"f")
        == stored
    )


def test_a_crop_is_computed_at_once_when_somebody_looks_there(project: Project) -> None:
    version = factories.make_version(project)
    image = factories.make_image(project, width_px=400, height_px=300)
    embeddings.store_embedding(image, encoder_sha256=version.encoder_sha256, data=b"whole")

    for key in ("2-1-2", "2-01-2"):  # the same square
        with pytest.raises(NotReady, match="crop 2-1-2 of this image is still being computed"):
            embeddings.embedding_for(image, crop=key)

    job = project.jobs.get()
    assert (job.kind, job.priority, job.args["crop"]) == ("embed_image", URGENT, "2-1-2")
    assert job.idem_key == f"embed_image:{image.pk}:{version.encoder_sha256}:2-1-2"
    stored = embeddings.store_embedding(
        image, encoder_sha256=version.encoder_sha256, data=b"close", crop="2-1-2"
    )
    assert embeddings.embedding_for(image, crop="2-1-2") == stored
    assert embeddings.embedding_for(image) != stored
    assert embeddings.request_embedding(image, crop="2-1-2") is None
    with pytest.raises(Conflict) as outdated:
        embeddings.embedding_for(image, encoder_sha256="0" * 64, crop="2-1-2")
    assert outdated.value.code == "outdated_embedding"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("left", "is no crop"),
        ("3-0-0", "2 levels of crops"),
        ("1-2-0", "level 1 has 2 rows and 3 columns"),
    ],
)
def test_a_crop_that_a_photo_does_not_have_is_refused(
    project: Project, key: str, said: str
) -> None:
    factories.make_version(project)
    image = factories.make_image(project, width_px=400, height_px=300)

    with pytest.raises(InvalidInput, match=said):
        embeddings.embedding_for(image, crop=key)
    with pytest.raises(InvalidInput, match=said):
        embeddings.request_embedding(image, crop=key)
    assert not project.jobs.exists()


def test_who_asks_for_every_crop_waits_before_the_queue_is_full(project: Project) -> None:
    factories.make_version(project)
    image = factories.make_image(project, width_px=1600, height_px=1600)
    keys = [f"2-{row}-{column}" for row in range(3) for column in range(3)]
    for key in keys[:8]:
        embeddings.request_embedding(image, crop=key)

    with pytest.raises(NotReady, match="8 crops of this image are computed first"):
        embeddings.request_embedding(image, crop=keys[8])

    assert project.jobs.count() == 8
    assert embeddings.request_embedding(image, crop=keys[0]) is not None  # asked for again
    assert embeddings.request_embedding(image) is not None  # the whole photo has its own place
    project.jobs.filter(args__crop=keys[0]).update(status="succeeded", finished_at=timezone.now())
    assert embeddings.request_embedding(image, crop=keys[8]) is not None
