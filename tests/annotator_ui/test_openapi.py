from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from annotator_ui.api import api
from tests.annotator_ui.conftest import content_of

SNAPSHOT = Path(__file__).parents[2] / "docs" / "openapi.json"


def operations() -> dict[str, dict[str, Any]]:
    schema = json.loads(SNAPSHOT.read_text())
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


def test_the_published_form_of_the_api_is_the_one_checked_in(tmp_path: Path) -> None:
    made = tmp_path / "openapi.json"

    call_command(
        "export_openapi_schema",
        *("--api", "annotator_ui.api.api", "--indent", "1", "--sorted", "--output", str(made)),
    )

    assert made.read_text() == SNAPSHOT.read_text(), "the API has changed: make openapi, and look"


@pytest.mark.django_db
def test_the_server_publishes_that_form() -> None:
    served = Client().get("/api/v1/openapi.json").json()

    assert served == json.loads(SNAPSHOT.read_text())


def test_every_operation_declares_its_errors_in_the_one_shape() -> None:
    for name, operation in operations().items():
        declared = operation["responses"]
        wanted = {"400", "401", "403"} | ({"404"} if "{" in name else set())
        assert wanted <= set(declared), name
        takes_json = "application/json" in operation.get("requestBody", {}).get("content", {})
        assert not takes_json or {"413", "422"} <= set(declared), name
        for status, response in declared.items():
            if status >= "400":
                shape = json.dumps(response["content"]["application/json"]["schema"])
                assert "ErrorOut" in shape or "InvalidOut" in shape, (name, status)


def test_every_operation_says_what_it_does_and_how_one_signs_in() -> None:
    for name, operation in operations().items():
        assert operation.get("description") or operation["summary"], name
        assert {"SessionAuth", "TokenAuth"} == {key for one in operation["security"] for key in one}
    assert api.title == "Segloop"


@pytest.mark.django_db
def test_the_documentation_page_loads_scripts_of_this_server_only() -> None:
    response = Client().get("/api/v1/docs")
    page = content_of(response).decode()

    assert response.status_code == 200
    assert "/static/ninja/swagger-ui-bundle.js" in page
    assert "http://" not in page
    assert "https://" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing", "/api/v2/projects", "/api/projects"])
def test_an_unknown_address_has_the_one_shape_of_error(path: str) -> None:
    response = Client().get(path)

    assert response.status_code == 404
    assert response.json() == {
        "code": "not_found",
        "message": "there is nothing at this address",
    }
