"""Register the shipped starter models as the first serving versions of a project."""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings
from django.db import transaction

from engine import storage
from engine.domain.errors import InvalidInput
from engine.domain.jobs import JobKind
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import ModelVersion, Project
from engine.selectors.models import serving_version
from engine.services import embeddings, jobs, proposals
from engine.services.safetensors_header import read_model_header

logger = logging.getLogger(__name__)

FILES = {
    ModelFamily.SAM: "starter.safetensors",
    ModelFamily.OBJECT_DETECTOR: "detector.safetensors",
}
DECODER_FILE = "decoder.onnx"


@transaction.atomic
def register_starters(project: Project) -> list[ModelVersion]:
    """Let the starter models serve where nothing serves yet; what is missing is skipped.

    Without a shipped decoder.onnx its export is queued. Safe to repeat.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    registered = []
    for family, name in FILES.items():
        path = Path(settings.STARTER_DIR) / name
        has_versions = project.model_versions.filter(family=family.value).exists()
        if has_versions or not _is_usable(project, family=family, path=path):
            continue
        registered.append(_register(project, family=family, path=path))
    if registered:
        embeddings.request_all(project)
        proposals.request_for_project(project)
    return registered


def _is_usable(project: Project, *, family: ModelFamily, path: Path) -> bool:
    """Tell whether the file is there, readable, and (detector) made for the serving encoder."""
    if not path.is_file():
        logger.warning("the starter model %s is missing", path)
        return False
    try:
        header = read_model_header(path)
    except InvalidInput as error:
        logger.warning("the starter model cannot be used: %s", error.message)
        return False
    sam = serving_version(project, family=ModelFamily.SAM)
    if family == ModelFamily.OBJECT_DETECTOR and (
        sam is None or sam.encoder_sha256 != header.encoder_sha256
    ):
        logger.warning("the starter detector %s was made for another encoder", path.name)
        return False
    return True


def _register(project: Project, *, family: ModelFamily, path: Path) -> ModelVersion:
    header = read_model_header(path)
    key = storage.put_file("checkpoints", path, ".safetensors")
    decoder = _decoder_columns(path.parent) if family == ModelFamily.SAM else {}
    version = ModelVersion.objects.create(
        project=project,
        family=family.value,
        number=1,
        arch=header.arch,
        status=ModelVersionStatus.SERVING.value,
        checkpoint_key=key,
        checkpoint_sha256=storage.sha256_of(key),
        encoder_sha256=header.encoder_sha256,
        config=header.config,
        **decoder,
    )
    if family == ModelFamily.SAM and not decoder:
        jobs.enqueue(
            JobKind.EXPORT_DECODER,
            project=project,
            args={"model_version": version.pk},
            idem_key=f"export_decoder:{version.pk}",
        )
    return version


def _decoder_columns(folder: Path) -> dict[str, str]:
    decoder = folder / DECODER_FILE
    if not decoder.is_file():
        return {}
    key = storage.put_file("decoders", decoder, ".onnx")
    return {"decoder_key": key, "decoder_sha256": storage.sha256_of(key)}
