"""`samovar --help` and its like: complete, and quick, as nothing heavy is imported for them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from driving import Command

import samovar
from samovar.cli import COMMANDS
from samovar.pipelines.registry import PIPELINE_REGISTRY

HEAVY = ("torch", "huggingface_hub", "tokenizers", "numpy", "transformers")


@pytest.mark.parametrize("given", [[], ["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_nothing_heavy_is_imported(given: list[str]) -> None:
    program = (
        "import sys; from samovar.cli import main\n"
        "try: status = main(sys.argv[1:])\n"
        "except SystemExit as end: status = end.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules], status)"
    )
    done = subprocess.run([sys.executable, "-c", program, *given], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[] 0\n")
    assert len(done.stdout.splitlines()) > 1


def test_every_command_is_listed(command: Command) -> None:
    said = command("--help").stdout
    for name, what in COMMANDS.items():
        assert name in said
        assert what in " ".join(said.split())
    assert command("--version").stdout == f"{samovar.__version__}\n"


def test_every_task_has_a_line_and_an_example(command: Command) -> None:
    said = command("run", "--help").stdout
    for name in PIPELINE_REGISTRY.tasks:
        assert f"\n  {name} " in said
        assert f"samovar run {name} -m MODEL " in said


def test_an_unknown_command_is_refused(command: Command) -> None:
    done = command("rum")
    assert done.returncode == 2
    assert "invalid choice: 'rum'" in done.stderr
