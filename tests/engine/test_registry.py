"""Registries and the entries that the packages themselves bring."""

from __future__ import annotations

from importlib import import_module
from uuid import uuid4

import pytest
from django.utils.module_loading import import_string

from engine.domain.errors import InvalidInput
from engine.domain.jobs import JOB_SPECS, JobKind, JobSpec, stored_args, task_module_of
from engine.domain.jobs import title_of as job_title_of
from engine.domain.registry import Registry
from engine.exporters import DEFAULT_FORMAT, EXPORTERS, title_of
from engine.models import Export, Job


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


@pytest.mark.parametrize("kind", JOB_SPECS)
def test_everything_that_a_kind_of_job_names_is_there(kind: str) -> None:
    spec = JOB_SPECS[kind]
    columns = {name: Job._meta.get_field(name).max_length for name in ("kind", "queue")}

    assert callable(import_module(task_module_of(kind)).run)
    for path in filter(None, (spec.subject, spec.on_abandoned, spec.on_retry)):
        assert callable(import_string(path))
    assert spec.title
    assert len(kind) <= (columns["kind"] or 0)
    assert len(spec.queue) <= (columns["queue"] or 0)


def test_every_kind_that_the_code_queues_is_registered() -> None:
    assert set(JobKind) <= set(JOB_SPECS)
    with pytest.raises(InvalidInput, match="kind of job must be one of export_decoder, "):
        stored_args("dance", {})
    with pytest.raises(ValueError, match="queue must be one of cpu, files, gpu, not 'tpu'"):
        JobSpec(title="Dance", queue="tpu", priority=1)


def test_arguments_are_checked_by_their_type() -> None:
    ids = {"image": uuid4(), "model_version": uuid4()}

    stored = stored_args("embed_image", {**ids, "crop": "2-1-1"})

    assert stored == {name: str(value) for name, value in ids.items()} | {"crop": "2-1-1"}
    with pytest.raises(InvalidInput, match=r"image of a job .* must be the id of a row, not 'x'"):
        stored_args("embed_image", {**ids, "image": "x"})
    with pytest.raises(InvalidInput, match="a embed_image job takes"):
        stored_args("embed_image", {**ids, "colour": "red"})


def test_a_kind_that_is_gone_keeps_its_plain_name() -> None:
    assert (job_title_of("import"), job_title_of("gone")) == ("Import", "gone")
