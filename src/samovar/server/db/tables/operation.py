"""What the processes of one Hub agree on among themselves."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from samovar.server.db.tables.base import Base


class Lease(Base):
    """Work that one process does for all: whose turn it is, and when it is due again."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(60), primary_key=True)
    holder: Mapped[str] = mapped_column(String(60), default="")
    until: Mapped[datetime]
    """Nobody else does it before then."""
