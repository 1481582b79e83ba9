"""`hf auth login` without a terminal: the device shows a code, and a person consents in a browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from browser import Browser
from sqlalchemy import update

from samovar.server.db.tables import DeviceGrant
from samovar.server.db.tables.base import now

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
HF = Path(sys.executable).parent / "hf"


@pytest.fixture
def browser(hub, people):
    """Somebody's browser, logged in; `name` is theirs."""
    with Browser(hub.url) as browser:
        browser.name = people.user()
        browser.log_in(browser.name)
        yield browser


def begin(hub):
    """A device asks for codes."""
    return httpx.post(f"{hub.url}/oauth/device", data={"client_id": "a client"}).json()


def poll(hub, device, **more):
    """The device asks for its token."""
    return httpx.post(
        f"{hub.url}/oauth/token", data={"grant_type": GRANT, "device_code": device["device_code"], **more}
    )


def consent(browser, device, decision="allow", **more):
    """The person types the code, looks, and presses a button."""
    shown = browser.get("/login/device", params={"code": device["user_code"]})
    assert browser.name in shown.text
    return browser.submit("/login/device", csrf=browser.csrf, code=device["user_code"], decision=decision, **more)


@pytest.mark.slow
def test_the_stock_command_logs_in(hub, browser, tmp_path):
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    with subprocess.Popen(
        [HF, "auth", "login"], env=environment, text=True, bufsize=1,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        said = ""
        while "enter the code" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        address = re.search(r"(http://\S+/login/device\S*)", said)[1]
        code = re.search(r"enter the code: (\S+)", said)[1]
        page = browser.get(address)
        assert code in page.text
        browser.submit("/login/device", csrf=browser.csrf, code=code, decision="allow", role="write")
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said + rest
    who = subprocess.run([HF, "auth", "whoami"], env=environment, text=True, capture_output=True, check=True).stdout
    assert browser.name in who
    made = subprocess.run(
        [HF, "repos", "create", "by-device"], env=environment, text=True, capture_output=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    # The token expires, and the client renews it by itself.
    script = (
        "import huggingface_hub.utils._auth as auth, configparser\n"
        "from huggingface_hub import constants, get_token, whoami\n"
        "stored = configparser.ConfigParser(); stored.read(constants.HF_STORED_TOKENS_PATH)\n"
        "name = stored.sections()[0]; before = stored[name]['hf_token']\n"
        "stored[name]['expires_at'] = '1'\n"
        "with open(constants.HF_STORED_TOKENS_PATH, 'w') as file: stored.write(file)\n"
        "assert get_token() != before\n"
        "print(whoami()['name'])\n"
    )
    renewed = subprocess.run(
        [sys.executable, "-c", script], env=environment, text=True, capture_output=True, check=False
    )
    assert renewed.stdout.strip().endswith(browser.name), renewed.stdout + renewed.stderr


def test_the_device_waits_gets_a_token_once_and_renews_it(hub, browser):
    device = begin(hub)
    assert device["verification_uri"] == f"{hub.url}/login/device"
    assert re.fullmatch(r"[B-Z]{4}-[B-Z]{4}", device["user_code"])
    waiting = poll(hub, device)
    assert (waiting.status_code, waiting.json()["error"]) == (400, "authorization_pending")
    assert poll(hub, device).json()["error"] == "slow_down"
    assert "is logged in" in consent(browser, device, role="read").text
    granted = poll(hub, device)
    assert granted.headers["cache-control"] == "no-store"
    granted = granted.json()
    assert granted["token_type"] == "bearer"
    who = hub.client(granted["access_token"]).whoami()
    assert (who["name"], who["auth"]["accessToken"]["role"]) == (browser.name, "read")
    assert poll(hub, device).json()["error"] == "invalid_grant"

    def refresh(secret):
        return httpx.post(f"{hub.url}/oauth/token", data={"grant_type": "refresh_token", "refresh_token": secret})

    renewed = refresh(granted["refresh_token"]).json()
    assert hub.client(renewed["access_token"]).whoami()["auth"]["accessToken"]["role"] == "read"
    assert refresh(granted["refresh_token"]).json()["error"] == "invalid_grant"
    # Revoked, it cannot be renewed.
    with_token = browser.get("/api/settings/tokens").json()[0]
    browser.api("DELETE", f"/api/settings/tokens/{with_token['id']}")
    assert refresh(renewed["refresh_token"]).json()["error"] == "invalid_grant"


def test_the_person_may_refuse(hub, browser):
    device = begin(hub)
    assert "refused" in consent(browser, device, "deny").text
    assert poll(hub, device).json()["error"] == "access_denied"
    # The answer stands.
    again = browser.submit("/login/device", csrf=browser.csrf, code=device["user_code"], decision="allow")
    assert again.status_code == 404
    assert poll(hub, device).json()["error"] == "access_denied"


def test_a_code_expires(hub, browser, people):
    device = begin(hub)
    with people.database.write() as session:
        plain = device["user_code"].replace("-", "")
        session.execute(
            update(DeviceGrant).where(DeviceGrant.user_code == plain).values(expires_at=now() - timedelta(seconds=1))
        )
    assert poll(hub, device).json()["error"] == "expired_token"
    assert browser.get("/login/device", params={"code": device["user_code"]}).status_code == 404


def test_consent_needs_a_login_and_the_person_s_own_page(hub, browser):
    device = begin(hub)
    with Browser(hub.url) as stranger:
        sent = stranger.get("/login/device", params={"code": device["user_code"]})
        assert sent.status_code == 303
        assert sent.headers["location"].startswith("/login?next=%2Flogin%2Fdevice")
        answer = stranger.submit("/login/device", code=device["user_code"], decision="allow")
        assert answer.status_code == 401
    forged = {"code": device["user_code"], "decision": "allow"}
    assert browser.submit("/login/device", **forged).status_code == 403
    assert browser.post(
        "/login/device", data={**forged, "csrf": browser.csrf}, headers={"Origin": "https://evil.example"}
    ).status_code == 403  # fmt: skip
    assert poll(hub, device).json()["error"] == "authorization_pending"


def test_codes_cannot_be_guessed(hub, browser):
    answers = [browser.get("/login/device", params={"code": f"BBBB-BB{a}{b}"}) for a in "BCDFG" for b in "BCDFG"]
    assert answers[0].status_code == 404
    assert answers[-1].status_code == 429
    device = begin(hub)
    assert browser.get("/login/device", params={"code": device["user_code"]}).status_code == 429


@pytest.mark.parametrize(("form", "error"), [
    ({}, "unsupported_grant_type"),
    ({"grant_type": "password"}, "unsupported_grant_type"),
    ({"grant_type": GRANT}, "invalid_request"),
    ({"grant_type": GRANT, "device_code": "unknown"}, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "unknown"}, "invalid_grant"),
    ({"grant_type": "refresh_token"}, "invalid_request"),
])  # fmt: skip
def test_what_the_device_sends_wrongly_is_named(hub, form, error):
    answer = httpx.post(f"{hub.url}/oauth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_form_that_does_not_end_is_cut_off(hub):
    answer = httpx.post(f"{hub.url}/oauth/token", content=b"a=" + b"x" * 100_000)
    assert answer.status_code == 413
    asked_for = httpx.post(f"{hub.url}/oauth/token?largest=1000000000", content=b"a=" + b"x" * 100_000)
    assert asked_for.status_code == 413
    assert httpx.post(f"{hub.url}/oauth/token", content=b"\xff\xfe").status_code == 400
    assert httpx.post(f"{hub.url}/oauth/token", content=b"a=1&" * 1000).status_code == 400
