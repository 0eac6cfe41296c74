"""A lead invites somebody; they join, label and are shown out; nothing breaks the CSP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PASSWORD = "a long enough phrase"


@pytest.fixture
def guest_page(browser_context: BrowserContext) -> Iterator[Page]:
    """A page of somebody else: another set of cookies in the same browser."""
    browser = browser_context.browser
    assert isinstance(browser, Browser)
    context = browser.new_context()
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def note_complaints(page: Page) -> list[str]:
    """What the browser complains about: refused scripts and styles, errors of scripts."""
    said: list[str] = []
    page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def test_an_invited_person_joins_labels_and_leaves(
    product: Product, page: Page, guest_page: Page
) -> None:
    complaints = note_complaints(page) + note_complaints(guest_page)
    page.goto(product.sign_in_link())
    page.get_by_test_id("redeem-link").click()
    page.get_by_test_id("project-card").first.click()
    page.get_by_test_id("members-link").click()
    page.get_by_label("For whom").fill("rita@example.org")
    page.get_by_label("Role", exact=True).select_option("reviewer")
    page.get_by_test_id("invite").click()
    link = page.get_by_test_id("invitation-link").inner_text()

    guest_page.goto(link)
    guest_page.get_by_label("Pick a user name").fill("rita")
    guest_page.get_by_label("Pick a password").fill(PASSWORD)
    guest_page.get_by_label("The password again").fill(PASSWORD)
    guest_page.get_by_test_id("join").click()
    expect(guest_page.get_by_test_id("messages")).to_contain_text("You are now reviewer")
    expect(guest_page.get_by_test_id("members-link")).to_have_count(0)
    guest_page.get_by_test_id("label-link").click()
    # The shipped model is prepared for browsers first, by the runner.
    guest_page.get_by_test_id("label-canvas").wait_for(timeout=180_000)

    page.goto(f"{product.url}/projects/demo-photos/members/")
    row = page.locator('[data-member="rita"]')
    expect(row).to_have_attribute("data-role", "reviewer")
    row.get_by_test_id("remove-member").click()
    expect(page.get_by_test_id("messages")).to_contain_text("no longer a member")

    guest_page.goto(f"{product.url}/projects/demo-photos/")
    expect(guest_page.get_by_test_id("error-title")).to_have_text("Not found")
    assert [one for one in complaints if "404" not in one] == []


def test_the_documentation_of_the_api_works_under_the_security_policy(
    product: Product, page: Page
) -> None:
    complaints = note_complaints(page)

    page.goto(f"{product.url}/api/v1/docs")

    expect(page.get_by_text("/api/v1/assignments/{assignment_id}/operations")).to_be_visible()
    assert complaints == []
