"""Downloads from a real server on this machine, with and without resuming."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sam.__main__ import main
from sam.checkpoints import official
from sam.checkpoints.fetch import FetchError, fetch
from sam.checkpoints.official import OFFICIAL_FILES, OfficialFile, cache_folder

CONTENT = bytes(range(256)) * 12_000  # 3 MB
FULL = Path("/dev/full")


class Server(ThreadingHTTPServer):
    """Serves CONTENT; what it does wrong is set from outside, what it was asked is kept."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.knows_ranges = True
        self.breaks_after: list[int] = []  # one entry for each connection that is cut
        self.ranges: list[str | None] = []

    def file(self, **changes: object) -> OfficialFile:
        values = {
            "name": "vit_x",
            "url": f"http://127.0.0.1:{self.server_port}/sam_vit_x.pth",
            "size_bytes": len(CONTENT),
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
        }
        return OfficialFile(**{**values, **changes})


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        data = self.server.content
        if self.path != "/sam_vit_x.pth":
            self.send_error(404)
            return
        start = 0
        if asked and self.server.knows_ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = start + self.server.breaks_after.pop(0) if self.server.breaks_after else len(data)
        self.wfile.write(data[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def part(folder: Path) -> Path:
    return folder / ".sam_vit_x.pth.part"


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_file_is_downloaded_whole_and_only_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = tmp_path / "a" / "b"

    path = fetch(server.file(), folder, on_progress=lambda *state: seen.append(state))
    again = fetch(server.file(), folder)

    assert path == again == folder / "sam_vit_x.pth"
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["sam_vit_x.pth"]
    assert server.ranges == [None]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)


def test_a_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    part(tmp_path).write_bytes(CONTENT[:1_000_000])

    path = fetch(server.file(), tmp_path)

    assert path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000000-"]


def test_a_server_that_knows_no_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    part(tmp_path).write_bytes(CONTENT[:1_000_000])

    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["sam_vit_x.pth"]


@pytest.mark.parametrize(
    ("left_over", "asked"),
    [
        (b"something else" * 1000, ["bytes=14000-", None]),
        (b"\0" * len(CONTENT), [None]),
        (CONTENT + b"and more", [None]),
        (CONTENT, []),
    ],
)
def test_a_part_that_is_not_of_this_file_is_started_again(
    server: Server, tmp_path: Path, left_over: bytes, asked: list[str | None]
) -> None:
    part(tmp_path).write_bytes(left_over)

    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.ranges == asked


def test_a_broken_connection_is_taken_up_again_at_once(server: Server, tmp_path: Path) -> None:
    server.breaks_after = [1_000_000, 500_000]

    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_connection_that_keeps_breaking_leaves_its_part_for_the_next_run(
    server: Server, tmp_path: Path
) -> None:
    server.breaks_after = [1000, 1000, 1000]

    with pytest.raises(FetchError, match=r"broke at 3,000 of 3,072,000 bytes .* run the command"):
        fetch(server.file(), tmp_path)

    assert part(tmp_path).read_bytes() == CONTENT[:3000]
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT


def test_another_file_under_the_same_address_is_refused_and_not_kept(
    server: Server, tmp_path: Path
) -> None:
    server.content = CONTENT[::-1]
    with pytest.raises(FetchError, match="SHA-256 differs"):
        fetch(server.file(), tmp_path)

    server.content = CONTENT[:-5]
    with pytest.raises(FetchError, match="has 3,071,995 bytes, the published file 3,072,000"):
        fetch(server.file(), tmp_path)

    assert names(tmp_path) == []


def test_a_damaged_file_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sam_vit_x.pth").write_bytes(b"\0" * len(CONTENT))

    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT


def test_the_reason_is_named_when_there_is_nothing_to_get(server: Server, tmp_path: Path) -> None:
    missing = server.file(url=f"http://127.0.0.1:{server.server_port}/gone.pth")
    with pytest.raises(FetchError, match=r"gone.pth answered 404 Not Found"):
        fetch(missing, tmp_path)

    server.server_close()  # nobody listens on this port any more
    with pytest.raises(FetchError, match=r"cannot reach http.*(refused|reset).*offline\?"):
        fetch(server.file(), tmp_path)
    with pytest.raises(FetchError, match="cannot reach http"):
        fetch(server.file(url="http://name.invalid/sam_vit_x.pth"), tmp_path)
    with pytest.raises(FetchError, match="is not a web address"):
        fetch(server.file(url="file:///sam_vit_x.pth"), tmp_path)

    assert names(tmp_path) == []


def test_a_disk_without_room_is_found_out_before_anything_is_sent(
    server: Server, tmp_path: Path
) -> None:
    with pytest.raises(FetchError, match=r"MB free, 1,000,000,000 MB are needed"):
        fetch(server.file(size_bytes=10**15), tmp_path)

    assert server.ranges == []
    assert names(tmp_path) == []


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
def test_a_disk_that_fills_up_is_named(server: Server, tmp_path: Path) -> None:
    part(tmp_path).symlink_to(FULL)

    with pytest.raises(FetchError, match="is full"):
        fetch(server.file(), tmp_path)


def test_a_folder_that_cannot_be_made_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FetchError, match="cannot write in"):
        fetch(server.file(), tmp_path / "file" / "below")


def test_two_downloads_of_one_file_do_not_mix(server: Server, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    with part(tmp_path).open("a+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(FetchError, match="by another process"):
            fetch(server.file(), tmp_path)


def test_the_cache_folder_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEGLOOP_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache_folder() == tmp_path / ".cache" / "segloop" / "checkpoints"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "segloop" / "checkpoints"

    monkeypatch.setenv("SEGLOOP_CACHE_DIR", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "checkpoints"


def test_the_table_holds_the_three_published_files() -> None:
    assert list(OFFICIAL_FILES) == ["vit_b", "vit_l", "vit_h"]
    for name, file in OFFICIAL_FILES.items():
        assert file.url.startswith("https://")
        assert file.file_name.startswith(f"sam_{name}_")
        assert len(file.sha256) == 64


def test_the_command_fetches_into_the_cache_or_a_folder(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SEGLOOP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(official, "OFFICIAL_FILES", {"vit_b": server.file(name="vit_b")})

    assert main(["fetch", "vit_b"]) == 0
    assert main(["fetch", "vit_b", "--to", str(tmp_path / "here")]) == 0
    server.server_close()
    assert main(["fetch", "vit_b", "--to", str(tmp_path / "there")]) == 1

    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        str(tmp_path / "cache" / "checkpoints" / "sam_vit_x.pth"),
        str(tmp_path / "here" / "sam_vit_x.pth"),
    ]
    assert captured.err.splitlines()[-1].startswith("error: cannot reach")
