"""Who is asking, and what they may see and change. One place decides; a repository that is not for the caller's eyes
looks the same as one that does not exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from sqlalchemy import ColumnElement, and_, false, literal, or_, select, true, union_all
from sqlalchemy.orm import Session

from samovar.server.db.tables import AccessRequest, Account, Repository, RepositoryAlias
from samovar.server.errors import (
    DisabledRepositoryError,
    ForbiddenError,
    GatedRepositoryError,
    RepositoryNotFoundError,
    UnauthenticatedError,
)

RepoType = Literal["model", "dataset", "space"]
TYPES: tuple[RepoType, ...] = ("model", "dataset", "space")
# Roles of a member of an organisation, each with the rights of those before it: `contributor` makes repositories and
# changes and administers their own, `write` those of all, `admin` also the organisation itself.
ROLES = ("read", "contributor", "write", "admin")
# Roles of tokens. `admin` may do what a person may in the browser, such as making tokens.
TOKEN_ROLES = ("read", "write", "admin", "fineGrained")


class Owned(Protocol):
    """What deciding needs to know of a repository."""

    @property
    def id(self) -> int: ...
    @property
    def owner_id(self) -> int: ...
    @property
    def private(self) -> bool: ...
    @property
    def created_by(self) -> int | None: ...


@dataclass(frozen=True)
class Caller:
    """Who is asking. `account_id` is None for somebody who is not logged in."""

    account_id: int | None = None
    name: str = ""
    is_admin: bool = False
    """Runs the Hub: sees and may do everything, with a token of role admin or in the browser."""
    token_role: str | None = None
    """`read`, `write`, `admin`, `fineGrained`; None with a password or in the browser, which may do everything."""
    token_id: int | None = None
    token_name: str = ""
    scopes: frozenset[tuple[str, int, str]] = frozenset()
    """Of a fine-grained token: (`repository` or `account`, its id, `read` or `write`)."""
    organisations: dict[int, str] = field(default_factory=dict)
    """Id of each organisation the caller is in → role."""
    address: str = ""
    csrf: str | None = None
    """Of the browser's session: forms must send it back."""
    session_id: str | None = None
    """The browser's session, by the digest of its cookie."""

    @property
    def anonymous(self) -> bool:
        """Nobody is logged in."""
        return self.account_id is None

    @property
    def runs_hub(self) -> bool:
        """Whether the caller acts as one who runs the Hub: not with just any token."""
        return self.is_admin and self.token_role in (None, "admin")

    def require_login(self) -> int:
        """The account's id. Raises `UnauthenticatedError`."""
        if self.account_id is None:
            raise UnauthenticatedError("You are not logged in.", "Log in, or send a token: `hf auth login`.")
        return self.account_id

    def require_person(self) -> int:
        """The account's id, for what concerns the account itself (tokens, members, password).

        Raises `UnauthenticatedError`, or `ForbiddenError` for a token that only works with repositories: whoever finds
        such a token must not be able to make a stronger one.
        """
        account_id = self.require_login()
        if self.token_role not in (None, "admin"):
            raise ForbiddenError("This token may not change the account.", "Use the browser, or a token of role admin.")
        return account_id

    def require_hub_admin(self) -> None:
        """Raises `UnauthenticatedError`, or `ForbiddenError` for those who do not run the Hub."""
        self.require_login()
        if not self.runs_hub:
            raise ForbiddenError("This is for those who run the Hub.", "Use a token of role admin of such an account.")

    def role_in(self, account_id: int) -> str | None:
        """The caller's role over an account: `admin` over oneself."""
        if account_id == self.account_id:
            return "admin"
        return self.organisations.get(account_id)

    def scoped(self, owner_id: int, repository_id: int | None, right: str) -> bool:
        """Whether a fine-grained token reaches there."""
        rights = ("write",) if right == "write" else ("read", "write")
        return any(
            ("account", owner_id, one) in self.scopes or ("repository", repository_id, one) in self.scopes
            for one in rights
        )

    def may_see(self, repository: Owned) -> bool:
        """Whether the repository exists for the caller. `visible_to` says the same in SQL."""
        if not repository.private:
            return True
        if self.anonymous or (self.role_in(repository.owner_id) is None and not self.runs_hub):
            return False
        # A scope narrows what the person may do; it outlives their membership, and gives nothing by itself.
        return self.token_role != "fineGrained" or self.scoped(repository.owner_id, repository.id, "read")

    def may_write(self, repository: Owned) -> bool:
        """Whether the caller may push to the repository."""
        return self.may_see(repository) and self.may_write_in(
            repository.owner_id, repository.id, created_by=repository.created_by
        )

    def may_write_in(self, owner_id: int, repository_id: int | None = None, created_by: int | None = None) -> bool:
        """Whether the caller may push to a repository of that owner, or make one there (no `repository_id`)."""
        if self.anonymous or self.token_role == "read":
            return False
        if self.token_role == "fineGrained" and not self.scoped(owner_id, repository_id, "write"):
            return False
        role = self.role_in(owner_id)
        if role == "contributor" and not self.runs_hub:  # Makes repositories and pushes to those of their own.
            return repository_id is None or created_by == self.account_id
        return role in ("write", "admin") or self.runs_hub

    def may_administer(self, repository: Owned) -> bool:
        """Whether the caller may delete, rename, or change who sees it: as in the field, whoever may write to it."""
        return self.may_write(repository)

    def may_run(self, organisation_id: int) -> bool:
        """Whether the caller may change an organisation's members and settings."""
        return self.token_role in (None, "admin") and (
            self.organisations.get(organisation_id) == "admin" or self.runs_hub
        )


ANONYMOUS = Caller()


def visible_to(caller: Caller) -> ColumnElement[bool]:
    """`Caller.may_see` as a condition on `Repository`, for lists and counts."""
    if caller.account_id is None:
        return Repository.private.is_(False)
    reached: ColumnElement[bool] = (
        true() if caller.runs_hub else Repository.owner_id.in_([caller.account_id, *caller.organisations])
    )
    if caller.token_role == "fineGrained":
        reached = and_(
            reached,
            or_(
                false(),
                Repository.owner_id.in_([number for kind, number, _ in caller.scopes if kind == "account"]),
                Repository.id.in_([number for kind, number, _ in caller.scopes if kind == "repository"]),
            ),
        )
    return or_(Repository.private.is_(False), reached)


def find(session: Session, type_: str, name: str, caller: Caller, right: str = "read") -> Repository:
    """The repository, by its name or one that it had before.

    `right` is `read`, `write` or `admin`. Raises `RepositoryNotFoundError` if there is none that the caller may see,
    `UnauthenticatedError` or `ForbiddenError` if they may see it but not do this.
    """
    key = name.lower().replace("\0", "\ufffd")  # PostgreSQL refuses NUL; no name holds either.
    columns = (Repository.id, Repository.owner_id, Repository.private, Repository.created_by)
    # One small question, whether there is such a repository or not: neither its size nor a second look-up tells.
    found = session.execute(
        union_all(
            select(*columns, literal(0).label("rank")).where(Repository.type == type_, Repository.name_key == key),
            select(*columns, literal(1).label("rank"))
            .join(RepositoryAlias, RepositoryAlias.repository_id == Repository.id)
            .where(RepositoryAlias.type == type_, RepositoryAlias.name_key == key),
        ).order_by("rank")
    ).first()
    if found is None or not caller.may_see(found):
        raise RepositoryNotFoundError(anonymous=caller.anonymous)
    repository = session.get(Repository, found.id)
    if repository is None:  # Deleted in between.
        raise RepositoryNotFoundError(anonymous=caller.anonymous)
    if right == "read" or (caller.may_write(repository) if right == "write" else caller.may_administer(repository)):
        return repository
    caller.require_login()
    if caller.token_role == "read":
        raise ForbiddenError("This token may only read.", "Make one with the role `write`.")
    raise ForbiddenError(f"You have no right to {'change' if right == 'write' else 'administer'} {repository.name}.")


def may_read_files(session: Session, caller: Caller, repository: Repository) -> bool:
    """Whether the caller, who may see the repository, may also read its files: gated ones are for those let in."""
    if repository.disabled:
        return False
    if not repository.gated or caller.runs_hub:
        return True
    if caller.account_id is None:
        return False
    if caller.token_role == "fineGrained" and not caller.scoped(repository.owner_id, repository.id, "read"):
        return False
    return caller.role_in(repository.owner_id) is not None or (
        session.scalar(
            select(AccessRequest.status).where(
                AccessRequest.repository_id == repository.id, AccessRequest.account_id == caller.account_id
            )
        )
        == "accepted"
    )


def require_files(session: Session, caller: Caller, repository: Repository) -> None:
    """Raises `DisabledRepositoryError` or `GatedRepositoryError` when the caller may not read the files."""
    if may_read_files(session, caller, repository):
        return
    if repository.disabled:
        raise DisabledRepositoryError
    what = f"Access to {repository.type} {repository.name} is restricted"
    if caller.anonymous:
        raise GatedRepositoryError(f"{what}.", "Log in, and ask for access on its page.", anonymous=True)
    raise GatedRepositoryError(f"{what} and you are not in the authorized list.", "Ask for access on its page.")


def find_account(session: Session, name: str) -> Account | None:
    """A user or organisation by name."""
    if "\0" in name:  # PostgreSQL refuses the question.
        return None
    return session.scalar(select(Account).where(Account.name_key == name.lower()))
