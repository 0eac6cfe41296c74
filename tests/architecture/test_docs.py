"""The documentation's tables come from the code, and its links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "client/README.md"]
)


def _hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = _hooks()


@pytest.mark.parametrize("name", sorted(HOOKS.TABLES))
def test_every_table_from_the_code_has_rows(name: str) -> None:
    assert len(HOOKS.TABLES[name]().splitlines()) > 4


def test_every_marker_names_a_table_and_every_table_has_its_page() -> None:
    used = {name for page in PAGES for name in HOOKS.MARKER.findall((ROOT / page).read_text())}

    assert used == set(HOOKS.TABLES)


def test_the_numbers_of_a_stage_are_all_there_with_their_bounds() -> None:
    from engine.domain.policy_fields import FIELDS

    written = HOOKS.policy()

    assert [name for name in FIELDS if f"| `{name}` |" not in written] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_to_files(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.S)
    targets = [
        target.partition("#")[0]
        for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)
        if not re.match(r"[a-z]+:|#", target)
    ]

    missing = [target for target in targets if not ((ROOT / page).parent / target).exists()]

    assert missing == []


def test_every_page_of_the_manual_is_in_its_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text()
    pages = [page.removeprefix("docs/") for page in PAGES if page.startswith("docs/")]

    assert [page for page in pages if f": {page}\n" not in contents] == []


def test_links_to_source_code_become_names_on_the_site() -> None:
    page = "docs/how-to/label.md"

    assert HOOKS.with_site_links("[map](../explanation/architecture.md#x)", page=page) == (
        "[map](../explanation/architecture.md#x)"
    )
    assert HOOKS.with_site_links("[card](../../sam/starter/MODEL_CARD.md)", page=page) == (
        "[card](../reference/starter-model.md)"
    )
    assert HOOKS.with_site_links("[the table](../../engine/domain/roles.py)", page=page) == (
        "the table (`engine/domain/roles.py`)"
    )
