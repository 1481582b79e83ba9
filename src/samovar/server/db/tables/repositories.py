"""Repositories: whose they are, and what their card, configuration and weights say, as of the last commit."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from samovar.server.db.tables.accounts import Account
from samovar.server.db.tables.base import Base, now


class Repository(Base):
    """A model, data set or space. Its git folder is named by the id, so that a new name moves no file."""

    __tablename__ = "repositories"
    __table_args__ = (
        UniqueConstraint("type", "name_key"),
        Index("ix_repositories_changed", "changed"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(String(8))
    """`model`, `dataset` or `space`."""
    owner_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="RESTRICT"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    """`owner/name`."""
    name_key: Mapped[str] = mapped_column(String(200))
    """`owner/name` in lower case."""
    private: Mapped[bool] = mapped_column(default=False)
    gated: Mapped[str | None] = mapped_column(String(8))
    """`auto`, `manual`, or none."""
    disabled: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(default=now)
    last_modified: Mapped[datetime] = mapped_column(default=now)
    changed: Mapped[int] = mapped_column(BigInteger, default=0)
    """The change number: the search index asks for all above the last that it has seen."""

    # Counters.
    likes: Mapped[int] = mapped_column(default=0)
    downloads: Mapped[int] = mapped_column(default=0)
    """Of the last 30 days."""
    downloads_all_time: Mapped[int] = mapped_column(BigInteger, default=0)
    trending_score: Mapped[float] = mapped_column(default=0.0)
    used_storage: Mapped[int] = mapped_column(BigInteger, default=0)
    """Bytes of regular and large files at all revisions, each counted once."""

    # Read from the files of the default branch at each change.
    sha: Mapped[str | None] = mapped_column(String(40))
    """The commit that the columns below describe."""
    sdk: Mapped[str | None] = mapped_column(String(20))
    pipeline_tag: Mapped[str | None] = mapped_column(String(60))
    library_name: Mapped[str | None] = mapped_column(String(60))
    tags: Mapped[list[str]] = mapped_column(default=list)
    """Everything that `filter=` knows."""
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The YAML of the README."""
    card_text: Mapped[str] = mapped_column(Text, default="")
    """The README below its YAML, cut at a sensible length, for the full-text search."""
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What pages and lists need of `config.json` and `tokenizer_config.json`."""
    safetensors: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`{"parameters": {dtype: count}, "total": count}`."""
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    architecture: Mapped[str | None] = mapped_column(String(100))
    labels: Mapped[int | None]
    """How many labels the configuration names."""
    files: Mapped[list[Any]] = mapped_column(default=list)
    """`[path, size, blob id, sha256 or None, pointer size or None]` of each file, for lists of siblings."""
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    """What could not be read (broken YAML, a bad header), for the page."""

    owner: Mapped[Account] = relationship(foreign_keys=[owner_id], lazy="joined", innerjoin=True)


class RepositoryAlias(Base):
    """A name that a repository had before; it still leads there until somebody takes it."""

    __tablename__ = "repository_aliases"

    type: Mapped[str] = mapped_column(String(8), primary_key=True)
    name_key: Mapped[str] = mapped_column(String(200), primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), index=True)


class PendingRefresh(Base):
    """Written before references move, removed when the columns above are up to date: a kill between loses nothing."""

    __tablename__ = "pending_refreshes"

    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True)
    since: Mapped[datetime] = mapped_column(default=now)


class Like(Base):
    """Somebody likes a repository."""

    __tablename__ = "likes"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    repository_id: Mapped[int] = mapped_column(
        ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime] = mapped_column(default=now)


class DownloadDay(Base):
    """Downloads of one repository on one day."""

    __tablename__ = "download_days"

    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class Sequence(Base):
    """Counters by name; `changes` numbers the changes of repositories."""

    __tablename__ = "sequences"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)
