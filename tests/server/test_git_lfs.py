"""The stock `git` and `git-lfs` against the Hub: clone, push, large files both ways."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def git(hub, tmp_path_factory):
    """Runs git with the token of the user `gitta` for this Hub; what it printed."""
    home = tmp_path_factory.mktemp("home")
    token = hub.add_user("gitta")
    address = hub.url.replace("http://", f"http://gitta:{token}@")
    (home / ".git-credentials").write_text(address + "\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

    def run(*arguments: object, folder: Path = home, status: int = 0) -> str:
        done = subprocess.run(
            ["git", *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=folder, check=False
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}\n{hub.log()[-3000:]}"
        return done.stdout + done.stderr

    for name, value in {
        "user.name": "Gitta", "user.email": "gitta@example.org", "credential.helper": "store",
        "init.defaultBranch": "main", "lfs.locksverify": "false",
    }.items():  # fmt: skip
        run("config", "--global", name, value)
    run("lfs", "install")
    return run


def test_large_files_travel_both_ways(hub, git, tmp_path):
    api = hub.client(hub.command("token", "create", "gitta", "--role", "write"))
    api.create_repo("gitta/model")
    first = os.urandom(3 * 2**20)
    api.upload_file(path_or_fileobj=first, path_in_repo="first.safetensors", repo_id="gitta/model")

    clone = tmp_path / "clone"
    git("clone", f"{hub.url}/gitta/model", clone)
    assert (clone / "first.safetensors").read_bytes() == first
    second = os.urandom(12 * 2**20)
    (clone / "second.safetensors").write_bytes(second)
    (clone / "config.json").write_text("{}")
    git("add", ".", folder=clone)
    git("commit", "-m", "By git", folder=clone)
    git("push", folder=clone)

    (entry,) = [one for one in api.list_repo_tree("gitta/model") if one.path == "second.safetensors"]
    assert (entry.size, entry.lfs["sha256"]) == (len(second), hashlib.sha256(second).hexdigest())
    assert Path(api.hf_hub_download("gitta/model", "second.safetensors", cache_dir=tmp_path)).read_bytes() == second
    commit = api.list_repo_commits("gitta/model")[0]
    assert commit.title == "By git"
    assert api.model_info("gitta/model").sha == commit.commit_id

    api.upload_file(path_or_fileobj=b"api", path_in_repo="api.txt", repo_id="gitta/model")
    assert "api.txt" in git("pull", folder=clone)
    git("checkout", "-b", "side", folder=clone)
    git("commit", "--allow-empty", "-m", "Side", folder=clone)
    git("tag", "-a", "v1", "-m", "one", folder=clone)
    git("push", "origin", "side", "v1", folder=clone)
    refs = api.list_repo_refs("gitta/model")
    assert {branch.name for branch in refs.branches} == {"main", "side"}
    assert [tag.name for tag in refs.tags] == ["v1"]
    assert hub.command("fsck") == ""


def test_who_may_not_push_does_not(hub, git, tmp_path):
    hub.alice.create_repo("alice/hers")
    hub.alice.create_repo("alice/private", private=True)
    clone = tmp_path / "clone"
    git("clone", f"{hub.url}/alice/hers", clone)
    git("commit", "--allow-empty", "-m", "Mine now", folder=clone)
    before = hub.alice.model_info("alice/hers").sha
    git("push", folder=clone, status=128)
    assert hub.alice.model_info("alice/hers").sha == before
    git("clone", f"{hub.url}/alice/private", tmp_path / "no", status=128)
    git("clone", f"{hub.url}/alice/none", tmp_path / "none", status=128)
