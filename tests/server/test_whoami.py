"""Who is asking, by the stock client."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError


def test_the_client_learns_who_it_is(hub):
    who = hub.alice.whoami()
    assert who["name"] == "alice"
    assert who["type"] == "user"
    assert who["orgs"] == []
    assert who["auth"]["accessToken"]["role"] == "write"


def test_a_wrong_token_is_never_taken_for_nobody(hub):
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        hub.client("hf_wrong").whoami()
    answer = httpx.get(f"{hub.url}/api/whoami-v2", headers={"authorization": "Bearer hf_wrong"})
    assert answer.status_code == 401
    assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"


def test_nobody_has_no_name(hub):
    assert httpx.get(f"{hub.url}/api/whoami-v2").status_code == 401


def test_a_picture_is_harmless_whatever_the_name(hub):
    answer = httpx.get(f"{hub.url}/api/avatars/%3Cscript%3E.svg")
    assert answer.headers["content-type"].startswith("image/svg+xml")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "script" not in answer.text
