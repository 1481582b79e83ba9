"""Data sets that are waiting to be converted for looking at, or were."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from samovar.server.db.tables.base import Base, now


class Conversion(Base):
    """One commit of a data set on its way to Parquet. The result lies in a folder; this row is how far it is."""

    __tablename__ = "conversions"

    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True)
    commit: Mapped[str] = mapped_column(String(40), primary_key=True)
    state: Mapped[str] = mapped_column(String(8), default="waiting", index=True)
    """`waiting`, `running`, `done` or `failed`."""
    error: Mapped[str] = mapped_column(Text, default="")
    asked_at: Mapped[datetime] = mapped_column(default=now)
    alive_until: Mapped[datetime | None]
    """While it runs, renewed all the time; one whose process died is taken up by another after this."""
