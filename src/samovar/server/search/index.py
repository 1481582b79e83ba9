"""The search index."""

from __future__ import annotations

from typing import Any

from samovar.server.db.engine import Database


class SearchIndex:
    """All repositories in memory, brought up to date by change numbers."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def dependants(self, name: str, caller: object) -> dict[str, Any]:
        """How many models are made from one, and which spaces use it."""
        return {"children": 0, "spaces": []}
