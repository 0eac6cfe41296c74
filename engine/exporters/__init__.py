"""Dataset formats to export. A format is a module of `formats`: see records.Exporter."""

from __future__ import annotations

from typing import cast

from engine.domain.registry import Registry, modules_in
from engine.exporters import formats
from engine.exporters.records import Exporter

DEFAULT_FORMAT = "sa1b"
"""What the command line writes by default, and what pages and lists show first."""

EXPORTERS = Registry[Exporter]("format")


def title_of(format: str) -> str:
    """Return a format's name for people; of one that is no longer there, its plain name."""
    return EXPORTERS[format].TITLE if format in EXPORTERS else format


def _register() -> None:
    found = [cast(Exporter, one) for one in modules_in(formats) if hasattr(one, "NAME")]
    for one in sorted(found, key=lambda one: (one.NAME != DEFAULT_FORMAT, one.TITLE)):
        EXPORTERS.register(one.NAME, one)


_register()
