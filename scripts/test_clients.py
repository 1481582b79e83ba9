"""Run the same journey through a Hub with several versions of the stock client, each in an environment of its own.

`make test-clients` runs it. The environments are kept in `.venv-clients/`; `CLIENTS="0.36 1.28"` chooses versions.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv-clients"
CLIENTS = ROOT / "tests" / "server" / "clients"
# Oldest and newest of each generation (what changed when: docs/hub/clients.md).
VERSIONS = ("0.36", "1.7", "1.28", "newest")
sys.path.insert(0, str(ROOT / "tests" / "server"))

from running_hub import RunningHub  # noqa: E402  (its folder must be found first)


def environment(version: str) -> Path:
    """The Python of an environment with that version of the client, made if it is not there."""
    folder = HOME / version
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if not done.exists() or (version == "newest" and time.time() - done.stat().st_mtime > 7 * 86400):
        print(f"Making an environment with huggingface_hub {version}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        wanted = "huggingface_hub" if version == "newest" else f"huggingface_hub=={version}.*"
        subprocess.run([python, "-m", "pip", "install", "--quiet", wanted, "hf_xet"], check=True)
        done.touch()
    return python


def run(hub: RunningHub, version: str) -> bool:
    """Make the journey; whether it went well."""
    python = environment(version)
    installed = subprocess.run(
        [python, "-c", "import huggingface_hub; print(huggingface_hub.__version__)"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    print(f"huggingface_hub {installed}", flush=True)
    token = hub.add_user(f"client-{version.replace('.', '-')}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
    # What everybody does, and for the newest client also a file of 2 GB.
    programs = ["journey.py", "huge.py"] if version == "newest" else ["journey.py"]
    for program in programs:
        with tempfile.TemporaryDirectory() as folder:
            command = [python, CLIENTS / program, hub.url, token, folder]
            if subprocess.run(command, env=clean, check=False).returncode:
                return False
    return True


def main() -> int:
    """0 if every client did everything and the Hub is whole afterwards."""
    versions = os.environ.get("CLIENTS", "").split() or VERSIONS
    with tempfile.TemporaryDirectory() as folder:
        hub = RunningHub(Path(folder) / "data")
        hub.start()
        try:
            failed = [version for version in versions if not run(hub, version)]
            whole = hub.command("fsck")
        finally:
            hub.stop()
        if failed:
            print(hub.log()[-4000:])
    for version in versions:
        print(f"{version:8} {'FAILED' if version in failed else 'ok'}")
    return 1 if failed or whole else 0


if __name__ == "__main__":
    sys.exit(main())
