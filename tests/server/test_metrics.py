"""Health, readiness and metrics of a running Hub."""

from __future__ import annotations

import re

import httpx
import pytest
from running_hub import RunningHub

LINE = re.compile(
    r'# (HELP|TYPE) \w+ .+|[a-z_]+(\{([a-z]+="(\\.|[^"\\\n])*")(,[a-z]+="(\\.|[^"\\\n])*")*\})? [0-9.e+-]+'
)


def samples(text: str) -> dict[str, float]:
    """Name with labels → value."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def get(hub: RunningHub) -> dict[str, float]:
    """The metrics now."""
    answer = httpx.get(f"{hub.url}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in answer.text.splitlines():
        assert LINE.fullmatch(line), line
    return samples(answer.text)


def test_health_and_readiness(hub):
    assert httpx.get(f"{hub.url}/healthz").json() == {"status": "ok"}
    ready = httpx.get(f"{hub.url}/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert set(ready.json()["checks"].values()) == {True}


def test_a_full_disk_is_not_ready(tmp_path):
    running = RunningHub(tmp_path / "data", least_free=str(2**62))
    running.start()
    try:
        ready = httpx.get(f"{running.url}/readyz")
        assert ready.status_code == 503
        assert ready.json()["checks"] == {"database": True, "disk": True, "space": False}
        assert httpx.get(f"{running.url}/healthz").status_code == 200
    finally:
        running.stop()


def test_requests_are_counted_by_route_not_by_path(hub):
    hub.alice.whoami()
    before = get(hub)
    httpx.get(f"{hub.url}/healthz")
    body = httpx.get(f"{hub.url}/healthz").content
    for number in range(5):
        httpx.get(f"{hub.url}/no/such/page/{number}")
    after = get(hub)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown('samovar_hub_requests_total{method="GET",route="/healthz",status="200"}') == 2
    assert grown('samovar_hub_sent_bytes_total{route="/healthz"}') == 2 * len(body)
    assert grown('samovar_hub_request_seconds_count{route="/healthz"}') == 2
    assert grown('samovar_hub_request_seconds_bucket{route="/healthz",le="+Inf"}') == 2
    assert not [name for name in after if "/no/such" in name]
    assert after['samovar_hub_accounts{kind="user"}'] >= 1
    assert after["samovar_hub_disk_free_bytes"] > 0
    assert after["samovar_hub_requests_running"] == 1


@pytest.mark.parametrize("role", ["read", "admin"])
def test_metrics_from_elsewhere_are_for_admins(hub, role):
    """A proxy on this machine says where a request comes from."""
    elsewhere = {"X-Forwarded-For": "192.0.2.7"}
    assert httpx.get(f"{hub.url}/metrics", headers=elsewhere).status_code == 403
    token = hub.add_user(f"operator-{role}", role, admin=True)
    answer = httpx.get(f"{hub.url}/metrics", headers={**elsewhere, "Authorization": f"Bearer {token}"})
    assert answer.status_code == (200 if role == "admin" else 403)
