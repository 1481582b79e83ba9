"""A real Hub on a free port, with users and their tokens."""

from __future__ import annotations

import shutil

import huggingface_hub.constants
import pytest
from people import People
from running_hub import RunningHub

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def client_online():
    """The stock client may open sockets here; those to other machines stay forbidden."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        patch.setenv("HF_HUB_OFFLINE", "0")
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever starts a Hub takes seconds."""
    for item in items:
        if {"hub", "running", "people"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def hub(client_online, tmp_path_factory):
    """A Hub for the tests of one file. Tests use names of their own, so that none depends on another."""
    running = RunningHub(tmp_path_factory.mktemp("hub"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def people(hub):
    """The Hub's people, made without starting a process for each."""
    people = People(hub)
    yield people
    people.database.close()


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert program, "Install Chromium: apt install chromium"
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    """A visitor; whatever a page logs as an error fails the test."""
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.set_default_timeout(60_000)
    tab, errors = context.new_page(), []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    yield tab
    context.close()
    assert not errors
