"""Hand untrusted bytes to a limited child process and take back a clean image."""

from __future__ import annotations

import atexit
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from engine import image_decode
from engine.domain.errors import InvalidInput

TIMEOUT_S = 70
"""Longer than a decoding child may live: the server itself ends those."""
MAX_IDLE_SERVERS = 2
"""Kept between images. More run while more images arrive at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """A decoded, oriented 8-bit RGB image, re-encoded without metadata."""

    width_px: int
    height_px: int
    suffix: str
    content: bytes
    thumbnail: bytes


def decode_image(data: bytes, *, file_name: str) -> DecodedImage:
    """Decode bytes of unknown origin. InvalidInput says in a sentence why they are no image."""
    answer = _POOL.answer_to(data)
    if not answer:
        raise InvalidInput(f"{file_name}: it takes too much memory or time to decode")
    line, _, payload = answer.partition(b"\n")
    header = json.loads(line)
    if "refused" in header:
        raise InvalidInput(f"{file_name}: {header['refused']}", code="not_an_image")
    split = header["image_bytes"]
    return DecodedImage(
        width_px=header["width_px"],
        height_px=header["height_px"],
        suffix=header["suffix"],
        content=payload[:split],
        thumbnail=payload[split : split + header["thumbnail_bytes"]],
    )


class _DecodeServer:
    """One running image_decode.py. It forks for each image; see there."""

    def __init__(self) -> None:
        command = [sys.executable, "-I", str(Path(image_decode.__file__).resolve())]
        # A fixed command; file names never reach it. No environment: no secrets to steal, and no
        # threads of numpy, whose buffers would count against a child's memory.
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # decoders warn of each odd tag
            bufsize=0,
            env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is ours to handle; our end is its end of file
        )

    def answer_to(self, data: bytes) -> bytes:
        """Return the answer. OSError or EOFError when the server is gone or takes too long."""
        deadline_s = time.monotonic() + TIMEOUT_S
        requests: IO[bytes] = _pipe(self._process.stdin)
        requests.write(struct.pack(">Q", len(data)))
        view = memoryview(data)
        while view:  # an unbuffered pipe takes what fits
            view = view[requests.write(view) :]
        (num_bytes,) = struct.unpack(">Q", self._read(8, deadline_s=deadline_s))
        return self._read(num_bytes, deadline_s=deadline_s)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            _pipe(pipe).close()

    def _read(self, num_bytes: int, *, deadline_s: float) -> bytes:
        descriptor = _pipe(self._process.stdout).fileno()
        chunks: list[bytes] = []
        while num_bytes > 0:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
                raise OSError("the decoder takes too long")
            chunk = os.read(descriptor, min(num_bytes, 1 << 20))
            if not chunk:
                raise EOFError
            chunks.append(chunk)
            num_bytes -= len(chunk)
        return b"".join(chunks)


class _Pool:
    """Idle servers of this process. A thread takes one for each image and returns it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_DecodeServer] = []
        self._owner_pid = os.getpid()

    def answer_to(self, data: bytes) -> bytes:
        """Return the answer; empty when decoding died or took too long."""
        server = self._take()
        try:
            answer = server.answer_to(data)
        except (OSError, EOFError):
            server.end()
            return b""
        except BaseException:
            server.end()
            raise
        self._give_back(server)
        return answer

    def _take(self) -> _DecodeServer:
        with self._lock:
            if self._owner_pid != os.getpid():  # forked: those pipes are our parent's
                self._idle, self._owner_pid = [], os.getpid()
            while self._idle:
                server = self._idle.pop()
                if server.is_alive():
                    return server
                server.end()
        return _DecodeServer()

    def _give_back(self, server: _DecodeServer) -> None:
        with self._lock:
            if len(self._idle) < MAX_IDLE_SERVERS:
                self._idle.append(server)
                return
        server.end()

    def close(self) -> None:
        """End the idle servers of this process."""
        with self._lock:
            servers, self._idle = self._idle, []
        if self._owner_pid == os.getpid():
            for server in servers:
                server.end()


def _pipe(pipe: Any) -> Any:
    assert pipe is not None  # noqa: S101 - asked for in Popen
    return pipe


_POOL = _Pool()
atexit.register(lambda: _POOL.close())
