"""Rate limits, quotas, the audit log, notices, and families that this Hub has not."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers
from people import People
from running_hub import RunningHub

from samovar.server.services.rates import Rate, Rates

RATE = 20


@pytest.fixture(scope="module")
def narrow(client_online, tmp_path_factory):
    """A Hub that allows little: requests, bytes; and that has something to say."""
    hub = RunningHub(
        tmp_path_factory.mktemp("narrow"), anonymous_rate=str(RATE), account_rate=str(2 * RATE), quota="5000",
        notice="maintenance; Closed on Sunday.",
    )  # fmt: skip
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def its_people(narrow):
    """Its people."""
    people = People(narrow)
    yield people
    people.database.close()


def is_refused(hub, address, **headers) -> bool:
    """Whether a request is refused, or one of the next few: while a slow machine asked, the bucket filled a little."""
    return any(ask(hub, address, **headers).status_code == 429 for _ in range(RATE))


def ask(hub, address, times=1, path="/api/models", **headers):
    """Ask so many times from an address, as a proxy tells it; the last answer."""
    headers["X-Forwarded-For"] = address
    for _ in range(times):
        answer = httpx.get(hub.url + path, headers=headers)
    return answer


@pytest.mark.slow
def test_an_address_that_asks_too_often_is_told_when_to_come_back(narrow):
    assert ask(narrow, "203.0.113.1", RATE).status_code == 200
    refused = ask(narrow, "203.0.113.1")
    assert refused.status_code == 429
    limit = parse_ratelimit_headers(refused.headers)
    assert (limit.resource_type, limit.remaining, limit.limit, limit.window_seconds) == ("api", 0, RATE, 300)
    assert 0 < limit.reset_in_seconds <= 300 / RATE + 1
    assert refused.headers["retry-after"] == str(limit.reset_in_seconds)
    assert "x-error-message" in refused.headers
    assert refused.json()["error"]
    assert ask(narrow, "203.0.113.2").status_code == 200  # Others go on.
    assert ask(narrow, "203.0.113.1", path="/healthz").status_code == 200
    assert ask(narrow, "203.0.113.1", path="/nobody/at-all").status_code == 404  # Files have a bucket of their own.


@pytest.mark.slow
def test_an_account_has_a_bucket_of_its_own_wherever_it_asks_from(narrow, its_people):
    headers = its_people.bearer(its_people.user())
    assert ask(narrow, "203.0.113.3", RATE).status_code == 200
    assert is_refused(narrow, "203.0.113.3")
    assert ask(narrow, "203.0.113.4", 2 * RATE + 1, **headers).status_code == 200
    assert is_refused(narrow, "203.0.113.5", **headers)
    other = its_people.bearer(its_people.user())
    assert ask(narrow, "203.0.113.6", **other).status_code == 200


@pytest.mark.slow
def test_inventing_tokens_brings_nothing(narrow):
    for number in range(RATE):
        answer = ask(narrow, "203.0.113.7", authorization=f"Bearer hf_{number}")
        assert answer.status_code == 401
    assert is_refused(narrow, "203.0.113.7", authorization="Bearer hf_new")


@pytest.mark.slow
def test_a_machine_of_its_own_is_not_limited(narrow):
    for _ in range(RATE + 5):
        assert httpx.get(f"{narrow.url}/api/models").status_code == 200


def test_the_client_says_that_it_was_the_limit(narrow, its_people):
    client = its_people.client(its_people.user())
    for _ in range(2 * RATE + 1):  # The first counted for its address, as the token was not known yet.
        client.whoami()
    with pytest.raises(HfHubHTTPError, match="hit the rate limit"):  # noqa: PT012
        for _ in range(RATE):
            client.whoami()


def test_buckets_fill_again():
    clock = [0.0]
    rates = Rates(lambda: clock[0])
    rate = Rate("x", 3, 30)
    assert [rates.wait(rate, "a") > 0 for _ in range(4)] == [False, False, False, True]
    assert rates.wait(rate, "a") == pytest.approx(10)
    assert rates.wait(rate, "b") == 0
    clock[0] = 10
    assert [rates.wait(rate, "a") > 0 for _ in range(2)] == [False, True]
    clock[0] = 1000
    assert [rates.wait(rate, "a", take=False) > 0 for _ in range(5)] == [False] * 5
    assert [rates.wait(rate, "a") > 0 for _ in range(4)] == [False, False, False, True]
    assert rates.wait(Rate("none", 0, 30), "a") == 0


def test_buckets_take_a_bounded_memory(monkeypatch):
    monkeypatch.setattr(Rates, "MOST_KEYS", 100)
    rates = Rates()
    rate = Rate("x", 1, 3600)
    for number in range(1000):
        rates.wait(rate, str(number))
        rates.recognise(str(number), number)
    assert len(rates.full_at) <= 100
    assert len(rates.accounts) <= 100
    assert rates.wait(rate, "999") > 0  # The newest are kept.


@pytest.mark.slow
def test_an_account_stores_no_more_than_its_quota(narrow, its_people):
    user, admin = its_people.user(), its_people.user(admin=True)
    client = its_people.client(user)
    client.create_repo(f"{user}/full")
    client.upload_file(path_or_fileobj=b"x" * 1500, path_in_repo="a.txt", repo_id=f"{user}/full")
    with pytest.raises(HfHubHTTPError, match="1,500 more are too many"):
        client.upload_file(path_or_fileobj=b"y" * 1500, path_in_repo="b.txt", repo_id=f"{user}/full")
    assert "b.txt" not in client.list_repo_files(f"{user}/full")
    headers = its_people.bearer(admin, "admin")
    url = f"{narrow.url}/api/admin/accounts/{user}/quota"
    assert httpx.put(url, json={"bytes": 10**6}, headers=headers).status_code == 200
    client.upload_file(path_or_fileobj=b"y" * 1500, path_in_repo="b.txt", repo_id=f"{user}/full")
    assert httpx.put(url, json={"bytes": -1}, headers=headers).status_code == 400
    assert httpx.put(url, json={"bytes": None}, headers=headers).status_code == 200
    with pytest.raises(HfHubHTTPError, match="too many"):
        client.upload_file(path_or_fileobj=b"z", path_in_repo="c.txt", repo_id=f"{user}/full")


def test_the_operator_s_notice_reaches_clients(narrow, hub):
    assert httpx.get(f"{narrow.url}/api/agent-harnesses").headers["x-hf-warning"] == "maintenance; Closed on Sunday."
    assert "x-hf-warning" not in httpx.get(f"{hub.url}/api/agent-harnesses").headers


def test_what_clients_ask_in_passing_is_answered(hub):
    assert httpx.get(f"{hub.url}/api/agent-harnesses").json() == {"standardEnvVars": [], "harnesses": {}}
    answer = httpx.head(f"{hub.url}/api/telemetry/transformers/from_pretrained")
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("path", [
    "/api/jobs/alice", "/api/buckets/alice/b", "/api/kernels/alice/k", "/api/papers/search", "/api/papers/1706.03762",
    "/api/scheduled-jobs/alice", "/api/daily_papers", "/api/settings/webhooks", "/api/settings/webhooks/1/enable",
    "/api/collections", "/api/collections/alice/x-1",
])  # fmt: skip
def test_families_that_are_not_here_say_so(hub, path):
    for method in ("GET", "POST", "DELETE"):
        answer = httpx.request(method, hub.url + path)
        assert answer.status_code == 501
        assert answer.headers["x-error-code"] == "NotImplemented"
        assert "This Hub has no" in answer.headers["x-error-message"]
        assert answer.json()["error"].startswith("This Hub has no")


def test_the_audit_log_is_for_those_who_run_the_hub(hub, people):
    admin, user = people.user(admin=True), people.user()
    people.client(user).create_repo(f"{user}/made", private=True)
    url = f"{hub.url}/api/admin/audit"
    assert httpx.get(url).status_code == 401
    for headers in (people.bearer(user, "admin"), people.bearer(admin, "write"), people.bearer(admin, "read")):
        assert httpx.get(url, headers=headers).status_code == 403
    headers = people.bearer(admin, "admin")
    (entry,) = httpx.get(url, headers=headers, params={"actor": user}).json()
    assert (entry["action"], entry["target"], entry["detail"]) == (
        "repository.create", f"model:{user}/made", {"private": True}
    )  # fmt: skip
    assert entry["address"] == "127.0.0.1"
    whole = httpx.get(url, headers=headers, params={"limit": 1000}).json()
    walked, page = [], httpx.get(url, headers=headers, params={"limit": 3})
    while True:
        walked += page.json()
        if "next" not in page.links:
            break
        page = httpx.get(page.links["next"]["url"], headers=headers)
    assert walked == whole
    assert [one["id"] for one in walked] == sorted((one["id"] for one in walked), reverse=True)


def test_those_who_run_the_hub_see_and_lock_out_users(hub, people):
    admin, user = people.user(admin=True), people.user()
    token, headers = people.bearer(user), people.bearer(admin, "admin")
    listed = httpx.get(f"{hub.url}/api/admin/users", headers=headers).json()
    assert {one["name"]: one["isAdmin"] for one in listed}[admin]
    url = f"{hub.url}/api/admin/users/{user}/disabled"
    assert httpx.put(url, json={"disabled": True}, headers=token).status_code == 403
    assert httpx.put(url, json={"disabled": True}, headers=headers).status_code == 200
    assert httpx.get(f"{hub.url}/api/whoami-v2", headers=token).status_code == 401
    assert httpx.put(url, json={"disabled": False}, headers=headers).status_code == 200
    assert httpx.get(f"{hub.url}/api/whoami-v2", headers=token).status_code == 200
    assert len(httpx.post(f"{hub.url}/api/admin/invitations", headers=headers).json()["code"]) > 20
