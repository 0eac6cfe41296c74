"""Scripts of the leads' pages: included once the front end is built, left out before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.test import Client
from django_vite.core.asset_loader import DjangoViteAssetLoader
from pytest_django import Settings

from engine.models import Project

PAGES = {
    "/projects/roof-tiles/": "src/pages/projectPage.ts",
    "/projects/roof-tiles/loop/": "src/pages/projectPage.ts",
    "/projects/roof-tiles/jobs/": "src/pages/jobsPage.ts",
}


@pytest.mark.django_db
@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_its_script_once_it_is_built(
    as_lead: Client,
    project: Project,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    settings.UI_DIST_DIR = tmp_path
    before = as_lead.get(path)

    entry = {"file": "assets/page-abc.js", "src": PAGES[path], "isEntry": True}
    (tmp_path / "manifest.json").write_text(json.dumps({PAGES[path]: entry}))
    settings.DJANGO_VITE = {
        "default": {"static_url_prefix": "ui", "manifest_path": tmp_path / "manifest.json"}
    }
    monkeypatch.setattr(DjangoViteAssetLoader, "_instance", None)
    after = as_lead.get(path)

    assert (before.status_code, after.status_code) == (200, 200)
    assert "<script" not in before.content.decode()
    assert 'src="/static/ui/assets/page-abc.js"' in after.content.decode()
