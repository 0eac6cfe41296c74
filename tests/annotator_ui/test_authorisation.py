"""Runs every cell of authorisation.toml, and fails when a route of the product is not in it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from tests.annotator_ui.authorisation import Route, World, api_routes, make_world, page_paths
from tests.annotator_ui.conftest import content_of

TABLE = tomllib.loads((Path(__file__).parent / "authorisation.toml").read_text())
ROWS = [
    (row, dict(zip(part["columns"], cells.split(), strict=True)))
    for part in (TABLE["pages"], TABLE["api"])
    for row, cells in part["rows"].items()
]


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def ask(client: Client, route: Route, world: World, caller: str) -> Any:
    address, body = world.address(route, caller), world.body(route)
    if route.method == "GET":
        return client.get(address)
    if route.is_api and not address.endswith(("/images", "/imports")):
        data = json.dumps(body or {})
        return client.generic(route.method, address, data, content_type="application/json")
    return client.post(address, body or {})


def told(response: Any) -> str:
    """The answer as the table writes it."""
    content_of(response)
    if response.status_code == 302 and response.headers["Location"].startswith("/sign-in/"):
        return "in"
    return str(response.status_code)


@pytest.mark.parametrize(("row", "wanted"), ROWS, ids=[row for row, _ in ROWS])
def test_every_kind_of_caller_gets_the_answer_of_the_table(
    row: str, wanted: dict[str, str], world: World
) -> None:
    route, found = Route.parse(row), {}
    for caller in wanted:
        with transaction.atomic():  # each caller finds the same world
            found[caller] = told(ask(world.client_of(caller), route, world, caller))
            transaction.set_rollback(True)

    assert found == wanted


def test_every_route_of_the_product_is_in_the_table() -> None:
    routes = [Route.parse(row) for row, _ in ROWS]

    assert {one.path for one in routes if not one.is_api} == page_paths()
    assert {(one.method, one.path) for one in routes if one.is_api} == api_routes()


def test_a_page_answers_no_method_that_is_not_in_the_table(world: World) -> None:
    listed = {(one.method, one.path) for one in (Route.parse(row) for row, _ in ROWS)}
    for path in page_paths():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            if (method, path) in listed or path == "/sign-in/":  # Django's view takes PUT as POST
                continue
            response = world.client_of("admin").generic(method, path.format(**world.names))

            assert response.status_code == 405, (method, path)


def test_no_row_of_the_table_lets_a_stranger_in() -> None:
    open_to_all = {"/healthz", "/sign-in/", "/sign-in/{token}/", "/join/{token}/"}
    open_to_all |= {"/api/v1/docs", "/api/v1/openapi.json", "/api/v1/"}
    for row, wanted in ROWS:
        route = Route.parse(row)
        if route.path not in open_to_all:
            assert wanted["anonymous"] == ("401" if route.is_api else "in"), row


WRITES = [row for row, _ in ROWS if row.startswith(("POST", "PATCH")) and "#" not in row]


@pytest.mark.parametrize("row", WRITES)
def test_a_write_on_a_session_needs_the_csrf_token(row: str, world: World) -> None:
    route = Route.parse(row)
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["lead"])

    response = ask(client, route, world, "lead")

    assert response.status_code == 403
    if route.is_api:
        assert response.json()["code"] == "csrf_failed"


def test_a_token_needs_no_csrf_token_and_no_cookie_helps_it(world: World) -> None:
    client = world.client_of("token_lead")
    client.handler.enforce_csrf_checks = True
    path = f"/api/v1/projects/{world.project.slug}/exports"

    taken = client.post(path, json.dumps({"format": "coco"}), content_type="application/json")
    revoked = world.client_of("token_revoked")
    revoked.force_login(world.people["lead"])
    refused = revoked.get(f"/api/v1/projects/{world.project.slug}")

    assert taken.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (401, "bad_token")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
