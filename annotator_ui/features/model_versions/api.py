"""Model versions: the decoder for the browser, training and promotion."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from ninja import Router, Status

from annotator_ui import present, schemas
from annotator_ui.http.answers import answers, files
from annotator_ui.http.files import stored_file
from annotator_ui.http.lookups import project_by_slug, version_by_id
from annotator_ui.http.permissions import actor_of
from engine.domain.errors import NotFound
from engine.domain.roles import Permission
from engine.services.models import decoder_files, model_versions, starters

router = Router(tags=["models"])


@router.get(
    "/model-versions/{uuid:version_id}/decoder", **files(("application/octet-stream",), 404)
)
def decoder(request: HttpRequest, version_id: UUID) -> HttpResponseBase:
    """The decoder.onnx of a version, in one piece."""
    version = version_by_id(actor_of(request), version_id, to=Permission.VIEW)
    if not version.decoder_key:
        raise NotFound("this model version has no decoder")
    return stored_file(request, version.decoder_key)


@router.get(
    "/model-versions/{uuid:version_id}/decoder-image", **files(("application/octet-stream",), 404)
)
def decoder_image(request: HttpRequest, version_id: UUID) -> HttpResponseBase:
    """The half of the decoder that runs once an image; 404 where the decoder is not cut in two."""
    version = version_by_id(actor_of(request), version_id, to=Permission.VIEW)
    halves = decoder_files.halves_of(version)
    if not halves.image:
        raise NotFound("the decoder of this model version is one piece")
    return stored_file(request, halves.image)


@router.get(
    "/model-versions/{uuid:version_id}/decoder-prompt", **files(("application/octet-stream",), 404)
)
def decoder_prompt(request: HttpRequest, version_id: UUID) -> HttpResponseBase:
    """The half of the decoder that runs for each prompt; the whole one where it is not cut."""
    version = version_by_id(actor_of(request), version_id, to=Permission.VIEW)
    return stored_file(request, decoder_files.halves_of(version).prompt)


@router.post(
    "/projects/{slug:slug}/retrain",
    response=answers({202: schemas.RetrainOut}, 404, 409, 413, 422),
)
def retrain(request: HttpRequest, slug: str, body: schemas.RetrainIn) -> Status[schemas.RetrainOut]:
    """Freeze what is labelled and queue a training on it."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.TRAIN)
    version, job = model_versions.request_retrain(
        project, family=body.family, actor=actor.user, trainable=body.trainable
    )
    answer = schemas.RetrainOut(
        model_version=present.version_out(version), job=present.job_out(job)
    )
    return Status(202, answer)


@router.post(
    "/projects/{slug:slug}/starter-upgrade",
    response=answers(schemas.UpgradeOut, 404, 409),
)
def starter_upgrade(request: HttpRequest, slug: str) -> schemas.UpgradeOut:
    """Take the starter that ships with this installation; asked again, tell how it stands."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.PROMOTE)
    taken = starters.upgrade(project, actor=actor.user)
    return schemas.UpgradeOut(
        model_version=present.version_out(taken.version),
        job=present.job_out(taken.job) if taken.job else None,
    )


@router.post(
    "/projects/{slug:slug}/promote", response=answers(schemas.VersionOut, 404, 409, 413, 422)
)
def promote(request: HttpRequest, slug: str, body: schemas.PromoteIn) -> schemas.VersionOut:
    """Let the version serve; a retired one is a roll back."""
    actor = actor_of(request)
    project = project_by_slug(actor, slug, to=Permission.PROMOTE)
    version = version_by_id(actor, body.model_version_id, to=Permission.PROMOTE)
    if version.project_id != project.pk:
        raise NotFound("there is no such model version in this project")
    model_versions.promote(version, actor=actor.user, reason=body.reason)
    return present.version_out(version_by_id(actor, version.pk, to=Permission.PROMOTE))
