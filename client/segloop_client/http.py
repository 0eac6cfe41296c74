"""Requests with a token: errors as exceptions, and what is safe to repeat is repeated."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from segloop_client.archives import FileForm
from segloop_client.errors import ApiError, Unreachable

TRY_AGAIN_STATUS = {429, 502, 503, 504}
MAX_WAIT_S = 30.0


class Http:
    """timeout_s: how long the server may stay silent. num_tries: of what may be repeated."""

    def __init__(
        self, base_url: str, *, token: str, timeout_s: float, num_tries: int, first_wait_s: float
    ) -> None:
        self._root = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._num_tries = max(num_tries, 1)
        self._first_wait_s = first_wait_s
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.headers["Accept"] = "application/json"
        # A token in the environment's .netrc must not replace ours.
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        may_repeat: bool,
    ) -> Any:
        """Ask the API; None for an answer without a body."""
        url = f"{self._root}/api/v1{path}"
        response = self._send(method, url, may_repeat=may_repeat, json=body, params=query)
        return None if response.status_code == 204 else _decoded(response)

    def upload(self, path: str, files: list[tuple[str, tuple[str, bytes]]]) -> Any:
        """Send files. The server takes the same bytes once, so a lost answer is asked for again."""
        url = f"{self._root}/api/v1{path}"
        return _decoded(self._send("POST", url, may_repeat=True, files=files))

    def send_file(self, path: str, form: FileForm) -> Any:
        """Send one large file, once: what the server began with it must not begin twice."""
        url = f"{self._root}/api/v1{path}"
        headers = {"Content-Type": form.content_type}
        return _decoded(self._send("POST", url, may_repeat=False, data=form, headers=headers))

    def stream(self, url_path: str) -> requests.Response:
        """Open the bytes behind an address the server gave; the caller reads and closes."""
        if not url_path.startswith("/"):
            raise ValueError(f"not an address of this server: {url_path!r}")
        return self._send("GET", f"{self._root}{url_path}", may_repeat=True, stream=True)

    @staticmethod
    def chunks(response: requests.Response, size_bytes: int) -> Iterator[bytes]:
        """The body in pieces; Unreachable when it breaks off."""
        try:
            yield from response.iter_content(size_bytes)
        except requests.RequestException as error:
            raise Unreachable(f"{response.url} broke off: {error}") from error

    def _send(
        self, method: str, url: str, *, may_repeat: bool, **options: Any
    ) -> requests.Response:
        num_tries = self._num_tries if may_repeat else 1
        for number in range(1, num_tries + 1):
            is_last = number == num_tries
            try:
                response = self._session.request(
                    method, url, timeout=self._timeout_s, allow_redirects=False, **options
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                if is_last:
                    raise Unreachable(f"{url} cannot be reached: {error}") from error
                self._wait(number, asked_s=None)
                continue
            if response.status_code in TRY_AGAIN_STATUS and not is_last:
                asked = response.headers.get("Retry-After", "")
                response.close()
                self._wait(number, asked_s=float(asked) if asked.isdigit() else None)
                continue
            if response.status_code >= 300:
                raise _error(response)
            return response
        raise AssertionError("unreachable")

    def _wait(self, number: int, *, asked_s: float | None) -> None:
        """Wait longer after each failure, unequally, so that many clients do not return at once."""
        growing_s = self._first_wait_s * 2 ** (number - 1) * random.uniform(0.5, 1.5)  # noqa: S311
        time.sleep(min(max(growing_s, asked_s or 0.0), MAX_WAIT_S))


def _decoded(response: requests.Response) -> Any:
    try:
        return response.json()
    except requests.JSONDecodeError as error:
        raise Unreachable(f"{response.url} did not answer with JSON: is it a Segloop?") from error


def _error(response: requests.Response) -> ApiError:
    try:
        body = response.json()
    except requests.RequestException:
        body = {}
    if not isinstance(body, dict):
        body = {}
    code = str(body.get("code", "unexpected_answer"))
    message = str(body.get("message", f"the server answered {response.status_code}"))
    return ApiError(response.status_code, code, message, body)
