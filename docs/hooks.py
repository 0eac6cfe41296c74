"""mkdocs hooks: tables written from the code, and links that leave docs/.

A line `<!-- from-code: NAME -->` in a page is replaced by what `TABLES[NAME]` returns. Files of the
repository that belong in the manual (README of the client, model card, ...) become pages of it.
"""

from __future__ import annotations

import ast
import json
import os
import posixpath
import re
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES_FROM_ELSEWHERE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "client/README.md": "reference/python-client.md",
    "sam/starter/MODEL_CARD.md": "reference/starter-model.md",
    "annotator_ui/frontend/README.md": "explanation/labelling-page.md",
}
MARKER = re.compile(r"^<!-- from-code: (\w+) -->$", re.M)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
_DJANGO_OPTIONS = {
    *("--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"),
    *("--force-color", "--skip-checks"),
}


def table(head: list[str], rows: list[list[object]]) -> str:
    """Return a Markdown table; cells are escaped where a bar would split them."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def environment() -> str:
    """Return every environment variable with its example and meaning, from deploy/env.example."""
    rows: list[list[object]] = []
    comment: list[str] = []
    for line in (ROOT / "deploy" / "env.example").read_text().splitlines():
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif "=" in line:
            name, example = line.split("=", 1)
            rows.append([f"`{name}`", f"`{example}`" if example else "", " ".join(comment)])
            comment = []
        else:
            comment = []
    return table(["variable", "example", "what it does"], rows)


def limits() -> str:
    """Return every constant `MAX_...` of engine and annotator_ui with the comment beside it."""
    rows: list[list[object]] = []
    for path in sorted([*ROOT.glob("engine/**/*.py"), *ROOT.glob("annotator_ui/**/*.py")]):
        if "node_modules" in path.parts:
            continue
        for name, value, note in constants_of(path):
            if name.startswith("MAX_"):
                rows.append([f"`{name}`", f"`{value}`", note, f"`{path.relative_to(ROOT)}`"])
    return table(["limit", "value", "note", "where"], sorted(rows, key=lambda row: str(row[3])))


def constants_of(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and note (docstring below or comment beside) of a module's constants."""
    source = path.read_text()
    lines = source.splitlines()
    body = ast.parse(source).body
    for statement, following in zip_longest(body, body[1:]):
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        else:
            continue
        value = ast.unparse(statement.value) if statement.value else ""
        yield name, value, _note_of(statement, following, lines)


def _note_of(statement: ast.stmt, following: ast.stmt | None, lines: list[str]) -> str:
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        return " ".join(str(following.value.value).split())
    line = lines[(statement.end_lineno or statement.lineno) - 1]
    return line.partition("  # ")[2]


def policy() -> str:
    """Return every number of a stage: name, meaning, default by stage, bounds and reason."""
    from engine.domain.policy import DEFAULT_POLICY, Policy
    from engine.domain.policy_fields import FIELDS, GROUP_TITLES
    from engine.domain.stages import STAGE_SPECS

    reasons = _field_reasons(Path(sys.modules[Policy.__module__].__file__ or ""), "Policy")
    assert {field.name for field in fields(Policy)} == set(FIELDS)  # noqa: S101
    parts, specs = [], list(STAGE_SPECS.values())
    for group, title in GROUP_TITLES.items():
        rows: list[list[object]] = []
        for name, field in FIELDS.items():
            if field.group != group:
                continue
            own = [f"{spec.own[name]:g} {spec.title}" for spec in specs if name in spec.own]
            default = "; ".join([f"{getattr(DEFAULT_POLICY, name):,.10g}", *own])
            fixed = ", fixed" if field.is_fixed else ""
            bounds = f"{field.low:,.10g} to {field.high:,.10g}{fixed}"
            rows.append([f"`{name}`", field.title, default, bounds, reasons.get(name, "")])
        head = ["number", "meaning", "default; by stage", "bounds", "reason"]
        parts.append(f"### {title}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def _field_reasons(path: Path, class_name: str) -> dict[str, str]:
    tree = ast.parse(path.read_text())
    body = next(
        node.body
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == class_name
    )
    found = {}
    for statement, following in pairwise(body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[statement.target.id] = " ".join(str(following.value.value).split())
    return found


def jobs() -> str:
    """Return how each kind of job is run."""
    from engine.domain.jobs import JOB_SPECS

    head = ["kind", "what", "queue", "priority", "attempts", "lease s", "hung after s", "deadline"]
    rows: list[list[object]] = [
        [
            *(f"`{kind}`", spec.title, f"`{spec.queue}`", spec.priority, spec.max_attempts),
            *(f"{spec.lease_s:g}", f"{spec.stall_s:g}", _duration(spec.deadline_s)),
        ]
        for kind, spec in sorted(JOB_SPECS.items(), key=lambda item: item[1].priority)
    ]
    return table(head, rows)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def states() -> str:
    """Return the moves of every state machine."""
    from engine.domain.states import TRANSITIONS

    rows: list[list[object]] = [
        [machine.__name__.removesuffix("Status"), f"`{state}`", _names(moves) or "final"]
        for machine, table_of_moves in TRANSITIONS.items()
        for state, moves in table_of_moves.items()
    ]
    return table(["of", "from", "to"], rows)


def _names(values: Any) -> str:
    return ", ".join(f"`{value}`" for value in sorted(values))


def permissions() -> str:
    """Return who may do what."""
    from engine.domain.roles import RULES

    rows: list[list[object]] = [
        [f"`{permission}`", rule.phrase, rule.least, rule.scope]
        for permission, rule in RULES.items()
    ]
    return table(["permission", "may", "least role", "least scope of a token"], rows)


def formats() -> str:
    """Return the dataset formats that can be read and written."""
    from engine.exporters import EXPORTERS
    from engine.importers import IMPORTERS

    rows: list[list[object]] = [
        ["export", f"`{name}`", one.TITLE, one.DESCRIPTION] for name, one in EXPORTERS.items()
    ]
    rows += [["import", f"`{name}`", one.TITLE, one.DESCRIPTION] for name, one in IMPORTERS.items()]
    return table(["direction", "name", "title", "what it holds"], rows)


def commands() -> str:
    """Return the help of every command of `segloop`."""
    from segloop.cli import COMMANDS

    _set_up_django()
    from django.core.management import get_commands, load_command_class

    parts = []
    for word, command in COMMANDS.items():
        parts.append(f"## segloop {word}\n\n{command.help[0].upper()}{command.help[1:]}.")
        if command.module:
            parts.append(_code(_help_of_library(command.module)))
        elif get_commands()[command.django_name] in {"engine", "workers"}:
            loaded = load_command_class(get_commands()[command.django_name], command.django_name)
            parts.append(_code(_help_of(loaded.create_parser("segloop", word))))
    return "\n\n".join(parts)


def _set_up_django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "engine.settings")
    os.environ.setdefault("SEGLOOP_DATA_DIR", tempfile.mkdtemp(prefix="segloop-docs-"))
    import django

    django.setup()


def _help_of(parser: ArgumentParser) -> str:
    for action in list(parser._actions):
        if set(action.option_strings) & _DJANGO_OPTIONS:
            parser._remove_action(action)
            for group in parser._action_groups:
                if action in group._group_actions:
                    group._group_actions.remove(action)
    parser.formatter_class = ArgumentParser().formatter_class
    return parser.format_help()


def _help_of_library(module: str) -> str:
    from importlib import import_module

    parser: ArgumentParser = import_module(f"{module}.__main__")._parser()
    return parser.format_help()


def _code(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def api() -> str:
    """Return every operation of the API and the shape of every body, from docs/openapi.json."""
    schema = json.loads((ROOT / "docs" / "openapi.json").read_text())
    by_tag: dict[str, list[list[object]]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            row: list[object] = [
                f"`{method.upper()} {path}`",
                " ".join(operation.get("description", operation["summary"]).split()),
                _body_of(operation.get("requestBody", {})),
                ", ".join(
                    f"{status} {_body_of(answer)}".strip()
                    for status, answer in operation["responses"].items()
                    if str(status).startswith("2")
                ),
            ]
            by_tag.setdefault((operation.get("tags") or ["other"])[0], []).append(row)
    head = ["operation", "what it does", "body", "answer"]
    parts = [f"## {tag}\n\n{table(head, rows)}" for tag, rows in sorted(by_tag.items())]
    parts.append("## Shapes")
    for name, shape in schema["components"]["schemas"].items():
        parts.append(f"### {name}\n\n{_shape(shape)}")
    return "\n\n".join(parts)


def _body_of(holder: dict[str, Any]) -> str:
    for content in holder.get("content", {}).values():
        return _type_of(content.get("schema", {}))
    return ""


def _shape(shape: dict[str, Any]) -> str:
    text = " ".join(shape.get("description", "").split())
    if "enum" in shape:
        return f"{text}\n\nOne of {', '.join(f'`{value}`' for value in shape['enum'])}."
    required = set(shape.get("required", []))
    rows: list[list[object]] = [
        [
            f"`{name}`",
            _type_of(field) + ("" if name in required else ", optional"),
            " ".join(field.get("description", "").split()),
        ]
        for name, field in shape.get("properties", {}).items()
    ]
    return f"{text}\n\n{table(['field', 'type', ''], rows)}" if rows else text or "An object."


def _type_of(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for word in ("anyOf", "oneOf"):
        if word in field:
            return " or ".join(_type_of(choice) for choice in field[word])
    if field.get("type") == "array":
        return f"list of {_type_of(field.get('items', {}))}"
    return str(field.get("format") or field.get("type") or "any")


TABLES: dict[str, Callable[[], str]] = {
    function.__name__: function
    for function in (environment, limits, policy, jobs, states, permissions, formats, commands, api)
}


def fill(markdown: str) -> str:
    """Return a page with its markers replaced by tables."""
    return MARKER.sub(lambda found: TABLES[found[1]](), markdown)


def link_within(target: str, *, page: str) -> str | None:
    """Return a page's link to a repository file as the site has it; None when it has no such page.

    page: the source of the page, relative to the repository.
    """
    path, _, anchor = target.partition("#")
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    if wanted in PAGES_FROM_ELSEWHERE:
        site = PAGES_FROM_ELSEWHERE[wanted]
    elif wanted.startswith("docs/"):
        site = wanted.removeprefix("docs/")
    else:
        return None
    here = PAGES_FROM_ELSEWHERE.get(page, page.removeprefix("docs/"))
    link = posixpath.relpath(site, posixpath.dirname(here) or ".")
    return f"{link}#{anchor}" if anchor else link


def with_site_links(markdown: str, *, page: str) -> str:
    """Return a page whose links stay on the site; a link to source code becomes the file's name."""

    def replace(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        link = link_within(target, page=page)
        if link is not None:
            return f"[{text}]({link})"
        name = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        return text if name in text else f"{text} (`{name}`)"

    return _LINK.sub(replace, markdown)


# --- what mkdocs calls ------------------------------------------------------------------------
def on_config(config: Any) -> Any:
    sys.path.insert(0, str(ROOT))
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages whose source lies elsewhere in the repository."""
    from mkdocs.structure.files import File

    for source, page in PAGES_FROM_ELSEWHERE.items():
        content = with_site_links((ROOT / source).read_text(), page=source)
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    source = page.file.src_uri
    if source in PAGES_FROM_ELSEWHERE.values():
        return markdown
    return fill(with_site_links(markdown, page=f"docs/{source}"))
