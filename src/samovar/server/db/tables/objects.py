"""Large files: which there are, which repositories may refer to them, and how they were cut when they came."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from samovar.server.db.tables.base import Base, now


class StoredObject(Base):
    """A large file that is stored whole and whose hash was checked."""

    __tablename__ = "objects"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)


class RepositoryObject(Base):
    """A large file that was brought to a repository: the proof that whoever refers to it had it.

    Knowing a hash is not having the file, so a commit may only refer to objects that stand here for its repository.
    """

    __tablename__ = "repository_objects"

    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("objects.sha256", ondelete="RESTRICT"), primary_key=True, index=True)
    path: Mapped[str] = mapped_column(String(1000), default="")
    """Where it was first committed, for people."""
    pushed_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    pushed_at: Mapped[datetime] = mapped_column(default=now)
    used_at: Mapped[datetime] = mapped_column(default=now)
    """When somebody last brought it, was told that it is here, or committed it: it is not collected soon after."""


class Scan(Base):
    """What a look into a file without running it found: for pickles, what they would import."""

    __tablename__ = "scans"

    content: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of a large file, or git's id of another."""
    status: Mapped[str] = mapped_column(String(12))
    """`safe`, `suspicious`, `dangerous` or `unreadable`."""
    imports: Mapped[list[str]] = mapped_column(default=list)
    """`module name` of each."""
    scanned_at: Mapped[datetime] = mapped_column(default=now)


class Xorb(Base):
    """A block of chunks as the Xet protocol sends them. Its hash was computed from its chunks when it came.

    Its bytes lie in a draft until files have been built of them; from then on they are read out of those files.
    """

    __tablename__ = "xorbs"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    lengths: Mapped[bytes] = mapped_column(LargeBinary)
    """Of the chunks, uncompressed: four bytes each, little-endian."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class XorbHolder(Base):
    """An account that sent a xorb whole, and so may build files of it without sending it again."""

    __tablename__ = "xorb_holders"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    hash: Mapped[str] = mapped_column(ForeignKey("xorbs.hash", ondelete="CASCADE"), primary_key=True, index=True)
    used_at: Mapped[datetime] = mapped_column(default=now)


class XorbRun(Base):
    """Bytes `start` to `start + length` of a xorb's chunks are bytes `offset` on of an object."""

    __tablename__ = "xorb_runs"
    __table_args__ = (Index("ix_xorb_runs_hash_start", "hash", "start"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(ForeignKey("xorbs.hash", ondelete="CASCADE"))
    start: Mapped[int]
    length: Mapped[int]
    sha256: Mapped[str] = mapped_column(ForeignKey("objects.sha256", ondelete="CASCADE"), index=True)
    offset: Mapped[int] = mapped_column(BigInteger)
