"""The labelling page through an annotator's hands: clicks, boxes, keys."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from masks.rle import Rle
from tests.e2e.product import Product

PASSWORD = "a phrase that is long enough"
# The browser's own notes of answers that the page handles, and of the wire that a test cut.
HARMLESS = re.compile(
    r"401 \(Unauthorized\)|403 \(Forbidden\)|409 \(Conflict\)|Failed to load resource: net::"
)


class LabellingPage:
    """Drives the page in image pixels; reads its state through the page's own test hook."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] | None = self.page.evaluate("window.__segloop?.state?.() ?? null")
        return found or {}

    def wait_for(self, what: str, holds: Callable[[dict[str, Any]], object], *, s: float) -> None:
        for _ in range(int(s * 10)):
            if holds(self.state()):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"{what} did not happen within {s:.0f} s; the page: {self.state()}")

    def wait_until_ready(self) -> str:
        """Wait for photo, embedding and decoder; return the image's id."""
        self.page.get_by_test_id("label-canvas").wait_for()
        self.page.locator('[data-testid="decoder-state"][data-state="ready"]').wait_for(
            timeout=120_000
        )
        self.wait_for("the photo", lambda state: state.get("hasImage"), s=60)
        return str(self.state()["imageId"])

    def screen(self, x_px: float, y_px: float) -> tuple[float, float]:
        at = self.page.evaluate("([x, y]) => window.__segloop.imageToScreen(x, y)", [x_px, y_px])
        return at["x"], at["y"]

    def click(self, x_px: float, y_px: float, *, button: Any = "left") -> None:
        prompts = self.state()["numPrompts"]
        self.page.mouse.click(*self.screen(x_px, y_px), button=button)
        self.wait_for(
            "a decoded mask",
            lambda state: state["numPrompts"] == prompts + 1 and not state["isDecoding"],
            s=60,
        )

    def drag_box(self, x0_px: float, y0_px: float, x1_px: float, y1_px: float) -> None:
        self.page.mouse.move(*self.screen(x0_px, y0_px))
        self.page.mouse.down()
        self.page.mouse.move(*self.screen((x0_px + x1_px) / 2, (y0_px + y1_px) / 2), steps=4)
        self.page.mouse.move(*self.screen(x1_px, y1_px), steps=4)
        self.page.mouse.up()
        self.wait_for(
            "a decoded box",
            lambda state: state["numPrompts"] == 1 and not state["isDecoding"],
            s=60,
        )

    def accept(self) -> None:
        """Keep the drafted mask and wait until the server has it."""
        state = self.state()
        assert state["draftAreaPx"] > 0, f"there is no mask to keep: {state}"
        masks = len(state["masks"])
        self.page.keyboard.press("Enter")
        self.wait_for("the mask in the list", lambda now: len(now["masks"]) == masks + 1, s=10)
        self.wait_until_saved()

    def wait_until_saved(self) -> None:
        self.page.locator('[data-testid="save-light"][data-state="saved"]').wait_for()

    def finish_image(self) -> None:
        """Submit and wait for another image, or for the page that says there is none left."""
        before = self.state()["imageId"]
        self.page.get_by_test_id("next-image").first.click()
        self.wait_for("the next image", lambda state: state.get("imageId") != before, s=60)


def rows(product: Product, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with sqlite3.connect(f"file:{product.data_dir / 'segloop.sqlite3'}?mode=ro", uri=True) as db:
        return db.execute(sql, values).fetchall()


def stored(product: Product, mask_id: str) -> Rle:
    [(height, width, counts)] = rows(
        product,
        "SELECT i.height_px, i.width_px, r.rle_counts FROM engine_mask m"
        " JOIN engine_maskrevision r ON r.id = m.head_id JOIN engine_image i ON i.id = m.image_id"
        " WHERE m.id = ?",
        mask_id.replace("-", ""),
    )
    return Rle.from_coco({"size": [height, width], "counts": counts})


def num_revisions(product: Product, image_id: str) -> tuple[int, int]:
    """Masks and revisions that people made on an image."""
    [(masks, revisions)] = rows(
        product,
        "SELECT count(DISTINCT m.id), count(*) FROM engine_mask m JOIN engine_maskrevision r"
        " ON r.mask_id = m.id WHERE m.image_id = ? AND m.source = 'human'",
        image_id.replace("-", ""),
    )
    return masks, revisions


def open_tab(context: BrowserContext, url: str, console: list[str]) -> LabellingPage:
    page = context.new_page()

    def hear(line: ConsoleMessage) -> None:
        if line.type == "error" and not HARMLESS.search(line.text):
            console.append(line.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: console.append(str(error)))
    page.goto(url)
    labelling = LabellingPage(page)
    labelling.wait_until_ready()
    return labelling


def polygon(labelling: LabellingPage, *corners: tuple[float, float]) -> None:
    """Draw and accept a polygon of image pixels."""
    labelling.page.keyboard.press("p")
    for x, y in corners:
        labelling.page.mouse.click(*labelling.screen(x, y))
    labelling.page.keyboard.press("Enter")
    labelling.page.keyboard.press("Enter")


def small_square(labelling: LabellingPage, place: int) -> None:
    x, y = 20 + (place % 10) * 40, 20 + (place // 10) * 40
    polygon(labelling, (x, y), (x + 24, y), (x + 24, y + 24), (x, y + 24))


def newest(labelling: LabellingPage) -> dict[str, Any]:
    mask: dict[str, Any] = labelling.state()["masks"][-1]
    return mask
