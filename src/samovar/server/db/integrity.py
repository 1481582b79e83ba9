"""Whether a database is whole in itself: its file, and every reference from one table to another."""

from __future__ import annotations

from sqlalchemy import and_, func, select
from sqlalchemy.exc import DatabaseError

from samovar.server.db.engine import Database
from samovar.server.db.tables import Base


def database_problems(database: Database) -> list[str]:
    """What SQLite finds wrong with its file. PostgreSQL looks after its own."""
    if not database.is_sqlite:
        return []
    try:
        with database.engine.connect() as connection:
            said = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    except DatabaseError as error:
        return [f"it cannot be read: {error.orig}"]
    return [] if said == ["ok"] else said


def broken_references(database: Database) -> list[str]:
    """Rows that refer to rows that are not there, counted for each foreign key."""
    problems = []
    with database.read() as session:
        for table in Base.metadata.sorted_tables:
            for key in table.foreign_key_constraints:
                target = key.referred_table.alias()
                pairs = [(element.parent, target.c[element.column.name]) for element in key.elements]
                there = select(1).where(and_(*(own == other for own, other in pairs))).exists()
                given = and_(*(own.is_not(None) for own, _ in pairs))
                count = session.scalar(select(func.count()).select_from(table).where(given, ~there)) or 0
                if count:
                    columns = ", ".join(column.name for column in key.columns)
                    problems.append(f"{count} rows of {table.name} refer by {columns} to nothing")
    return problems
