"""The labelling page through an annotator's hands: clicks, boxes, keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page


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
        self.wait_for("the photo", lambda state: state.get("hasPhoto"), s=60)
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
