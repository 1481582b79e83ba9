"""Bring a database to the newest schema: Alembic migrations, each in one transaction where the database can."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from samovar.server.db.engine import Database

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(database: Database, revision: str = "head") -> None:
    """Run what is missing. Safe when several processes start at once, and after a kill in the middle."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # On SQLite the writer's turn is taken first, so that a second process waits until the schema is there.
    with database.engine.execution_options(takes_turn=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
