"""Masks survive a cut line, a killed tab, a second tab and a lost sign-in: each arrives once."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest
from playwright.sync_api import BrowserContext, Request, expect

from tests.e2e.labelling import (
    PASSWORD,
    LabellingPage,
    num_revisions,
    open_tab,
    small_square,
)
from tests.e2e.product import ROOT, Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]


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
    expect(labelling.page.get_by_test_id("save-light")).to_have_attribute("data-kept", "5")
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
    expect(sender.page.get_by_test_id("save-light")).to_have_attribute("data-kept", "1")
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
