"""The files in sam/starter belong together."""

from __future__ import annotations

from pathlib import Path

from sam import checkpoints, object_detector
from sam.onnx_export import check_decoder

FOLDER = Path(__file__).parents[2] / "sam" / "starter"
MAX_CHECKPOINT_BYTES = 25_000_000


def test_the_decoder_for_browsers_answers_as_the_starter_does() -> None:
    model = checkpoints.load(FOLDER / "starter.safetensors")

    check_decoder(model, FOLDER / "decoder.onnx").require_equal()


def test_the_detector_reads_this_encoder_and_the_checkpoint_is_small() -> None:
    starter = FOLDER / "starter.safetensors"
    header = checkpoints.read_header(starter)

    detector = object_detector.read_header(FOLDER / "detector.safetensors")

    assert detector.config.encoder_sha256 == header.metadata["encoder_sha256"]
    assert (
        checkpoints.encoder_sha256(checkpoints.load(starter)) == header.metadata["encoder_sha256"]
    )
    assert starter.stat().st_size <= MAX_CHECKPOINT_BYTES
