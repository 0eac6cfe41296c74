"""An annotator's client over real HTTP: one kept connection, a session cookie, a CSRF token.

Used by the fault tests and by benchmarks/load.py.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

CSRF = "c" * 32
API = "/api/v1"


class NoAnswerError(Exception):
    """The connection broke: nobody knows whether the request was carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Calls one web server as one person. Not shared between threads."""

    base_url: str
    session_key: str
    timeout_s: float = 30.0
    _connection: http.client.HTTPConnection | None = field(default=None, repr=False)

    def get(self, path: str) -> Answer:
        return self.call("GET", path)

    def post(self, path: str, body: object = None) -> Answer:
        data = json.dumps({} if body is None else body).encode()
        return self.call("POST", path, data, content_type="application/json")

    def upload(self, path: str, data: bytes, *, file_name: str) -> Answer:
        boundary = "a-boundary-that-no-image-contains"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"'
            "\r\nContent-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        return self.call(
            "POST", path, body, content_type=f"multipart/form-data; boundary={boundary}"
        )

    def call(
        self, method: str, path: str, body: bytes | None = None, *, content_type: str = ""
    ) -> Answer:
        """Send a request and read the answer; NoAnswerError when the connection broke.

        A kept connection that the server had closed meanwhile is opened anew, as browsers do.
        """
        was_open = self._connection is not None
        try:
            return self._call(method, path, body, content_type)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if was_open and isinstance(error, (BrokenPipeError, http.client.RemoteDisconnected)):
                return self.call(method, path, body, content_type=content_type)
            raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    def _call(self, method: str, path: str, body: bytes | None, content_type: str) -> Answer:
        self._send(method, path, body, content_type)
        assert self._connection is not None
        response = self._connection.getresponse()
        return Answer(response.status, response.read(), dict(response.getheaders()))

    def post_and_hang_up(self, path: str, body: object) -> None:
        """Send a request whole, wait a moment, and close without reading: a lost answer."""
        try:
            self._send("POST", path, json.dumps(body).encode(), "application/json")
            time.sleep(0.05)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, path: str, body: bytes | None, content_type: str) -> None:
        if self._connection is None:
            parts = urlsplit(self.base_url)
            assert parts.hostname is not None
            self._connection = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=self.timeout_s
            )
        headers = {
            "Cookie": f"sessionid={self.session_key}; csrftoken={CSRF}",
            "X-CSRFToken": CSRF,
            "Origin": self.base_url,
        }
        if content_type:
            headers["Content-Type"] = content_type
        self._connection.request(method, path, body, headers)
