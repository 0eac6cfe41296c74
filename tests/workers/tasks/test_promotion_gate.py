"""Planted bad candidates: each is evaluated by the real task, none may ever serve."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engine import storage
from engine.domain.jobs import JobKind
from engine.domain.states import ModelFamily, ModelVersionStatus
from engine.models import ModelVersion, Project, User
from engine.selectors.models import serving_version
from engine.services.jobs import jobs
from engine.services.models import model_versions
from engine.services.people import users
from engine.services.projects import projects
from engine.stop_flag import StopFlag
from sam.checkpoints import checkpoint_files
from sam.export.onnx_decoder import export_decoder
from sam.modeling.model import Sam
from tests.workers.tasks.test_job_kinds import label, run_all
from workers.execution.run_job import Run, run_next

pytestmark = pytest.mark.django_db(transaction=True)
SAM = ModelFamily.SAM
Plant = Callable[[Sam], Sam]


@pytest.fixture
def lead() -> User:
    return users.create_user("lead", role="lead")


@pytest.fixture
def project(settings: Any, tiny_starter_dir: Path, lead: User) -> Project:
    settings.STARTER_DIR = tiny_starter_dir
    project = projects.create_project("Discs", actor=lead)
    label(project, lead, num_images=3)
    run_all()
    return project


def candidate(
    project: Project, lead: User, checkpoint: Path, decoder: Path, *, encoder_sha256: str = ""
) -> ModelVersion:
    """A version that came out of training with these files, ready to be evaluated.

    encoder_sha256: what it is registered with; the serving model's when not given.
    """
    version, _ = model_versions.request_retrain(project, family=SAM, actor=lead)
    project.jobs.filter(kind=JobKind.TRAIN_SAM.value).delete()
    model_versions.register_checkpoint(
        version,
        checkpoint=checkpoint,
        decoder=decoder,
        encoder_sha256=encoder_sha256 or serving_version(project, family=SAM).encoder_sha256,
        config={"arch": "tiny"},
    )
    jobs.enqueue(
        JobKind.EVALUATE_SAM,
        project=project,
        args={"model_version": version.pk},
        idem_key=f"evaluate:{version.pk}",
    )
    return version


def evaluated(version: ModelVersion) -> Run:
    run = run_next(("gpu",), worker="test", lease_s=None, stopping=StopFlag())
    assert run is not None
    assert run.claim.kind == JobKind.EVALUATE_SAM
    version.refresh_from_db()
    return run


def starter_of(project: Project) -> Sam:
    key = serving_version(project, family=SAM).checkpoint_key
    return checkpoint_files.load(storage.local_copy(key))


def write(model: Sam, folder: Path) -> tuple[Path, Path]:
    checkpoint_files.save(model, folder / "planted.safetensors", {})
    export_decoder(model, folder / "planted.onnx")
    return folder / "planted.safetensors", folder / "planted.onnx"


@torch.no_grad()
def empty_masks(model: Sam) -> Sam:
    for mlp in model.mask_decoder.output_hypernetworks_mlps:
        mlp.layers[-1].weight.zero_()
        mlp.layers[-1].bias.zero_()
    return model


@torch.no_grad()
def inside_out(model: Sam) -> Sam:
    for mlp in model.mask_decoder.output_hypernetworks_mlps:
        mlp.layers[-1].weight.neg_()
        mlp.layers[-1].bias.neg_()
    return model


@torch.no_grad()
def shuffled_places(model: Sam) -> Sam:
    """Clicks are understood elsewhere: what a training with shifted masks would teach."""
    matrix = model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    matrix.copy_(matrix.flip(0))  # x is read as y
    return noise(model, scale=0.1)


@torch.no_grad()
def noise(model: Sam, *, scale: float = 0.3) -> Sam:
    random = torch.Generator().manual_seed(1)
    for parameter in model.mask_decoder.parameters():
        parameter.add_(scale * torch.randn(parameter.shape, generator=random))
    return model


def slow(model: Sam) -> Sam:
    """The same weights at four times the image size: right, and far too late."""
    larger = Sam(replace(model.config, image_size_px=4 * model.config.image_size_px))
    larger.load_state_dict(model.state_dict())
    return larger


@pytest.mark.parametrize(
    ("plant", "sentences"),
    [
        (empty_masks, ("an empty mask",)),
        (inside_out, ("contain the click", "worse")),
        (shuffled_places, ("worse",)),
        (noise, ("worse",)),
        (slow, ("ms, the serving model",)),
    ],
)
def test_a_bad_model_is_rejected_and_the_reason_said(
    project: Project, lead: User, tmp_path: Path, plant: Plant, sentences: tuple[str, ...]
) -> None:
    before = serving_version(project, family=SAM)
    model = plant(starter_of(project))
    encoder = checkpoint_files.encoder_sha256(model)
    version = candidate(project, lead, *write(model, tmp_path), encoder_sha256=encoder)

    run = evaluated(version)

    assert run.outcome == "succeeded", run.message
    assert version.status == ModelVersionStatus.REJECTED
    reasons = "; ".join(model_versions.promotion_blockers(version))
    assert all(sentence in reasons for sentence in sentences), reasons
    assert serving_version(project, family=SAM) == before


def test_numbers_that_are_none_never_serve(project: Project, lead: User, tmp_path: Path) -> None:
    checkpoint, decoder = write(starter_of(project), tmp_path)  # its decoder is sound
    model = starter_of(project)
    with torch.no_grad():
        model.mask_decoder.iou_prediction_head.layers[-1].weight.fill_(3e38)  # overflows
    checkpoint_files.save(model, checkpoint, {})

    version = candidate(project, lead, checkpoint, decoder)
    run = evaluated(version)

    assert version.status == ModelVersionStatus.REJECTED, run.message
    assert "NaN" in "; ".join(model_versions.promotion_blockers(version))


def test_a_decoder_of_another_model_never_serves(
    project: Project, lead: User, tmp_path: Path
) -> None:
    _, decoder = write(inside_out(starter_of(project)), tmp_path)
    checkpoint = tmp_path / "sound.safetensors"
    checkpoint_files.save(starter_of(project), checkpoint, {})

    version = candidate(project, lead, checkpoint, decoder)
    evaluated(version)

    assert version.status == ModelVersionStatus.REJECTED
    (reason,) = model_versions.promotion_blockers(version)
    assert "its decoder for browsers does not answer as it does" in reason


def as_pickle(path: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def with_nan(path: Path) -> None:
    model = checkpoint_files.load(path)
    with torch.no_grad():
        model.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(float("nan"))
    checkpoint_files.save(model, path, {})


def of_other_shapes(path: Path) -> None:
    """The header says `tiny`, the weights are another model's."""
    weights, metadata = load_file(path), checkpoint_files.read_header(path)
    name = next(name for name in weights if name.endswith("mask_tokens.weight"))
    weights[name] = weights[name][:, ::2].contiguous()
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert metadata.config.arch == "tiny"
    save_file(weights, path, header)


@pytest.mark.parametrize("spoil", [as_pickle, cut_short, with_nan, of_other_shapes])
def test_a_file_that_is_no_such_model_fails_and_nothing_serves_but_the_old_one(
    project: Project, lead: User, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    before = serving_version(project, family=SAM)
    checkpoint, decoder = write(starter_of(project), tmp_path)
    spoil(checkpoint)
    version = candidate(project, lead, checkpoint, decoder)

    run = evaluated(version)

    assert run.outcome == "failed"
    assert f"version {version.number} cannot be loaded" in run.message
    assert (version.status, version.error) == ("failed", run.message)
    assert serving_version(project, family=SAM) == before


def test_a_stored_file_that_was_changed_is_not_loaded(
    project: Project, lead: User, tmp_path: Path
) -> None:
    checkpoint, decoder = write(starter_of(project), tmp_path)
    version = candidate(project, lead, checkpoint, decoder)
    stored = storage.local_copy(version.checkpoint_key)
    other = tmp_path / "other"
    shutil.copy(stored, other)
    data = bytearray(other.read_bytes())
    data[-1] ^= 1
    other.write_bytes(data)
    other.replace(stored)

    run = evaluated(version)

    assert "was changed" in run.message
    assert version.status == ModelVersionStatus.FAILED


def test_a_version_that_names_another_encoder_is_not_measured(
    project: Project, lead: User, tmp_path: Path
) -> None:
    """Else browsers would pair its decoder with embeddings it cannot read."""
    model = starter_of(project)
    with torch.no_grad():
        next(model.image_encoder.parameters()).mul_(1.1)
    version = candidate(project, lead, *write(model, tmp_path))

    run = evaluated(version)

    assert "another encoder" in run.message
    assert version.status == ModelVersionStatus.FAILED


def test_the_same_model_again_passes(project: Project, lead: User, tmp_path: Path) -> None:
    """The gate is no wall: what is not worse serves."""
    version = candidate(project, lead, *write(starter_of(project), tmp_path))

    run = evaluated(version)

    assert run.outcome == "succeeded"
    assert version.status == ModelVersionStatus.SERVING, model_versions.promotion_blockers(version)
