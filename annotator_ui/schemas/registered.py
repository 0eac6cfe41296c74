"""Fields of the API whose values are the names in a registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema


class NameIn:
    """Annotate a string that must be a name in a registry.

    The registry is read at each request and whenever the OpenAPI document is made.
    """

    def __init__(self, registry: Mapping[str, object]) -> None:
        self._registry = registry

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "enum": [str(name) for name in self._registry]}

    def _check(self, value: str) -> str:
        if value not in self._registry:
            expected = ", ".join(self._registry)
            raise PydanticCustomError("enum", "Input should be {expected}", {"expected": expected})
        return value
