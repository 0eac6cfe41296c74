"""axe on every kind of page, light and dark, and on the states of the labelling page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from tests.e2e.labelling import LabellingPage
from tests.e2e.product import ROOT, Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(900)]

AXE = ROOT / "annotator_ui" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = {"serious", "critical"}


def serious_violations(page: Page, where: str) -> list[str]:
    """What axe finds, a line each. Evaluated, as the policy allows no inline script."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate(
        "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
    )
    return [
        f"{where}: {one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def test_no_page_has_a_serious_violation_or_an_error_in_its_console(
    product: Product, browser_context: BrowserContext
) -> None:
    page = browser_context.new_page()
    console: list[str] = []

    def hear(line: ConsoleMessage) -> None:
        if line.type == "error" and "409 (Conflict)" not in line.text:
            console.append(line.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: console.append(str(error)))
    found: list[str] = []

    def check(where: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.wait_for_timeout(200)  # colours fade over
            found.extend(serious_violations(page, f"{where}, {scheme}"))

    sign_in_link = product.sign_in_link()  # printed once the server answers
    page.goto(f"{product.url}/sign-in/")
    check("sign-in")
    page.goto(sign_in_link)
    check("sign-in link")
    page.get_by_test_id("redeem-link").click()
    page.get_by_test_id("project-card").first.wait_for()
    check("projects")
    page.get_by_test_id("project-card").first.click()
    page.get_by_test_id("project-name").wait_for()
    check("project")

    page.goto(f"{page.url}label/")
    labelling = LabellingPage(page)
    labelling.wait_until_ready()
    check("labelling, first use")
    labelling.click(300, 150)
    check("labelling, a draft")
    labelling.accept()
    page.keyboard.press("j")
    page.keyboard.press("/")
    check("labelling, a selected mask and the instructions")
    page.keyboard.press("?")
    check("labelling, keys")
    page.keyboard.press("Escape")
    page.get_by_test_id("skip").click()
    check("labelling, skip")
    page.close()

    assert found == [], "\n".join(found)
    assert console == []
