"""Names without an owner, as `bert-base-cased`, that the operator lets lead to a repository."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.engine import Database
from samovar.server.db.tables import Repository, RepositoryAlias
from samovar.server.errors import BadRequestError, NotFoundError
from samovar.server.repos.names import RESERVED, repository_name
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.audit import record


def add(database: Database, caller: Caller, type_: RepoType, short: str, full: str) -> str:
    """Let the short name lead to the repository, also if it led elsewhere before; the repository's name.

    Raises `BadRequestError`, `RepositoryNotFoundError`.
    """
    if repository_name(short).lower() in RESERVED:
        raise BadRequestError(f"{short} is an address of the Hub itself.", "Choose another name.")
    with database.write() as session:
        repository = find(session, type_, full, caller)
        session.merge(RepositoryAlias(type=type_, name_key=short.lower(), repository_id=repository.id))
        record(session, caller, "repository.short_name", repository.name, name=short)
        return repository.name


def remove(database: Database, caller: Caller, type_: RepoType, short: str) -> None:
    """Take the short name away. Raises `NotFoundError`."""
    with database.write() as session:
        alias = None if "/" in short else session.get(RepositoryAlias, (type_, short.lower()))
        if alias is None:
            raise NotFoundError(f"No {type_} has the short name {short}.")
        session.delete(alias)
        record(session, caller, "repository.short_name", short, name=None)


def listed(session: Session) -> list[tuple[str, str, str]]:
    """(type, short name, repository) of all."""
    rows = session.execute(
        select(RepositoryAlias.type, RepositoryAlias.name_key, Repository.name)
        .join(Repository, Repository.id == RepositoryAlias.repository_id)
        .where(~RepositoryAlias.name_key.contains("/"))
        .order_by(RepositoryAlias.type, RepositoryAlias.name_key)
    )
    return [(row[0], row[1], row[2]) for row in rows]
