"""Datasets in: where the files lie (`sources`), what each is (`formats`), how they fit (`plans`).

Plain readers of hostile input: they name no path, write nothing and know no table. A format is a
module of `formats`: see records.Importer.
"""

from __future__ import annotations

from typing import cast

from engine.domain.registry import Registry, modules_in
from engine.importers import formats
from engine.importers.records import Importer

PLAIN_IMAGES = "images"
"""The importer of images themselves; every other one reads annotations of them."""

IMPORTERS = Registry[Importer]("format")


def annotation_formats() -> list[Importer]:
    """Return the importers that read annotations."""
    return [one for name, one in IMPORTERS.items() if name != PLAIN_IMAGES]


def _register() -> None:
    found = [cast(Importer, one) for one in modules_in(formats) if hasattr(one, "NAME")]
    for one in sorted(found, key=lambda one: (one.NAME != PLAIN_IMAGES, one.TITLE)):
        IMPORTERS.register(one.NAME, one)


_register()
