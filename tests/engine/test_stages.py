"""The way through the stages: criteria, draining, what entering one starts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from engine.domain.errors import Conflict, InvalidInput, NotAllowed, NotReady
from engine.domain.states import ModelFamily
from engine.models import Assignment, EngineStage, Project
from engine.selectors.stages import active_stage
from engine.services.masks import assignments
from engine.services.models import model_versions
from engine.services.projects import stages
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return factories.make_project()


def advance(project: Project, reason: str = "a test") -> EngineStage:
    return stages.advance_stage(project, actor=project.created_by, reason=reason)


def job_kinds(project: Project) -> list[str]:
    return sorted(project.jobs.values_list("kind", flat=True))


def test_a_project_begins_assisted_manual(project: Project) -> None:
    stage = active_stage(project)

    assert stage is not None
    assert (stage.kind, stage.status, stage.ordinal) == ("assisted_manual", "open", 1)
    assert stage.policy["min_predicted_iou"] == 0.88


def test_leaving_early_needs_a_reason_and_the_refusal_says_what_is_missing(
    project: Project,
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        advance(project, reason="  ")

    assert "0 of 8 confirmed masks are there" in refusal.value.message
    assert "0 of 2 images have a confirmed mask" in refusal.value.message
    assert "no retrained model has been promoted yet" in refusal.value.message
    assert advance(project, reason="a demonstration").kind == "semi_automatic"


def test_annotators_do_not_advance(project: Project) -> None:
    with pytest.raises(NotAllowed):
        stages.advance_stage(project, actor=factories.make_user(), reason="please")


def test_a_stage_drains_until_the_last_image_is_submitted(project: Project) -> None:
    ann, bob = factories.make_user(), factories.make_user()
    factories.make_image(project)
    factories.make_image(project)
    held = assignments.lease_next(project, annotator=ann)
    assert held is not None

    draining = advance(project)

    assert (draining.kind, draining.status) == ("assisted_manual", "draining")
    with pytest.raises(NotReady, match="stage is ending"):
        assignments.lease_next(project, annotator=bob)
    assert assignments.lease_next(project, annotator=ann) == held
    with pytest.raises(Conflict, match="1 images are still being labelled"):
        advance(project)
    factories.save(held)
    assignments.submit(held, actor=ann)
    stage = active_stage(project)
    assert stage is not None
    assert (stage.kind, stage.status, stage.ordinal) == ("semi_automatic", "open", 2)
    assert stage.opened_by == project.created_by
    draining.refresh_from_db()
    assert draining.status == "closed"
    assert draining.closed_at is not None


def test_a_lead_does_not_wait_for_the_image_they_have_open_themselves(project: Project) -> None:
    factories.make_image(project)
    held = assignments.lease_next(project, annotator=project.created_by)
    assert held is not None

    stage = advance(project)

    assert (stage.kind, stage.status) == ("semi_automatic", "open")
    held.refresh_from_db()
    assert held.status == "released"
    assert factories.save(held).mask.status == "accepted", "what they still send is kept"


def test_an_expired_lease_does_not_hold_a_stage_open(project: Project) -> None:
    held = assignments.lease_image(factories.make_image(project), annotator=factories.make_user())
    advance(project)
    Assignment.objects.filter(pk=held.pk).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )

    assert assignments.expire_leases() == 1

    stage = active_stage(project)
    assert stage is not None
    assert stage.kind == "semi_automatic"


def test_a_lead_may_change_their_mind_while_it_drains(project: Project) -> None:
    assignments.lease_image(factories.make_image(project), annotator=factories.make_user())
    advance(project)

    stage = stages.go_back(project, actor=project.created_by, reason="too early")

    assert (stage.kind, stage.status, stage.next_kind) == ("assisted_manual", "open", "")


def test_going_back_opens_the_stage_before_once_more(project: Project) -> None:
    advance(project)

    stage = stages.go_back(project, actor=project.created_by, reason="prefill is poor")

    assert (stage.kind, stage.ordinal) == ("assisted_manual", 3)
    with pytest.raises(Conflict, match="first one"):
        stages.go_back(project, actor=project.created_by, reason="further")


def test_the_last_stage_is_the_last(project: Project) -> None:
    assert [advance(project).kind for _ in range(2)] == ["semi_automatic", "fully_automatic"]
    with pytest.raises(Conflict, match="last one"):
        advance(project)


def test_entering_the_second_stage_prefills_the_images_still_to_label(project: Project) -> None:
    factories.label_images(project, num_images=1)
    waiting = factories.make_image(project)
    factories.make_version(project)
    factories.make_version(project, family=ModelFamily.OBJECT_DETECTOR, has_decoder=False)
    project.jobs.all().delete()

    stage = advance(project)

    job = project.jobs.get()
    assert job.kind == "prelabel_image"
    assert job.args == {"image": str(waiting.pk), "stage": str(stage.pk)}


def test_entering_the_second_stage_trains_a_detector_when_there_is_enough(
    project: Project,
) -> None:
    factories.make_version(project)
    factories.label_images(project, num_images=2, masks_per_image=4)
    project.jobs.all().delete()

    advance(project)

    assert job_kinds(project) == ["train_detector"]


def test_without_a_detector_for_this_encoder_nothing_is_prefilled(project: Project) -> None:
    factories.make_image(project)
    factories.make_version(project, encoder_sha256="a" * 64)
    factories.make_version(
        project, family=ModelFamily.OBJECT_DETECTOR, encoder_sha256="b" * 64, has_decoder=False
    )
    project.jobs.all().delete()

    advance(project)

    assert job_kinds(project) == []


def test_entering_the_third_stage_masks_every_image(project: Project) -> None:
    factories.make_version(project)
    factories.label_images(project, num_images=1)
    factories.make_image(project)
    advance(project)
    project.jobs.all().delete()

    advance(project)

    assert job_kinds(project) == ["automask_image"] * 2
    factories.ingest(project, factories.image_bytes())
    assert job_kinds(project) == ["automask_image"] * 3 + ["embed_image"]


def test_a_new_model_prefills_anew(project: Project) -> None:
    factories.make_image(project)
    old = factories.make_version(project)
    factories.make_version(project, family=ModelFamily.OBJECT_DETECTOR, has_decoder=False)
    advance(project)
    project.jobs.all().delete()
    from engine.domain.states import ModelVersionStatus

    new = factories.make_version(project, status=ModelVersionStatus.RETIRED)

    model_versions.promote(new, actor=project.created_by, reason="better")

    old.refresh_from_db()
    assert old.status == "retired"
    assert "prelabel_image" in job_kinds(project)
