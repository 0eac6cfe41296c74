"""Which version may serve: promotion, what blocks it, rolling back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.domain.errors import Conflict
from engine.domain.jobs import QUEUES, JobKind
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Embedding, ModelVersion, Project, Snapshot
from engine.selectors.models import serving_version
from engine.services.images import embeddings
from engine.services.jobs import jobs
from engine.services.models import model_versions, snapshots
from tests import factories

pytestmark = pytest.mark.django_db
SAM = ModelFamily.SAM


@pytest.fixture
def project() -> Project:
    return factories.make_project()


def trained(project: Project, tmp_path: Path, *, encoder: str = factories.ENCODER) -> ModelVersion:
    """A version that went through training, with a decoder."""
    version, _ = model_versions.request_retrain(project, family=SAM, actor=project.created_by)
    checkpoint, decoder = tmp_path / "new.safetensors", tmp_path / "new.onnx"
    checkpoint.write_bytes(b"weights" + encoder.encode())
    decoder.write_bytes(b"graph")
    return model_versions.register_checkpoint(
        version,
        checkpoint=checkpoint,
        decoder=decoder,
        encoder_sha256=encoder,
        config={"arch": "tiny"},
    )


def measure(
    version: ModelVersion,
    snapshot: Snapshot,
    *mious: float,
    gate: dict[str, Any] | None = None,
) -> None:
    metrics = {f"clicks_{n}_miou": value for n, value in zip((1, 3, 5), mious, strict=True)}
    more = {} if gate is None else {"gate": gate}
    model_versions.record_evaluation(version, snapshot=snapshot, metrics={**metrics, **more})


def candidate(project: Project, tmp_path: Path, *mious: float) -> ModelVersion:
    """A trained and evaluated version; the serving one measured 0.5, 0.6, 0.7: mean 0.6."""
    serving = serving_version(project, family=SAM) or factories.make_version(project)
    factories.label_images(project, num_images=2)
    version = trained(project, tmp_path)
    assert version.snapshot is not None
    measure(serving, version.snapshot, 0.5, 0.6, 0.7)
    gains = [miou - before for miou, before in zip(mious, (0.5, 0.6, 0.7), strict=True)]
    kinds = dict(zip(("clicks_1", "clicks_3", "clicks_5"), gains, strict=True))
    gate = factories.gate_report(serving, **kinds, all=sum(gains) / 3)
    measure(version, version.snapshot, *mious, gate=gate)
    return version


def test_a_better_version_is_promoted_and_the_old_one_retired(
    project: Project, tmp_path: Path
) -> None:
    version = candidate(project, tmp_path, 0.6, 0.7, 0.8)
    before = serving_version(project, family=SAM)
    assert before is not None
    assert model_versions.promotion_blockers(version) == []

    model_versions.promote(version, actor=None, reason="not worse")

    before.refresh_from_db()
    assert (version.status, before.status) == ("serving", "retired")


def test_a_lead_may_overrule_figures_with_a_reason(project: Project, tmp_path: Path) -> None:
    version = candidate(project, tmp_path, 0.1, 0.1, 0.1)
    with pytest.raises(Conflict, match=r"one click is worse by 0\.400"):
        model_versions.promote(version, actor=project.created_by)

    model_versions.promote(version, actor=project.created_by, reason="better on the new camera")

    assert serving_version(project, family=SAM) == version


def test_nan_is_no_figure_to_promote_on(project: Project, tmp_path: Path) -> None:
    version = candidate(project, tmp_path, float("nan"), 0.9, 0.9)

    assert "missing or not a number" in model_versions.promotion_blockers(version)[0]


def test_nobody_promotes_a_version_without_decoder(project: Project, tmp_path: Path) -> None:
    version = candidate(project, tmp_path, 0.9, 0.9, 0.9)
    ModelVersion.objects.filter(pk=version.pk).update(
        decoder_key="", decoder_sha256="", decoder_image_key="", decoder_prompt_key=""
    )

    with pytest.raises(Conflict, match="decoder"):
        model_versions.promote(version, actor=project.created_by, reason="I insist")


def test_a_figure_on_other_images_does_not_count(project: Project, tmp_path: Path) -> None:
    version = candidate(project, tmp_path, 0.9, 0.9, 0.9)
    factories.label_images(project, num_images=1)
    report = factories.gate_report(serving_version(project, family=SAM))
    measure(version, snapshots.freeze_snapshot(project), 0.9, 0.9, 0.9, gate=report)

    blockers = model_versions.promotion_blockers(version)

    assert blockers == ["it was measured on another snapshot than the one it was trained beside"]


def test_a_comparison_with_a_model_that_serves_no_more_does_not_count(
    project: Project, tmp_path: Path
) -> None:
    version = candidate(project, tmp_path, 0.9, 0.9, 0.9)
    old = serving_version(project, family=SAM)
    assert old is not None
    rival = candidate(project, tmp_path, 0.7, 0.8, 0.9)
    model_versions.promote(rival, actor=None)

    assert model_versions.promotion_blockers(version) == [
        "it was compared with another model than the one that serves now"
    ]


def test_a_version_that_was_never_put_to_the_test_does_not_serve(
    project: Project, tmp_path: Path
) -> None:
    version = candidate(project, tmp_path, 0.9, 0.9, 0.9)
    assert version.snapshot is not None
    measure(version, version.snapshot, 0.9, 0.9, 0.9)  # figures alone

    assert model_versions.promotion_blockers(version) == [
        "it was not put to the test beside the serving model"
    ]


def test_rolling_back_needs_no_figures(project: Project, tmp_path: Path) -> None:
    version = candidate(project, tmp_path, 0.9, 0.9, 0.9)
    before = serving_version(project, family=SAM)
    assert before is not None
    model_versions.promote(version, actor=None)

    model_versions.promote(before, actor=project.created_by, reason="annotators complain")

    version.refresh_from_db()
    assert (before.status, version.status) == ("serving", "retired")


def test_another_encoder_queues_every_embedding_anew(project: Project, tmp_path: Path) -> None:
    version = candidate(project, tmp_path, 0.9, 0.9, 0.9)
    ModelVersion.objects.filter(pk=version.pk).update(encoder_sha256="f" * 64)
    project.jobs.all().delete()

    model_versions.promote(version, actor=None)

    assert [job.kind for job in project.jobs.all()] == ["embed_project"]


def test_embeddings_of_the_same_encoder_are_kept(project: Project, tmp_path: Path) -> None:
    version = candidate(project, tmp_path, 0.9, 0.9, 0.9)
    for image in project.images.all():
        embeddings.store_embedding(image, encoder_sha256=factories.ENCODER, data=b"features")
    project.jobs.all().delete()

    model_versions.promote(version, actor=None)

    assert project.jobs.count() == 0
    assert Embedding.objects.count() == 2


def test_a_detector_is_promoted_by_its_recall(project: Project) -> None:
    factories.make_version(project)
    factories.label_images(project, num_images=2)
    snapshot = snapshots.freeze_snapshot(project)
    detector = ModelFamily.OBJECT_DETECTOR
    serving = factories.make_version(project, family=detector, has_decoder=False)
    better = factories.make_version(
        project, family=detector, status=ModelVersionStatus.EVALUATED, has_decoder=False
    )
    for version, recall in ((serving, 0.4), (better, 0.5)):
        model_versions.record_evaluation(
            version, snapshot=snapshot, metrics={"recall_50_at_100": recall}
        )

    model_versions.promote(better, actor=None)

    assert serving_version(project, family=detector) == better


def test_a_serving_detector_of_another_encoder_is_no_rival(project: Project) -> None:
    factories.make_version(project)
    factories.label_images(project, num_images=2)
    snapshot = snapshots.freeze_snapshot(project)
    detector = ModelFamily.OBJECT_DETECTOR
    factories.make_version(project, family=detector, encoder_sha256="0" * 64, has_decoder=False)
    new = factories.make_version(
        project, family=detector, status=ModelVersionStatus.EVALUATED, has_decoder=False
    )
    model_versions.record_evaluation(new, snapshot=snapshot, metrics={"recall_50_at_100": 0.1})

    assert model_versions.promotion_blockers(new) == []


def test_an_abandoned_evaluation_does_not_block_the_next_training(
    project: Project, tmp_path: Path
) -> None:
    version = candidate(project, tmp_path, 0.6, 0.7, 0.8)
    ModelVersion.objects.filter(pk=version.pk).update(status="trained")
    project.jobs.all().delete()
    args = {"model_version": version.pk}
    job = jobs.enqueue(JobKind.EVALUATE_SAM, project=project, args=args, idem_key="evaluate")
    claim = jobs.claim(QUEUES, worker="w")
    assert claim is not None

    jobs.fail(claim, error="out of memory", retryable=False)

    version.refresh_from_db()
    assert (version.status, version.error) == ("failed", "out of memory")
    jobs.retry(job, actor=project.created_by)
    version.refresh_from_db()
    assert (version.status, version.error) == ("trained", "")
