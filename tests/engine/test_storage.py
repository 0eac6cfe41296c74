"""Files by content: the same bytes once, whole or not at all, and no path from outside."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from engine import storage
from engine.domain.errors import NotFound


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_bytes_and_files_of_the_same_content_share_a_key(tmp_path: Path, settings: Any) -> None:
    source = tmp_path / "model.bin"
    source.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()

    key = storage.put_bytes("checkpoints", b"weights", ".safetensors")

    assert key == f"checkpoints/{sha256[:2]}/{sha256}.safetensors"
    assert storage.put_file("checkpoints", source, ".safetensors") == key
    assert storage.read_bytes(key) == b"weights"
    assert storage.sha256_of(key) == sha256
    assert files_in(settings.DATA_DIR / "files") == [key]
    assert source.exists()


def test_a_failed_write_leaves_nothing(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.storage.os.fsync", full_disk)

    with pytest.raises(OSError, match="No space"):
        storage.put_bytes("images", b"pixels", ".png")

    assert files_in(settings.DATA_DIR / "files") == []


@pytest.mark.parametrize(
    "key", ["../secret_key", "images/../../secret_key", "/etc/passwd", "images/aa/bb.png", ""]
)
def test_only_keys_of_ours_are_looked_up(key: str, settings: Any) -> None:
    settings.DATA_DIR.mkdir()
    (settings.DATA_DIR / "secret_key").write_text("secret")

    with pytest.raises(NotFound):
        storage.local_copy(key)


@pytest.mark.parametrize(("kind", "suffix"), [("../x", ".png"), ("images", "/../../x")])
def test_a_bad_kind_or_suffix_is_our_bug(kind: str, suffix: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        storage.put_bytes(kind, b"x", suffix)


def test_stored_bytes_are_read_by_key_alone(settings: Any) -> None:
    key = storage.put_bytes("images", b"pixels", ".png")

    with storage.open(key) as file:
        assert file.read() == b"pixels"
    assert storage.local_copy(key).read_bytes() == b"pixels"
    with pytest.raises(NotFound, match="no stored file"):
        storage.open(key.replace("images", "masks"))


def test_a_stored_text_names_other_files_wherever_the_store_lies(
    settings: Any, tmp_path: Path
) -> None:
    image = storage.put_bytes("images", b"pixels", ".png")
    manifest = storage.put_bytes("manifests", storage.reference(image).encode(), ".jsonl")

    moved = tmp_path / "elsewhere"
    (settings.DATA_DIR / "files").rename(moved)

    copy = moved / manifest
    assert (copy.parent / copy.read_text()).read_bytes() == b"pixels"
