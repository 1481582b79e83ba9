"""Every combination of who, through which token, to which repository: what is seen, read, written and administered."""

from __future__ import annotations

from itertools import product

import pytest
from sqlalchemy import select

from samovar.server.db.engine import Database
from samovar.server.db.migrate import migrate
from samovar.server.db.tables import AccessRequest, Account, Membership, Repository, RepositoryAlias, Token, TokenScope
from samovar.server.errors import ForbiddenError, HubError, RepositoryNotFoundError, UnauthenticatedError
from samovar.server.services.access import ANONYMOUS, find, may_read_files, visible_to
from samovar.server.services.credentials import caller_of_token, described, digest

# What each person may do with a repository of the organisation `lab` that somebody else made.
PEOPLE = {
    "nobody": "",
    "stranger": "",
    "member-read": "see",
    "member-contributor": "see",
    "member-write": "see write",
    "member-admin": "see write run",
    "ruler": "see write run",
    "ruler-read": "see write run",  # Runs the Hub, and is a member who only reads.
}
TOKENS = {
    "browser": "see write run",
    "read": "see",
    "write": "see write",
    "admin": "see write run",
    "fine-none": "",
    "fine-account-read": "see",
    "fine-account-write": "see write",
    "fine-repository-read": "see",
    "fine-repository-write": "see write",
    "fine-elsewhere-write": "",
}
REPOSITORIES = ("public", "private", "public-own", "private-own", "gated", "private-gated")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A database with an organisation, people, their tokens, and repositories of each kind for each person."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('access') / 'hub.sqlite3'}")
    migrate(database)
    with database.write() as session:
        lab = Account(kind="org", name="lab", name_key="lab")
        other = Account(kind="org", name="elsewhere", name_key="elsewhere")
        founder = Account(kind="user", name="founder", name_key="founder")
        session.add_all([lab, other, founder])
        session.flush()
        for person in PEOPLE:
            if person == "nobody":
                continue
            account = Account(kind="user", name=person, name_key=person, is_admin=person.startswith("ruler"))
            session.add(account)
            session.flush()
            if person.startswith("member-") or person == "ruler-read":
                session.add(
                    Membership(organisation_id=lab.id, user_id=account.id, role=person.rsplit("-", maxsplit=1)[1])
                )
            mine = []
            for kind in REPOSITORIES:
                name = f"lab/{person}-{kind}"
                repository = Repository(
                    type="model", owner_id=lab.id, name=name, name_key=name, private="private" in kind,
                    gated="manual" if "gated" in kind else None,
                    created_by=account.id if kind.endswith("-own") else founder.id,
                )  # fmt: skip
                session.add(repository)
                mine.append(repository)
            session.flush()
            for token in TOKENS:
                if token == "browser":
                    continue
                fine = token.startswith("fine")
                row = Token(
                    account_id=account.id, name=token, role="fineGrained" if fine else token,
                    digest=digest(f"{person} {token}"), ending="",
                )  # fmt: skip
                _, _, reach = token.partition("-")
                what, _, right = reach.partition("-")
                if what == "account":
                    row.scopes = [TokenScope(account_id=lab.id, right=right)]
                elif what == "elsewhere":
                    row.scopes = [TokenScope(account_id=other.id, right=right)]
                elif what == "repository":
                    row.scopes = [TokenScope(repository_id=one.id, right=right) for one in mine]
                session.add(row)
    yield database
    database.close()


def caller(database, person, token):
    """The caller as a request would make it."""
    if person == "nobody":
        return ANONYMOUS
    if token == "browser":
        with database.read() as session:
            return described(session, session.scalars(select(Account).where(Account.name == person)).one())
    return caller_of_token(database, f"{person} {token}")


def rights(person, token, kind):
    """What is expected, from the two tables above: the person's rights, narrowed by the token's."""
    ruling = person.startswith("ruler") and token in ("browser", "admin")
    if person.startswith("ruler") and not ruling:  # With another token, one of the people.
        own = PEOPLE["member-read" if person == "ruler-read" else "stranger"].split()
    else:
        own = PEOPLE[person].split()
    if kind.endswith("-own") and person == "member-contributor":
        own = [*own, "write"]
    allowed = {one for one in own if one in TOKENS[token].split()}
    return allowed if "private" in kind else allowed | {"see"}


COMBINATIONS = [
    (person, token, kind) for person, token, kind in product(PEOPLE, TOKENS, REPOSITORIES)
    if person != "nobody" or token == "browser"
]  # fmt: skip


def repository_of(session, person, kind):
    """The repository of one combination; nobody meets the stranger's."""
    name = f"lab/{'stranger' if person == 'nobody' else person}-{kind}"
    return session.scalars(select(Repository).where(Repository.name == name)).one()


@pytest.mark.slow
@pytest.mark.parametrize(("person", "token", "kind"), COMBINATIONS)
def test_rights_are_those_of_the_person_narrowed_by_the_token(world, person, token, kind):
    who, expected = caller(world, person, token), rights(person, token, kind)
    with world.read() as session:
        repository = repository_of(session, person, kind)
        assert who.may_see(repository) == ("see" in expected)
        assert who.may_write(repository) == ("write" in expected)
        assert who.may_administer(repository) == ("write" in expected)
        for right in ("read", "write", "admin"):
            if (right == "read" and "see" in expected) or "write" in expected:
                assert find(session, "model", repository.name.upper(), who, right).id == repository.id
                continue
            with pytest.raises(HubError) as refused:
                find(session, "model", repository.name, who, right)
            if "see" not in expected:
                assert type(refused.value) is RepositoryNotFoundError
                with pytest.raises(HubError) as absent:
                    find(session, "model", "lab/never-made", who, right)
                assert (absent.value.status, absent.value.message) == (refused.value.status, refused.value.message)
            else:
                assert type(refused.value) is (UnauthenticatedError if person == "nobody" else ForbiddenError)


@pytest.mark.slow
@pytest.mark.parametrize(("person", "token"), sorted({pair[:2] for pair in COMBINATIONS}))
def test_lists_show_what_is_seen_and_nothing_else(world, person, token):
    who = caller(world, person, token)
    with world.read() as session:
        listed = set(session.scalars(select(Repository.id).where(visible_to(who))))
        seen = {one.id for one in session.scalars(select(Repository)) if who.may_see(one)}
    assert listed == seen


@pytest.mark.slow
@pytest.mark.parametrize(("person", "token"), sorted({pair[:2] for pair in COMBINATIONS}))
def test_files_of_a_gated_repository_are_for_members_and_those_let_in(world, person, token):
    who = caller(world, person, token)
    ruling = person.startswith("ruler") and token in ("browser", "admin")
    member = person.startswith("member-") or person == "ruler-read"
    reaches = not token.startswith("fine") or token.split("-")[1] in ("account", "repository")
    with world.read() as session:
        repository = repository_of(session, person, "gated")
        assert may_read_files(session, who, repository) == (ruling or (member and reaches))
    if person == "nobody":
        return
    with world.write() as session:
        for status, let_in in (("pending", False), ("rejected", False), ("accepted", True)):
            request = AccessRequest(repository_id=repository.id, account_id=who.account_id, status=status)
            session.add(request)
            session.flush()
            assert may_read_files(session, who, repository) == (ruling or ((member or let_in) and reaches))
            session.delete(request)
            session.flush()


def test_only_those_who_run_an_organisation_change_it(world):
    with world.read() as session:
        lab = session.scalars(select(Account.id).where(Account.name == "lab")).one()
    for person, token in {pair[:2] for pair in COMBINATIONS}:
        runs = "run" in PEOPLE[person].split() and "run" in TOKENS[token].split()
        assert caller(world, person, token).may_run(lab) == runs, (person, token)


def test_a_former_name_leads_there_only_for_those_who_see_it(world):
    with world.write() as session:
        hidden = repository_of(session, "stranger", "private")
        session.add(RepositoryAlias(type="model", name_key="lab/former", repository_id=hidden.id))
    with world.read() as session:
        assert find(session, "model", "lab/former", caller(world, "member-read", "read")).id == hidden.id
        with pytest.raises(RepositoryNotFoundError):
            find(session, "model", "lab/former", caller(world, "stranger", "write"))


def test_a_scope_gives_nothing_that_the_person_has_not(world):
    """Somebody who left the organisation keeps a token with scopes: it opens nothing private any more."""
    with world.read() as session:
        hidden = repository_of(session, "stranger", "private")
        who = caller(world, "stranger", "fine-repository-write")
        assert ("repository", hidden.id, "write") in who.scopes
        assert not who.may_see(hidden)
        assert not who.may_write(repository_of(session, "stranger", "public"))
