"""The example script runs as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assets import minilm_folder
from samovar import AutoTokenizer


@pytest.mark.slow
def test_the_example(tmp_path: Path) -> None:
    # `samovar` as installing the package would make it.
    program = tmp_path / "samovar"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m samovar.cli "$@"\n')
    program.chmod(0o755)
    script = Path(__file__).parents[2] / "examples" / "command_line.sh"
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([script, minilm_folder()], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.splitlines()
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    for line, text in enumerate(("The samovar boils.", "Tea is poured."), 1):
        assert f"{line} {len(tokenizer(text)['input_ids'])} tokens of 384" in shown
    assert '{"error": "The row has 1 cells, the table 2 columns.", "line' in shown
    assert shown[-1] == "exit status 1"
    assert done.stderr == '1 of 3 inputs could not be used: see the lines with "error".\n'
