"""The search index."""

from __future__ import annotations

from samovar.server.db.engine import Database


class SearchIndex:
    """All repositories in memory, brought up to date by change numbers."""

    def __init__(self, database: Database) -> None:
        self.database = database
