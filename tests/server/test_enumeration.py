"""Nobody learns from answers or their time which accounts and hidden repositories there are."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters
from bare_hub import BareHub
from sqlalchemy import event
from starlette.testclient import TestClient

from samovar.server.app import create_app
from samovar.server.errors import UnauthenticatedError
from samovar.server.hub import Hub
from samovar.server.offline import OPERATOR
from samovar.server.services import organisations, passwords, sessions
from samovar.server.services.access import Caller, find_account
from samovar.server.services.accounts import add_user, set_disabled
from samovar.server.services.credentials import described

pytestmark = pytest.mark.slow


class Counting(PasswordHasher):
    """Computes hashes, and says how often and with which parameters."""

    def verify(self, hash, password):
        self.verified = [*getattr(self, "verified", []), extract_parameters(hash)]
        return super().verify(hash, password)


def test_a_login_tells_nobody_who_is_here(tmp_path, monkeypatch):
    """Enumeration by time: whoever logs in wrongly, one hash with the same parameters is computed; and by text."""
    bare, counting = BareHub(tmp_path), Counting()
    monkeypatch.setattr(passwords, "hasher", counting)
    for name in ("ada", "locked"):
        add_user(bare.hub.database, OPERATOR, name, "the right password")
    set_disabled(bare.hub.database, OPERATOR, "locked", True)
    organisations.create(bare.hub.database, caller_of(bare.hub, "ada"), "lab")
    said = set()
    for name in ("ada", "nobody", "locked", "lab", "", "a" * 200, "\0"):
        before = len(getattr(counting, "verified", []))
        with pytest.raises(UnauthenticatedError) as refused:
            sessions.log_in(bare.hub, name, "a wrong password", Caller(address="198.51.100.7"))
        said.add(refused.value.message)
        assert len(counting.verified) == before + 1, name
    assert len(said) == 1
    assert len({str(one) for one in counting.verified}) == 1
    bare.hub.close()


def test_a_hidden_repository_takes_the_same_work_as_an_absent_one(tmp_path):
    """Enumeration by time and text, on pages: the same answer to the byte, after the same questions."""
    bare = BareHub(tmp_path)
    keeper = bare.user("keeper")
    for kind in ("model", "dataset", "space"):
        more = {"sdk": "static"} if kind == "space" else {}
        bare.repository(keeper, "hidden", {"README.md": b"# x"}, kind, private=True, **more)
    asked: list[str] = []
    event.listen(bare.hub.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    client = TestClient(create_app(bare.hub), base_url="http://127.0.0.1")
    asking = ("", "/tree/main", "/blob/main/README.md", "/commits/main", "/edit/main/README.md", "/settings", "/viewer",
              "/settings/access", "/upload/main", "/discussions", "/discussions/1")  # fmt: skip
    doing = ("/like", "/ask-access", "/settings", "/settings/access", "/edit/main/README.md", "/discussions/new")
    ways = [(prefix, "GET", end) for prefix in ("", "/datasets", "/spaces") for end in asking]
    ways += [(prefix, "POST", end) for prefix in ("", "/datasets", "/spaces") for end in doing]
    for prefix, method, end in ways:
        answers = []
        for name in ("absent", "hidden", "absent"):
            asked.clear()
            answer = client.request(method, f"{prefix}/keeper/{name}{end}", headers={"Accept": "text/html"})
            text = answer.text.replace("hidden", "absent")
            answers.append((answer.status_code, text, list(asked)))
        assert answers[0] == answers[1] == answers[2], (method, prefix, end)
        assert answers[0][0] in (303, 401, 404), (method, prefix, end)
    bare.hub.close()


def caller_of(hub: Hub, name: str) -> Caller:
    """A user, as one who asks."""
    with hub.database.read() as session:
        account = find_account(session, name)
        assert account is not None
        return described(session, account)
