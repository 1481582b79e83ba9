"""People and organisations, what they log in with, and what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from samovar.server.db.tables.base import Base, now


class Account(Base):
    """A user or an organisation: whatever a repository can belong to."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(4))
    """`user` or `org`."""
    name: Mapped[str] = mapped_column(String(96))
    name_key: Mapped[str] = mapped_column(String(96), unique=True)
    """The name in lower case: names that differ in case alone are the same."""
    full_name: Mapped[str] = mapped_column(String(200), default="")
    bio: Mapped[str] = mapped_column(String(500), default="")
    """What the account says of itself, as plain text."""
    email: Mapped[str | None] = mapped_column(String(254))
    """As the person gave it. Nobody has checked it, so it identifies nobody and need not be the only one."""
    password: Mapped[str | None] = mapped_column(String(255))
    """An argon2 hash."""
    is_admin: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    quota: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes; none: the Hub's own setting."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Avatar(Base):
    """The picture that an account has chosen; an account without one gets a drawn letter."""

    __tablename__ = "avatars"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(16))
    """The beginning of the SHA-256 of `data`: the picture's address changes with it."""
    data: Mapped[bytes] = mapped_column(LargeBinary)
    """WebP, made by this Hub."""


class Membership(Base):
    """A user's role in an organisation."""

    __tablename__ = "memberships"

    organisation_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16))
    """`read`, `contributor`, `write` or `admin`."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    organisation: Mapped[Account] = relationship(foreign_keys=[organisation_id])
    user: Mapped[Account] = relationship(foreign_keys=[user_id])


class Invitation(Base):
    """A code with which one person signs up, or joins an organisation."""

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    """None: the operator, on the Hub's own machine."""
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    """None: it is good for signing up."""
    role: Mapped[str | None] = mapped_column(String(16))
    for_user: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    """The only one who can use it; none: whoever has the code."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    used_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    used_at: Mapped[datetime | None]


class Token(Base):
    """An access token; only its SHA-256 is kept."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(16))
    """`read`, `write`, `admin`, or `fineGrained`: only what its scopes name."""
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    ending: Mapped[str] = mapped_column(String(4))
    """The last characters, by which a person knows it again."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    refresh_digest: Mapped[str | None] = mapped_column(String(64), unique=True)
    """Of a login on a device: the secret that brings a new token when this one has expired."""
    refresh_expires_at: Mapped[datetime | None]
    account: Mapped[Account] = relationship()
    scopes: Mapped[list[TokenScope]] = relationship(cascade="all, delete-orphan")


class TokenScope(Base):
    """One right of a fine-grained token: over a repository, or over all of an account."""

    __tablename__ = "token_scopes"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"), index=True)
    repository_id: Mapped[int | None] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    right: Mapped[str] = mapped_column(String(8))
    """`read` or `write`."""


class LoginSession(Base):
    """A browser that somebody is logged in with; only the SHA-256 of its cookie is kept."""

    __tablename__ = "login_sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime] = mapped_column(default=now)
    address: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(300), default="")
    account: Mapped[Account] = relationship()


class DeviceGrant(Base):
    """A login on a device without a browser, waiting for its owner's consent (RFC 8628)."""

    __tablename__ = "device_grants"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_code: Mapped[str] = mapped_column(String(16), unique=True)
    client_id: Mapped[str] = mapped_column(String(100), default="")
    state: Mapped[str] = mapped_column(String(8), default="pending")
    """`pending`, `granted`, `denied` or `taken`."""
    role: Mapped[str] = mapped_column(String(16), default="write")
    """Of the token that the device will get; the person chooses."""
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    interval: Mapped[int] = mapped_column(default=5)
    polled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class AuditEntry(Base):
    """Who did what to what, from where. Kept when the account or repository is gone."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_target_at", "target", "at"), Index("ix_audit_actor_at", "actor", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(96), default="")
    action: Mapped[str] = mapped_column(String(40))
    target: Mapped[str] = mapped_column(String(250), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    address: Mapped[str] = mapped_column(String(64), default="")
