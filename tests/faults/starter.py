"""A starter folder as shipped: a tiny untrained model with its decoder, and no detector."""

from __future__ import annotations

from pathlib import Path


def write_starter(folder: Path) -> Path:
    """Write it in a moment: nothing is trained, masks mean nothing."""
    from sam.checkpoints import checkpoint_files
    from sam.export import onnx_decoder
    from sam.modeling.model import build

    folder.mkdir(parents=True, exist_ok=True)
    model = build("tiny", seed=0)
    metadata = {"encoder_sha256": checkpoint_files.encoder_sha256(model)}
    checkpoint_files.save(model, folder / "starter.safetensors", metadata)
    onnx_decoder.export_decoder(model, folder / "decoder.onnx")
    return folder
