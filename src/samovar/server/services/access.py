"""Who is asking, and what they may see and change. One place decides; a repository that is not for the caller's eyes
looks the same as one that does not exist."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Account, Repository, RepositoryAlias
from samovar.server.errors import ForbiddenError, RepositoryNotFoundError, UnauthenticatedError

RepoType = Literal["model", "dataset", "space"]
TYPES: tuple[RepoType, ...] = ("model", "dataset", "space")
# Roles of a member of an organisation, each with the rights of those before it.
ROLES = ("read", "contributor", "write", "admin")


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

    @property
    def anonymous(self) -> bool:
        """Nobody is logged in."""
        return self.account_id is None

    def require_login(self) -> int:
        """The account's id. Raises `UnauthenticatedError`."""
        if self.account_id is None:
            raise UnauthenticatedError("You are not logged in.", "Log in, or send a token: `hf auth login`.")
        return self.account_id

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

    def may_see(self, repository: Repository) -> bool:
        """Whether the repository exists for the caller."""
        if not repository.private:
            return True
        if self.anonymous:
            return False
        if self.token_role == "fineGrained":
            return self.scoped(repository.owner_id, repository.id, "read")
        return self.role_in(repository.owner_id) is not None or (self.is_admin and self.token_role in (None, "admin"))

    def may_write(self, repository: Repository) -> bool:
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
        if role == "contributor":  # Makes repositories and pushes to those of their own.
            return repository_id is None or created_by == self.account_id
        return role in ("write", "admin") or (self.is_admin and self.token_role in (None, "admin"))

    def may_administer(self, repository: Repository) -> bool:
        """Whether the caller may delete, rename, or change who sees it: who made it, or who runs its owner."""
        if not self.may_write(repository):
            return False
        role = self.role_in(repository.owner_id)
        return role == "admin" or (role in ("write", "contributor") and repository.created_by == self.account_id) or (
            role is None and self.is_admin
        )  # fmt: skip


ANONYMOUS = Caller()


def find(session: Session, type_: str, name: str, caller: Caller, right: str = "read") -> Repository:
    """The repository, by its name or one that it had before.

    `right` is `read`, `write` or `admin`. Raises `RepositoryNotFoundError` if there is none that the caller may see,
    `UnauthenticatedError` or `ForbiddenError` if they may see it but not do this.
    """
    key = name.lower()
    repository = session.scalar(select(Repository).where(Repository.type == type_, Repository.name_key == key))
    if repository is None:
        repository = session.scalar(
            select(Repository)
            .join(RepositoryAlias, RepositoryAlias.repository_id == Repository.id)
            .where(RepositoryAlias.type == type_, RepositoryAlias.name_key == key)
        )
    if repository is None or not caller.may_see(repository):
        raise RepositoryNotFoundError(anonymous=caller.anonymous)
    if right == "read" or (caller.may_write(repository) if right == "write" else caller.may_administer(repository)):
        return repository
    caller.require_login()
    if caller.token_role == "read":
        raise ForbiddenError("This token may only read.", "Make one with the role `write`.")
    raise ForbiddenError(f"You have no right to {'change' if right == 'write' else 'administer'} {repository.name}.")


def find_account(session: Session, name: str) -> Account | None:
    """A user or organisation by name."""
    return session.scalar(select(Account).where(Account.name_key == name.lower()))
