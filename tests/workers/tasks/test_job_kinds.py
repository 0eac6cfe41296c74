"""Every job kind, run by the real engine services on a tiny model, in this process."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from engine import storage
from engine.domain.errors import NotReady
from engine.domain.ids import uuid7
from engine.domain.jobs import QUEUES, JobKind
from engine.domain.states import JobStatus, ModelFamily, ModelVersionStatus, Role
from engine.models import AutomaticMask, Image, Job, Mask, ModelVersion, Project, User
from engine.selectors.models import serving_version
from engine.services.datasets import exports
from engine.services.images import embeddings, images
from engine.services.jobs import jobs
from engine.services.masks import assignments, masks, packed_masks
from engine.services.models import model_versions
from engine.services.people import users
from engine.services.projects import projects, stages
from engine.stop_flag import StopFlag
from masks.rle import Rle
from sam.checkpoints import embedding_files as embeddings_file
from tests.workers.disc_images import disc_image
from workers.execution.run_job import RunOutcome, run_next
from workers.inference.embed import read_image_rgb
from workers.inference.registry import sam_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lead() -> User:
    return users.create_user("lead", role=Role.LEAD)


@pytest.fixture
def project(settings: Any, tiny_starter_dir: Path, lead: User) -> Project:
    settings.STARTER_DIR = tiny_starter_dir
    return projects.create_project("Discs", actor=lead)


def run_all() -> list[str]:
    """Run every claimable job; return their kinds. Fails when one does not succeed."""
    kinds = []
    while run := run_next(QUEUES, worker="test", lease_s=None, stopping=StopFlag()):
        assert run.outcome is RunOutcome.SUCCEEDED, f"{run.claim.kind}: {run.message}"
        kinds.append(run.claim.kind)
    return kinds


def label(project: Project, lead: User, *, num_images: int) -> list[Image]:
    """Ingest images of discs and label all of them."""
    labelled = []
    for seed in range(num_images):
        data, truths = disc_image(seed)
        image, _ = images.ingest_image(project, data=data, file_name=f"{seed}.png", actor=lead)
        assignment = assignments.lease_image(image, annotator=lead)
        for truth in truths:
            y_px, x_px = (int(values.mean()) for values in truth.nonzero())
            masks.save_mask(
                assignment,
                actor=lead,
                mask_id=uuid7(),
                revision_id=uuid7(),
                rle=Rle.encode(truth),
                prompts=[{"type": "point", "x_px": x_px, "y_px": y_px, "label": 1}],
            )
        assignments.submit(assignment, actor=lead)
        labelled.append(image)
    return labelled


def test_a_new_image_gets_its_embedding_and_the_starter_its_decoder(
    project: Project, lead: User
) -> None:
    data, _ = disc_image(0)
    image, _ = images.ingest_image(project, data=data, file_name="a.png", actor=lead)

    kinds = run_all()

    serving = serving_version(project, family=ModelFamily.SAM)
    assert serving is not None
    assert sorted(kinds) == ["embed_image", "export_decoder"]
    assert serving.decoder_key
    embedding = image.embeddings.get()
    assert embedding.encoder_sha256 == serving.encoder_sha256
    data = storage.read_bytes(embedding.storage_key)
    assert hashlib.sha256(data).hexdigest() == embedding.sha256  # content-addressed
    assert embeddings_file.encoder_sha256_of(data) == serving.encoder_sha256
    assert {tensor.dtype for tensor in safetensors.torch.load(data).values()} == {torch.float16}


def test_a_crop_is_encoded_alone_as_an_image_of_its_own(project: Project, lead: User) -> None:
    data, _ = disc_image(0, size_px=240)
    image, _ = images.ingest_image(project, data=data, file_name="a.png", actor=lead)
    run_all()
    with pytest.raises(NotReady):
        embeddings.embedding_for(image, crop="1-1-2")

    assert run_all() == ["embed_image"]

    x_px, y_px, side_px = 120, 60, 120
    stored = storage.read_bytes(embeddings.embedding_for(image, crop="1-1-2").storage_key)
    model = sam_of(serving_version(project, family=ModelFamily.SAM))
    with torch.inference_mode():
        pixels = read_image_rgb(image)[y_px : y_px + side_px, x_px : x_px + side_px]
        alone = model.encode(model.preprocess(pixels))
    expected = embeddings_file.to_bytes(alone, encoder_sha256="e")
    assert embeddings_file.image_hw_of(stored) == (120, 120)
    found, wanted = safetensors.torch.load(stored), safetensors.torch.load(expected)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert image.embeddings.count() == 2


def test_another_encoder_embeds_every_image_anew_as_parts_of_one_job(
    project: Project, lead: User
) -> None:
    made = [
        images.ingest_image(project, data=disc_image(seed)[0], file_name="a.png", actor=lead)[0]
        for seed in range(3)
    ]
    run_all()
    project.images.first().embeddings.all().delete()
    project.images.last().embeddings.all().delete()
    embeddings.request_all(project)

    kinds = run_all()

    parent = Job.objects.get(kind=JobKind.EMBED_PROJECT)
    assert kinds == ["embed_project", "embed_image", "embed_image"]
    assert (parent.status, parent.result) == ("succeeded", {"num_images": 2})
    assert all(image.embeddings.count() == 1 for image in made)


def test_a_retrained_model_is_measured_beside_the_serving_one_and_promoted_or_rejected(
    project: Project, lead: User
) -> None:
    label(project, lead, num_images=3)
    run_all()
    before = serving_version(project, family=ModelFamily.SAM)
    assert before is not None
    version, _ = model_versions.request_retrain(project, family=ModelFamily.SAM, actor=lead)

    kinds = run_all()

    version.refresh_from_db()
    job = Job.objects.get(kind=JobKind.EVALUATE_SAM)
    assert kinds[:2] == ["train_sam", "evaluate_sam"]
    assert version.encoder_sha256 == before.encoder_sha256  # stored embeddings stay valid
    assert version.decoder_key
    assert set(version.snapshot.evaluations.values_list("model_version", flat=True)) == {
        version.pk,
        before.pk,
    }
    if job.result["is_promoted"]:
        assert version.status == ModelVersionStatus.SERVING
    else:
        assert version.status == ModelVersionStatus.REJECTED
        assert job.result["reasons"]


def test_the_second_stage_trains_a_detector_and_prefills_what_is_unlabelled(
    project: Project, lead: User
) -> None:
    label(project, lead, num_images=3)
    data, _ = disc_image(99)
    fresh, _ = images.ingest_image(project, data=data, file_name="new.png", actor=lead)
    run_all()
    stages.advance_stage(project, actor=lead, reason="test")

    kinds = run_all()

    detector = ModelVersion.objects.get(family=ModelFamily.OBJECT_DETECTOR, number=2)
    assert "train_detector" in kinds
    assert "prelabel_image" in kinds
    assert detector.status in (ModelVersionStatus.SERVING, ModelVersionStatus.REJECTED)
    assert detector.evaluations.count() == 1
    assert Job.objects.filter(kind=JobKind.PRELABEL_IMAGE).first().result["num_proposals"] > 0
    assert not Mask.objects.filter(source="prefilled").exclude(image=fresh).exists()


def test_the_third_stage_masks_every_image_and_records_with_which_settings(
    project: Project, lead: User
) -> None:
    label(project, lead, num_images=2)
    run_all()
    stages.advance_stage(project, actor=lead, reason="test")
    run_all()
    stages.advance_stage(project, actor=lead, reason="test")

    kinds = run_all()

    jobs_run = list(Job.objects.filter(kind=JobKind.AUTOMASK_IMAGE))
    assert kinds.count("automask_image") == 2
    assert all(job.result["settings"]["points_per_side"] == 6 for job in jobs_run)
    assert not Mask.objects.filter(source="automatic").exists()  # still packed
    num_made = sum(packed_masks.unpack(image) for image in project.images.all())
    assert num_made == sum(job.result["num_masks"] for job in jobs_run) > 0
    assert Mask.objects.filter(source="automatic").count() == num_made


def test_an_export_holds_every_accepted_mask(project: Project, lead: User) -> None:
    label(project, lead, num_images=2)
    export = exports.request_export(project, format="coco", actor=lead)

    run_all()

    export.refresh_from_db()
    assert export.status == "ready"
    assert export.num_masks == 6


@pytest.mark.parametrize(
    "kind",
    [
        JobKind.EMBED_IMAGE,
        JobKind.PRELABEL_IMAGE,
        JobKind.AUTOMASK_IMAGE,
        JobKind.SUGGEST_MASKS,
    ],
)
def test_doing_the_same_work_twice_writes_nothing_twice(
    project: Project, lead: User, kind: JobKind
) -> None:
    (image,) = label(project, lead, num_images=1)
    run_all()
    version = serving_version(project, family=ModelFamily.SAM)
    args = {"image": image.pk}
    args |= (
        {"model_version": version.pk}
        if kind is JobKind.EMBED_IMAGE
        else {"stage": project.stages.get().pk}
    )
    counts = []
    for _ in range(2):
        jobs.enqueue(kind, project=project, args=args, idem_key="same work")
        assert run_all() == [kind.value]
        num_masks = Mask.objects.count() + AutomaticMask.objects.count()
        counts.append((num_masks, image.embeddings.count()))

    assert counts[0] == counts[1]
    assert Job.objects.filter(idem_key="same work", status=JobStatus.SUCCEEDED).count() == 2
