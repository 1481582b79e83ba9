"""Sign-up, login, sessions and the forms around them, as a browser meets them."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import count

import httpx
import pytest
from argon2 import PasswordHasher
from browser import Browser
from running_hub import RunningHub
from sqlalchemy import select, update

from samovar.server.db.engine import Database
from samovar.server.db.tables import Account, AuditEntry, LoginSession
from samovar.server.db.tables.base import now
from samovar.server.offline import OPERATOR
from samovar.server.services.accounts import add_user
from samovar.server.services.tokens import create_token

numbers = count()


@pytest.fixture
def database(hub):
    """The Hub's database, from beside."""
    database = Database(f"sqlite:///{hub.data / 'hub.sqlite3'}")
    yield database
    database.close()


@pytest.fixture
def browser(hub):
    """A browser of nobody in particular, at an address of its own."""
    with Browser(hub.url, f"198.51.100.{next(numbers)}") as browser:
        yield browser


@pytest.fixture
def carol(database):
    """A user of this test alone; the name."""
    name = f"carol{next(numbers)}"
    add_user(database, OPERATOR, name, f"password of {name}")
    return name


def test_a_person_logs_in_and_out(hub, browser, carol):
    assert "Log in" in browser.get("/login").text
    answer = browser.log_in(carol)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert browser.get("/api/whoami-v2").json()["name"] == carol
    assert browser.get("/api/whoami-v2").json()["auth"] == {"type": "session"}
    assert carol in browser.get("/login").text
    cookie = browser.session
    browser.submit("/logout", csrf=browser.csrf)
    assert browser.session is None
    assert httpx.get(f"{hub.url}/api/whoami-v2", cookies={"samovar_session": cookie}).status_code == 401


def test_the_cookie_is_kept_from_scripts_and_other_sites(hub, browser, carol):
    said = browser.log_in(carol).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=lax" in said
    assert "path=/" in said
    assert "secure" not in said
    with Browser(hub.url, "198.51.100.250") as encrypted:
        encrypted.headers["X-Forwarded-Proto"] = "https"
        assert "secure" in encrypted.log_in(carol).headers["set-cookie"].lower()


def test_only_hashes_are_kept(hub, browser, carol, database):
    browser.log_in(carol)
    cookie = browser.session
    for file in hub.data.glob("hub.sqlite3*"):
        data = file.read_bytes()
        assert cookie.encode() not in data
        assert f"password of {carol}".encode() not in data
    with database.read() as session:
        assert session.scalars(select(Account.password).where(Account.name == carol)).one().startswith("$argon2id$")


def test_a_planted_cookie_is_worth_nothing_after_the_login(hub, browser, carol):
    browser.cookies.set("samovar_session", "planted")
    browser.log_in(carol)
    fresh = dict(browser.cookies)["samovar_session"] if len(browser.cookies) == 1 else None
    values = {cookie.value for cookie in browser.cookies.jar}
    assert httpx.get(f"{hub.url}/api/whoami-v2", cookies={"samovar_session": "planted"}).status_code == 401
    assert fresh != "planted"
    assert any(len(value) > 30 for value in values)


def test_logging_in_again_ends_the_session_that_was(hub, browser, carol):
    browser.log_in(carol)
    first, csrf = browser.session, browser.csrf
    browser.log_in(carol, csrf=csrf)
    assert browser.session != first
    assert browser.csrf != csrf
    assert httpx.get(f"{hub.url}/api/whoami-v2", cookies={"samovar_session": first}).status_code == 401


def test_wrong_passwords_and_unknown_names_get_the_same_answer(browser, carol):
    wrong = browser.log_in(carol, "not the password")
    unknown = browser.log_in("nobody-at-all", "not the password")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace(carol, "X") == unknown.text.replace("nobody-at-all", "X")
    assert "samovar_session" not in browser.cookies


def test_a_hash_with_other_parameters_is_renewed(browser, carol, database):
    weak = PasswordHasher(time_cost=1, memory_cost=64).hash(f"password of {carol}")
    with database.write() as session:
        session.execute(update(Account).where(Account.name == carol).values(password=weak))
    assert browser.log_in(carol).status_code == 303
    with database.read() as session:
        kept = session.scalars(select(Account.password).where(Account.name == carol)).one()
    assert kept != weak
    assert not PasswordHasher().check_needs_rehash(kept)
    assert browser.log_in(carol, csrf=browser.csrf).status_code == 303


def test_guessing_is_slowed_down(browser, carol):
    answers = [browser.log_in(carol, f"guess {number}") for number in range(12)]
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    # The right password does not help from there; from elsewhere its owner gets in.
    assert browser.log_in(carol).status_code == 429
    with Browser(str(browser.base_url), "198.51.100.251") as elsewhere:
        assert elsewhere.log_in(carol).status_code == 303


def test_a_session_ends_with_its_time(browser, carol, database):
    browser.log_in(carol)
    with database.write() as session:
        session.execute(update(LoginSession).values(expires_at=now() - timedelta(seconds=1)))
    assert browser.get("/api/whoami-v2").status_code == 401


def test_a_user_who_is_locked_out_is_out_at_once(hub, browser, carol):
    token = hub.command("token", "create", carol, "--role", "read")
    browser.log_in(carol)
    hub.command("user", "disable", carol)
    assert browser.get("/api/whoami-v2").status_code == 401
    assert httpx.get(f"{hub.url}/api/whoami-v2", headers={"authorization": f"Bearer {token}"}).status_code == 401
    assert browser.log_in(carol).status_code == 401
    hub.command("user", "enable", carol)
    assert browser.log_in(carol).status_code == 303
    assert httpx.get(f"{hub.url}/api/whoami-v2", headers={"authorization": f"Bearer {token}"}).status_code == 200


def test_other_sites_can_do_nothing_with_the_cookie(browser, carol):
    browser.log_in(carol)
    wanted = {"role": "read", "name": "x"}
    without = browser.post("/api/settings/tokens", json=wanted)
    wrong = browser.post("/api/settings/tokens", json=wanted, headers={"X-CSRF-Token": "guessed"})
    csrf = browser.csrf
    foreign = browser.post(
        "/api/settings/tokens", json=wanted, headers={"X-CSRF-Token": csrf, "Origin": "https://evil.example"}
    )
    sibling = browser.post(
        "/api/settings/tokens", json=wanted, headers={"X-CSRF-Token": csrf, "Sec-Fetch-Site": "same-site"}
    )
    opaque = browser.post("/api/settings/tokens", json=wanted, headers={"X-CSRF-Token": csrf, "Origin": "null"})
    assert [one.status_code for one in (without, wrong, foreign, sibling, opaque)] == [403] * 5
    assert browser.api("POST", "/api/settings/tokens", json=wanted).status_code == 200
    # Forms as well, and the login itself, with which another site would log somebody in as someone else.
    assert browser.submit("/logout").status_code == 403
    assert browser.submit("/logout", csrf="guessed").status_code == 403
    with Browser(str(browser.base_url)) as other:
        answer = other.post(
            "/login",
            data={"name": carol, "password": f"password of {carol}"},
            headers={"Origin": "https://evil.example"},
        )
        assert answer.status_code == 403
        assert other.session is None


def test_every_route_that_changes_something_refuses_the_cookie_alone(hub, browser, carol):
    """Whatever route there is, now or later: with a cookie and no token of the session, nothing happens."""
    browser.log_in(carol)
    paths = browser.get("/api/openapi.json").json()["paths"]
    for path, methods in paths.items():
        filled = path.replace("{kind}", "models")
        while "{" in filled:
            filled = filled[: filled.index("{")] + "1" + filled[filled.index("}") + 1 :]
        for method in methods:
            if method in ("get", "head", "options") or not path.startswith(("/api/settings", "/api/organizations")):
                continue
            answer = browser.request(method, filled, json={})
            # Either the caller is refused first, or the body is: never is anything done.
            assert answer.status_code in (400, 403), (method, path, answer.status_code, answer.text)


def test_a_token_needs_no_token_of_a_session(hub, carol, database):
    _, token = create_token(database, OPERATOR, carol, "admin")
    answer = httpx.post(
        f"{hub.url}/api/settings/tokens", json={"role": "read"}, headers={"authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 200


def test_changing_the_password_ends_the_other_sessions(hub, browser, carol):
    browser.log_in(carol)
    with Browser(hub.url, "198.51.100.252") as elsewhere:
        elsewhere.log_in(carol)
        wrong = browser.api("POST", "/api/settings/password", json={"current": "no", "new": "another password"})
        assert wrong.status_code == 401
        short = browser.api("POST", "/api/settings/password", json={"current": f"password of {carol}", "new": "short"})
        assert short.status_code == 400
        before = browser.session
        done = browser.api(
            "POST", "/api/settings/password", json={"current": f"password of {carol}", "new": "another password"}
        )
        assert done.status_code == 200
        assert browser.session != before
        assert browser.get("/api/whoami-v2").json()["name"] == carol
        assert elsewhere.get("/api/whoami-v2").status_code == 401
        assert elsewhere.log_in(carol).status_code == 401
        assert elsewhere.log_in(carol, "another password").status_code == 303


def test_a_person_sees_their_sessions_and_ends_one(hub, browser, carol):
    browser.log_in(carol)
    with Browser(hub.url, "203.0.113.77", agent="Elsewhere/1") as elsewhere:
        elsewhere.log_in(carol)
        listed = browser.get("/api/settings/sessions").json()
        assert [one["current"] for one in listed] == [False, True]
        assert (listed[0]["address"], listed[0]["agent"]) == ("203.0.113.77", "Elsewhere/1")
        assert browser.api("DELETE", f"/api/settings/sessions/{listed[0]['id']}").status_code == 200
        assert elsewhere.get("/api/whoami-v2").status_code == 401
    assert browser.api("DELETE", "/api/settings/sessions/ffffffffffffffff").status_code == 404


@pytest.mark.parametrize("onward", [
    "https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "\\\\evil", "/\tevil", "evil",
])  # fmt: skip
def test_the_login_leads_nowhere_else(browser, carol, onward):
    assert browser.log_in(carol, next=onward).headers["location"] == "/"
    assert browser.log_in(carol, next="/alice/model?x=1", csrf=browser.csrf).headers["location"] == "/alice/model?x=1"


def test_pages_hold_no_script_and_escape_what_was_typed(browser):
    answer = browser.log_in('"><script>alert(1)</script>', "wrong password")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "private, no-store"
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "<script" not in browser.get("/signup", params={"invitation": "<script>"}).text


def test_anybody_signs_up_where_that_is_open(browser):
    name = f"dave{next(numbers)}"
    answer = browser.submit("/signup", name=name, password="a good password", email="dave@example.org")
    assert answer.status_code == 303
    who = browser.get("/api/whoami-v2").json()
    assert (who["name"], who["email"]) == (name, "dave@example.org")
    with Browser(str(browser.base_url), "198.51.100.253") as other:
        taken = other.submit("/signup", name=name.upper(), password="a good password")
        assert taken.status_code == 409
        assert "taken" in taken.text
        for wrong in ("admin", "a/b", "-x", "x" * 50, "..", ""):
            assert other.submit("/signup", name=wrong, password="a good password").status_code == 400
        assert other.submit("/signup", name="erin1", password="short").status_code == 400
        assert other.submit("/signup", name="erin1", password="a good password", email="nonsense").status_code == 400
        assert other.session is None


def test_signing_up_is_limited(hub):
    with Browser(hub.url, "198.51.100.254") as browser:
        answers = [browser.submit("/signup", name="..", password="a good password").status_code for _ in range(40)]
    assert answers[0] == 400
    assert answers[-1] == 429


@pytest.mark.slow
@pytest.mark.parametrize("sign_up", ["invitation", "closed"])
def test_who_may_sign_up_is_a_setting(tmp_path, sign_up):
    hub = RunningHub(tmp_path / "hub", sign_up=sign_up)
    hub.start()
    try:
        code = hub.command("invite")
        with Browser(hub.url) as browser:
            assert browser.submit("/signup", name="frank", password="a good password").status_code == 403
            wrong = browser.submit("/signup", name="frank", password="a good password", invitation="wrong")
            right = browser.submit("/signup", name="frank", password="a good password", invitation=code)
            if sign_up == "closed":
                assert (wrong.status_code, right.status_code) == (403, 403)
                return
            assert (wrong.status_code, right.status_code) == (400, 303)
            assert browser.get("/api/whoami-v2").json()["name"] == "frank"
        with Browser(hub.url) as browser:  # It is good once.
            again = browser.submit("/signup", name="grace", password="a good password", invitation=code)
            assert again.status_code == 400
            late = hub.command("invite", "--days", "0")
            assert (
                browser.submit("/signup", name="grace", password="a good password", invitation=late).status_code == 400
            )
            assert "grace" not in hub.command("user", "list")
    finally:
        hub.stop()


def test_logins_stand_in_the_audit_log(browser, carol, database):
    browser.log_in(carol, "wrong password")
    browser.log_in(carol)
    with database.read() as session:
        rows = session.scalars(select(AuditEntry).where(AuditEntry.target == carol).order_by(AuditEntry.id)).all()
    assert [row.action for row in rows] == ["user.create", "login.refused", "login"]
    assert "password" not in json.dumps([row.detail for row in rows])
