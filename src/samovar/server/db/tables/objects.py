"""Large files: which there are, and which repositories may refer to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
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
