"""Security headers on every response, and one shape for every error of the API.

The labelling page runs WebAssembly threads, which a browser grants only when the page and each
script and worker it loads carry the cross-origin isolation headers.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from annotator_ui.http.addresses import EVERY_API

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "img-src 'self' blob: data:",
        "style-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

SECURITY_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}


PLAIN_ERRORS = {
    400: ("bad_request", "the request could not be read"),
    403: ("not_allowed", "this is not allowed"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not answer that method"),
    413: ("too_large", "the request is too large"),
    503: ("database_away", "the database is not there at the moment; try again"),
    500: ("server_error", "something went wrong on the server; it has been logged"),
}


USER_BYTES_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"
"""For bytes that people brought: whatever they are, they run nothing and load nothing."""


class SecurityHeadersMiddleware:
    """Set SECURITY_HEADERS; sits before WhiteNoise so that static files get them too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class ApiErrorMiddleware:
    """Give every error under /api/ the shape {"code", "message"}, whoever produced it.

    Django answers wrong methods, unknown paths and oversized bodies before the API sees them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        if response.status_code < 400 or is_json or not request.path_info.startswith(EVERY_API):
            return response
        code, message = PLAIN_ERRORS.get(response.status_code, PLAIN_ERRORS[500])
        answer = JsonResponse({"code": code, "message": message}, status=response.status_code)
        for name in ("Allow", "Retry-After"):
            if name in response.headers:
                answer.headers[name] = response.headers[name]
        return answer
