"""What the database itself refuses, whatever the code above it does; each rule by its name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from engine.domain.ids import uuid7
from engine.domain.jobs import QUEUES, JobKind
from engine.models import (
    ApiToken,
    Assignment,
    AutomaticMask,
    AutomaticRun,
    DatasetImport,
    Embedding,
    EngineStage,
    Export,
    Image,
    Invitation,
    Job,
    JobAttempt,
    Mask,
    MaskRevision,
    Membership,
    ModelVersion,
    Project,
    SignInFailure,
)
from engine.services.jobs import jobs
from engine.services.people import api_tokens, invitations
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def project() -> Project:
    project = factories.make_project()
    factories.make_version(project)
    factories.label_images(project, num_images=1)
    image = Image.objects.get()
    Embedding.objects.create(
        image=image, encoder_sha256="e" * 64, storage_key="k", sha256="s", size_bytes=1
    )
    export = Export.objects.create(project=project, format="coco")
    for _ in range(2):
        jobs.enqueue(
            JobKind.EXPORT, project=project, args={"export": export.pk}, idem_key=str(uuid7())
        )
    assert jobs.claim(QUEUES, worker="w") is not None
    lead = project.created_by
    invitations.invite(project, role="annotator", actor=lead)
    api_tokens.create_token(lead, name="script", scope="read")
    SignInFailure.objects.create(throttled="account", key_sha256="a" * 64)
    DatasetImport.objects.create(project=project, requested_by=lead, name="a", folder="/a")
    AutomaticRun.objects.create(
        image=image,
        stage=project.stages.get(),
        model_version=project.model_versions.get(),
        idem_key="run",
        num_masks=1,
    )
    return project


UPDATES: dict[str, tuple[type[models.Model], dict[str, Any], dict[str, Any]]] = {
    "job_status_known": (Job, {"status": "queued"}, {"status": "asleep", "finished_at": NOW}),
    "job_queue_known": (Job, {}, {"queue": "tpu"}),
    "job_has_idem_key": (Job, {"status": "queued"}, {"idem_key": ""}),
    "job_lease_iff_running": (Job, {"status": "queued"}, {"lease_until": NOW}),
    "job_finished_at_iff_over": (Job, {"status": "queued"}, {"finished_at": NOW}),
    "job_attempts_within_limit": (Job, {"status": "queued"}, {"attempts": 4}),
    "job_running_has_an_attempt": (Job, {"status": "running"}, {"lease_owner": ""}),
    "job_progress_is_a_percentage": (Job, {}, {"progress_pct": 101}),
    "attempt_outcome_iff_ended": (JobAttempt, {}, {"ended_at": NOW, "outcome": "vanished"}),
    "image_status_known": (Image, {}, {"status": "lost"}),
    "image_split_known": (Image, {}, {"split": "both"}),
    "image_has_pixels": (Image, {}, {"width_px": 0}),
    "image_has_sha256": (Image, {}, {"sha256": ""}),
    "embedding_has_encoder": (Embedding, {}, {"encoder_sha256": ""}),
    "embedding_has_its_file": (Embedding, {}, {"size_bytes": 0}),
    "assignment_status_known": (Assignment, {}, {"status": "dreaming"}),
    "assignment_finished_at_iff_over": (Assignment, {}, {"finished_at": None}),
    "mask_source_known": (Mask, {}, {"source": "rumour"}),
    "mask_status_known": (Mask, {}, {"status": "perhaps"}),
    "stage_kind_known": (EngineStage, {}, {"kind": "encore"}),
    "stage_status_known": (EngineStage, {}, {"status": "ajar"}),
    "stage_closed_at_iff_closed": (EngineStage, {}, {"closed_at": NOW}),
    "stage_draining_knows_the_next": (EngineStage, {}, {"status": "draining"}),
    "stage_next_kind_known": (EngineStage, {}, {"next_kind": "encore"}),
    "stage_ordinal_from_one": (EngineStage, {}, {"ordinal": 0}),
    "model_family_known": (ModelVersion, {}, {"family": "cat"}),
    "model_status_known": (ModelVersion, {}, {"status": "famous"}),
    "model_trained_has_checkpoint": (ModelVersion, {}, {"checkpoint_key": ""}),
    "model_decoder_has_its_sha256": (ModelVersion, {}, {"decoder_sha256": ""}),
    "model_decoder_halves_of_a_decoder": (ModelVersion, {}, {"decoder_image_key": "k"}),
    "model_trainable_known": (ModelVersion, {}, {"trainable": "nothing"}),
    "model_number_from_one": (ModelVersion, {}, {"number": 0}),
    "model_not_its_own_parent": (ModelVersion, {}, {"parent": models.F("id")}),
    "export_status_known": (Export, {}, {"status": "mailed"}),
    "export_file_iff_ready": (Export, {}, {"status": "ready"}),
    "membership_role_known": (Membership, {}, {"role": "guest"}),
    "invitation_role_known": (Invitation, {}, {"role": "guest"}),
    "invitation_used_by_somebody": (Invitation, {}, {"used_at": NOW}),
    "invitation_used_or_revoked": (
        Invitation,
        {},
        {"used_at": NOW, "used_by": models.F("created_by"), "revoked_at": NOW},
    ),
    "invitation_lives": (Invitation, {}, {"expires_at": models.F("created_at")}),
    "api_token_scope_known": (ApiToken, {}, {"scope": "all"}),
    "api_token_has_name": (ApiToken, {}, {"name": ""}),
    "api_token_lives": (ApiToken, {}, {"expires_at": models.F("created_at")}),
    "sign_in_failure_throttle_known": (SignInFailure, {}, {"throttled": "planet"}),
    "automatic_run_status_known": (AutomaticRun, {}, {"status": "lost"}),
    "import_status_known": (DatasetImport, {}, {"status": "lost"}),
    "import_has_one_place": (DatasetImport, {}, {"archive_key": "k"}),
    "import_report_iff_done": (DatasetImport, {}, {"status": "done"}),
}


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_that_breaks_a_rule_is_refused(project: Project, name: str) -> None:
    model, where, change = UPDATES[name]
    rows = model._default_manager.filter(**where)
    pk = rows.values_list("pk", flat=True).first()
    assert pk is not None

    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        model._default_manager.filter(pk=pk).update(**change)


REVISIONS: dict[str, dict[str, Any]] = {
    "revision_kind_known": {"kind": "sketch"},
    "revision_not_empty": {"area_px": 0},
    "revision_box_not_empty": {"bbox_w_px": 0, "area_px": 1},
    "revision_area_fits_its_box": {"area_px": 145},
    "revision_author_iff_human": {"author": None},
    "revision_import_names_its_origin": {"kind": "import", "author": None},
    "revision_proposal_names_its_model": {"kind": "proposal", "author": None},
}


@pytest.mark.parametrize("name", REVISIONS)
def test_a_revision_that_breaks_a_rule_is_refused(project: Project, name: str) -> None:
    revision = MaskRevision.objects.get()
    revision.pk, revision.kind = uuid7(), "edit"
    for column, value in REVISIONS[name].items():
        setattr(revision, column, value)

    # An empty box breaks two rules; which of them the database names is its own business.
    refused = pytest.raises(IntegrityError, match=f"{name}|revision_area_fits_its_box")
    with refused, transaction.atomic():
        revision.save(force_insert=True)


def test_a_packed_mask_has_a_shape(project: Project) -> None:
    run = AutomaticRun.objects.get()
    refused = pytest.raises(IntegrityError, match="automatic_mask_has_a_shape")
    with refused, transaction.atomic():
        AutomaticMask.objects.create(
            id=uuid7(), run=run, place=0, rle_counts="", predicted_iou=1, x_px=0, y_px=0
        )


def test_the_first_revision_has_no_parent(project: Project) -> None:
    revision = MaskRevision.objects.get()
    parent_id, revision.pk = revision.pk, uuid7()
    revision.parent_id = parent_id

    with pytest.raises(IntegrityError, match="revision_first_has_no_parent"), transaction.atomic():
        revision.save(force_insert=True)


def another_job(project: Project) -> None:
    first = Job.objects.filter(status="queued").get()
    first.pk = uuid7()
    first.save(force_insert=True)


def another_lease(project: Project) -> None:
    image = factories.make_image(project)
    for _ in range(2):
        Assignment.objects.create(
            image=image,
            stage=project.stages.get(),
            annotator=factories.make_user(),
            leased_at=NOW,
            lease_expires_at=NOW + timedelta(minutes=1),
        )


def another_open_attempt(project: Project) -> None:
    attempt = JobAttempt.objects.get()
    attempt.pk, attempt.fence = uuid7(), 99
    attempt.save(force_insert=True)


def another_serving_model(project: Project) -> None:
    factories.make_version(project)


def another_embedding(project: Project) -> None:
    embedding = Embedding.objects.get()
    embedding.pk = uuid7()
    embedding.save(force_insert=True)


def another_embedding_of_a_crop(project: Project) -> None:
    embedding = Embedding.objects.get()
    for _ in range(2):
        embedding.pk, embedding.crop = uuid7(), "1-0-0"
        embedding.save(force_insert=True)


def another_active_stage(project: Project) -> None:
    stage = project.stages.get()
    stage.pk, stage.ordinal = uuid7(), 2
    stage.save(force_insert=True)


def another_mask_of_the_head(project: Project) -> None:
    mask = Mask.objects.get()
    mask.pk = uuid7()
    mask.save(force_insert=True)


def the_same_photo(project: Project) -> None:
    image = Image.objects.get()
    image.pk = uuid7()
    image.save(force_insert=True)


@pytest.mark.parametrize(
    "add",
    [
        another_job,
        another_lease,
        another_open_attempt,
        another_serving_model,
        another_embedding,
        another_embedding_of_a_crop,
        another_active_stage,
        another_mask_of_the_head,
        the_same_photo,
    ],
    ids=lambda add: add.__name__,
)
def test_what_may_be_there_once_is_not_stored_twice(
    project: Project, add: Callable[[Project], None]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        add(project)


@pytest.mark.parametrize(
    "change", [{"outcome": "lost"}, {"worker": "x"}, {"ended_at": None, "outcome": ""}]
)
def test_an_attempt_is_closed_once(project: Project, change: dict[str, Any]) -> None:
    JobAttempt.objects.update(ended_at=NOW, outcome="succeeded")

    with pytest.raises(IntegrityError, match="closed once"), transaction.atomic():
        JobAttempt.objects.update(**change)


def test_every_check_of_the_models_has_a_test_here_and_stands_in_the_database() -> None:
    """Constraints that a migration forgot, or that nobody tries to break, fail this."""
    tested = {*UPDATES, *REVISIONS, "revision_first_has_no_parent", "automatic_mask_has_a_shape"}
    elsewhere = {"snapshot_not_empty"}
    for model in apps.get_app_config("engine").get_models():
        with connection.cursor() as cursor:
            standing = connection.introspection.get_constraints(cursor, model._meta.db_table)
        for constraint in model._meta.constraints:
            assert constraint.name in standing, f"{constraint.name} is not in the database"
            if isinstance(constraint, models.CheckConstraint) and model.__name__ != "User":
                assert constraint.name in tested | elsewhere, f"{constraint.name} has no test"
