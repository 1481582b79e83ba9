"""`samovar --help` and its like: complete, and quick, as nothing heavy is imported for them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from driving import Command

import samovar
from samovar.cli import COMMANDS
from samovar.pipelines.registry import PIPELINE_REGISTRY

HEAVY = ("torch", "huggingface_hub", "tokenizers", "numpy", "transformers")


@pytest.mark.slow
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


def test_the_page_says_what_there_is(command: Command) -> None:
    page = (Path(__file__).parents[2] / "docs" / "command_line.md").read_text("utf-8")
    helps = {name: command(name, "--help").stdout for name in COMMANDS}
    parts = {part.split("\n")[0]: part for part in page.split("\n## samovar ")[1:]}
    assert set(parts) == {"run", "inspect", "chat", "search", "download", "upload", "login"}
    for name, part in parts.items():
        for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", part)):
            assert re.search(rf"{option}\b", helps[name]), f"samovar {name} has no {option}"
    for name in set(re.findall(r"`/([a-z]+)", parts["chat"])):
        assert f"/{name} " in helps["chat"]
