"""Registries: named implementations of one idea, such as export formats or kinds of job.

Pages, the API and the command line list what a registry holds, so a new entry needs no change
anywhere else.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Generic, TypeVar

from engine.domain.errors import InvalidInput

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Implementations by name, in the order of their registration.

    Args:
        what: what a name is called in messages, such as "format".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._items: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def register(self, name: str, item: T) -> None:
        """Add an implementation; ValueError when the name is taken."""
        if name in self._items:
            raise ValueError(f"{self._what} {name!r} is registered twice")
        self._items[name] = item

    @contextmanager
    def registered(self, name: str, item: T) -> Iterator[None]:
        """Add an implementation for the time of a `with` block."""
        self.register(name, item)
        try:
            yield
        finally:
            del self._items[name]

    def require(self, name: str) -> T:
        """Return an implementation; InvalidInput, which lists the names, when there is none."""
        if name not in self._items:
            raise InvalidInput(f"{self._what} must be one of {', '.join(self)}, not {name!r}")
        return self._items[name]


def modules_in(package: ModuleType) -> Iterator[ModuleType]:
    """Import and yield every module and subpackage of a package, in the order of their names."""
    for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda one: one.name):
        yield import_module(f"{package.__name__}.{found.name}")
