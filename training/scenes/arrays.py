"""The array type of pictures, coverage maps and label layers; dtypes are said where they matter."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
