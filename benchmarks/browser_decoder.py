"""The decoder in a real browser against segment-anything's exports: one click, one thread.

python -m benchmarks.browser_decoder [--rounds 8]

Exports a ViT-B-sized decoder with random weights three times, by ours and by segment-anything's own
module: as usual (four masks at the image's size) and cut off at the logits, as ours is. All run in
turn in onnxruntime-web, WebAssembly, in the same page; the shipped starter's decoder with them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from playwright.sync_api import Route, sync_playwright
from torch import Tensor

from benchmarks.common import machine, table
from sam.export.onnx_decoder import export_decoder
from tests.e2e.product import ROOT, browser_path
from tests.peers.segment_anything_peer import (
    official_model,
    ours_with_same_weights,
    standing_in,
)

with standing_in():
    from segment_anything.utils.onnx import SamOnnxModel

LOGITS_ONLY = "segment-anything, logits only"
USUAL = "segment-anything, usual export"
OURS = "ours"
STARTER = "the shipped starter"
SITE = "http://benchmark.localhost/"
RUNTIME = ROOT / "annotator_ui" / "frontend" / "node_modules" / "onnxruntime-web" / "dist"
IMAGE_HW = (1200, 1800)
INPUTS = (
    "image_embeddings",
    "point_coords",
    "point_labels",
    "mask_input",
    "has_mask_input",
    "orig_im_size",
)
TIMING = """async ([site, files, rounds, image]) => {
  const ort = await import(`${site}ort.wasm.min.mjs`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = site;
  const numbers = (dims) => Float32Array.from(
    { length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin((i + 1) * 12.9898));
  const given = { point_coords: [[500, 375, 0, 0], [1, 2, 2]], point_labels: [[1, -1], [1, 2]],
    has_mask_input: [[0], [1]], orig_im_size: [image, [2]] };
  const sides = {};
  for (const name of files) {
    const bytes = new Uint8Array(await (await fetch(`${site}${name}.onnx`)).arrayBuffer());
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    const feeds = {};
    for (const { name, shape } of session.inputMetadata) {
      const [values, dims] = given[name] ?? [numbers(shape), shape];
      feeds[name] = new ort.Tensor("float32", Float32Array.from(values), dims);
    }
    sides[name] = { session, feeds, ms: [] };
  }
  const logits = {};
  for (let round = -2; round < rounds; round += 1) {  // two to warm up
    for (const [name, { session, feeds, ms }] of Object.entries(sides)) {
      const started = performance.now();
      const outputs = await session.run(feeds);
      if (round >= 0) ms.push(performance.now() - started);
      logits[name] = outputs.low_res_masks.data;
    }
  }
  const first = logits[files[0]];
  const apart = (found) => found.reduce((most, x, i) => Math.max(most, Math.abs(x - first[i])), 0);
  const differences = files.map((name) =>
    logits[name].length === first.length ? apart(logits[name]) : null);
  return { ms: Object.fromEntries(files.map((name) => [name, sides[name].ms])), differences };
}"""


class _LogitsOnly(SamOnnxModel):  # type: ignore[misc] # the peer has no types
    """The official module without its resizing."""

    def mask_postprocessing(self, masks: Tensor, orig_im_size: Tensor) -> Tensor:
        """Leave the logits as they are; the size is an input that nothing reads."""
        return masks + 0 * orig_im_size.sum()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        files = write_decoders(Path(folder))
        found = run_in_browser(files, rounds=options.rounds)
    names = list(files)
    for name, difference in zip(names[1:], found["differences"][1:], strict=True):
        if difference is not None:
            print(f"largest difference of logits, {name}: {difference:.1e}")
    seconds = {name: [ms / 1000 for ms in found["ms"][name]] for name in names}
    print(table("one click in Chromium, one thread", seconds, peer=LOGITS_ONLY, unit_s=1e-3))


def write_decoders(folder: Path) -> dict[str, Path]:
    """Export each side to a file of its own; return the files by name."""
    reference = official_model("vit_b")
    paths = {name: folder / f"{i}.onnx" for i, name in enumerate((LOGITS_ONLY, USUAL, OURS))}
    _export_official(_LogitsOnly(reference, return_single_mask=False), paths[LOGITS_ONLY])
    _export_official(SamOnnxModel(reference, return_single_mask=False), paths[USUAL])
    export_decoder(ours_with_same_weights(reference), paths[OURS])
    return {**paths, STARTER: ROOT / "sam" / "starter" / "decoder.onnx"}


def _export_official(module: Any, path: Path) -> None:
    """Do as the reference's scripts/export_onnx_model.py."""
    inputs = (
        torch.randn(1, 256, 64, 64),
        torch.rand(1, 5, 2) * 1024,
        torch.randint(0, 4, (1, 5)).float(),
        torch.randn(1, 1, 256, 256),
        torch.tensor([1.0]),
        torch.tensor(IMAGE_HW, dtype=torch.float32),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracer notes
        torch.onnx.export(
            module,
            inputs,
            path,
            dynamo=False,
            opset_version=17,
            input_names=list(INPUTS),
            output_names=["masks", "iou_predictions", "low_res_masks"],
            dynamic_axes={"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
        )


def run_in_browser(files: dict[str, Path], *, rounds: int) -> dict[str, Any]:
    """Time every decoder in turn; milliseconds by name, and how far logits are from the first's."""

    def serve(route: Route) -> None:
        name = route.request.url.removeprefix(SITE)
        if not name:
            route.fulfill(body="<!doctype html>", content_type="text/html")
        elif name.endswith(".onnx"):
            route.fulfill(path=served[name])
        else:
            kind = "application/wasm" if name.endswith(".wasm") else "text/javascript"
            route.fulfill(path=RUNTIME / name, content_type=kind)

    short = {name: f"side-{i}" for i, name in enumerate(files)}
    served = {f"{short[name]}.onnx": path for name, path in files.items()}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.route(f"{SITE}**", serve)
        page.goto(SITE)
        asked = [SITE, list(short.values()), rounds, list(IMAGE_HW)]
        found = cast("dict[str, Any]", json.loads(json.dumps(page.evaluate(TIMING, asked))))
        browser.close()
    return {
        "ms": {name: found["ms"][side] for name, side in short.items()},
        "differences": found["differences"],
    }


if __name__ == "__main__":
    main()
