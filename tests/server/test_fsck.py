"""`samovar hub fsck` finds every kind of damage, and nothing in a Hub that is whole."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd
from running_hub import COMMAND, RunningHub

from samovar.server.hub import Hub
from samovar.server.maintenance.fsck import fsck
from samovar.server.settings import read_settings


def found(hub: RunningHub, deep: bool = False) -> list[str]:
    """The findings in a Hub that does not run."""
    opened = Hub.open(read_settings(data=hub.data))
    try:
        return [str(finding) for finding in fsck(opened, deep, settling=0).findings]
    finally:
        opened.close()


def check(hub: RunningHub, *options: str) -> tuple[int, str]:
    """Exit status and lines of the command."""
    done = subprocess.run(
        [*COMMAND, "fsck", *options, "--data", str(hub.data)],
        capture_output=True, text=True, env=hub.environment, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A stopped Hub with a model: two commits, a large file, a branch and a tag."""
    with RunningHub(tmp_path_factory.mktemp("template") / "data") as running:
        api = running.alice
        api.create_repo("alice/whole")
        api.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id="alice/whole")
        api.create_branch("alice/whole", branch="other")
        api.create_tag("alice/whole", tag="v1", tag_message="one")
        large = os.urandom(3 * 2**20)
        api.upload_file(path_or_fileobj=large, path_in_repo="model.bin", repo_id="alice/whole", revision="other")
    return running


@pytest.fixture
def filled(template, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(template.data, tmp_path / "data")
    return RunningHub(tmp_path / "data")


def folder_of(hub: RunningHub) -> Path:
    """The git folder of the only model."""
    return next((hub.data / "repositories").glob("*/*.git"))


def object_of(hub: RunningHub) -> Path:
    """The only large file."""
    return next((hub.data / "objects").glob("??/??/*"))


def change(hub: RunningHub, statement: str) -> None:
    """Change the database behind everybody's back."""
    with closing(sqlite3.connect(hub.data / "hub.sqlite3")) as connection:
        connection.execute(statement)
        connection.commit()


def git_object(hub: RunningHub, revision: str) -> Path:
    """The file of a single object."""
    oid = subprocess.run(
        ["git", f"--git-dir={folder_of(hub)}", "rev-parse", revision], capture_output=True, text=True, check=True
    ).stdout.strip()
    return folder_of(hub) / "objects" / oid[:2] / oid[2:]


def spoil(path: Path) -> None:
    """Turn one byte over."""
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Cut the end off."""
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])


DAMAGE = {
    "folder": (lambda hub: folder_of(hub).rename(hub.data / "elsewhere"), "has no git folder"),
    "commit": (lambda hub: git_object(hub, "main").unlink(), "cannot be read"),
    "tree of a branch": (lambda hub: git_object(hub, "other^{tree}").unlink(), "cannot be read"),
    "file": (lambda hub: git_object(hub, "main:README.md").unlink(), "README.md) cannot be read"),
    "bytes of a file": (lambda hub: spoil(git_object(hub, "main:README.md")), "cannot be read"),
    "tag": (lambda hub: git_object(hub, "v1").unlink(), "refs/tags/v1"),
    "object": (lambda hub: object_of(hub).unlink(), "is not stored"),
    "size of an object": (lambda hub: truncate(object_of(hub)), "bytes"),
    "columns": (lambda hub: change(hub, f"UPDATE repositories SET sha = '{'0' * 40}'"), "but its head is"),
    "list of files": (lambda hub: change(hub, "UPDATE repository_contents SET files = '[]'"), "list of files"),
    "row of an object": (
        lambda hub: change(hub, "DELETE FROM repository_objects"), "which was never brought to it"
    ),
    "reference of a row": (lambda hub: change(hub, "UPDATE tokens SET account_id = 99"), "tokens refer by account_id"),
    "row of a repository": (lambda hub: change(hub, "DELETE FROM repositories"), "knows no such repository"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found(filled, damage):
    do, said = DAMAGE[damage]
    assert found(filled) == []
    do(filled)
    lines = found(filled)
    assert [line for line in lines if said in line]
    assert all(line.startswith("broken: ") for line in lines)


@pytest.mark.slow
def test_the_command_says_so_to_people_and_programs(filled):
    assert check(filled) == (0, "")
    object_of(filled).unlink()
    status, lines = check(filled)
    assert (status, {line.split(": ")[0] for line in lines.splitlines()}) == (1, {"broken"})
    status, report = check(filled, "--json")
    assert (status, json.loads(report)["whole"], len(json.loads(report)["findings"])) == (1, False, 2)


def test_changed_bytes_of_the_same_length_are_found_by_reading(filled):
    spoil(object_of(filled))
    assert found(filled) == []
    (line,) = found(filled, deep=True)
    assert "its bytes have changed" in line


@pytest.mark.slow
def test_leftovers_are_listed_and_removed(filled):
    folder = folder_of(filled)
    aside = folder.with_name("77.deleted")
    (aside / "objects").mkdir(parents=True)
    empty = folder.with_name("78.git")
    subprocess.run(["git", "init", "--bare", "--quiet", str(empty)], check=True)
    draft = filled.data / "objects" / "drafts" / "0123456789abcdef"
    draft.parent.mkdir(exist_ok=True)
    draft.write_bytes(b"half")
    os.utime(draft, (0, 0))
    fresh = draft.with_name("fresh")
    fresh.write_bytes(b"being uploaded")
    status, lines = check(filled)
    assert status == 0, "nothing is broken"
    assert {line.split(": ")[1] for line in lines.splitlines()} == {str(aside), str(empty), str(draft)}
    check(filled, "--repair")
    assert found(filled) == []
    assert not any(path.exists() for path in (aside, empty, draft))
    assert fresh.exists()
    assert folder.exists()


@pytest.mark.slow
def test_what_was_announced_is_read_again(filled):
    change(filled, "UPDATE repositories SET sha = NULL")
    change(filled, "INSERT INTO pending_refreshes (repository_id, since) SELECT id, '2020-01-01' FROM repositories")
    assert found(filled) == []
    assert "read repository" in check(filled, "--repair")[1]
    with closing(sqlite3.connect(filled.data / "hub.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM pending_refreshes").fetchone() == (0,)
        assert connection.execute("SELECT sha FROM repositories").fetchone()[0] is not None


@pytest.mark.slow
def test_a_busy_hub_is_whole(hub):
    """Commits, new repositories and deletions go on while it is checked."""
    stop, failures = threading.Event(), []

    def work(number: int) -> None:
        try:
            turn = 0
            while not stop.is_set():
                turn += 1
                name = f"alice/busy-{number}-{turn % 3}"
                hub.alice.create_repo(name, exist_ok=True)
                files = {"a.txt": os.urandom(8).hex().encode(), "m.bin": os.urandom(2**17)}
                operations = [CommitOperationAdd(path, content) for path, content in files.items()]
                hub.alice.create_commit(name, operations, commit_message="More")
                if turn % 5 == 0:
                    hub.alice.delete_repo(name)
        except Exception as error:
            failures.append(error)

    hub.alice.whoami()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            status, lines = check(hub)
            assert (status, [line for line in lines.splitlines() if line.startswith("broken")]) == (0, [])
            time.sleep(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
