"""Model files: ours (safetensors with the configuration in the header) and the official ones.

Files are written whole or not at all; nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from sam.config import PRESETS, ConfigError, SamConfig, VitConfig
from sam.model import Sam

_CONFIG_KEY = "segloop_config"
_METADATA_KEY = "segloop_metadata"
ENCODER_KEY = "encoder_sha256"
OFFICIAL = ("vit_b", "vit_l", "vit_h")
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


class CheckpointError(ValueError):
    """A model file that cannot be read or does not fit; the message says why."""


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
    write_atomically(Path(path), to_safetensors(tensors, header))


def load(
    path: str | Path, *, device: torch.device | str = "cpu", image_size_px: int | None = None
) -> Sam:
    """Build the model a file holds, in float32 and evaluation mode.

    Reads our safetensors and the official .pth files (vit_b, vit_l, vit_h, told apart by shape).
    image_size_px: serve a pyramid model at another size. Raises CheckpointError.
    """
    path = Path(path)
    if _is_safetensors(path):
        config, tensors = read_header(path).config, _read_safetensors(path)
    else:
        tensors = _read_official(path)
        config = _official_config(tensors, path)
    if image_size_px is not None:
        try:
            config = config.at_image_size(image_size_px)
        except ConfigError as error:
            raise CheckpointError(str(error)) from None
    with torch.device("meta"):
        model = Sam(config)
    _check_fit(model.state_dict(), tensors, path)
    model.load_state_dict({k: _as_float32(v) for k, v in tensors.items()}, assign=True)
    model.restore_buffers()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    return model.to(device).eval()


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
        raise CheckpointError(f"{path.name} is not a readable safetensors file: {error}") from None
    if config_key not in values:
        raise CheckpointError(f"{path.name} is no Segloop {what}: no configuration in its header")
    return values


def read_header(path: str | Path) -> Header:
    """Read configuration and metadata of one of our files. Raises CheckpointError."""
    path = Path(path)
    values = read_header_values(path, what="checkpoint", config_key=_CONFIG_KEY)
    try:
        config = SamConfig.from_dict(json.loads(values[_CONFIG_KEY]))
        metadata = json.loads(values.get(_METADATA_KEY, "{}"))
    except ValueError as error:
        raise CheckpointError(f"the header of {path.name} cannot be read: {error}") from None
    return Header(config, metadata)


def encoder_sha256(model: Sam) -> str:
    """Identify what makes embeddings: the encoder's weights and the image size.

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
    for name, tensor in sorted(tensors.items()):
        if name.startswith("image_encoder.") and tensor.is_floating_point():
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            values = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
            digest.update(values.tobytes())
    return digest.hexdigest()


def _is_safetensors(path: Path) -> bool:
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}")
    with path.open("rb") as file:
        start = file.read(9)
    if len(start) < 9:
        raise CheckpointError(f"{path.name} is too short to be a checkpoint")
    return start[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is not a readable safetensors file: {error}") from None


def _read_official(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds; all mean the same here
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path.name} is not a readable checkpoint: {first_line}") from None
    if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(f"{path.name} is not a flat table of tensors")
    return loaded


def _official_config(tensors: Mapping[str, Tensor], path: Path) -> SamConfig:
    table = tensors.get("image_encoder.pos_embed")
    shape = () if table is None else tuple(table.shape)
    for arch in OFFICIAL:
        config = PRESETS[arch]
        width = config.encoder.embed_dim if isinstance(config.encoder, VitConfig) else 0
        if shape == (1, config.embedding_size, config.embedding_size, width):
            return config
    raise CheckpointError(f"{path.name} is not one of the official models {', '.join(OFFICIAL)}")


def _check_fit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path) -> None:
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        first = (missing or extra)[0]
        raise CheckpointError(
            f"{path.name} does not fit its configuration: {len(missing)} tensors missing, "
            f"{len(extra)} unknown, first {first}"
        )
    for name, tensor in expected.items():
        if tensor.shape != found[name].shape:
            raise CheckpointError(
                f"{path.name}: {name} has shape {tuple(found[name].shape)}, "
                f"expected {tuple(tensor.shape)}"
            )
        if tensor.is_floating_point() and found[name].dtype not in _DTYPES:
            raise CheckpointError(f"{path.name}: {name} has type {found[name].dtype}")


def _as_float32(tensor: Tensor) -> Tensor:
    # A copy: what was read is a view into the mapped file, unaligned and tied to its fate.
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
