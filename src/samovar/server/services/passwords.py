"""Passwords: argon2id hashes, made anew when the parameters change."""

from __future__ import annotations

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from samovar.server.errors import BadRequestError

SHORTEST = 8
LONGEST = 1000
# A hash takes 64 MiB of memory for its time: so many at once and no more.
AT_ONCE = 4

hasher = PasswordHasher()
turn = threading.BoundedSemaphore(AT_ONCE)


@cache
def of_nobody() -> str:
    """What is compared with when there is no such account, so that the answer takes as long."""
    return hasher.hash("the password of nobody")


def hashed(password: str) -> str:
    """The hash to keep. Raises `BadRequestError` for a password that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadRequestError(
            f"The password is too {'short' if len(password) < SHORTEST else 'long'}.",
            f"Use {SHORTEST} to {LONGEST} characters.",
        )
    with turn:
        return hasher.hash(password.encode("utf-8", "surrogatepass"))


def right(kept: str | None, password: str) -> bool:
    """Whether it is the password; as slow when there is none."""
    with turn:
        stand_in = of_nobody()
        try:
            hasher.verify(kept or stand_in, password[: LONGEST + 1].encode("utf-8", "surrogatepass"))
        except (VerificationError, InvalidHashError):
            return False
    return kept is not None


def outdated(kept: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return hasher.check_needs_rehash(kept)
