"""A real Hub with people, each at a machine of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from machines import Machine
from running_hub import RunningHub


class People:
    """A Hub, and a token for each of its users."""

    def __init__(self, hub: RunningHub) -> None:
        self.hub, self.url = hub, hub.url
        self.tokens = {name: hub.add_user(name) for name in ("alice", "bob")}
        self.tokens["reader"] = hub.command("token", "create", "alice", "--role", "read")


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A Hub that runs while these tests do; each test uses names of its own."""
    hub = RunningHub(tmp_path_factory.mktemp("hub") / "data")
    hub.start()
    yield People(hub)
    hub.stop()


@pytest.fixture(scope="session")
def machine(people: People, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Machine]]:
    """`machine("alice")`: where alice is logged in; one of its own for another environment."""
    with ExitStack() as stack:
        known: dict[str | None, Machine] = {}

        def of(name: str | None, **environment: Any) -> Machine:
            if not environment and name in known:
                return known[name]
            home = tmp_path_factory.mktemp(f"home_of_{name}")
            options = {"endpoint": people.url, **environment}
            made = stack.enter_context(Machine(home, token=people.tokens.get(name or ""), **options))
            if not environment:
                known[name] = made
            return made

        yield of
