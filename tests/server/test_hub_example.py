"""The example script of a Hub runs as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_example(tmp_path):
    for name, module in {"samovar": "-m samovar.cli", "python3": ""}.items():
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        program.chmod(0o755)
    script = Path(__file__).parents[2] / "examples" / "hub.sh"
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout.splitlines()
    assert "found ada/tea" in shown
    assert "fetched 3000000 bytes" in shown
    assert any(line.startswith("1 repositories, 1 large files (3,000,000 bytes)") for line in shown)
    assert shown[-1] == "1 repositories, 1 large files: whole."
