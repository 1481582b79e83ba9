"""Login on a device without a browser (RFC 8628): it shows a code, and its owner consents in a browser elsewhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Account, DeviceGrant, Token
from samovar.server.db.tables.base import now
from samovar.server.errors import BadRequestError, NotFoundError
from samovar.server.hub import Hub
from samovar.server.services.access import Caller
from samovar.server.services.audit import record
from samovar.server.services.credentials import digest
from samovar.server.services.rates import DEVICE, DEVICE_POLL, USER_CODE
from samovar.server.services.tokens import made

# Letters without vowels, so that codes spell nothing, and without those that look like others (RFC 8628, 6.1).
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
CODE_LENGTH = 8
LIFETIME = timedelta(minutes=15)
INTERVAL = 5
# A device that polls a little early because of its clock is not told to slow down (seconds).
TOLERANCE = 0.5
TOKEN_LIFETIME = timedelta(days=30)
# A login that is not used for so long ends.
REFRESH_LIFETIME = timedelta(days=180)


class DeviceError(BadRequestError):
    """What the device is told: `error` is one of the codes of RFC 6749 (5.2) and RFC 8628 (3.5)."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(description or error)
        self.error = error


@dataclass(frozen=True)
class Granted:
    """What the device gets. `expires_in` in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


def start(hub: Hub, caller: Caller, client_id: str) -> tuple[str, str]:
    """Begin a login: the secret that the device keeps, and the code that its owner types (`BCDF-GHJK`).

    Raises `TooManyRequestsError`.
    """
    hub.rates.require(DEVICE, caller.address)
    device_code = secrets.token_urlsafe(32)
    user_code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    with hub.database.write() as session:
        session.add(
            DeviceGrant(
                digest=digest(device_code), user_code=user_code, client_id=client_id[:100], interval=INTERVAL,
                expires_at=now() + LIFETIME,
            )
        )  # fmt: skip
    return device_code, f"{user_code[:4]}-{user_code[4:]}"


def waiting(hub: Hub, caller: Caller, code: str) -> DeviceGrant:
    """The login that waits under the code that somebody typed. Raises `NotFoundError`, `TooManyRequestsError`."""
    with hub.database.read() as session:
        return looked_up(hub, session, caller, code)


def looked_up(hub: Hub, session: Session, caller: Caller, code: str) -> DeviceGrant:
    """As `waiting`, in a session. Wrong codes are counted, so that nobody finds one by trying."""
    key = str(caller.require_login())
    hub.rates.require(USER_CODE, key, take=False)
    plain = "".join(letter for letter in code.upper() if letter.isalpha())[:CODE_LENGTH]
    grant = session.scalar(select(DeviceGrant).where(DeviceGrant.user_code == plain))
    if grant is None or grant.state != "pending" or grant.expires_at <= now():
        hub.rates.wait(USER_CODE, key)
        raise NotFoundError("No device waits with this code.", "Look at the code again; it is good for 15 minutes.")
    return grant


def answer(hub: Hub, caller: Caller, code: str, allow: bool, role: str = "write") -> None:
    """The owner's word. Raises `NotFoundError`, `ForbiddenError`, `BadRequestError`."""
    account_id = caller.require_person()
    if role not in ("read", "write"):
        raise BadRequestError("A device reads, or reads and writes.", "Choose `read` or `write`.")
    with hub.database.write() as session:
        grant = looked_up(hub, session, caller, code)
        grant.state, grant.account_id, grant.role = "granted" if allow else "denied", account_id, role
        record(session, caller, "device.allow" if allow else "device.deny", caller.name, client=grant.client_id)


def poll(hub: Hub, caller: Caller, device_code: str) -> Granted:
    """The token, once the owner has consented; it is handed out once. Raises `DeviceError`."""
    if hub.rates.wait(DEVICE_POLL, caller.address) > 0:
        raise DeviceError("slow_down")
    # What changes in the database must last although the device is refused: so refusals are raised outside.
    with hub.database.write() as session:
        grant = session.get(DeviceGrant, digest(device_code), with_for_update=True)
        outcome = polled(session, grant)
    if isinstance(outcome, DeviceError):
        raise outcome
    return outcome


def polled(session: Session, grant: DeviceGrant | None) -> Granted | DeviceError:
    """One step of the protocol."""
    moment = now()
    if grant is None or grant.state == "taken":
        return DeviceError("invalid_grant", "The device code is not known.")
    if grant.state == "denied":
        return DeviceError("access_denied", "The login was refused.")
    if grant.expires_at <= moment:
        return DeviceError("expired_token", "The device code has expired.")
    if grant.state == "pending":
        early = grant.polled_at is not None and (
            moment - grant.polled_at < timedelta(seconds=grant.interval - TOLERANCE)
        )
        grant.polled_at = moment
        if early:
            grant.interval += INTERVAL
            return DeviceError("slow_down", "Ask less often.")
        return DeviceError("authorization_pending", "Nobody has consented yet.")
    account = session.get(Account, grant.account_id)
    if account is None or account.disabled:
        return DeviceError("access_denied", "The login was refused.")
    grant.state = "taken"
    return handed_out(session, account, grant.role, f"login-{grant.user_code.lower()}", moment)


def handed_out(session: Session, account: Account, role: str, name: str, moment: datetime) -> Granted:
    """A new token that can be refreshed."""
    token, row = made(account.id, role, name, moment + TOKEN_LIFETIME)
    refresh = secrets.token_urlsafe(48)
    row.refresh_digest, row.refresh_expires_at = digest(refresh), moment + REFRESH_LIFETIME
    session.add(row)
    session.flush()
    who = Caller(account_id=account.id, name=account.name)
    record(session, who, "token.create", account.name, role=role, token=row.id, name=name)
    return Granted(token, refresh, round(TOKEN_LIFETIME.total_seconds()))


def refresh(hub: Hub, caller: Caller, refresh_token: str) -> Granted:
    """A new token for an old login. The secret that was given is used up, and the old token ends in some minutes.

    Raises `DeviceError`.
    """
    if hub.rates.wait(DEVICE_POLL, caller.address) > 0:
        raise DeviceError("slow_down")
    moment = now()
    with hub.database.write() as session:
        old = session.scalar(select(Token).where(Token.refresh_digest == digest(refresh_token)).with_for_update())
        if (
            old is None
            or old.revoked_at is not None
            or old.account.disabled
            or (old.refresh_expires_at is not None and old.refresh_expires_at <= moment)
        ):
            raise DeviceError("invalid_grant", "The login has ended.")
        # Other processes of the same person may be in the middle of a transfer.
        soon = moment + timedelta(minutes=10)
        old.refresh_digest = None
        old.expires_at = min(old.expires_at, soon) if old.expires_at else soon
        return handed_out(session, old.account, old.role, old.name, moment)


def forget_expired(hub: Hub, moment: datetime) -> None:
    """Remove the logins that nobody finished; they are kept for a while so that the device hears why."""
    with hub.database.write() as session:
        session.execute(delete(DeviceGrant).where(DeviceGrant.expires_at <= moment - timedelta(hours=1)))
