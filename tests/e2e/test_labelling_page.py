"""The labelling page's own promises, in a real browser against the real product.

Pixels are compared with what the server stored; nothing here looks at the page's code.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Request, expect

from masks.rle import Rle
from tests.e2e.labelling import LabellingPage
from tests.e2e.product import ROOT, Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

PASSWORD = "a phrase that is long enough"
# The browser's own notes of answers that the page handles, and of the wire that a test cut.
HARMLESS = re.compile(
    r"401 \(Unauthorized\)|403 \(Forbidden\)|409 \(Conflict\)|Failed to load resource: net::"
)


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


@pytest.fixture(scope="module")
def signed_in(product: Product, browser_context: BrowserContext) -> str:
    """The address of the demo project's labelling page."""
    page = browser_context.new_page()
    page.goto(product.sign_in_link())
    page.get_by_test_id("redeem-link").click()
    page.get_by_test_id("project-card").first.click()
    page.get_by_test_id("project-name").wait_for()
    url = page.url + "label/"
    page.close()
    return url


@pytest.fixture
def console() -> Iterator[list[str]]:
    """Errors of the pages a test opened; the test fails when there are any."""
    lines: list[str] = []
    yield lines
    assert lines == []


@pytest.fixture
def labelling(
    signed_in: str, browser_context: BrowserContext, console: list[str]
) -> Iterator[LabellingPage]:
    page = open_tab(browser_context, signed_in, console)
    yield page
    page.page.close()


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


def test_twenty_masks_made_offline_arrive_once_each(
    labelling: LabellingPage, browser_context: BrowserContext, product: Product
) -> None:
    image_id = labelling.state()["imageId"]
    before = num_revisions(product, image_id)
    browser_context.set_offline(True)
    for place in range(20):
        small_square(labelling, place)
    light = labelling.page.get_by_test_id("save-light")
    expect(light).to_have_attribute("data-state", "pending")
    expect(light).to_have_attribute("data-pending", "20")
    assert num_revisions(product, image_id) == before

    browser_context.set_offline(False)
    labelling.wait_until_saved()

    assert num_revisions(product, image_id) == (before[0] + 20, before[1] + 20)


def test_a_killed_tab_loses_nothing(
    signed_in: str, browser_context: BrowserContext, product: Product, console: list[str]
) -> None:
    labelling = open_tab(browser_context, signed_in, console)
    image_id = labelling.state()["imageId"]
    before = num_revisions(product, image_id)
    browser_context.set_offline(True)
    for place in range(5):
        small_square(labelling, place)
    expect(labelling.page.get_by_test_id("save-light")).to_have_attribute("data-pending", "5")
    labelling.page.close(run_before_unload=False)
    browser_context.set_offline(False)

    again = open_tab(browser_context, signed_in, console)
    again.wait_until_saved()

    assert num_revisions(product, image_id) == (before[0] + 5, before[1] + 5)
    again.page.close()


def note_sender(senders: list[str], name: str, request: Request) -> None:
    if request.method == "POST" and request.url.endswith("/masks"):
        senders.append(name)


def test_two_tabs_have_one_sender_and_lose_nothing(
    signed_in: str, browser_context: BrowserContext, product: Product, console: list[str]
) -> None:
    senders: list[str] = []
    tabs = [open_tab(browser_context, signed_in, console) for _ in range(2)]
    for name, tab in zip("ab", tabs, strict=True):
        tab.page.on("request", partial(note_sender, senders, name))
    image_id = tabs[0].state()["imageId"]
    before = num_revisions(product, image_id)
    for place in range(4):
        for tab in tabs:
            tab.page.bring_to_front()
            small_square(tab, place)
    for tab in tabs:
        tab.wait_until_saved()
    assert num_revisions(product, image_id) == (before[0] + 8, before[1] + 8)
    assert len(senders) == 8
    assert len(set(senders)) == 1

    # The sender dies with work on its hands: the other one takes over.
    browser_context.set_offline(True)
    sender = tabs["ab".index(senders[0])]
    sender.page.bring_to_front()
    small_square(sender, 12)
    expect(sender.page.get_by_test_id("save-light")).to_have_attribute("data-pending", "1")
    sender.page.close(run_before_unload=False)
    browser_context.set_offline(False)
    other = next(tab for tab in tabs if tab is not sender)
    other.page.bring_to_front()
    other.wait_for("the other's mask sent", lambda now: now["queue"]["pending"] == 0, s=60)
    assert num_revisions(product, image_id) == (before[0] + 9, before[1] + 9)
    other.page.close()


def test_a_lost_sign_in_is_renewed_in_place_and_everything_is_sent(
    labelling: LabellingPage, product: Product
) -> None:
    image_id = labelling.state()["imageId"]
    before = num_revisions(product, image_id)
    small_square(labelling, 0)
    labelling.wait_until_saved()
    set_password(product)  # which ends every session of the person
    for place in range(1, 4):
        small_square(labelling, place)
    page = labelling.page
    page.get_by_test_id("sign-in-again").click()
    page.get_by_test_id("again-password").fill("wrong")
    page.get_by_test_id("again-sign-in").click()
    page.get_by_test_id("sign-in-problem").wait_for()
    assert num_revisions(product, image_id) == (before[0] + 1, before[1] + 1)

    page.get_by_test_id("again-password").fill(PASSWORD)
    page.get_by_test_id("again-sign-in").click()
    labelling.wait_until_saved()

    assert labelling.state()["imageId"] == image_id
    assert num_revisions(product, image_id) == (before[0] + 4, before[1] + 4)


def set_password(product: Product) -> None:
    script = (
        "from engine.models import User; user = User.objects.get(username='demo');"
        f" user.set_password('{PASSWORD}'); user.save()"
    )
    environment = {
        **os.environ,
        "SEGLOOP_DATA_DIR": str(product.data_dir),
        "DATABASE_URL": "",
        "REDIS_URL": "",
    }
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-c", script], cwd=ROOT, env=environment, check=True
    )
