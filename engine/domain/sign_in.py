"""Every number about getting in: lives of links and tokens, and how fast passwords may be tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

SECRET_BYTES = 32
"""Random bytes of a link or token: too many to guess, so their plain SHA-256 may be stored."""
SIGN_IN_LINK_LIFE = timedelta(hours=24)
INVITATION_LIFE_DAYS = 7
MAX_INVITATION_LIFE_DAYS = 30
MAX_OPEN_INVITATIONS = 200
"""Per project; beyond it a form is being abused."""
TOKEN_PREFIX = "sgl_"  # noqa: S105 - how tokens begin, so that scanners find leaked ones
TOKEN_LIFE_DAYS = 90
MAX_TOKEN_LIFE_DAYS = 366
MAX_TOKENS_PER_USER = 50
TOKEN_NAME_CHARACTERS = 80
TOKEN_SEEN_EVERY = timedelta(minutes=1)
"""`last_used_at` is written at most this often: a busy script must not write at every request."""


class Throttled(StrEnum):
    """What failed sign-ins are counted by."""

    ACCOUNT_AND_ADDRESS = "account_and_address"
    ACCOUNT = "account"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """After num_free failures within the window each further one doubles the wait."""

    num_free: int
    first_wait: timedelta
    max_wait: timedelta
    window: timedelta

    def wait_after(self, num_failures: int) -> timedelta:
        """How long after the last of so many failures the next attempt may come."""
        over = num_failures - self.num_free
        if over < 0:
            return timedelta(0)
        doublings: int = 2 ** min(over, 20)
        return min(self.first_wait * doublings, self.max_wait)


SIGN_IN_THROTTLES: Mapping[Throttled, Throttle] = {
    # Somebody guessing one password from one place.
    Throttled.ACCOUNT_AND_ADDRESS: Throttle(
        num_free=5,
        first_wait=timedelta(seconds=30),
        max_wait=timedelta(minutes=15),
        window=timedelta(hours=1),
    ),
    # The same from many places. The wait stays short: it shuts the owner out as well.
    Throttled.ACCOUNT: Throttle(
        num_free=50,
        first_wait=timedelta(seconds=10),
        max_wait=timedelta(minutes=1),
        window=timedelta(hours=1),
    ),
    # One place trying many names; an office behind one address must still get in.
    Throttled.ADDRESS: Throttle(
        num_free=30,
        first_wait=timedelta(seconds=30),
        max_wait=timedelta(minutes=15),
        window=timedelta(hours=1),
    ),
}
