"""Read what a model file says about itself, without torch: the header of a safetensors file."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.domain.errors import InvalidInput

MAX_HEADER_BYTES = 16 * 2**20
# As sam/checkpoints/checkpoint_files.py and sam/detection/object_detector.py write them.
_CONFIG_KEYS = ("segloop_config", "segloop_detector_config")
_METADATA_KEY = "segloop_metadata"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHeader:
    """The identity of a model file."""

    arch: str
    encoder_sha256: str
    config: dict[str, Any]
    metadata: dict[str, Any]


def read_model_header(path: Path) -> ModelHeader:
    """Read the header of one of our model files. InvalidInput names the file and what is wrong."""
    texts = _metadata_texts(path)
    config_key = next((key for key in _CONFIG_KEYS if key in texts), None)
    if config_key is None:
        raise InvalidInput(f"{path.name} is no Segloop model: its header holds no configuration")
    config = _json_object(texts[config_key], path=path)
    metadata = _json_object(texts.get(_METADATA_KEY, "{}"), path=path)
    encoder_sha256 = metadata.get("encoder_sha256") or config.get("encoder_sha256")
    if not isinstance(encoder_sha256, str) or len(encoder_sha256) != 64:
        raise InvalidInput(f"{path.name} does not name its encoder (encoder_sha256)")
    arch = config.get("arch") or metadata.get("arch") or ""
    return ModelHeader(
        arch=str(arch)[:40], encoder_sha256=encoder_sha256, config=config, metadata=metadata
    )


def _metadata_texts(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise InvalidInput(f"{path.name} is too short to be a model file")
        (size_bytes,) = struct.unpack("<Q", start)
        if not 2 <= size_bytes <= MAX_HEADER_BYTES:
            raise InvalidInput(f"{path.name} is not a safetensors file")
        raw = file.read(size_bytes)
    header = _json_object(raw, path=path)
    texts = header.get("__metadata__", {})
    if not isinstance(texts, dict):
        raise InvalidInput(f"{path.name}: the header's metadata is not a table")
    return {str(key): str(value) for key, value in texts.items()}


def _json_object(text: str | bytes, *, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        raise InvalidInput(f"the header of {path.name} cannot be read") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"the header of {path.name} is not a table")
    return value
