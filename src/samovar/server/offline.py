"""What commands on the Hub's own machine work with: its database, beside a running server or without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from samovar.server.db.engine import Database
from samovar.server.db.migrate import migrate
from samovar.server.services.access import Caller
from samovar.server.settings import read_settings

# Who acts when somebody with access to the machine does.
OPERATOR = Caller(name="operator", is_admin=True)


@contextmanager
def opened_database(data: Path) -> Iterator[Database]:
    """The database of a data folder, with the newest schema."""
    database = Database(read_settings(data=data).database_url)
    try:
        migrate(database)
        yield database
    finally:
        database.close()
