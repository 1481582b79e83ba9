"""The journey that `make test-clients` makes with several versions of the client, here with the one installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

JOURNEY = Path(__file__).parent / "clients" / "journey.py"


@pytest.mark.slow
def test_the_installed_client(hub, tmp_path):
    token = hub.add_user("traveller")
    done = subprocess.run(
        [sys.executable, str(JOURNEY), hub.url, token, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{hub.log()}"
    assert " delete " in done.stdout.splitlines()[-1]
    assert hub.command("fsck") == ""
