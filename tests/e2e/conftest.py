"""A real product and a real browser, one each per module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.e2e.labelling import LabellingPage, open_tab
from tests.e2e.product import Product, browser_path, running_product


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running_product(tmp_path_factory.mktemp("segloop")) as running:
        yield running


@pytest.fixture(scope="module")
def browser_context() -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(),
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        context = browser.new_context(viewport={"width": 1360, "height": 860})
        context.set_default_timeout(60_000)
        yield context
        browser.close()


@pytest.fixture(scope="module")
def page(browser_context: BrowserContext) -> Page:
    return browser_context.new_page()


@pytest.fixture(scope="session")
def screenshots_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the walk leaves its pictures; name a folder in SEGLOOP_SCREENSHOTS to keep them."""
    if named := os.environ.get("SEGLOOP_SCREENSHOTS"):
        folder = Path(named)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return tmp_path_factory.mktemp("screenshots")


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
