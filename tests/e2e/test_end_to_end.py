"""The whole engine in a real browser, on real photos, against what `make run` starts.

Label, retrain, read the evaluation, advance twice, see machine masks arrive, export, and hold
the export against the database pixel for pixel.
"""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import ConsoleMessage, Page, expect
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from engine.domain.ids import derived_id
from tests.e2e.labelling import LabellingPage
from tests.e2e.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(2400)]

JOB_TIMEOUT_MS = 900_000  # a training beside three other tests


def shoot(page: Page, folder: Path, name: str, *, full_page: bool = True) -> None:
    page.screenshot(path=folder / f"{name}.png", full_page=full_page)


def is_trouble(line: ConsoleMessage) -> bool:
    """Errors count, except the browser's own note of a 409: "not ready yet, ask again"."""
    return line.type == "error" and "409 (Conflict)" not in line.text


def advance(page: Page, reason: str) -> None:
    page.get_by_test_id("advance-open").click()
    page.get_by_test_id("advance-reason").fill(reason)
    page.get_by_test_id("advance-stage").click()


def rows(product: Product, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(f"file:{product.data_dir / 'segloop.sqlite3'}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def test_the_engine_turns_once_from_the_first_click_to_the_exported_dataset(
    product: Product, page: Page, screenshots_dir: Path, tmp_path: Path
) -> None:
    console: list[str] = []
    page.on("console", lambda line: console.append(line.text) if is_trouble(line) else None)
    page.on("pageerror", lambda error: console.append(str(error)))

    project_url = sign_in(product, page, screenshots_dir)
    first_image = label_two_photos(page, project_url, screenshots_dir)
    reload_and_find_the_masks(page, project_url, first_image)
    retrain(page, project_url, screenshots_dir)
    semi_automatic(page, project_url, screenshots_dir)
    fully_automatic(page, project_url, screenshots_dir)
    before_export = set(stored_masks(product))
    archive = export_coco(page, project_url, screenshots_dir, tmp_path)

    assert_export_equals_the_database(product, archive, before_export, tmp_path)
    assert console == []


def sign_in(product: Product, page: Page, screenshots_dir: Path) -> str:
    page.goto(product.sign_in_link())
    page.get_by_test_id("redeem-link").click()
    page.get_by_test_id("project-card").first.wait_for()
    shoot(page, screenshots_dir, "01-projects")
    page.get_by_test_id("project-card").first.click()
    page.get_by_test_id("project-name").wait_for()
    shoot(page, screenshots_dir, "02-project")
    return page.url


def label_two_photos(page: Page, project_url: str, screenshots_dir: Path) -> str:
    """Three objects by clicks and one by box on the first photo, one of each on the second."""
    page.goto(project_url + "label/")
    labelling = LabellingPage(page)
    image_id = labelling.wait_until_ready()
    shoot(page, screenshots_dir, "03-labelling", full_page=False)

    labelling.click(300, 150)  # the coffee
    labelling.click(300, 120)
    shoot(page, screenshots_dir, "04-two-clicks", full_page=False)
    labelling.accept()
    labelling.click(60, 60)
    page.get_by_test_id("candidate").nth(2).wait_for()
    page.keyboard.press("Tab")
    labelling.accept()
    labelling.click(330, 320)
    labelling.click(20, 380, button="right")
    labelling.accept()
    labelling.drag_box(150, 40, 470, 330)
    shoot(page, screenshots_dir, "05-box", full_page=False)
    labelling.accept()
    expect(page.locator('[data-testid="mask-item"][data-source="human"]')).to_have_count(4)
    shoot(page, screenshots_dir, "06-four-masks", full_page=False)

    labelling.finish_image()
    assert labelling.wait_until_ready() != image_id
    labelling.click(230, 150)
    labelling.accept()
    labelling.drag_box(120, 60, 330, 280)
    labelling.accept()
    labelling.finish_image()
    return image_id


def reload_and_find_the_masks(page: Page, project_url: str, image_id: str) -> None:
    page.goto(f"{project_url}label/?image={image_id}")
    labelling = LabellingPage(page)

    assert labelling.wait_until_ready() == image_id

    expect(page.locator('[data-testid="mask-item"][data-source="human"]')).to_have_count(4)
    labelling.finish_image()


def retrain(page: Page, project_url: str, screenshots_dir: Path) -> None:
    page.goto(project_url)
    page.get_by_test_id("retrain-sam").click()
    running = page.locator(
        '[data-testid="job-row"][data-kind="train_sam"][data-status="running"] progress'
    )
    running.wait_for(timeout=JOB_TIMEOUT_MS)
    shoot(page, screenshots_dir, "07-retraining")

    version = page.locator('[data-testid="version-row"][data-family="sam"][data-number="2"]')
    page.locator(
        '[data-testid="version-row"][data-family="sam"][data-number="2"]:is('
        '[data-status="serving"], [data-status="rejected"])'
    ).wait_for(timeout=JOB_TIMEOUT_MS)
    for metric in ("clicks_1_miou", "clicks_3_miou", "clicks_5_miou", "box_miou"):
        shown = version.get_by_test_id(f"metric-{metric}").inner_text().split()[0]
        assert 0.0 <= float(shown) <= 1.0
    shoot(page, screenshots_dir, "08-new-version")


def semi_automatic(page: Page, project_url: str, screenshots_dir: Path) -> None:
    page.goto(project_url)
    advance(page, "the walk goes on")
    page.locator('[data-testid="stage-current"][data-stage="semi_automatic"]').wait_for()
    prefilled = page.locator('[data-testid="count-prefilled"]')
    prefilled.first.wait_for(timeout=JOB_TIMEOUT_MS)
    shoot(page, screenshots_dir, "09-semi-automatic")

    card = page.locator('[data-testid="image-card"]', has=prefilled).first
    page.goto(f"{project_url}label/?image={card.get_attribute('data-image')}")
    labelling = LabellingPage(page)
    labelling.wait_until_ready()
    suggestion = page.locator('[data-testid="mask-item"][data-source="prefilled"]').first
    expect(suggestion).to_have_attribute("data-status", "proposed")
    expect(suggestion).to_contain_text("prefilled")
    shoot(page, screenshots_dir, "10-prefilled", full_page=False)
    suggestion.get_by_test_id("mask-accept").click()
    expect(
        page.locator('[data-testid="mask-item"][data-source="prefilled"][data-status="accepted"]')
    ).to_have_count(1)
    labelling.finish_image()
    page.goto(project_url + "label/")
    labelling.wait_until_ready()
    labelling.finish_image()


def fully_automatic(page: Page, project_url: str, screenshots_dir: Path) -> None:
    page.goto(project_url)
    advance(page, "the walk goes on")
    page.locator('[data-testid="stage-current"][data-stage="fully_automatic"]').wait_for()
    page.locator('[data-testid="count-automatic"]').first.wait_for(timeout=JOB_TIMEOUT_MS)
    shoot(page, screenshots_dir, "11-fully-automatic")
    card = page.locator(
        '[data-testid="image-card"]', has=page.locator('[data-testid="count-automatic"]')
    ).first
    page.goto(f"{project_url}label/?image={card.get_attribute('data-image')}")
    LabellingPage(page).wait_until_ready()
    page.locator('[data-testid="mask-item"][data-source="automatic"]').first.wait_for()
    shoot(page, screenshots_dir, "12-automatic", full_page=False)


def export_coco(page: Page, project_url: str, screenshots_dir: Path, tmp_path: Path) -> Path:
    page.goto(project_url)
    page.get_by_test_id("export-coco").click()
    download_link = page.locator(
        '[data-testid="export-row"][data-format="coco"] [data-testid="export-download"]'
    )
    download_link.wait_for(timeout=JOB_TIMEOUT_MS)
    shoot(page, screenshots_dir, "13-exported")
    with page.expect_download() as download:
        download_link.click()
    archive = tmp_path / "export.zip"
    download.value.save_as(archive)
    return archive


def stored_masks(product: Product) -> dict[str, tuple[int, int, str, str]]:
    """The accepted masks, packed ones too: head revision id -> height, width, counts, source."""
    packed = {
        derived_id(str(key), "revision", place).hex: (
            int(height),
            int(width),
            str(counts),
            "automatic",
        )
        for key, place, height, width, counts in rows(
            product,
            "SELECT u.idem_key, p.place, i.height_px, i.width_px, p.rle_counts"
            " FROM engine_automaticmask p JOIN engine_automaticrun u ON u.id = p.run_id"
            " JOIN engine_image i ON i.id = u.image_id WHERE u.status = 'kept'",
        )
    }
    return packed | {
        str(revision): (int(height), int(width), str(counts), str(source))
        for revision, height, width, counts, source in rows(
            product,
            "SELECT r.id, i.height_px, i.width_px, r.rle_counts, m.source"
            " FROM engine_mask m JOIN engine_maskrevision r ON r.id = m.head_id"
            " JOIN engine_image i ON i.id = m.image_id WHERE m.status = 'accepted'",
        )
    }


def assert_export_equals_the_database(
    product: Product, archive: Path, before: set[str], tmp_path: Path
) -> None:
    """Hold the export against the rows, pixel for pixel; `before`: masks it must contain."""
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(tmp_path / "export")
    annotations = next((tmp_path / "export").rglob("annotations.json"))
    provenance = next((tmp_path / "export").rglob("provenance.jsonl")).read_text().splitlines()
    revision_of = {
        line["annotation_id"]: line["revision_id"].replace("-", "")
        for line in map(json.loads, provenance)
    }
    stored = stored_masks(product)

    coco = COCO(annotations)

    sources = Counter(stored[revision][3] for revision in revision_of.values())
    assert sources["human"] == 6
    assert sources["prefilled"] >= 1
    assert sources["automatic"] >= 1
    assert before <= set(revision_of.values())
    assert len(coco.anns) == len(revision_of)
    for annotation_id, annotation in coco.anns.items():
        height, width, counts, _ = stored[revision_of[annotation_id]]
        kept = coco_mask.decode({"size": [height, width], "counts": counts.encode()})
        assert np.array_equal(coco.annToMask(annotation), kept)
    assert all(
        (annotations.parent / "images" / i["file_name"]).exists() for i in coco.imgs.values()
    )
