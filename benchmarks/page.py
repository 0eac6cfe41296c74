"""The labelling page in a real browser: click to mask, preview rate, frames per second, readiness.

python -m benchmarks.page [--clicks 30] [--masks 200]

Starts the product with the starter model in a folder of its own, uploads photos of 12 megapixels
and drives the page as a person would. Times are the page's own clock: from the pointer's release
to the end of the frame that paints the mask.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.common import SAMPLE_IMAGE, machine
from masks.rle import Rle
from tests.e2e.labelling import LabellingPage
from tests.e2e.product import Product, browser_path, running_product

WIDTH_PX, HEIGHT_PX = 4000, 3000
FRAME_RECORDER = """
window.__frames = [];
window.__recording = false;
(function tick(now) {
  if (window.__recording) window.__frames.push(now);
  requestAnimationFrame(tick);
})(0);
window.__released = [];
addEventListener("pointerup", (event) => window.__released.push(event.timeStamp), true);
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, default=30)
    parser.add_argument("--masks", type=int, default=200)
    options = parser.parse_args()
    print(machine())
    with (
        tempfile.TemporaryDirectory() as folder,
        running_product(Path(folder)) as product,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox", "--disable-gpu"]
        )
        label_url, storage = prepare(product, browser)
        ready(browser, storage, label_url)
        context = browser.new_context(
            viewport={"width": 1360, "height": 860}, storage_state=storage
        )
        context.add_init_script(FRAME_RECORDER)
        page = context.new_page()
        page.goto(label_url)
        labelling = LabellingPage(page)
        labelling.wait_until_ready()
        page.get_by_test_id("welcome-close").click()
        empty = clicks(labelling, options.clicks, rest_ms=0)
        report("click to painted mask, no pause", empty)
        report(
            "click to painted mask, after resting", clicks(labelling, options.clicks, rest_ms=150)
        )
        hover(labelling)
        add_masks(page, labelling, options.masks)
        labelling.wait_until_ready()
        full = clicks(labelling, options.clicks, rest_ms=0)
        report(f"the same with {options.masks} masks, no pause", full)
        print(f"  ratio of medians {statistics.median(full) / statistics.median(empty):.2f}")
        frames(labelling, options.masks)
        next_image(labelling)
        browser.close()


def prepare(product: Product, browser: Browser) -> tuple[str, Any]:
    """Sign in, upload large photos to the demo project; return the address and the session."""
    context = browser.new_context()
    context.set_default_timeout(180_000)
    page = context.new_page()
    page.goto(product.sign_in_link())
    page.get_by_test_id("redeem-link").click()
    page.get_by_test_id("project-card").first.click()
    page.get_by_test_id("project-name").wait_for()
    project_url = page.url
    page.set_input_files(
        '[data-testid="upload-input"]',
        [
            {"name": f"large-{n}.jpg", "mimeType": "image/jpeg", "buffer": large_photo(n)}
            for n in range(4)
        ],
    )
    page.get_by_text("large-3.jpg").first.wait_for()
    cards = page.locator('[data-testid="image-card"]', has_text="large-0.jpg")
    image_id = cards.first.get_attribute("data-image")
    label_url = f"{project_url}label/?image={image_id}"
    page.goto(label_url)  # waits for the embedding, so that nothing below measures the encoder
    LabellingPage(page).wait_until_ready()
    storage = context.storage_state()
    context.close()
    return label_url, storage


def large_photo(seed: int) -> bytes:
    """A sample photo at 12 megapixels, with grain, so that it is a file like a camera's."""
    photo = PIL.Image.open(SAMPLE_IMAGE).convert("RGB").resize((WIDTH_PX, HEIGHT_PX))
    grain = np.random.default_rng(seed).normal(0, 4, (HEIGHT_PX, WIDTH_PX, 1))
    pixels = np.clip(np.asarray(photo, np.float32) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def ready(browser: Browser, storage: Any, label_url: str) -> None:
    """Navigation to clickable, cache empty and warm, and the bytes of the first."""
    context = browser.new_context(viewport={"width": 1360, "height": 860}, storage_state=storage)
    page = context.new_page()
    received: dict[str, float] = {}
    urls: dict[str, str] = {}
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.on(
        "Network.responseReceived", lambda e: urls.update({e["requestId"]: e["response"]["url"]})
    )
    session.on(
        "Network.loadingFinished",
        lambda e: received.update({e["requestId"]: e["encodedDataLength"]}),
    )
    print(f"  ready to click, empty cache: {time_to_ready(page, label_url) / 1000:.2f} s")
    by_kind: dict[str, float] = {}
    for request, size in received.items():
        url = urls.get(request, "")
        kind = next(
            (k for k in ("embedding", "decoder", "wasm", "/file") if k in url.split("?")[0]), "rest"
        )
        by_kind[kind] = by_kind.get(kind, 0) + size
    shown = ", ".join(f"{kind.strip('/')} {size / 1e6:.2f}" for kind, size in by_kind.items())
    print(f"  bytes before the first click, MB: {shown}")
    warm = [time_to_ready(page, label_url) for _ in range(3)]
    print(f"  ready to click, files cached: {min(warm) / 1000:.2f} s (best of 3)")
    context.close()


READY = """() => {
  const state = window.__segloop?.state?.();
  return state?.hasImage && state.decoder.kind === "ready" ? performance.now() : null;
}"""


def time_to_ready(page: Page, url: str) -> float:
    """Milliseconds from navigation until a click would be answered, by the page's clock."""
    page.goto(url, wait_until="commit")
    return float(page.wait_for_function(READY, timeout=120_000, polling=10).json_value())


def clicks(labelling: LabellingPage, count: int, *, rest_ms: int) -> list[float]:
    """Milliseconds from release to painted mask, each click on a fresh draft."""
    page = labelling.page
    random = np.random.default_rng(3)
    found = []
    for number in range(count + 3):
        x, y = random.uniform(0.15, 0.85) * WIDTH_PX, random.uniform(0.15, 0.85) * HEIGHT_PX
        before = page.evaluate("window.__segloop.paints().answerPaintedMs")
        at = labelling.screen(x, y)
        if rest_ms:
            page.mouse.move(*at)
            page.wait_for_timeout(rest_ms)
        page.mouse.click(*at)
        took = page.wait_for_function(
            "(before) => { const now = window.__segloop.paints().answerPaintedMs;"
            " return now > before ? now - window.__released.at(-1) : null; }",
            arg=before,
            polling=5,
        ).json_value()
        if number >= 3:  # the first ones warm the compiler up
            found.append(float(took))
        page.keyboard.press("Escape")
    return found


def report(what: str, values: list[float]) -> None:
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    print(
        f"  {what}: median {statistics.median(ordered):.0f} ms, p95 {p95:.0f} ms"
        f" ({len(ordered)} clicks)"
    )


def hover(labelling: LabellingPage) -> None:
    """Previews a second while the pointer keeps moving."""
    page = labelling.page
    before = labelling.state()["numHovers"]
    started = page.evaluate("performance.now()")
    for step in range(240):
        angle = step / 240 * 2 * np.pi
        x, y = WIDTH_PX * (0.5 + 0.3 * np.cos(angle)), HEIGHT_PX * (0.5 + 0.3 * np.sin(angle))
        page.mouse.move(*labelling.screen(x, y))
    took_s = (page.evaluate("performance.now()") - started) / 1000
    shown = labelling.state()["numHovers"] - before
    print(f"  live preview: {shown / took_s:.1f} a second ({shown} in {took_s:.1f} s of moving)")


def add_masks(page: Page, labelling: LabellingPage, count: int) -> None:
    """Save masks with wavy outlines through the page's own session, then reload."""
    random = np.random.default_rng(5)
    rows, columns = np.mgrid[0:HEIGHT_PX:1, 0:WIDTH_PX:1].astype(np.float32)
    bodies = []
    for _ in range(count):
        centre = random.uniform(0.05, 0.95, 2) * (HEIGHT_PX, WIDTH_PX)
        reach = random.uniform(60, 260)
        y0, x0 = (int(max(0, value - 1.4 * reach)) for value in centre)
        part = np.s_[y0 : y0 + int(2.8 * reach), x0 : x0 + int(2.8 * reach)]
        dy, dx = rows[part] - centre[0], columns[part] - centre[1]
        wave = 1 + 0.25 * np.sin(np.arctan2(dy, dx) * random.integers(3, 12))
        mask = np.zeros((HEIGHT_PX, WIDTH_PX), bool)
        mask[part] = np.hypot(dy, dx) < reach * wave
        bodies.append(Rle.encode(mask).to_coco())
    page.evaluate(
        """async ([base, assignment, rles]) => {
          const cookie = document.cookie.split("; ").find((one) => one.startsWith("csrf"));
          const config = JSON.parse(document.getElementById("label-config").textContent);
          const token = cookie?.split("=")[1] ?? config.csrf_token;
          for (const rle of rles) {
            const [mask_id, revision_id] = [crypto.randomUUID(), crypto.randomUUID()];
            const body = { mask_id, revision_id, rle, prompts: [] };
            const response = await fetch(`${base}/assignments/${assignment}/masks`, {
              method: "POST",
              headers: { "Content-Type": "application/json", "X-CSRFToken": token },
              body: JSON.stringify(body),
            });
            if (!response.ok) throw new Error(await response.text());
          }
        }""",
        [
            page.evaluate(
                "JSON.parse(document.getElementById('label-config').textContent).api_base"
            ),
            labelling.state()["assignmentId"],
            bodies,
        ],
    )
    page.reload()
    labelling.wait_until_ready()
    assert len(labelling.state()["masks"]) == count


def frames(labelling: LabellingPage, count: int) -> None:
    """Frames a second while panning, zooming and painting."""
    page = labelling.page
    middle = labelling.screen(WIDTH_PX / 2, HEIGHT_PX / 2)

    def pan() -> None:
        page.keyboard.press("m")
        page.mouse.move(*middle)
        page.mouse.down()
        for step in range(120):
            page.mouse.move(
                middle[0] + 200 * np.sin(step / 15), middle[1] + 120 * np.cos(step / 15)
            )
        page.mouse.up()

    def zoom() -> None:
        page.mouse.move(*middle)
        for step in range(120):
            page.mouse.wheel(0, -60 if step % 40 < 20 else 60)

    def brush() -> None:
        page.keyboard.press("b")
        page.mouse.move(*middle)
        page.mouse.down()
        for step in range(120):
            page.mouse.move(
                middle[0] + 3 * step * np.cos(step / 9), middle[1] + 2 * step * np.sin(step / 9)
            )
        page.mouse.up()

    for name, drive in (("pan", pan), ("zoom", zoom), ("brush", brush)):
        page.evaluate("window.__frames = []; window.__recording = true")
        drive()
        times = page.evaluate("window.__recording = false; window.__frames")
        gaps = sorted(b - a for a, b in pairwise(times))
        worst = gaps[min(len(gaps) - 1, round(0.95 * (len(gaps) - 1)))]
        print(
            f"  {name} with {count} masks on 12 MP: median {1000 / statistics.median(gaps):.0f}"
            f" frames/s, 95 % of frames within {worst:.0f} ms"
        )
    page.keyboard.press("Escape")
    page.keyboard.press("q")


def next_image(labelling: LabellingPage) -> None:
    """From "finish" to the next photo being clickable, its files prefetched."""
    page = labelling.page
    took = []
    for _ in range(3):
        page.wait_for_timeout(4000)  # the prefetch is done long before anybody finishes an image
        before = labelling.state()["imageId"]
        page.evaluate("window.__leftAt = performance.now()")
        page.get_by_test_id("next-image").first.click()
        took.append(
            float(
                page.wait_for_function(
                    """(before) => {
                      const state = window.__segloop?.state?.();
                      const isNew = state?.imageId && state.imageId !== before;
                      const isReady = isNew && state.hasImage && state.decoder.kind === "ready";
                      return isReady ? performance.now() - window.__leftAt : null;
                    }""",
                    arg=before,
                    polling=5,
                ).json_value()
            )
        )
    print(f"  next image ready, prefetched: best {min(took):.0f} ms, worst {max(took):.0f} ms of 3")


if __name__ == "__main__":
    main()
