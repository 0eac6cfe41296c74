"""The labelling page's own promises, in a real browser against the real product.

Pixels are compared with what the server stored; nothing here looks at the page's code.
"""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.e2e.labelling import (
    LabellingPage,
    newest,
    polygon,
    rows,
    stored,
)
from tests.e2e.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


def test_pixel_tools_are_exact_at_any_zoom(labelling: LabellingPage, product: Product) -> None:
    page = labelling.page
    polygon(labelling, (50, 60), (150, 60), (150, 130), (50, 130))
    labelling.wait_until_saved()
    mask = newest(labelling)
    expected = np.zeros((400, 600), bool)
    expected[60:130, 50:150] = True
    found = stored(product, mask["id"]).decode()
    # The pointer sits on whole screen pixels: an edge may be half a photo pixel off, no more.
    assert np.logical_xor(found, expected).sum() <= 2 * (100 + 70)

    page.mouse.move(*labelling.screen(100, 95))
    page.mouse.wheel(0, -900)
    page.keyboard.press("v")
    page.mouse.click(*labelling.screen(100, 95))
    page.keyboard.press("e")
    page.mouse.click(*labelling.screen(100, 95))
    page.keyboard.press("Enter")
    labelling.wait_until_saved()
    holed = stored(product, mask["id"]).decode()
    assert found[holed].all()
    assert 300 < (found & ~holed).sum() < 600  # a disc of 24 px

    page.keyboard.press("0")
    page.keyboard.press("v")
    page.mouse.click(*labelling.screen(60, 70))
    page.keyboard.press("Shift+F")
    labelling.wait_until_saved()
    assert np.array_equal(stored(product, mask["id"]).decode(), found)
    page.keyboard.press("Control+z")
    labelling.wait_until_saved()
    assert np.array_equal(stored(product, mask["id"]).decode(), holed)
    page.keyboard.press("Control+y")
    labelling.wait_until_saved()


def test_masks_merge_subtract_split_and_cut_each_other(
    labelling: LabellingPage, product: Product
) -> None:
    page = labelling.page
    polygon(labelling, (200, 250), (260, 250), (260, 300), (200, 300))
    first = newest(labelling)["id"]
    page.get_by_test_id("overlap").select_option("cut_below")
    polygon(labelling, (220, 230), (240, 230), (240, 320), (220, 320))
    second = newest(labelling)["id"]
    labelling.wait_until_saved()
    left, bar = stored(product, first).decode(), stored(product, second).decode()
    assert not (left & bar).any()
    assert left[275, 210]
    assert left[275, 250]
    assert bar[275, 230]
    page.get_by_test_id("overlap").select_option("keep")

    page.keyboard.press("v")
    page.mouse.click(*labelling.screen(210, 275))
    masks = len(labelling.state()["masks"])
    page.keyboard.press("Shift+S")
    labelling.wait_for("the split", lambda now: len(now["masks"]) == masks + 1, s=5)
    other = newest(labelling)["id"]
    page.mouse.click(*labelling.screen(210, 275))
    page.keyboard.down("Shift")
    page.mouse.click(*labelling.screen(250, 275))
    page.mouse.click(*labelling.screen(230, 275))
    page.keyboard.up("Shift")
    assert len(labelling.state()["markedMaskIds"]) == 2
    page.keyboard.press("Shift+M")
    labelling.wait_until_saved()

    status = {mask["id"]: mask["status"] for mask in labelling.state()["masks"]}
    assert sorted(status[one] for one in (first, second, other)) == [
        "accepted",
        "rejected",
        "rejected",
    ]
    kept = next(one for one in (first, second, other) if status[one] == "accepted")
    assert np.array_equal(stored(product, kept).decode(), left | bar)


def test_clicks_change_an_existing_mask_where_they_are(
    labelling: LabellingPage, product: Product
) -> None:
    page = labelling.page
    # The coffee's left half, by hand; the right half is what a click must add.
    polygon(labelling, (215, 130), (290, 105), (290, 185), (240, 170))
    labelling.wait_until_saved()
    mask_id = newest(labelling)["id"]
    before = stored(product, mask_id).decode()
    page.keyboard.press("v")
    page.mouse.click(*labelling.screen(260, 140))
    page.keyboard.press("r")

    labelling.click(330, 140)
    page.keyboard.press("Enter")
    labelling.wait_until_saved()

    grown = stored(product, mask_id).decode()
    assert grown[140, 330]
    assert grown[before].all()
    assert grown.sum() > before.sum() * 1.3
    [(parent, prompts)] = rows(
        product,
        "SELECT r.parent_id, r.prompts FROM engine_mask m JOIN engine_maskrevision r"
        " ON r.id = m.head_id WHERE m.id = ?",
        mask_id.replace("-", ""),
    )
    assert parent is not None
    assert '"mask"' in prompts
    assert '"point"' in prompts

    page.keyboard.press("v")
    page.mouse.click(*labelling.screen(260, 140))
    page.keyboard.press("r")
    labelling.click(330, 140, button="right")
    page.keyboard.press("Enter")
    labelling.wait_until_saved()
    shrunk = stored(product, mask_id).decode()
    assert not shrunk[140, 330]
    assert grown[shrunk].all()


def test_a_click_does_not_draw_the_kept_masks_anew(labelling: LabellingPage) -> None:
    """Drawing hundreds of them takes seconds without a graphics card: no click may wait for it."""
    polygon(labelling, (40, 300), (140, 300), (140, 380), (40, 380))
    labelling.wait_until_saved()
    labelling.page.keyboard.press("q")
    labelling.click(300, 150)
    drawn = labelling.page.evaluate("window.__segloop.paints().numMaskLayers")
    assert drawn > 0
    labelling.click(330, 140)
    labelling.page.keyboard.press("Escape")
    labelling.click(90, 340)  # on the kept mask
    labelling.page.keyboard.press("Escape")
    assert labelling.page.evaluate("window.__segloop.paints().numMaskLayers") == drawn


def test_the_preview_follows_the_pointer_and_a_click_takes_it(labelling: LabellingPage) -> None:
    page = labelling.page
    page.keyboard.press("q")
    shown = labelling.state()["numHovers"]
    page.mouse.move(*labelling.screen(300, 150))
    labelling.wait_for("a preview", lambda now: now["numHovers"] > shown, s=20)
    page.wait_for_timeout(1000)
    area = labelling.state()["hoverAreaPx"]
    assert area > 0
    labelling.click(300, 150)
    assert labelling.state()["draftAreaPx"] == area
    candidates = [one["areaPx"] for one in labelling.state()["candidates"]]
    page.keyboard.press("Tab")
    assert labelling.state()["draftAreaPx"] == candidates[1]
    page.keyboard.press("Escape")

    page.keyboard.press("g")
    shown = labelling.state()["numHovers"]
    page.mouse.move(*labelling.screen(200, 300))
    page.wait_for_timeout(800)
    assert labelling.state()["numHovers"] == shown
    page.keyboard.press("g")


def test_a_key_can_be_changed_but_not_to_one_that_is_taken(labelling: LabellingPage) -> None:
    page = labelling.page
    page.keyboard.press("?")
    page.get_by_test_id("key-tool-lasso").click()
    page.keyboard.press("b")
    expect(page.get_by_test_id("key-problem")).to_contain_text("taken by")
    page.keyboard.press("x")
    expect(page.get_by_test_id("key-tool-lasso")).to_have_text("X")
    page.get_by_role("button", name="Close", exact=True).click()
    page.keyboard.press("x")
    assert labelling.state()["toolId"] == "lasso"

    page.reload()
    labelling.wait_until_ready()
    page.keyboard.press("x")
    assert labelling.state()["toolId"] == "lasso"
    page.keyboard.press("?")
    page.get_by_test_id("reset-keys").click()
    page.get_by_test_id("theme").select_option("dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.get_by_test_id("theme").select_option("system")


def test_everything_is_suggested_on_demand_judged_by_one_key_and_can_be_stopped(
    labelling: LabellingPage, product: Product
) -> None:
    page = labelling.page
    page.get_by_test_id("segment-everything").click()
    suggestions = page.locator('[data-testid="mask-item"][data-status="proposed"]')
    suggestions.first.wait_for(timeout=240_000)
    page.keyboard.press("n")
    page.keyboard.press("n")
    selected = labelling.state()["selectedMaskId"]
    page.keyboard.press("y")
    labelling.wait_until_saved()
    status = {mask["id"]: mask["status"] for mask in labelling.state()["masks"]}
    if selected is not None:
        assert status[selected] == "accepted"
    if page.get_by_test_id("search-cancel").is_visible():
        page.get_by_test_id("search-cancel").click()
    page.locator('[data-testid="search"][data-state="done"]').wait_for(timeout=240_000)
    jobs = rows(product, "SELECT status FROM engine_job WHERE kind = 'suggest_masks'")
    assert len(jobs) == 1
    assert jobs[0][0] in {"succeeded", "cancelled"}
