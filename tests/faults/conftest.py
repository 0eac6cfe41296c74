"""A starter folder as shipped: a tiny untrained model, its decoder and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def starter_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sam import checkpoints, onnx_export
    from sam.model import build

    folder = tmp_path_factory.mktemp("starter")
    model = build("tiny", seed=0)
    metadata = {"encoder_sha256": checkpoints.encoder_sha256(model)}
    checkpoints.save(model, folder / "starter.safetensors", metadata)
    onnx_export.export_decoder(model, folder / "decoder.onnx")
    return folder
