"""Tokens: made, narrowed, revoked, expired; and what each may do, by the stock client."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from browser import Browser
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from sqlalchemy import select, update

from samovar.server.db.tables import AuditEntry, Token
from samovar.server.db.tables.base import now
from samovar.server.http.dates import iso


def make(hub, people, user, **wanted):
    """A token by the API, as the page of the settings would make it."""
    answer = httpx.post(f"{hub.url}/api/settings/tokens", json=wanted, headers=people.bearer(user, "admin"))
    assert answer.status_code == 200, answer.text
    return answer.json()["token"]


def test_a_token_is_made_listed_used_and_revoked(hub, people):
    user = people.user()
    with Browser(hub.url) as browser:
        browser.log_in(user)
        made = browser.api("POST", "/api/settings/tokens", json={"name": "laptop", "role": "read"}).json()
        (listed,) = browser.get("/api/settings/tokens").json()
        assert (listed["id"], listed["name"], listed["role"]) == (made["id"], "laptop", "read")
        assert made["token"].endswith(listed["ending"])
        assert made["token"] not in str(listed)
        assert listed["lastUsedAt"] is None
        who = hub.client(made["token"]).whoami()
        assert who["auth"]["accessToken"] == {"displayName": "laptop", "role": "read"}
        assert browser.get("/api/settings/tokens").json()[0]["lastUsedAt"] is not None
        assert browser.api("DELETE", f"/api/settings/tokens/{made['id']}").status_code == 200
        assert browser.get("/api/settings/tokens").json() == []
        with pytest.raises(HfHubHTTPError, match="Invalid user token"):
            hub.client(made["token"]).whoami()
        assert browser.api("DELETE", f"/api/settings/tokens/{made['id']}").status_code == 404


def test_a_token_that_expired_is_worthless(hub, people):
    user = people.user()
    token = make(hub, people, user, role="read", expiresAt=iso(now() + timedelta(hours=1)))
    assert hub.client(token).whoami()["name"] == user
    with people.database.write() as session:
        session.execute(update(Token).where(Token.ending == token[-4:]).values(expires_at=now() - timedelta(seconds=1)))
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        hub.client(token).whoami()
    headers = people.bearer(user, "admin")
    late = httpx.post(
        f"{hub.url}/api/settings/tokens", headers=headers,
        json={"role": "read", "expiresAt": iso(now() - timedelta(hours=1))},
    )  # fmt: skip
    assert late.status_code == 400


def test_whoever_finds_a_token_cannot_make_a_stronger_one(hub, people):
    user = people.user()
    for role in ("read", "write"):
        headers = people.bearer(user, role)
        for method, path, body in (
            ("POST", "/api/settings/tokens", {"role": "admin"}),
            ("GET", "/api/settings/tokens", None),
            ("GET", "/api/settings/sessions", None),
            ("POST", "/api/settings/password", {"current": f"password of {user}", "new": "another password"}),
            ("PUT", "/api/settings/profile", {"email": "x@example.org"}),
            ("POST", "/api/organizations", {"name": people.name("org")}),
            ("GET", "/api/admin/audit", None),
        ):
            answer = httpx.request(method, hub.url + path, json=body, headers=headers)
            assert answer.status_code == 403, (role, method, path)


def test_nobody_revokes_a_token_of_somebody_else(hub, people):
    one, other = people.user(), people.user()
    token = make(hub, people, one, role="read")
    with people.database.read() as session:
        number = session.scalars(select(Token.id).where(Token.ending == token[-4:])).one()
    answer = httpx.delete(f"{hub.url}/api/settings/tokens/{number}", headers=people.bearer(other, "admin"))
    assert answer.status_code == 404
    assert hub.client(token).whoami()["name"] == one


def test_a_token_that_reads_reads(hub, people):
    user = people.user()
    people.client(user).create_repo(f"{user}/mine", private=True)
    reader = people.client(user, "read")
    assert reader.repo_exists(f"{user}/mine")
    with pytest.raises(HfHubHTTPError, match="403"):
        reader.create_repo(f"{user}/other")
    with pytest.raises(HfHubHTTPError, match="403"):
        reader.update_repo_settings(f"{user}/mine", private=False)
    with pytest.raises(HfHubHTTPError, match="403"):
        reader.delete_repo(f"{user}/mine")


def test_a_fine_grained_token_reaches_what_it_names_and_no_more(hub, people):
    user, other = people.user(), people.user()
    owner = people.client(user)
    for name in ("named", "read-only", "else"):
        owner.create_repo(f"{user}/{name}", private=True)
    people.client(other).create_repo(f"{other}/private", private=True)
    people.client(other).create_repo(f"{other}/public")
    token = make(
        hub, people, user, role="fineGrained", name="fine",
        scopes=[
            {"type": "model", "name": f"{user}/named", "right": "write"},
            {"type": "model", "name": f"{user}/read-only", "right": "read"},
        ],
    )  # fmt: skip
    client = hub.client(token)
    assert client.whoami()["auth"]["accessToken"]["role"] == "fineGrained"
    client.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id=f"{user}/named")
    client.auth_check(f"{user}/read-only")
    with pytest.raises(HfHubHTTPError, match="403"):
        client.auth_check(f"{user}/read-only", write=True)
    for hidden in (f"{user}/else", f"{other}/private"):
        with pytest.raises(RepositoryNotFoundError):
            client.model_info(hidden)
    assert client.model_info(f"{other}/public").id == f"{other}/public"
    with pytest.raises(HfHubHTTPError, match="403"):
        client.create_repo(f"{user}/new")
    account = make(hub, people, user, role="fineGrained", scopes=[{"type": "account", "name": user, "right": "write"}])
    hub.client(account).create_repo(f"{user}/new", private=True)
    hub.client(account).delete_repo(f"{user}/new")
    with pytest.raises(RepositoryNotFoundError):
        hub.client(account).model_info(f"{other}/private")


def test_a_scope_names_only_what_its_maker_sees(hub, people):
    user, other = people.user(), people.user()
    people.client(other).create_repo(f"{other}/private", private=True)
    headers = people.bearer(user, "admin")
    said = [
        httpx.post(
            f"{hub.url}/api/settings/tokens", headers=headers,
            json={"role": "fineGrained", "scopes": [{"type": "model", "name": name, "right": "read"}]},
        )
        for name in (f"{other}/private", f"{other}/never-was")
    ]  # fmt: skip
    assert [one.status_code for one in said] == [404, 404]
    assert said[0].content == said[1].content


@pytest.mark.parametrize("wanted", [
    {"role": "owner"}, {"role": "fineGrained"}, {"role": "read", "scopes": [{"type": "account", "name": "alice"}]},
    {"role": "read", "name": "x" * 101}, {"role": "read", "name": "a\nb"}, {"role": "read", "expiresAt": "soon"},
    {"role": "fineGrained", "scopes": [{"type": "car", "name": "x"}]}, {}, [], "read",
])  # fmt: skip
def test_a_token_that_cannot_be_is_refused(hub, people, wanted):
    headers = people.bearer(people.user(), "admin")
    assert httpx.post(f"{hub.url}/api/settings/tokens", json=wanted, headers=headers).status_code == 400


def test_making_and_revoking_stand_in_the_audit_log(hub, people):
    user = people.user()
    token = make(hub, people, user, role="read", name="logged")
    with people.database.read() as session:
        number = session.scalars(select(Token.id).where(Token.name == "logged")).one()
    httpx.delete(f"{hub.url}/api/settings/tokens/{number}", headers=people.bearer(user, "admin"))
    with people.database.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.actor == user)).all()
    assert [(row.action, row.detail["name"]) for row in rows] == [
        ("token.create", "logged"),
        ("token.revoke", "logged"),
    ]
    assert token not in str([row.detail for row in rows])


def test_the_commands_list_and_revoke(hub):
    hub.command("user", "add", "cliff", "--password-stdin", stdin="password of cliff\n")
    token = hub.command("token", "create", "cliff", "--role", "write", "--title", "by command")
    assert hub.client(token).whoami()["name"] == "cliff"
    number, role, ending, _, title = hub.command("token", "list", "cliff").split("\t")
    assert (role, ending, title) == ("write", f"…{token[-4:]}", "by command")
    hub.command("token", "revoke", "cliff", "--id", number)
    assert hub.command("token", "list", "cliff") == ""
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        hub.client(token).whoami()
    again = hub.command("token", "create", "cliff", "--role", "read")
    hub.command("user", "password", "cliff", "--password-stdin", stdin="another password\n")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        hub.client(again).whoami()
    with Browser(hub.url) as browser:
        assert browser.log_in("cliff", "another password").status_code == 303
    hub.command("user", "admin", "cliff")
    assert "cliff admin" in hub.command("user", "list").splitlines()
    hub.command("user", "admin", "cliff", "--remove")
    assert "cliff" in hub.command("user", "list").splitlines()
