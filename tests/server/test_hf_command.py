"""The stock `hf` command line, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HF = Path(sys.executable).with_name("hf")


@pytest.fixture(scope="module")
def hf(hub, tmp_path_factory):
    """Runs `hf …` with a home and a token of its own; what it printed."""
    home = tmp_path_factory.mktemp("hf")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_COLOR": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip

    def run(*arguments: str, status: int = 0) -> str:
        done = subprocess.run(
            [HF, *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=home, check=False
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}\n{hub.log()[-3000:]}"
        return done.stdout + done.stderr

    token = hub.add_user("commander")
    run("auth", "login", "--token", token)
    return run


@pytest.mark.slow
def test_a_model_from_making_to_removing(hub, hf, tmp_path):
    assert "commander" in hf("auth", "whoami")
    assert "commander/tool" in hf("repos", "create", "commander/tool")
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "sub" / "weights.bin").write_bytes(os.urandom(2 * 2**20))
    assert "commander/tool" in hf("upload", "commander/tool", folder, ".")
    hf("upload", "commander/tool", folder / "config.json", "copy/config.json", "--commit-message", "Again")
    api = hub.nobody
    assert api.list_repo_commits("commander/tool")[0].title == "Again"
    assert set(api.list_repo_files("commander/tool")) >= {"config.json", "copy/config.json", "sub/weights.bin"}

    path = Path(hf("download", "commander/tool", "sub/weights.bin", "--quiet").strip().splitlines()[-1].split("=")[-1])
    assert path.read_bytes() == (folder / "sub" / "weights.bin").read_bytes()
    hf("download", "commander/tool", "--local-dir", tmp_path / "local")
    assert (tmp_path / "local" / "copy" / "config.json").read_text() == '{"model_type": "bert"}'
    assert "commander/tool" in hf("cache", "ls")

    hf("repos", "tag", "create", "commander/tool", "v1")
    assert "v1" in hf("repos", "tag", "list", "commander/tool")
    hf("repos", "branch", "create", "commander/tool", "next")
    hf("repos", "branch", "delete", "commander/tool", "next")
    hf("repos", "delete-files", "commander/tool", "copy/*")
    assert "copy/config.json" not in api.list_repo_files("commander/tool")
    assert "commander/tool" in hf("models", "ls", "--author", "commander", "--format", "json")
    hf("repos", "delete", "commander/tool", "--yes")
    assert not api.repo_exists("commander/tool")


@pytest.mark.slow
def test_a_large_folder(hub, hf, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.bin").write_bytes(os.urandom(2**17))
        (folder / f"{number}.txt").write_text(f"text {number}")
    hf("repos", "create", "commander/large", "--repo-type", "dataset")
    hf("upload", "commander/large", folder, ".", "--repo-type", "dataset")
    files = set(hub.nobody.list_repo_files("commander/large", repo_type="dataset"))
    assert files >= {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_refusals_are_said(hf):
    assert "not found" in hf("download", "commander/no-such-model", status=1).lower()
    hf("repos", "create", "commander/twice")
    assert "409" in hf("repos", "create", "commander/twice", status=1)
    hf("repos", "create", "commander/twice", "--exist-ok")
    said = json.loads(hf("models", "info", "commander/twice", "--format", "json"))
    assert said["id"] == "commander/twice"
