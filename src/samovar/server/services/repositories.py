"""Repositories come, get another name or owner, and go."""

from __future__ import annotations

import shutil
from pathlib import Path

import pygit2
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from samovar.server.db.engine import mark_changed, next_change
from samovar.server.db.tables import (
    Account,
    DeletedRepository,
    PendingRefresh,
    Repository,
    RepositoryAlias,
    RepositoryObject,
)
from samovar.server.errors import ConflictError, ForbiddenError, NotFoundError, RepositoryNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos import attributes, commits, program, trees
from samovar.server.repos.names import repository_name, split
from samovar.server.repos.revisions import DEFAULT
from samovar.server.repos.writing import NewObjects
from samovar.server.services import quota
from samovar.server.services.access import Caller, RepoType, find, find_account, require_files
from samovar.server.services.audit import record
from samovar.server.services.derived import clear_derived
from samovar.server.services.refresh import refresh


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
    """Make a repository with a first commit, which tells git-lfs its files.

    Raises `ConflictError` (with its `url` left to the route) if there is one of that name.
    """
    repository_name(name)
    with hub.database.read() as session:
        full = f"{owner_for(session, caller, owner).name}/{name}"
        if taken(session, type_, full):
            raise ConflictError(f"You already created this {type_} repo")
    draft = hub.folders.prepare()
    first_commit(draft, caller.name)
    return insert(hub, caller, type_, name, owner, draft, private=private, sdk=sdk)


def taken(session: Session, type_: RepoType, full: str) -> bool:
    """Whether there is a repository of that name now."""
    return session.scalar(
        select(Repository.id).where(Repository.type == type_, Repository.name_key == full.lower())
    ) is not None  # fmt: skip


def first_commit(folder: Path, author: str) -> None:
    """The commit that every repository begins with."""
    repo = pygit2.Repository(str(folder))
    with NewObjects(folder) as new:
        attributes_blob = new.add("blob", attributes.initial())
        tree = new.add("tree", trees.serialise({attributes.NAME.encode(): (trees.FILE, attributes_blob)}))
        commit = commits.write(new, tree, [], author, commits.message("initial commit"))
        new.flush(repo)
    repo.references.create(f"refs/heads/{DEFAULT}", commit)


def insert(
    hub: Hub, caller: Caller, type_: RepoType, name: str, owner: str | None, draft: Path, private: bool,
    sdk: str | None = None, source: Repository | None = None,
) -> Repository:  # fmt: skip
    """The row of a new repository whose git folder is prepared; the folder is in place before the row can be seen."""
    try:
        with hub.database.write() as session:
            account = owner_for(session, caller, owner)
            full = f"{account.name}/{name}"
            release(session, type_, full)
            repository = Repository(
                type=type_, owner_id=account.id, name=full, name_key=full.lower(), private=private, sdk=sdk,
                created_by=caller.account_id,
            )  # fmt: skip
            session.add(repository)
            mark_changed(session, repository)
            session.flush()
            announcement = announce(session, repository.id)
            if source is not None:
                quota.check(session, hub.settings, account.id, source.used_storage)
                copy_objects(session, source.id, repository.id, caller)
            record(session, caller, "repository.create", f"{type_}:{full}", private=private)
            hub.folders.adopt(draft, repository.id)
    except IntegrityError as error:
        raise ConflictError(f"You already created this {type_} repo") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    refresh(hub, repository.id, announcement)
    with hub.database.read() as session:
        return session.get_one(Repository, repository.id)


def release(session: Session, type_: RepoType, full: str) -> None:
    """A name that another repository had before leads there no more: it is taken."""
    session.execute(
        delete(RepositoryAlias).where(RepositoryAlias.type == type_, RepositoryAlias.name_key == full.lower())
    )


def copy_objects(session: Session, source_id: int, target_id: int, caller: Caller) -> None:
    """Whoever may copy a repository has its large files: the copy may refer to them."""
    columns = (RepositoryObject.sha256, RepositoryObject.path)
    rows = session.execute(select(*columns).where(RepositoryObject.repository_id == source_id))
    session.add_all(
        RepositoryObject(repository_id=target_id, sha256=row.sha256, path=row.path, pushed_by=caller.account_id)
        for row in rows
    )


def duplicate(
    hub: Hub, caller: Caller, type_: RepoType, source: str, full: str, private: bool | None = None
) -> Repository:
    """A copy of a repository, with its history, under another name. `private` is as the source's if not given."""
    owner, name = split(full)
    repository_name(name)
    with hub.database.read() as session:
        found = find(session, type_, source, caller)
        require_files(session, caller, found)
        owner_for(session, caller, owner)
        if taken(session, type_, full):
            raise ConflictError(f"You already created this {type_} repo")
    draft = hub.folders.prepare()
    # Through git's own protocol: only what a reference leads to is copied, not what was squashed away.
    wanted = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
    program.run(draft, "fetch", "--quiet", "--no-write-fetch-head", str(hub.folders.path(found.id)), *wanted)
    shown = found.private if private is None else private
    return insert(hub, caller, type_, name, owner, draft, private=shown, sdk=found.sdk, source=found)


def remove(hub: Hub, caller: Caller, type_: RepoType, full: str) -> None:
    """Delete a repository with its history. Its large files stay until nothing else refers to them."""
    with hub.database.write() as session:
        repository = find(session, type_, full, caller, "admin")
        if repository.name_key != full.lower():  # By an old name: that is not what anybody means to delete.
            raise RepositoryNotFoundError
        record(session, caller, "repository.delete", f"{type_}:{repository.name}")
        number = repository.id
        forget(session, repository)
    hub.folders.delete(number)
    clear_derived(hub, number)


def rename(hub: Hub, caller: Caller, type_: RepoType, before: str, after: str) -> Repository:
    """Give a repository another name or owner; the old name still leads to it. Raises `ConflictError`."""
    owner, name = split(after)
    repository_name(name)
    with hub.database.write() as session:
        repository = find(session, type_, before, caller, "admin")
        account = owner_for(session, caller, owner)
        full = f"{account.name}/{name}"
        key, old = full.lower(), repository.name
        if key != repository.name_key:
            if taken(session, type_, full):
                raise ConflictError(f"There is a {type_} repo called {full} already.", "Choose another name.")
            release(session, type_, full)
            session.add(RepositoryAlias(type=type_, name_key=repository.name_key, repository_id=repository.id))
        repository.name, repository.name_key, repository.owner_id = full, key, account.id
        mark_changed(session, repository)
        record(session, caller, "repository.rename", f"{type_}:{full}", before=old)
        return repository


def set_visibility(
    hub: Hub, caller: Caller, type_: RepoType, full: str, private: bool | None, gated: str | bool | None
) -> Repository:
    """Who sees a repository, and whether its files are for those let in. None changes nothing."""
    with hub.database.write() as session:
        repository = find(session, type_, full, caller, "admin")
        if private is not None:
            repository.private = private
        if gated is not None:
            repository.gated = gated if isinstance(gated, str) else None
        mark_changed(session, repository)
        record(
            session, caller, "repository.settings", f"{type_}:{repository.name}",
            private=repository.private, gated=repository.gated,
        )  # fmt: skip
        return repository


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
