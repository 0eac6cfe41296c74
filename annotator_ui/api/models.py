"""Model versions: the decoder for the browser, training and promotion."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from ninja import Router, Status

from annotator_ui.api import present, schemas
from annotator_ui.api.files import stored_file
from annotator_ui.lookups import project_by_slug, version_by_id
from annotator_ui.permissions import lead, user_of
from engine.domain.errors import NotFound
from engine.services import model_versions

router = Router()


@router.get("/model-versions/{uuid:version_id}/decoder")
def decoder(request: HttpRequest, version_id: UUID) -> HttpResponseBase:
    version = version_by_id(version_id)
    if not version.decoder_key:
        raise NotFound("this model version has no decoder")
    return stored_file(request, version.decoder_key)


@router.post("/projects/{slug}/retrain", auth=lead, response={202: schemas.RetrainOut})
def retrain(request: HttpRequest, slug: str, body: schemas.RetrainIn) -> Status[schemas.RetrainOut]:
    project = project_by_slug(slug)
    version, job = model_versions.request_retrain(
        project, family=body.family, actor=user_of(request)
    )
    answer = schemas.RetrainOut(
        model_version=present.version_out(version), job=present.job_out(job)
    )
    return Status(202, answer)


@router.post("/projects/{slug}/promote", auth=lead, response=schemas.VersionOut)
def promote(request: HttpRequest, slug: str, body: schemas.PromoteIn) -> schemas.VersionOut:
    """Let the version serve; a retired one is a roll back."""
    version = version_by_id(body.model_version_id)
    if version.project_id != project_by_slug(slug).pk:
        raise NotFound("there is no such model version in this project")
    model_versions.promote(version, actor=user_of(request), reason=body.reason)
    return present.version_out(version_by_id(version.pk))
