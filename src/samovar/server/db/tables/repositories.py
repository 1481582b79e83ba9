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
        # A number is never given out twice: it names a git folder, which may still be on its way out.
        {"sqlite_autoincrement": True},
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
    """Bytes of all large files ever pushed and of the regular files of the default branch, each counted once."""

    # Read from the files of the default branch at each change.
    sha: Mapped[str | None] = mapped_column(String(40))
    """The commit that the columns below describe."""
    sdk: Mapped[str | None] = mapped_column(String(20))
    pipeline_tag: Mapped[str | None] = mapped_column(String(60))
    library_name: Mapped[str | None] = mapped_column(String(60))
    tags: Mapped[list[str]] = mapped_column(default=list)
    """Everything that `filter=` knows."""
    parameters: Mapped[int | None] = mapped_column(BigInteger)
    architecture: Mapped[str | None] = mapped_column(String(100))
    labels: Mapped[int | None]
    """How many labels the configuration names."""
    card_words: Mapped[int] = mapped_column(default=0)
    """How many words of the card the full-text search knows: long cards weigh less there."""

    owner: Mapped[Account] = relationship(foreign_keys=[owner_id], lazy="joined", innerjoin=True)


class RepositoryContent(Base):
    """The larger part of what the files of the default branch say: apart, as most requests need only the row above."""

    __tablename__ = "repository_contents"

    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True)
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The YAML of the README."""
    card_text: Mapped[str] = mapped_column(Text, default="")
    """The README below its YAML, cut at a sensible length."""
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What pages and lists need of `config.json` and `tokenizer_config.json`."""
    safetensors: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`{"parameters": {dtype: count}, "total": count}`, or nothing."""
    files: Mapped[list[Any]] = mapped_column(default=list)
    """`[path, size, blob id, sha256 or None, pointer size or None]` of each file, for lists of siblings."""
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    """What could not be read (broken YAML, a bad header), for the page: sentences."""


class DeletedRepository(Base):
    """That there was a repository: the search index, in every process, hears of it by the change number."""

    __tablename__ = "deleted_repositories"

    repository_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    changed: Mapped[int] = mapped_column(BigInteger, index=True)


class SearchTerm(Base):
    """How often a word stands in a repository's card: the inverted index of the full-text search.

    Words are kept as numbers (64 bits of their hash): rows stay short, and no table of words is needed.
    """

    __tablename__ = "search_terms"
    __table_args__ = (
        Index("ix_search_terms_term", "term", "count", "repository_id"),
        {"sqlite_with_rowid": False},
    )

    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True)
    term: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    count: Mapped[int]


class RepositoryAlias(Base):
    """A name that a repository had before; it still leads there until somebody takes it."""

    __tablename__ = "repository_aliases"

    type: Mapped[str] = mapped_column(String(8), primary_key=True)
    name_key: Mapped[str] = mapped_column(String(200), primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), index=True)


class PendingRefresh(Base):
    """Written before references move, removed when the columns above are up to date: a kill between loses nothing.

    One row for each move: who removes it takes away no other's.
    """

    __tablename__ = "pending_refreshes"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), index=True)
    since: Mapped[datetime] = mapped_column(default=now)


class Like(Base):
    """Somebody likes a repository."""

    __tablename__ = "likes"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    repository_id: Mapped[int] = mapped_column(
        ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    created_at: Mapped[datetime] = mapped_column(default=now)


class AccessRequest(Base):
    """Somebody asks for, or has, the files of a gated repository."""

    __tablename__ = "access_requests"
    __table_args__ = (UniqueConstraint("repository_id", "account_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    status: Mapped[str] = mapped_column(String(8))
    """`pending`, `accepted` or `rejected`."""
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the person wrote in the form."""
    reason: Mapped[str] = mapped_column(String(200), default="")
    """Why it was rejected."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    handled_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))


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
