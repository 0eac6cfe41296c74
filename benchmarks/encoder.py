"""Image encoder: ours in torch and in onnxruntime against segment-anything's, same weights.

python -m benchmarks.encoder [--preset vit_b] [--rounds 3] [--threads 2]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.common import in_turn, machine, sample_pixels, table
from sam.export.onnx_encoder import use_onnxruntime
from tests.peers.segment_anything_peer import official_model, ours_with_same_weights


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="vit_b", choices=("vit_b", "vit_l"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    reference = official_model(options.preset)
    ours, engine = ours_with_same_weights(reference), ours_with_same_weights(reference)
    pixels = ours.preprocess(sample_pixels(1500, 1000))
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        use_onnxruntime(engine, Path(folder), num_threads=options.threads)
        expected = reference.image_encoder(pixels)
        for name, model in (("torch", ours), ("onnxruntime", engine)):
            difference = (model.encode(pixels).image_embeddings - expected).abs().max()
            print(f"largest difference, {name}: {difference:.1e} of {expected.abs().max():.1f}")
        seconds = in_turn(
            {
                "segment-anything": lambda: reference.image_encoder(pixels),
                "ours, torch": lambda: ours.encode(pixels),
                "ours, onnxruntime": lambda: engine.encode(pixels),
            },
            rounds=options.rounds,
        )
    print(table(f"{options.preset}, one image at 1024 px", seconds, peer="segment-anything"))


if __name__ == "__main__":
    main()
