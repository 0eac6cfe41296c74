"""Values that every database stores as JSON: PostgreSQL refuses NaN and NUL characters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any


def json_safe(value: Any) -> Any:
    """Return the value with non-finite numbers as null, other scalars as plain JSON or text."""
    if isinstance(value, Mapping):
        return {str(key): json_safe(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(one) for one in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):  # numpy's numbers too
        return float(value) if math.isfinite(value) else None
    return str(value).replace("\x00", "")
