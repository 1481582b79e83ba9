"""Gated repositories: asking, being let in or not, and what is kept from the others, by the stock client."""

from __future__ import annotations

import os

import httpx
import pytest
from browser import Browser
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    BadRequestError,
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
)
from sqlalchemy import update

from samovar.server.db.tables import Repository


@pytest.fixture
def owner(people):
    """Somebody with a gated model and data set; the name."""
    user = people.user("owner")
    client = people.client(user)
    for kind in ("model", "dataset"):
        client.create_repo(f"{user}/gated", repo_type=kind)
        client.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id=f"{user}/gated", repo_type=kind)
        client.upload_file(
            path_or_fileobj=b"\0" + os.urandom(100), path_in_repo="big.bin", repo_id=f"{user}/gated", repo_type=kind
        )
        client.update_repo_settings(f"{user}/gated", repo_type=kind, gated="manual")
    return user


def download(hub, people, owner, user, tmp_path, name="config.json"):
    """Fetch a file as that user, or as nobody."""
    return hf_hub_download(
        f"{owner}/gated", name, endpoint=hub.url, cache_dir=tmp_path / str(user),
        token=people.token(user, "read") if user else False,
    )  # fmt: skip


def test_a_person_asks_and_is_let_in(hub, people, owner, tmp_path):
    reader = people.user()
    assert hub.nobody.model_info(f"{owner}/gated").gated == "manual"
    with pytest.raises(GatedRepoError):
        download(hub, people, owner, reader, tmp_path)
    with pytest.raises(GatedRepoError):
        download(hub, people, owner, None, tmp_path)
    with pytest.raises(GatedRepoError):
        people.client(reader).auth_check(f"{owner}/gated")
    with Browser(hub.url) as browser:
        browser.log_in(reader)
        asked = browser.submit(f"/{owner}/gated/ask-access", csrf=browser.csrf, company="ACME")
        assert (asked.status_code, asked.headers["location"]) == (303, f"/{owner}/gated")
        assert browser.submit(f"/{owner}/gated/ask-access").status_code == 403
    client = people.client(owner)
    (request,) = client.list_pending_access_requests(f"{owner}/gated")
    assert (request.username, request.status, request.fields) == (reader, "pending", {"company": "ACME"})
    client.accept_access_request(f"{owner}/gated", reader)
    assert [one.username for one in client.list_accepted_access_requests(f"{owner}/gated")] == [reader]
    assert list(client.list_pending_access_requests(f"{owner}/gated")) == []
    download(hub, people, owner, reader, tmp_path)
    people.client(reader).auth_check(f"{owner}/gated")
    with pytest.raises(GatedRepoError):  # Another repository's gate is another one.
        people.client(reader).auth_check(f"{owner}/gated", repo_type="dataset")
    client.cancel_access_request(f"{owner}/gated", reader)
    with pytest.raises(GatedRepoError):
        download(hub, people, owner, reader, tmp_path / "again")


def test_a_refusal_stands_until_it_is_taken_back(hub, people, owner):
    reader = people.user()
    ask = f"{hub.url}/api/models/{owner}/gated/ask-access"
    assert httpx.post(ask, headers=people.bearer(reader)).json() == {"status": "pending"}
    assert httpx.post(ask, headers=people.bearer(reader), json={}).json() == {"status": "pending"}
    client = people.client(owner)
    (request,) = client.list_pending_access_requests(f"{owner}/gated")
    client.reject_access_request(f"{owner}/gated", request_id=request.request_id, rejection_reason="Not for you.")
    refused = httpx.post(ask, headers=people.bearer(reader))
    assert refused.status_code == 409
    assert "Not for you." in refused.json()["error"]
    with pytest.raises(HfHubHTTPError, match="404"):
        client.reject_access_request(f"{owner}/gated", reader, rejection_reason=None)
    client.accept_access_request(f"{owner}/gated", reader)
    people.client(reader).auth_check(f"{owner}/gated")


def test_somebody_is_let_in_without_asking(hub, people, owner):
    reader = people.user()
    client = people.client(owner)
    client.grant_access(f"{owner}/gated", reader)
    people.client(reader).auth_check(f"{owner}/gated")
    with pytest.raises(BadRequestError, match="access already"):
        client.grant_access(f"{owner}/gated", reader)
    with pytest.raises(HfHubHTTPError, match="404"):
        client.grant_access(f"{owner}/gated", "nobody-here")


def test_where_gating_is_automatic_asking_is_enough(hub, people, owner):
    people.client(owner).update_repo_settings(f"{owner}/gated", gated="auto")
    reader = people.user()
    with pytest.raises(GatedRepoError):
        people.client(reader).auth_check(f"{owner}/gated")
    ask = f"{hub.url}/api/models/{owner}/gated/ask-access"
    assert httpx.post(ask, headers=people.bearer(reader, "read")).json() == {"status": "accepted"}
    people.client(reader).auth_check(f"{owner}/gated")
    assert httpx.post(ask).status_code == 401


def test_only_those_who_administer_it_decide(hub, people, owner):
    reader = people.user()
    base = f"{hub.url}/api/models/{owner}/gated/user-access-request"
    asks = [
        ("GET", "/pending", None), ("GET", "/accepted", None), ("GET", "/rejected", None),
        ("POST", "/handle", {"user": reader, "status": "accepted"}), ("POST", "/grant", {"user": reader}),
    ]  # fmt: skip
    for method, path, body in asks:
        for headers, status in (({}, 401), (people.bearer(reader), 403), (people.bearer(owner, "read"), 403)):
            assert httpx.request(method, base + path, json=body, headers=headers).status_code == status, (method, path)
    with pytest.raises(GatedRepoError):
        people.client(reader).auth_check(f"{owner}/gated")
    mine = people.bearer(owner)
    for wrong in (
        {"status": "accepted"}, {"user": reader, "requestId": "1", "status": "accepted"}, {"user": reader},
        {"requestId": "zz", "status": "accepted"}, {"user": reader, "status": "loved"},
    ):  # fmt: skip
        assert httpx.post(f"{base}/handle", json=wrong, headers=mine).status_code == 400, wrong
    for absent in ({"user": reader}, {"user": "nobody-here"}, {"requestId": "1"}, {"requestId": "f" * 40}):
        assert httpx.post(f"{base}/handle", json={**absent, "status": "accepted"}, headers=mine).status_code == 404
    assert httpx.get(f"{base}/everything", headers=mine).status_code == 400


def test_a_repository_that_is_not_gated_has_no_gate(hub, people):
    user = people.user()
    client = people.client(user)
    client.create_repo(f"{user}/open")
    with pytest.raises(BadRequestError, match="not gated"):
        list(client.list_pending_access_requests(f"{user}/open"))
    assert httpx.post(f"{hub.url}/api/models/{user}/open/ask-access", headers=people.bearer(user)).status_code == 400


def test_a_gated_private_repository_is_private_first(hub, people, owner):
    people.client(owner).update_repo_settings(f"{owner}/gated", private=True)
    reader = people.client(people.user())
    with pytest.raises(RepositoryNotFoundError) as refused:
        reader.auth_check(f"{owner}/gated")
    assert not isinstance(refused.value, GatedRepoError)


def test_no_way_leads_around_the_gate(hub, people, owner):
    """Files by every route: resolve, raw, git, LFS."""
    reader = people.user()
    for headers, status in (({}, 401), (people.bearer(reader), 403)):
        for path in (
            f"{owner}/gated/resolve/main/config.json", f"{owner}/gated/raw/main/config.json",
            f"{owner}/gated/resolve/main/big.bin", f"datasets/{owner}/gated/resolve/main/config.json",
            f"{owner}/gated.git/info/refs?service=git-upload-pack",
        ):  # fmt: skip
            answer = httpx.get(f"{hub.url}/{path}", headers=headers)
            assert answer.status_code == status, (path, answer.status_code, answer.text)
        batch = httpx.post(
            f"{hub.url}/{owner}/gated.git/info/lfs/objects/batch", headers=headers,
            json={"operation": "download", "objects": [{"oid": "0" * 64, "size": 1}]},
        )  # fmt: skip
        assert batch.status_code == status
    with Browser(hub.url) as browser:
        browser.log_in(reader)
        assert browser.get(f"/{owner}/gated/resolve/main/config.json").status_code == 403


def test_a_disabled_repository_gives_nobody_its_files(hub, people, owner):
    with people.database.write() as session:
        session.execute(update(Repository).where(Repository.name == f"{owner}/gated").values(disabled=True))
    with pytest.raises(DisabledRepoError):
        people.client(owner).auth_check(f"{owner}/gated")
