"""A real Hub on a free port, with users and their tokens."""

from __future__ import annotations

import pytest
from running_hub import RunningHub


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub for the tests of one file. Tests use names of their own, so that none depends on another."""
    running = RunningHub(tmp_path_factory.mktemp("hub"))
    running.start()
    yield running
    running.stop()
