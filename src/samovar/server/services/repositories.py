"""Repositories come, get another name or owner, and go."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from samovar.server.db.engine import mark_changed, next_change
from samovar.server.db.tables import Account, DeletedRepository, PendingRefresh, Repository, RepositoryAlias
from samovar.server.errors import ConflictError, ForbiddenError, NotFoundError, RepositoryNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos.names import repository_name
from samovar.server.services.access import Caller, RepoType, find_account
from samovar.server.services.audit import record


def owner_for(session: Session, caller: Caller, name: str | None) -> Account:
    """Whose a new repository will be: the caller's or an organisation's. Raises `NotFoundError`, `ForbiddenError`."""
    account_id = caller.require_login()
    owner = session.get_one(Account, account_id) if not name else find_account(session, name)
    if owner is None:
        raise NotFoundError(f"There is no account called {name}.")
    if not caller.may_write_in(owner.id):
        raise ForbiddenError(
            f"You have no right to create repositories of {owner.name}.", "Use a token with role `write`."
        )
    return owner


def create(
    hub: Hub, caller: Caller, type_: RepoType, name: str, owner: str | None = None, private: bool = False,
    sdk: str | None = None,
) -> Repository:  # fmt: skip
    """Make an empty repository. Raises `ConflictError` (with its `url` left to the route) if there is one of that name.

    The git folder is made before the row can be seen, so nobody meets a repository without one.
    """
    repository_name(name)
    try:
        with hub.database.write() as session:
            account = owner_for(session, caller, owner)
            full = f"{account.name}/{name}"
            session.execute(
                delete(RepositoryAlias).where(RepositoryAlias.type == type_, RepositoryAlias.name_key == full.lower())
            )
            repository = Repository(
                type=type_, owner_id=account.id, name=full, name_key=full.lower(), private=private, sdk=sdk,
                created_by=caller.account_id,
            )  # fmt: skip
            session.add(repository)
            mark_changed(session, repository)
            session.flush()
            record(session, caller, "repository.create", f"{type_}:{full}", private=private)
            hub.folders.create(repository.id)
    except IntegrityError as error:
        raise ConflictError(f"You already created this {type_} repo") from error
    with hub.database.read() as session:
        return session.get_one(Repository, repository.id)


def announce(session: Session, repository_id: int) -> int:
    """To be written before references move; its number is for `refresh`, which removes it.

    Should this process be killed in between, the next one finds it and reads the repository again. Raises
    `RepositoryNotFoundError` if the repository went away meanwhile.
    """
    if session.get(Repository, repository_id) is None:
        raise RepositoryNotFoundError
    announcement = PendingRefresh(repository_id=repository_id)
    session.add(announcement)
    session.flush()
    return announcement.id


def pending(session: Session) -> list[PendingRefresh]:
    """References that may have moved without the database knowing."""
    return list(session.scalars(select(PendingRefresh)))


def forget(session: Session, repository: Repository) -> None:
    """Delete the repository's row, telling the search index in every process; its git folder is left to the caller."""
    session.add(DeletedRepository(repository_id=repository.id, changed=next_change(session)))
    session.delete(repository)
