"""Model files: ours (safetensors with the configuration in the header) and the official ones.

Files are written whole or not at all; nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sam.checkpoints.official import OFFICIAL_FILES, cached_path, prefix_of, relative_of
from sam.devices import checked_device
from sam.modeling.config import IMAGENET_MEAN, IMAGENET_STD, ConfigError, SamConfig
from sam.modeling.model import Sam
from sam.modeling.presets import OFFICIAL_ENCODERS, PRESETS
from sam.tensor_files import (
    CheckpointError,
    TensorFile,
    is_safetensors,
    opened,
    reason,
    safetensors_bytes,
)

__all__ = [
    "CheckpointError",
    "Header",
    "checked_device",
    "encoder_sha256",
    "load",
    "read_header",
    "rewrite_metadata",
    "save",
]

_CONFIG_KEY = "segloop_config"
_METADATA_KEY = "segloop_metadata"
ENCODER_KEY = "encoder_sha256"
_MAX_LAYERS, _MAX_SIZE = 256, 1 << 16  # far above every real model; a hostile header ends here
_LAYER_COUNTS = ("depth", "depths", "repeats", "num_layers", "attention_blocks")


@dataclass(frozen=True, slots=True)
class Header:
    """What a checkpoint says about itself, read without its weights."""

    config: SamConfig
    metadata: dict[str, Any]


def save(
    model: Sam,
    path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Write weights, configuration and JSON-ready metadata; dtype float16 halves the file.

    The metadata always names `encoder_sha256`, so that it can be read without torch.
    """
    tensors = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None).contiguous()
        for name, tensor in model.state_dict().items()
    }
    identity = {ENCODER_KEY: _encoder_digest(model.config, tensors)}
    header = {
        _CONFIG_KEY: json.dumps(model.config.to_dict(), sort_keys=True),
        _METADATA_KEY: json.dumps({**(metadata or {}), **identity}, sort_keys=True),
    }
    write_atomically(Path(path), safetensors_bytes(tensors, header))


def rewrite_metadata(path: str | Path, out: Path, changes: Mapping[str, Any]) -> None:
    """Copy one of our files with other metadata; its weights stay as they are, byte for byte.

    Raises CheckpointError.
    """
    path = find(path)
    metadata = {**read_header(path).metadata, **changes}
    values = read_header_values(path, what="checkpoint", config_key=_CONFIG_KEY)
    header = {**values, _METADATA_KEY: json.dumps(metadata, sort_keys=True)}
    with opened(path) as file:
        tensors = {name: file.read(name).clone() for name in file.shapes}
    write_atomically(out, safetensors_bytes(tensors, header))


def load(
    path: str | Path, *, device: torch.device | str = "cpu", image_size_px: int | None = None
) -> Sam:
    """Build the model a file holds, in float32 and evaluation mode.

    path: our safetensors, an official .pth file (told apart by shape), or the name of an official
    model that was fetched (vit_b, vit_l, vit_h); nothing is downloaded here.
    image_size_px: serve at another size, if the encoder can. Names, shapes and types of all tensors
    are checked before one is read. Raises CheckpointError.
    """
    path = find(path)
    with opened_model(path) as file:
        config = _configuration(path, file)
        if image_size_px is not None:
            try:
                config = config.at_image_size(image_size_px)
            except ConfigError as error:
                raise CheckpointError(str(error)) from None
        model = _fitting(config, path, file)
        tensors = file.read_fitting(model.state_dict())
    model.load_state_dict(tensors, assign=True)
    model.restore_buffers()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.to(device).eval()


def configuration(path: str | Path) -> SamConfig:
    """Return the shape of the model a file holds, without reading its weights.

    Raises CheckpointError for what `load` refuses by names, shapes and types.
    """
    path = find(path)
    with opened_model(path) as file:
        config = _configuration(path, file)
        _fitting(config, path, file)
    return config


@contextmanager
def opened_model(path: Path) -> Iterator[TensorFile]:
    """Open a model file; official names are found under what trainers put around them."""
    with opened(path) as file:
        ours = is_safetensors(path)
        yield file if ours else file.without_prefix(prefix_of(file.shapes))


def find(path: str | Path) -> Path:
    """Return the file that a path or the name of an official model means.

    A file of that name in the working folder wins. Raises CheckpointError when a named model was
    not fetched, with the command that fetches it.
    """
    name, path = str(path), Path(path)
    if name not in OFFICIAL_FILES or path.is_file():
        return path
    cached = cached_path(name)
    if not cached.is_file():
        raise CheckpointError(f"{name} is not on this machine yet: run python -m sam fetch {name}")
    return cached


def read_header_values(path: Path, *, what: str, config_key: str) -> dict[str, str]:
    """Read the header of one of our files; `config_key` is in it, the rest may be missing.

    what: the kind of file, for the message of the CheckpointError.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no {what} at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            values: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path.name} is not a readable safetensors file: {reason(error)}"
        ) from None
    if config_key not in values:
        raise CheckpointError(f"{path.name} is no Segloop {what}: no configuration in its header")
    return values


def read_header(path: str | Path) -> Header:
    """Read configuration and metadata of one of our files. Raises CheckpointError."""
    path = find(path)
    values = read_header_values(path, what="checkpoint", config_key=_CONFIG_KEY)
    try:
        config = SamConfig.from_dict(json.loads(values[_CONFIG_KEY]))
        metadata = json.loads(values.get(_METADATA_KEY, "{}"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"the header of {path.name} cannot be read: {reason(error)}"
        ) from None
    if not isinstance(metadata, dict):
        raise CheckpointError(f"the header of {path.name} cannot be read: its metadata is no table")
    return Header(config, metadata)


def encoder_sha256(model: Sam) -> str:
    """Identify what makes embeddings: the encoder's weights, image size and exposure.

    Equal for a model in memory and for the file it was loaded from.
    """
    return _encoder_digest(model.config, model.state_dict())


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole: a crash leaves the old file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _encoder_digest(config: SamConfig, tensors: Mapping[str, Tensor]) -> str:
    # Only what changes the features: a new configuration field must not orphan old embeddings.
    digest = hashlib.sha256(f"{config.image_size_px}".encode())
    if config.max_exposure_gain != 1.0:
        digest.update(f"gain {config.max_exposure_gain}".encode())
    if (config.pixel_mean, config.pixel_std) != (IMAGENET_MEAN, IMAGENET_STD):
        digest.update(f"pixels {config.pixel_mean} {config.pixel_std}".encode())
    for name, tensor in sorted(tensors.items()):
        if name.startswith("image_encoder.") and tensor.is_floating_point():
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            values = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
            digest.update(values.tobytes())
    return digest.hexdigest()


def _configuration(path: Path, file: TensorFile) -> SamConfig:
    return read_header(path).config if is_safetensors(path) else _official_config(file)


def _official_config(file: TensorFile) -> SamConfig:
    shape = file.shapes.get("image_encoder.pos_embed", ())
    for arch, encoder in OFFICIAL_ENCODERS.items():
        config = PRESETS[arch]
        if shape == (1, config.embedding_size, config.embedding_size, encoder.embed_dim):
            return config
    relative = relative_of(file.shapes)
    found = f"; it holds {relative}" if relative else ""
    raise CheckpointError(
        f"{file.name} is not one of the official models {', '.join(OFFICIAL_ENCODERS)}{found}"
    )


def _fitting(config: SamConfig, path: Path, file: TensorFile) -> Sam:
    """Build the model, without memory, and check that the file has its tensors and no others."""
    model = _without_weights(config, path)
    expected = model.state_dict()
    try:
        file.check_fit(expected)
    except CheckpointError as error:
        extra = file.shapes.keys() - expected.keys()
        if not extra or is_safetensors(path):
            raise
        help_ = "save the SAM's own tensors alone"
        if config.arch in OFFICIAL_FILES:
            help_ += f", or take the official model: python -m sam fetch {config.arch}"
        what = relative_of(extra) or "no part of this model"
        raise CheckpointError(f"{error}; what it has more is {what}: {help_}") from None
    return model


def _without_weights(config: SamConfig, path: Path) -> Sam:
    """Build a model that takes no memory. Raises CheckpointError when its sizes make no sense."""
    try:
        _check_sizes(config.to_dict())
        with torch.device("meta"):
            return Sam(config)
    except Exception as error:  # whatever a layer says to sizes that cannot be
        raise CheckpointError(
            f"the model that {path.name} describes cannot be built: {reason(error)}"
        ) from None


def _check_sizes(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Mapping):
            _check_sizes(value)
            continue
        limit = _MAX_LAYERS if name in _LAYER_COUNTS else _MAX_SIZE
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, int | float) and not 0 <= number <= limit:
                raise ConfigError(f"{name} must lie between 0 and {limit}")
