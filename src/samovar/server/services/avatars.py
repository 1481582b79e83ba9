"""Pictures of accounts: whatever was sent is decoded and drawn anew, so that nothing of the file itself is kept."""

from __future__ import annotations

import hashlib
import io

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Account, Avatar
from samovar.server.errors import BadRequestError
from samovar.server.hub import Hub
from samovar.server.services.access import Caller
from samovar.server.services.audit import record
from samovar.server.services.organisations import run_by

LARGEST = 4 * 2**20
# Larger pictures are not decoded: a file of some kilobytes may hold billions of pixels.
MOST_PIXELS = 40_000_000
SIDE = 256
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def digest_of(session: Session, name: str) -> str | None:
    """By what name the account's picture is found, if it has one."""
    return session.scalar(
        select(Avatar.digest).join(Account, Account.id == Avatar.account_id).where(Account.name_key == name.lower())
    )


def picture(session: Session, name: str, digest: str) -> bytes | None:
    """The account's picture as WebP, if that is still its digest."""
    return session.scalar(
        select(Avatar.data)
        .join(Account, Account.id == Avatar.account_id)
        .where(Account.name_key == name.lower(), Avatar.digest == digest)
    )


def choose(hub: Hub, caller: Caller, data: bytes | None, organisation: str | None = None) -> None:
    """Give the caller's account, or an organisation that they run, a picture; None takes it away.

    Raises `BadRequestError` for what is no picture, `NotFoundError`, `ForbiddenError`.
    """
    person = caller.require_person()
    drawn = None if data is None else square(data)
    with hub.database.write() as session:
        account = run_by(session, caller, organisation) if organisation else session.get_one(Account, person)
        kept = session.get(Avatar, account.id)
        if drawn is None:
            if kept is not None:
                session.delete(kept)
        else:
            digest = hashlib.sha256(drawn).hexdigest()[:16]
            session.merge(Avatar(account_id=account.id, digest=digest, data=drawn))
        record(session, caller, "avatar.remove" if drawn is None else "avatar.choose", account.name)


def square(data: bytes) -> bytes:
    """The middle of a picture, `SIDE` pixels wide and high, as WebP. Raises `BadRequestError`."""
    from PIL import Image, ImageOps  # Few requests need it, and it takes a while to import.

    if len(data) > LARGEST:
        raise BadRequestError("The picture is too large.", f"Use one of at most {LARGEST // 2**20} MB.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise BadRequestError("The picture has too many pixels.", "Make it smaller first.")
            fitted = ImageOps.fit(ImageOps.exif_transpose(opened).convert("RGBA"), (SIDE, SIDE))
    except (OSError, ValueError, SyntaxError, ArithmeticError, LookupError, Image.DecompressionBombError) as error:
        # All that Pillow's readers raise for files that are cut off or forged.
        raise BadRequestError("This is no picture that can be read.", "Send PNG, JPEG, WebP or GIF.") from error
    made = io.BytesIO()
    fitted.save(made, "WEBP", quality=85)
    return made.getvalue()
