"""Photos and datasets into a project, in a real browser: by drop, by keyboard, good and bad."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from masks.rle import Rle
from tests.e2e.product import Product
from tests.engine import archives

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

DROP = """
([zone, files]) => {
  const transfer = new DataTransfer();
  for (const [name, base64] of files) {
    const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
    zone.dispatchEvent(new DragEvent(kind, options));
  }
}
"""


def pets_zip() -> bytes:
    square = Rle.from_runs([48 * 8, 10, 48 * 32 - 48 * 8 - 10], 32, 48).to_coco()
    entries = [archives.entry(1, 1, square), archives.entry(2, 7, square)]
    coco = archives.coco([archives.image_entry(1, "a.png")], entries)
    return archives.zip_of({"coco.json": coco, "a.png": archives.photo(77)})


@pytest.fixture(scope="module")
def signed_in(product: Product, page: Page) -> Page:
    page.goto(product.sign_in_link())
    page.get_by_test_id("redeem-link").click()
    page.get_by_test_id("project-card").first.wait_for()
    return page


def test_many_files_at_once_and_a_dataset(
    product: Product, signed_in: Page, screenshots_dir: Path
) -> None:
    page = signed_in
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on(
        "console",
        lambda line: trouble.append(line.text) if "Content Security" in line.text else None,
    )
    page.goto(product.url)
    page.get_by_test_id("project-card").first.click()
    zone = page.get_by_test_id("upload")
    before = page.get_by_test_id("image-card").count()

    files = {f"p{i}.png": archives.photo(100 + i) for i in range(12)}
    files |= {"bad.jpg": b"no photo", "cut.png": archives.photo(5)[:500], "pets.zip": pets_zip()}
    dropped = [[name, base64.b64encode(data).decode()] for name, data in files.items()]
    page.evaluate(DROP, [zone.element_handle(), dropped])

    line = page.locator("[data-upload-line]")
    expect(line).to_have_text("13 of 15 taken, 2 refused.", timeout=60_000)
    refused = page.get_by_test_id("upload-refused")
    expect(refused).to_have_count(2)
    expect(refused.filter(has_text="bad.jpg")).to_contain_text("it is not a JPEG")
    expect(refused.filter(has_text="cut.png")).to_contain_text("damaged or cut off")
    page.screenshot(path=screenshots_dir / "20-uploaded.png", full_page=True)

    page.get_by_test_id("upload-import").click()
    expect(page.get_by_test_id("import-name")).to_have_text("pets.zip")
    for _ in range(180):  # the photos above are encoded first
        if page.get_by_test_id("import-status").inner_text() == "done":
            break
        page.wait_for_timeout(1000)
        page.reload()
    expect(page.get_by_test_id("import-masks")).to_have_text("1")
    expect(page.get_by_test_id("refused-row")).to_contain_text("there is no image 7")
    page.screenshot(path=screenshots_dir / "21-import-report.png", full_page=True)

    page.go_back()
    page.get_by_test_id("browse-link").click()
    expect(page.get_by_test_id("num-images")).to_have_text(str(before + 13))
    overlay = page.get_by_test_id("overlay").first
    overlay.scroll_into_view_if_needed()
    page.wait_for_function("(one) => one.naturalWidth > 0", arg=overlay.element_handle())
    page.screenshot(path=screenshots_dir / "22-images.png", full_page=True)
    assert trouble == []


def test_the_keyboard_alone_uploads(product: Product, signed_in: Page, tmp_path: Path) -> None:
    page = signed_in
    page.goto(product.url)
    page.get_by_test_id("project-card").first.click()
    chosen = tmp_path / "keyboard.png"
    chosen.write_bytes(archives.photo(500))
    field = page.get_by_test_id("upload-input")
    field.focus()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([chosen])

    expect(page.locator("[data-upload-line]")).to_have_text("1 of 1 taken.", timeout=30_000)
