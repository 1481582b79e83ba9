"""The example that shares, against a real Hub."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets import minilm_folder

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from running_hub import RunningHub

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of somebody who is logged in to a Hub."""
    hub = RunningHub(tmp_path_factory.mktemp("hub") / "data")
    hub.start()
    yield {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": hub.add_user("alice"), "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(tmp_path_factory.mktemp("home")), "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'examples'}",
    }  # fmt: skip
    hub.stop()


def printed(environment: dict[str, str], *given: str) -> list[str]:
    done = subprocess.run([sys.executable, *given], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_example_shares_and_loads_again(served: dict[str, str]) -> None:
    lines = printed(served, str(ROOT / "examples" / "share.py"), str(minilm_folder()), "shared-by-example")
    assert lines[0] == "found: alice/shared-by-example alice/shared-by-example-lengths"
    assert lines[1] == "card: text-classification"
    assert lines[2] in ("answer: cold", "answer: hot")
    assert re.fullmatch(
        r"refused: the pipeline 'vector-length' is code of the repository alice/shared-by-example-lengths: "
        r"custom_pipeline.py of commit [0-9a-f]{40}\.", lines[3],
    )  # fmt: skip
    assert re.fullmatch(r"trusted: Length \d+\.\d+", lines[4])
