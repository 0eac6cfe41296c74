"""The shipped starter models: serving from a project's birth, or taken later as an upgrade."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from engine.domain.errors import InvalidInput, NotReady
from engine.domain.jobs import JobKind
from engine.domain.roles import Permission
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import Job, ModelVersion, Project, User
from engine.models.job import LIVE
from engine.safetensors_header import read_model_header
from engine.selectors.models import serving_version
from engine.selectors.starter import version_of
from engine.services.images import embeddings
from engine.services.jobs import jobs, proposals
from engine.services.models.candidate_files import evaluation_key, put_forward, register_files
from engine.services.models.model_versions import require_none_in_work
from engine.services.people.roles import require
from engine.services.transitions import move
from engine.shipped import DECODER_FILE, DETECTOR_FILE, SAM_FILE, Starter, shipped_starter

logger = logging.getLogger(__name__)

FILES = {ModelFamily.SAM: SAM_FILE, ModelFamily.OBJECT_DETECTOR: DETECTOR_FILE}
UPGRADE = "upgrade to the shipped starter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """The shipped SAM as a version of the project; `job` measures it and lets it serve or not."""

    version: ModelVersion
    job: Job | None


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


@transaction.atomic
def upgrade(project: Project, *, actor: User) -> Upgrade:
    """Take the shipped starter as a candidate of the project, with the detector of its encoder.

    It is measured and serves if the gate finds it sound, or at once where nothing can be measured
    (candidates.put_forward). A starter that the project has already is returned as it stands, so
    that asking twice makes one version; one whose measuring failed is measured again.
    NotReady without a whole starter; Conflict while another version is in work.
    """
    require(actor, Permission.PROMOTE, project)
    starter = shipped_starter()
    if starter is None:
        raise NotReady("no complete starter model ships with this installation", code="no_starter")
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    version = version_of(project, starter)
    if version is not None and version.status != ModelVersionStatus.FAILED:
        measuring = project.jobs.filter(idem_key=evaluation_key(version), status__in=LIVE)
        return Upgrade(version=version, job=measuring.first())
    require_none_in_work(project, family=ModelFamily.SAM)
    if version is None:
        version = _register_candidates(project, starter, actor=actor)
    else:
        again = "asked for again"
        move(version, ModelVersionStatus.TRAINED, actor=actor, reason=again, changes={"error": ""})
    return Upgrade(version=version, job=put_forward(version, actor=actor, reason=UPGRADE))


def _register_candidates(project: Project, starter: Starter, *, actor: User) -> ModelVersion:
    """Keep the SAM, still to be measured, and its detector, which serves once the SAM does."""
    sam = register_files(
        project,
        family=ModelFamily.SAM,
        checkpoint=starter.sam.path,
        decoder=starter.decoder,
        status=ModelVersionStatus.TRAINED,
        actor=actor,
        trigger=UPGRADE,
    )
    detector = starter.detector
    known = project.model_versions.filter(family=ModelFamily.OBJECT_DETECTOR.value)
    if detector and not known.filter(checkpoint_sha256=detector.sha256).exists():
        register_files(
            project,
            family=ModelFamily.OBJECT_DETECTOR,
            checkpoint=detector.path,
            status=ModelVersionStatus.EVALUATED,
            actor=actor,
            trigger=f"{UPGRADE}: reads the encoder of SAM v{sam.number}",
        )
    return sam


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
    decoder = path.parent / DECODER_FILE
    has_decoder = family == ModelFamily.SAM and decoder.is_file()
    version = register_files(
        project,
        family=family,
        checkpoint=path,
        decoder=decoder if has_decoder else None,
        status=ModelVersionStatus.SERVING,
    )
    if family == ModelFamily.SAM and not has_decoder:
        jobs.enqueue(
            JobKind.EXPORT_DECODER,
            project=project,
            args={"model_version": version.pk},
            idem_key=f"export_decoder:{version.pk}",
        )
    return version
