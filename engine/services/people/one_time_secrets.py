"""Random secrets that are shown once; only their hash is kept."""

from __future__ import annotations

import hashlib
import secrets

from engine.domain.sign_in import SECRET_BYTES


def new_secret(prefix: str = "") -> str:
    """Return a random secret that fits into an address or a header."""
    return prefix + secrets.token_urlsafe(SECRET_BYTES)


def secret_sha256(secret: str) -> str:
    """Return what is stored of a secret. No salt: it has 256 random bits, not a person's choice."""
    return hashlib.sha256(secret.encode()).hexdigest()
