"""On a GPU: batched encoding and whole automatic generation against segment-anything.

python -m benchmarks.gpu [--presets vit_b vit_h] [--batch 8] [--dtype bfloat16] [--compile]

`segment-anything-fast` joins in when it is installed (it is in no index: install it by hand).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.common import in_turn, machine, sample_pixels, table
from sam.automatic.mask_generator import RELEASED, generate
from tests.peers.segment_anything_peer import (
    SamAutomaticMaskGenerator,
    official_model,
    ours_with_same_weights,
)

PEER = "segment-anything"


def main() -> int:
    """Print the tables; seconds are for the whole batch or image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", nargs="+", default=["vit_b", "vit_h"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--dtype", default="bfloat16", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no GPU here; --device cpu tries the script out", file=sys.stderr)
        return 1
    device = torch.device(options.device)
    print(machine(), torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu")
    image = sample_pixels(1500, 1000)
    for preset in options.presets:
        reference = official_model(preset)
        ours = ours_with_same_weights(reference)
        ours.to(device).accelerate(dtype=getattr(torch, options.dtype), compiled=options.compile)
        reference.to(device)
        batch = ours.preprocess(image).repeat(options.batch, 1, 1, 1)
        with torch.inference_mode():
            encoding: dict[str, Callable[[], object]] = {
                PEER: lambda model=reference, x=batch: model.image_encoder(x),
                "ours": lambda model=ours, x=batch: model.encode(x),
            }
            everything: dict[str, Callable[[], object]] = {
                PEER: lambda model=reference: SamAutomaticMaskGenerator(model).generate(image),
                "ours": lambda model=ours: generate(model, image, RELEASED),
            }
            if (fast := _fast(preset, reference, device)) is not None:
                encoding["segment-anything-fast"] = lambda model=fast[0], x=batch: (
                    model.image_encoder(x.to(next(model.parameters()).dtype))
                )
                everything["segment-anything-fast"] = lambda make=fast[1]: make.generate(image)
            seconds = in_turn(_waiting(encoding, device), rounds=options.rounds)
            print(table(f"{preset}, {options.batch} images encoded", seconds, peer=PEER))
            seconds = in_turn(_waiting(everything, device), rounds=2)
            print(table(f"{preset}, one image, 32 x 32 points", seconds, peer=PEER))
    return 0


def _waiting(
    sides: dict[str, Callable[[], object]], device: torch.device
) -> dict[str, Callable[[], object]]:
    def waited(run: Callable[[], object]) -> Callable[[], object]:
        def call() -> object:
            result = run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return result

        return call

    return {name: waited(run) for name, run in sides.items()}


def _fast(preset: str, reference: Any, device: torch.device) -> tuple[Any, Any] | None:
    try:
        import segment_anything_fast as fast
    except ImportError:
        return None
    model = fast.sam_model_fast_registry[preset]()
    model.load_state_dict(reference.state_dict())
    model = model.to(device)
    return model, fast.SamAutomaticMaskGenerator(model, process_batch_size=8)


if __name__ == "__main__":
    sys.exit(main())
