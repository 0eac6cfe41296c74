"""The files in sam/starter belong together."""

from __future__ import annotations

from pathlib import Path

from sam.checkpoints import checkpoint_files
from sam.detection import object_detector
from sam.export.onnx_decoder import check_decoder

FOLDER = Path(__file__).parents[2] / "sam" / "starter"
MAX_CHECKPOINT_BYTES = 25_000_000
MAX_DECODER_BYTES = 8_000_000
"""The page loads it before the first click."""


def test_the_decoder_for_browsers_answers_as_the_starter_does() -> None:
    model = checkpoint_files.load(FOLDER / "starter.safetensors")

    report = check_decoder(model, FOLDER / "decoder.onnx")
    report.require_equal()
    assert report.size_bytes <= MAX_DECODER_BYTES


def test_the_detector_reads_this_encoder_and_the_checkpoint_is_small() -> None:
    starter = FOLDER / "starter.safetensors"
    header = checkpoint_files.read_header(starter)

    detector = object_detector.read_header(FOLDER / "detector.safetensors")

    assert detector.config.encoder_sha256 == header.metadata["encoder_sha256"]
    assert (
        checkpoint_files.encoder_sha256(checkpoint_files.load(starter))
        == header.metadata["encoder_sha256"]
    )
    assert starter.stat().st_size <= MAX_CHECKPOINT_BYTES
