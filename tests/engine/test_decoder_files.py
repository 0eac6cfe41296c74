from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import storage
from engine.decoding.halves import DecoderHalves, split_graph
from engine.domain.errors import NotFound
from engine.models import ModelVersion, Project
from engine.services.models import decoder_files, model_versions
from tests import factories

pytestmark = pytest.mark.django_db
STARTER = Path(__file__).parents[2] / "sam" / "starter" / "decoder.onnx"


@pytest.fixture
def project() -> Project:
    return factories.make_project()


@pytest.fixture
def older_version(project: Project) -> ModelVersion:
    """A version of before decoders were cut: it holds a whole one."""
    version = factories.make_version(project)
    key = storage.put_file("decoders", STARTER, ".onnx")
    version.decoder_key, version.decoder_sha256 = key, storage.sha256_of(key)
    version.save()
    return version


def halves_in_store(version: ModelVersion) -> DecoderHalves:
    keys = decoder_files.halves_of(version)
    return DecoderHalves(storage.read_bytes(keys.image), storage.read_bytes(keys.prompt))


def never(*_: object) -> Any:
    raise AssertionError("cut again")


def test_an_attached_decoder_is_kept_whole_and_in_halves(project: Project) -> None:
    version = factories.make_version(project, has_decoder=False)

    model_versions.attach_decoder(version, decoder=STARTER)

    assert storage.read_bytes(version.decoder_key) == STARTER.read_bytes()
    assert halves_in_store(version) == split_graph(STARTER.read_bytes())


def test_an_older_version_is_cut_when_first_asked_and_never_again(
    older_version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = ModelVersion.objects.get(pk=older_version.pk)  # read before, asks after
    first = decoder_files.halves_of(older_version)

    monkeypatch.setattr(decoder_files, "cut_decoder", never)

    assert decoder_files.halves_of(ModelVersion.objects.get(pk=older_version.pk)) == first
    assert decoder_files.halves_of(late) == first
    assert halves_in_store(older_version) == split_graph(STARTER.read_bytes())


def test_a_cut_that_breaks_off_leaves_the_version_as_it_was(
    older_version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []

    def full_disk(kind: str, data: bytes, suffix: str) -> str:
        if written:
            raise OSError("no space left on device")
        written.append(data)
        return put_bytes(kind, data, suffix)

    put_bytes = storage.put_bytes
    with monkeypatch.context() as patch:
        patch.setattr(storage, "put_bytes", full_disk)
        with pytest.raises(OSError, match="no space"):
            decoder_files.halves_of(older_version)
    stored = ModelVersion.objects.get(pk=older_version.pk)
    assert (stored.decoder_image_key, stored.decoder_prompt_key) == ("", "")

    assert halves_in_store(stored) == split_graph(STARTER.read_bytes())


def test_versions_of_one_decoder_share_its_halves(
    older_version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = decoder_files.halves_of(older_version)
    other = factories.make_version(factories.make_project("Other"), has_decoder=False)
    monkeypatch.setattr(decoder_files, "cut_decoder", never)

    model_versions.attach_decoder(other, decoder=STARTER)

    assert decoder_files.halves_of(other) == first


def test_a_decoder_that_cannot_be_cut_is_given_whole(project: Project) -> None:
    version = factories.make_version(project)

    keys = decoder_files.halves_of(version)

    assert (keys.image, keys.prompt) == ("", version.decoder_key)


def test_a_version_without_a_decoder_has_no_halves(project: Project) -> None:
    with pytest.raises(NotFound):
        decoder_files.halves_of(factories.make_version(project, has_decoder=False))
