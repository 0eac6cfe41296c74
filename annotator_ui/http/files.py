"""Immutable bytes out: strong ETag, conditional requests, one-year caching."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import IO

from django.http import FileResponse, HttpRequest, HttpResponseBase, HttpResponseNotModified
from django.utils.http import content_disposition_header, parse_etags

from annotator_ui.http.middleware import USER_BYTES_POLICY
from engine import storage

IMMUTABLE = "private, max-age=31536000, immutable"
CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".zip": "application/zip",
}


def matches(request: HttpRequest, etag: str) -> bool:
    """Tell whether the client already holds these bytes (If-None-Match, weak comparison)."""
    held = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in held or etag in {tag.removeprefix("W/") for tag in held}


def stored_file(request: HttpRequest, key: str, *, download_name: str = "") -> HttpResponseBase:
    """Answer with a stored file, or 304 when the client holds it. NotFound if it is gone."""
    etag = f'"{storage.sha256_of(key)}"'
    response: HttpResponseBase
    if matches(request, etag):
        response = HttpResponseNotModified()
    else:
        response = _file_response(storage.open(key), PurePath(key), download_name=download_name)
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = IMMUTABLE
    response.headers["Content-Security-Policy"] = USER_BYTES_POLICY
    return response


def cached_file(
    request: HttpRequest, path: Path, *, etag: str, immutable: bool
) -> HttpResponseBase:
    """Answer with a derived file: for good under an address that names it, else asked for anew."""
    response: HttpResponseBase
    if matches(request, f'"{etag}"'):
        response = HttpResponseNotModified()
    else:
        response = _file_response(path.open("rb"), path, download_name="")
    response.headers["ETag"] = f'"{etag}"'
    response.headers["Cache-Control"] = IMMUTABLE if immutable else "private, no-cache"
    return response


def _file_response(file: IO[bytes], path: PurePath, *, download_name: str) -> FileResponse:
    content_type = CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")
    response = FileResponse(file, content_type=content_type)
    disposition = content_disposition_header(
        as_attachment=bool(download_name), filename=download_name or path.name
    )
    response.headers["Content-Disposition"] = disposition or "attachment"
    return response
