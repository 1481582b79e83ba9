"""How often somebody may ask: a bucket per key that fills again steadily.

Kept in the memory of one process, so that it costs no question to the database; with several processes, each allows as
much. The generic cell rate algorithm (ITU-T I.371): of each bucket one number is kept, the time at which it is full
again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from samovar.server.errors import TooManyRequestsError


@dataclass(frozen=True)
class Rate:
    """`count` requests in `seconds`, all of them at once if need be. A count of 0 sets no limit."""

    name: str
    count: int
    seconds: float


# Guessing passwords, making accounts, asking for devices: per address, and failures also per name.
LOGIN = Rate("login", 60, 300)
FAILED_LOGIN = Rate("login", 10, 900)
FAILED_NAME = Rate("login", 100, 3600)
SIGN_UP = Rate("sign-up", 30, 3600)
DEVICE = Rate("device", 30, 300)
DEVICE_POLL = Rate("device-poll", 600, 300)
USER_CODE = Rate("user-code", 20, 900)


class Rates:
    """All buckets of this process. `clock` gives seconds."""

    MOST_KEYS = 100_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.full_at: dict[tuple[str, float, str], float] = {}
        # Hash of a credential that was right → whose it is; nothing is read from the database to limit a request.
        self.accounts: dict[int, int] = {}
        self.lock = threading.Lock()

    def wait(self, rate: Rate, key: str, take: bool = True) -> float:
        """Take one from the bucket; seconds until there will be one if there is none, and 0 if there was.

        With `take=False`, only look.
        """
        if rate.count == 0:
            return 0.0
        moment, step = self.clock(), rate.seconds / rate.count
        bucket = (rate.name, rate.seconds, key)
        with self.lock:
            full_at = max(self.full_at.get(bucket, moment), moment)
            wait = full_at + step - rate.seconds - moment
            if wait > 1e-9:
                return wait
            if take:
                if len(self.full_at) >= self.MOST_KEYS:
                    self.forget(moment)
                self.full_at[bucket] = full_at + step
            return 0.0

    def recognise(self, credential: str | None, account_id: int | None) -> None:
        """The credential is that account's, or (None) nobody's any more."""
        if credential is None:
            return
        with self.lock:
            if account_id is None:
                self.accounts.pop(hash(credential), None)
                return
            if len(self.accounts) >= self.MOST_KEYS:
                self.accounts = {}
            self.accounts[hash(credential)] = account_id

    def account_of(self, credential: str | None) -> int | None:
        """Whose credential it is, if it was seen before."""
        return None if credential is None else self.accounts.get(hash(credential))

    def forget(self, moment: float) -> None:
        """Drop the buckets that are full; if none is, the older half, so that memory stays bounded."""
        self.full_at = {bucket: at for bucket, at in self.full_at.items() if at > moment}
        if len(self.full_at) >= self.MOST_KEYS:
            newest = sorted(self.full_at.items(), key=lambda one: one[1])[self.MOST_KEYS // 2 :]
            self.full_at = dict(newest)

    def require(self, rate: Rate, key: str, take: bool = True) -> None:
        """Take one, or raise `TooManyRequestsError` with the headers that clients wait by."""
        wait = self.wait(rate, key, take)
        if wait > 0:
            raise too_many(rate, wait)


def too_many(rate: Rate, wait: float) -> TooManyRequestsError:
    """The refusal. The headers follow draft-ietf-httpapi-ratelimit-headers-09, as clients read them."""
    seconds = int(wait) + 1
    return TooManyRequestsError(
        "You ask too often.",
        f"Try again in {seconds} seconds.",
        {
            "Retry-After": str(seconds),
            "RateLimit": f'"{rate.name}";r=0;t={seconds}',
            "RateLimit-Policy": f'"fixed window";"{rate.name}";q={rate.count};w={round(rate.seconds)}',
        },
    )
