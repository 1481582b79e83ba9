"""What people say about a repository, and changes that they propose to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from samovar.server.db.tables.accounts import Account
from samovar.server.db.tables.base import Base, now


class Discussion(Base):
    """A discussion, or a pull request: then its branch is `refs/pr/NUMBER`."""

    __tablename__ = "discussions"
    __table_args__ = (UniqueConstraint("repository_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"))
    number: Mapped[int]
    """Counted from 1 in each repository."""
    title: Mapped[str] = mapped_column(String(300))
    status: Mapped[str] = mapped_column(String(8), default="open")
    """`open`, `closed`, `merged` or `draft`."""
    is_pull_request: Mapped[bool] = mapped_column(default=False)
    base: Mapped[str] = mapped_column(String(250), default="refs/heads/main")
    """The branch that a pull request wants to change."""
    merge_commit: Mapped[str | None] = mapped_column(String(40))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    author_name: Mapped[str] = mapped_column(String(96))
    """As it was: it stays when the account goes."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[Account | None] = relationship(foreign_keys=[author_id])


class DiscussionEvent(Base):
    """A comment, a new status, a new title, or a commit."""

    __tablename__ = "discussion_events"

    id: Mapped[str] = mapped_column(String(24), primary_key=True)
    discussion_id: Mapped[int] = mapped_column(ForeignKey("discussions.id", ondelete="CASCADE"), index=True)
    type: Mapped[str] = mapped_column(String(16))
    """`comment`, `status-change`, `title-change` or `commit`."""
    author_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    author_name: Mapped[str] = mapped_column(String(96))
    created_at: Mapped[datetime] = mapped_column(default=now)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
