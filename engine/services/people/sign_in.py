"""Slow down password guessing: failures are rows, counted per account and per address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from engine.domain.errors import DomainError
from engine.domain.sign_in import SIGN_IN_THROTTLES, Throttled
from engine.models import SignInFailure
from engine.services.people.one_time_secrets import secret_sha256


class TooManyTries(DomainError):  # noqa: N818 - named after what happened
    """Somebody must wait; `retry_after_s` says how long."""

    default_code = "too_many_tries"

    def __init__(self, wait: timedelta) -> None:
        self.retry_after_s = max(int(wait.total_seconds() + 0.999), 1)
        super().__init__(
            f"Too many failed attempts to sign in. Try again in {_phrase(self.retry_after_s)}.",
            retry_after_s=self.retry_after_s,
        )


def begin_attempt(username: str, *, address: str) -> None:
    """Count an attempt as failed before the password is looked at; `succeeded` takes it back.

    Counting first keeps many requests at the same moment from all slipping under the limit.
    Raises TooManyTries, without counting, while the account or the address has to wait.
    """
    now = timezone.now()
    _forget_old(now)
    with transaction.atomic():
        wait = max((_wait(kind, key, now=now) for kind, key in _keys(username, address)))
        if wait > timedelta(0):
            raise TooManyTries(wait)
        SignInFailure.objects.bulk_create(
            SignInFailure(throttled=kind.value, key_sha256=key, created_at=now)
            for kind, key in _keys(username, address)
        )


def succeeded(username: str, *, address: str) -> None:
    """Forget this account's failures from this address, and the attempt just counted elsewhere."""
    for kind, key in _keys(username, address):
        rows = SignInFailure.objects.filter(throttled=kind.value, key_sha256=key)
        if kind == Throttled.ACCOUNT_AND_ADDRESS:
            rows.delete()
        elif last := rows.order_by("-created_at").first():
            last.delete()


def _keys(username: str, address: str) -> Iterator[tuple[Throttled, str]]:
    name = username.casefold()
    texts: Mapping[Throttled, str] = {
        Throttled.ACCOUNT_AND_ADDRESS: f"{name}\n{address}",
        Throttled.ACCOUNT: name,
        Throttled.ADDRESS: address,
    }
    for kind, text in texts.items():
        yield kind, secret_sha256(f"{kind}\n{text}")


def _wait(kind: Throttled, key: str, *, now: datetime) -> timedelta:
    throttle = SIGN_IN_THROTTLES[kind]
    times = list(
        SignInFailure.objects.filter(
            throttled=kind.value, key_sha256=key, created_at__gt=now - throttle.window
        )
        .order_by("-created_at")
        .values_list("created_at", flat=True)[: throttle.num_free + 32]
    )
    if not times:
        return timedelta(0)
    return times[0] + throttle.wait_after(len(times)) - now


def _forget_old(now: datetime) -> None:
    longest = max(throttle.window for throttle in SIGN_IN_THROTTLES.values())
    SignInFailure.objects.filter(created_at__lt=now - longest).delete()


def _phrase(seconds: int) -> str:
    return f"{seconds} seconds" if seconds < 100 else f"{round(seconds / 60)} minutes"
