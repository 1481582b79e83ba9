"""The stock client in a process of its own, with a home, and so a memory of what it has sent, of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BEGINNING = "from huggingface_hub import HfApi\nimport os, sys\napi = HfApi()\n"


def run(url: str, token: str, code: str, home: Path, *arguments: str, fails: bool = False, **environment: str) -> str:
    """Run `code`, which finds the client as `api`; what it printed (with `fails`, what it said when it failed)."""
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    given = {"HF_HOME": str(home), "HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HUB_DISABLE_TELEMETRY": "1",
             "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + code, *arguments],
        capture_output=True, text=True, env={**cleared, **given, **environment}, check=False, timeout=600,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stderr if fails else done.stdout.strip()
