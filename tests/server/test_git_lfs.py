"""git-lfs itself: push and fetch large files, whole, with a remote that knows only git's own ways."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.slow


class Git:
    """Runs git with a home of its own, in which git-lfs is installed."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self(home, "lfs", "install")

    def __call__(self, folder: Path, *arguments: str, fails: bool = False) -> str:
        """Run it in a folder; what it said."""
        environment = {
            **os.environ, "HOME": str(self.home), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@b",
        }  # fmt: skip
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, env=environment, check=False
        )  # fmt: skip
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def work(hub, tmp_path):
    """Git, a folder to clone into, and a function from a repository to its address with alice's token."""
    return (
        Git(tmp_path),
        tmp_path,
        lambda name, api=hub.alice: hub.url.replace("://", f"://user:{api.token}@") + f"/{name}",
    )


def test_push_and_clone(hub, work, tmp_path):
    git, folder, remote = work
    hub.alice.create_repo("alice/git-lfs")
    git(folder, "clone", remote("alice/git-lfs"), "one")
    content = {"a.bin": os.urandom(3 * 2**20), "b.bin": os.urandom(100)}
    one = folder / "one"
    git(one, "lfs", "track", "*.bin")
    for name, data in content.items():
        (one / name).write_bytes(data)
    git(one, "add", ".")
    git(one, "commit", "-m", "large")
    git(one, "push", "origin", "HEAD:main")
    assert httpx.get(f"{hub.url}/alice/git-lfs/resolve/main/a.bin").content == content["a.bin"]
    assert {
        entry.path for entry in hub.nobody.list_repo_tree("alice/git-lfs") if getattr(entry, "lfs", None) is not None
    } == set(content)
    git(folder, "clone", f"{hub.url}/alice/git-lfs", "two")
    assert {name: (folder / "two" / name).read_bytes() for name in content} == content
    path = hub.nobody.hf_hub_download("alice/git-lfs", "a.bin", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == content["a.bin"]


def test_private_large_files(hub, work):
    git, folder, remote = work
    hub.alice.create_repo("alice/private-lfs", private=True)
    hub.alice.upload_file(repo_id="alice/private-lfs", path_in_repo="a.bin", path_or_fileobj=b"x" * 2**21)
    git(folder, "clone", remote("alice/private-lfs", hub.bob), "refused", fails=True)
    git(folder, "clone", remote("alice/private-lfs"), "mine")
    assert (folder / "mine" / "a.bin").read_bytes() == b"x" * 2**21


def test_a_push_without_its_large_file_is_refused(hub, work):
    git, folder, remote = work
    hub.alice.create_repo("alice/no-lfs")
    git(folder, "clone", remote("alice/no-lfs"), "one")
    one = folder / "one"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 5\n"
    (one / "a.txt").write_text(pointer)
    git(one, "add", ".")
    git(one, "commit", "-m", "a pointer to nothing")
    assert "does not exist" in git(one, "push", "origin", "HEAD:main", fails=True)
