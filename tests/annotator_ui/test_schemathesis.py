"""Schemathesis over every operation of the API, as every kind of caller, on a real little project.

Each operation gets valid and invalid requests made from the published schema. No answer may be a
5xx, and every answer must be one the schema declares, in the declared shape; what the schema
forbids must be refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from engine.selectors.members import role_in
from engine.services.masks.assignments import lease_image
from tests.annotator_ui.authorisation import World, make_world

MANY, FEW = 6, 2
EXAMPLES = {"lead": MANY, "annotator": MANY}
CALLERS = [
    *("anonymous", "outsider", "annotator", "reviewer", "lead", "admin"),
    *("token_read", "token_label", "token_lead"),
]


@pytest.fixture
def schema(db: None) -> Iterator[Any]:
    """The API behind its real WSGI application, on the connection of the test's transaction."""
    import schemathesis

    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
    schema.config.generation.update(with_security_parameters=False)  # the callers bring their own
    yield schema
    for signal in signals:
        signal.connect(close_old_connections)


def checks() -> list[Any]:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as openapi

    return [
        not_a_server_error,
        openapi.status_code_conformance,
        openapi.content_type_conformance,
        openapi.response_headers_conformance,
        openapi.response_schema_conformance,
        openapi.negative_data_rejection,
    ]


class Caller:
    """How one column of the table asks: by a token, or by a session with its CSRF token."""

    def __init__(self, world: World, name: str) -> None:
        client = world.client_of(name)
        self.headers: dict[str, str] = {}
        self.cookies: dict[str, str] = {}
        if name.startswith("token"):
            self.headers["Authorization"] = client.defaults["HTTP_AUTHORIZATION"]
        elif session := client.cookies.get("sessionid"):
            secret = "c" * 32
            self.headers["X-CSRFToken"] = secret
            self.cookies = {"sessionid": session.value, "csrftoken": secret}


def with_real_ids(case: Any, names: dict[str, str]) -> None:
    """Point the valid parts of a case at rows that exist: invented ids only ever meet a 404."""
    if is_valid(case, "path"):
        known = {name: names[name] for name in case.path_parameters or {} if name in names}
        case.path_parameters = {**(case.path_parameters or {}), **known}
    if is_valid(case, "body") and isinstance(case.body, dict):
        for name, key in (("model_version_id", "version_id"), ("image_id", "image_id")):
            if case.body.get(name):
                case.body[name] = names[key]
        if "encoder_sha256" in case.body:
            case.body["encoder_sha256"] = names["encoder"]


def is_valid(case: Any, part: str) -> bool:
    """Tell whether that part of the request was made to fit the schema."""
    info = {where.value: info for where, info in case.meta.components.items()}.get(part)
    return info is None or bool(info.mode.is_positive)


class Trial:
    """Requests of one caller, one after the other, each in a world that is as it was before."""

    def __init__(self, world: World, caller: str) -> None:
        self.world = world
        self.names = dict(world.names)
        user = world.user_of(caller)
        if user is not None and role_in(world.project, user):
            own = lease_image(world.free_image, annotator=user)
            self.names["assignment_id"] = str(own.pk)
        self.caller = Caller(world, caller)
        self.answered: Counter[int] = Counter()
        self.succeeded: set[str] = set()

    def send(self, case: Any, real: bool) -> None:
        """Send a generated request, to rows that exist if `real`, and judge the answer."""
        if real:
            with_real_ids(case, self.names)
        with transaction.atomic():
            response = case.call(headers=self.caller.headers, cookies=self.caller.cookies)
            transaction.set_rollback(True)
        self.answered[response.status_code] += 1
        if response.status_code < 300:
            self.succeeded.add(case.operation.label)
        case.validate_response(response, checks=checks())

    def try_operation(self, operation: Any, *, num_examples: int) -> None:
        from schemathesis import GenerationMode

        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in modes))
        run = given(case=cases, real=st.sampled_from([True, True, False]))(
            lambda case, real: self.send(case, real)
        )
        limited = settings(
            max_examples=num_examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(20261125)(limited(run))()


# Its WSGI transport reads a streamed file to the end but does not close it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("caller", CALLERS)
def test_no_request_breaks_an_operation_or_its_schema(caller: str, schema: Any) -> None:
    trial = Trial(make_world(), caller)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30

    for operation in operations:
        trial.try_operation(operation, num_examples=EXAMPLES.get(caller, FEW))

    print(f"{caller}: {trial.answered.total()} requests, {dict(sorted(trial.answered.items()))}")
    assert not any(status >= 500 for status in trial.answered)
    if caller == "lead":  # not only refusals were tried
        assert len(trial.succeeded) > len(operations) // 2
