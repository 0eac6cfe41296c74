"""Mask decoder: 64 points and one point, torch and onnxruntime, against segment-anything's.

python -m benchmarks.decoder [--rounds 5] [--threads 2]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from benchmarks.common import in_turn, machine, table
from sam.export.onnx_decoder import export_decoder
from sam.modeling.features import ImageFeatures
from sam.prompts import Prompts
from tests.peers.segment_anything_peer import official_model, ours_with_same_weights

PEER = "segment-anything, torch"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(machine())
    reference = official_model("vit_b")
    ours = ours_with_same_weights(reference)
    random = torch.Generator().manual_seed(0)
    embeddings = torch.randn(1, 256, 64, 64, generator=random) * 0.5
    points = torch.rand(64, 1, 2, generator=random) * 1023
    labels = torch.ones(64, 1, dtype=torch.int64)

    def theirs(num: int) -> tuple[Tensor, Tensor]:
        sparse, dense = reference.prompt_encoder(
            points=(points[:num], labels[:num]), boxes=None, masks=None
        )
        answer: tuple[Tensor, Tensor] = reference.mask_decoder(
            image_embeddings=embeddings,
            image_pe=reference.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        return answer

    def decode(num: int) -> Any:
        return ours.decode(ImageFeatures(embeddings), Prompts.make(points[:num], labels[:num]))

    with torch.inference_mode():
        difference = (theirs(64)[0] - decode(64).low_res_logits[:, 1:]).abs().max()
        print(f"largest difference of logits: {difference:.1e}")
        many = in_turn(
            {PEER: lambda: theirs(64), "ours, torch": lambda: decode(64)}, rounds=options.rounds
        )
        one = in_turn(
            {
                PEER: lambda: theirs(1),
                "ours, torch": lambda: decode(1),
                "ours, onnxruntime": _session(ours, embeddings, points, options.threads),
                "ours, onnxruntime, 8-bit file": _session(
                    ours, embeddings, points, options.threads, quantized=True
                ),
            },
            rounds=options.rounds,
            burst=6,
        )
    print(table("64 points, 192 masks at 256 px", many, peer=PEER))
    print(table("1 point, to logits at 256 px", one, peer=PEER, unit_s=1e-3))


def _session(
    model: Any, embeddings: Tensor, points: Tensor, num_threads: int, *, quantized: bool = False
) -> Callable[[], object]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.onnx"
        report = export_decoder(model, path, quantized=quantized)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kind = "8-bit file" if quantized else "float32 file"
    print(
        f"{kind}: {report.size_bytes / 1e6:.1f} MB, largest difference of logits "
        f"{report.max_logit_difference:.1e}, masks at IoU {report.mean_mask_iou:.4f}"
    )
    feeds = {
        "image_embeddings": embeddings.numpy(),
        "point_coords": torch.cat([points[:1], torch.zeros(1, 1, 2)], 1).numpy(),
        "point_labels": torch.tensor([[1.0, -1.0]]).numpy(),
        "mask_input": torch.zeros(1, 1, 256, 256).numpy(),
        "has_mask_input": torch.zeros(1).numpy(),
    }
    return lambda: session.run(None, feeds)


if __name__ == "__main__":
    main()
