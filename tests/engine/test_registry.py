"""Registries and the entries that the packages themselves bring."""

from __future__ import annotations

import pytest

from engine.domain.errors import InvalidInput
from engine.domain.registry import Registry
from engine.exporters import DEFAULT_FORMAT, EXPORTERS, title_of
from engine.models import Export


def test_a_name_is_registered_once_and_an_unknown_one_is_refused_with_a_list() -> None:
    registry = Registry[int]("number")
    registry.register("one", 1)
    registry.register("two", 2)

    with pytest.raises(ValueError, match="number 'one' is registered twice"):
        registry.register("one", 11)
    with pytest.raises(InvalidInput, match="number must be one of one, two, not 'ten'"):
        registry.require("ten")
    assert (registry.require("one"), list(registry)) == (1, ["one", "two"])


def test_an_entry_for_a_while_is_gone_afterwards_even_after_an_error() -> None:
    registry = Registry[int]("number")

    def use_and_fail() -> None:
        with registry.registered("one", 1):
            assert "one" in registry
            raise RuntimeError

    with pytest.raises(RuntimeError):
        use_and_fail()
    assert "one" not in registry


def test_every_export_format_fits_its_column_and_has_words_for_people() -> None:
    column_characters = Export._meta.get_field("format").max_length

    assert column_characters is not None
    assert next(iter(EXPORTERS)) == DEFAULT_FORMAT
    for name, exporter in EXPORTERS.items():
        assert name == exporter.NAME
        assert name.isalnum()
        assert name.islower()
        assert len(name) <= column_characters
        assert exporter.TITLE
        assert exporter.DESCRIPTION.endswith(".")


def test_an_export_of_a_format_that_is_gone_keeps_its_plain_name() -> None:
    assert (title_of("coco"), title_of("gone")) == ("COCO", "gone")
