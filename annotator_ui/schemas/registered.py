"""Fields of the API whose values are the names in a registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema


class NameIn:
    """Annotate a string that must be a name in a registry.

    The registry is read at each request and whenever the OpenAPI document is made.

    Args:
        is_checked: False for answers, where a row may hold a name that is no longer registered.
    """

    def __init__(self, registry: Mapping[str, object], *, is_checked: bool = True) -> None:
        self._registry = registry
        self._is_checked = is_checked

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        if not self._is_checked:
            return handler(source)
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        listed = {"type": "string", "enum": [str(name) for name in self._registry]}
        return listed if self._is_checked else {"anyOf": [listed, {"type": "string"}]}

    def _check(self, value: str) -> str:
        if value not in self._registry:
            expected = ", ".join(self._registry)
            raise PydanticCustomError("enum", "Input should be {expected}", {"expected": expected})
        return value
