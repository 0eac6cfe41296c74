"""Models in memory: one SAM and one detector a process, by the content of their checkpoint.

Loading takes a second and a worker mostly serves one version, so the last one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from engine import storage
from engine.domain.errors import NotReady
from engine.domain.states import ModelFamily
from engine.models import ModelVersion, Project
from engine.selectors.models import serving_version
from sam.checkpoints import checkpoint_files
from sam.detection import object_detector
from sam.detection.object_detector import ObjectDetector
from sam.devices import best_device
from sam.export.onnx_encoder import use_onnxruntime
from sam.modeling.encoders.registry import ENCODERS
from sam.modeling.model import Sam
from workers.work_dir import work_dir

Model = TypeVar("Model")


class _LastOne(Generic[Model]):
    """Keeps the model that was asked for last."""

    def __init__(self, load: Callable[[str], Model]) -> None:
        self._load = load
        self._sha256 = ""
        self._model: Model | None = None

    def of(self, version: ModelVersion) -> Model:
        if not version.checkpoint_key:
            raise NotReady(f"model version {version.number} has no checkpoint yet")
        if self._model is None or version.checkpoint_sha256 != self._sha256:
            self._model = None  # the old one goes first: two may not fit into memory
            self._model = self._load(version.checkpoint_key)
            self._sha256 = version.checkpoint_sha256
        return self._model


def _load_sam(key: str) -> Sam:
    """Load a promptable model; small encoders run in onnxruntime where that is the faster.

    On one core, 512 px: the starter's 0.07 s instead of 0.18 s. ViTs gain little and would need
    their weights twice.
    """
    model = checkpoint_files.load(storage.local_copy(key), device=best_device())
    encoder = ENCODERS.spec_of(model.config.encoder)
    if model.device.type == "cpu" and encoder.prefers_onnxruntime:
        use_onnxruntime(model, work_dir("encoders"))
    return model


_sams = _LastOne[Sam](_load_sam)
_detectors = _LastOne[ObjectDetector](
    lambda key: object_detector.load(storage.local_copy(key), device=best_device())
)


def sam_of(version: ModelVersion) -> Sam:
    """Return the promptable model of a version; NotReady when it has no checkpoint."""
    return _sams.of(version)


def detector_of(version: ModelVersion) -> ObjectDetector:
    """Return the object detector of a version; NotReady when it has no checkpoint."""
    return _detectors.of(version)


def serving(project: Project, *, family: ModelFamily) -> ModelVersion:
    """Return the serving version of a family; NotReady when there is none."""
    version = serving_version(project, family=family)
    if version is None:
        raise NotReady(f"no {family.value} model serves this project")
    return version
