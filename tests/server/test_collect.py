"""Garbage collection: what git refers to stays, whatever happens at the same time; what nothing refers to goes."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import EntryNotFoundError
from running_hub import RunningHub
from test_large_files import address, batch, refer, sha256
from test_xet import weights
from xet_client import Sender, chunk, make_shard, name

LONG_AGO = "2020-01-01 00:00:00.000000"


@pytest.fixture
def hub(tmp_path):
    """A Hub for one test: what is collected depends on everything in it."""
    running = RunningHub(tmp_path / "hub")
    running.start()
    yield running
    running.stop()


def age(hub: RunningHub, *, repositories: bool = True, objects: bool = True, seconds: int = 0) -> None:
    """Let everything have been used and stored long ago that is older than these seconds."""
    before = (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(hub.data / "hub.sqlite3", timeout=30)) as database, database:
        if repositories:
            database.execute(f"UPDATE repository_objects SET used_at = '{LONG_AGO}' WHERE used_at < ?", [before])
        if objects:
            database.execute(f"UPDATE objects SET created_at = '{LONG_AGO}' WHERE created_at < ?", [before])
            database.execute(f"UPDATE xorb_holders SET used_at = '{LONG_AGO}' WHERE used_at < ?", [before])


def kept(hub: RunningHub) -> set[str]:
    """The objects in the store."""
    return {path.name for path in (hub.data / "objects").glob("??/??/*")}


def collected(hub: RunningHub, *options: str) -> int:
    """Collect; how many objects went."""
    found = re.search(r"(\d+) large files of", hub.command("gc", *options))
    assert found
    return int(found[1])


def send(hub: RunningHub, repository: str, content: bytes) -> str:
    """Bring a file without committing it; its hash."""
    assert httpx.put(address(hub, hub.alice, repository, content), content=content).status_code == 200
    return sha256(content)


def test_every_reference_keeps_its_files(hub):
    hub.alice.create_repo("alice/m")
    files = {label: os.urandom(1000) for label in ("head", "past", "branch", "tag", "never")}
    for content in files.values():
        send(hub, "alice/m", content)
    api = hub.alice
    refer(api, "alice/m", files["past"])
    api.delete_file(f"{sha256(files['past'])[:9]}.bin", "alice/m")
    refer(api, "alice/m", files["tag"])
    api.create_tag("alice/m", tag="v1")
    api.super_squash_history("alice/m")
    api.delete_file(f"{sha256(files['tag'])[:9]}.bin", "alice/m")
    refer(api, "alice/m", files["branch"])
    api.create_branch("alice/m", branch="other")
    api.delete_file(f"{sha256(files['branch'])[:9]}.bin", "alice/m")
    api.upload_file(repo_id="alice/m", path_in_repo="p.bin", path_or_fileobj=os.urandom(2**20), create_pr=True)
    refer(api, "alice/m", files["head"])
    before = kept(hub)
    assert collected(hub) == 0
    age(hub)
    assert collected(hub, "--dry-run") == 1
    assert kept(hub) == before
    assert collected(hub) == 1
    assert before - kept(hub) == {sha256(files["never"])}
    assert refer(api, "alice/m", files["never"]) == 422
    hub.command("fsck", "--deep")
    for branch in ("other", "main"):
        if branch != "main":
            api.delete_branch("alice/m", branch=branch)
    api.delete_tag("alice/m", tag="v1")
    api.super_squash_history("alice/m")
    age(hub)
    gone = before - kept(hub)
    assert collected(hub) >= 1
    assert sha256(files["head"]) in kept(hub)
    assert gone < before - kept(hub)
    hub.command("fsck", "--deep")


def test_two_repositories_share_a_file_until_both_are_gone(hub):
    content = os.urandom(1000)
    for repository in ("alice/a", "alice/b"):
        hub.alice.create_repo(repository)
    send(hub, "alice/a", content)
    refer(hub.alice, "alice/a", content)
    assert "actions" not in batch(hub, hub.alice, "alice/b", (sha256(content), 1000)).json()["objects"][0]
    refer(hub.alice, "alice/b", content)
    hub.alice.delete_repo("alice/a")
    age(hub)
    assert collected(hub) == 0
    path = hub.alice.hf_hub_download("alice/b", f"{sha256(content)[:9]}.bin", cache_dir=hub.data / "cache")
    assert Path(path).read_bytes() == content
    hub.alice.delete_repo("alice/b")
    assert collected(hub) == 1
    assert kept(hub) == set()


def test_what_was_just_used_stays(hub):
    hub.alice.create_repo("alice/m")
    content = os.urandom(1000)
    send(hub, "alice/m", content)
    age(hub)
    batch(hub, hub.alice, "alice/m", (sha256(content), 1000))  # "It is here": the client relies on that.
    assert collected(hub) == 0
    assert refer(hub.alice, "alice/m", content) == 200


def test_what_a_client_builds_on_stays(hub):
    """Blocks that an account has sent are found in a deleted repository's object as long as clients remember them."""
    hub.alice.create_repo("alice/m")
    hub.alice.create_repo("alice/n")
    data = os.urandom(50_000)
    body = make_shard((data, [(name([data]), 0, 1, len(data))]))
    with closing(Sender(hub.alice, "alice/m")) as sender:
        sender.xorb(name([data]), chunk(data))
        assert sender.shard(body).status_code == 200
    hub.alice.delete_repo("alice/m")
    with closing(sqlite3.connect(hub.data / "hub.sqlite3")) as database, database:
        database.execute("UPDATE objects SET created_at = '2020-01-01 00:00:00.000000'")
    assert collected(hub) == 0
    with closing(Sender(hub.alice, "alice/n")) as sender:
        assert sender.shard(body).status_code == 200
        hub.alice.delete_repo("alice/n")
        age(hub)
        assert collected(hub) == 1
        hub.alice.create_repo("alice/n2")
    with closing(Sender(hub.alice, "alice/n2")) as sender:
        assert sender.shard(body).status_code == 400
        sender.xorb(name([data]), chunk(data))
        assert sender.shard(body).status_code == 200


@pytest.mark.slow
def test_commits_and_uploads_at_the_same_time_lose_nothing(hub):
    """All is old after seconds, and collectors run one after the other: a commit is refused, or its file stays.

    Not at once: a commit that takes longer than a use is remembered is not what the Hub promises to survive.
    """
    hub.alice.create_repo("alice/busy")
    done, ending = [], threading.Event()
    contents = [os.urandom(2000) for _ in range(6)]

    def patiently(ask: Callable[[], int]) -> int:
        """A status. A Hub that is asked more than its database takes says 503, and the stock client asks again."""
        for _ in range(60):
            if (status := ask()) != 503:
                return status
            time.sleep(0.5)
        return 503

    def write(number: int) -> None:
        api = hub.alice

        def announce(content: bytes) -> int:
            answer = batch(hub, api, "alice/busy", (sha256(content), len(content)))
            if answer.status_code == 200 and "actions" in (found := answer.json()["objects"][0]):
                assert httpx.put(found["actions"]["upload"]["href"], content=content).status_code == 200
            return answer.status_code

        for turn in range(9):
            content = contents[(number + turn) % len(contents)]
            assert patiently(partial(announce, content)) == 200
            status = patiently(partial(refer, api, "alice/busy", content))
            assert status in (200, 422)
            if status == 200:
                done.append(sha256(content))
                if turn % 3 == 2:
                    try:
                        api.delete_file(f"{sha256(content)[:9]}.bin", "alice/busy")
                        api.super_squash_history("alice/busy")
                    except EntryNotFoundError:
                        pass

    def grow_old() -> None:
        while not ending.is_set():
            age(hub, seconds=3)
            ending.wait(0.05)

    def gather() -> None:
        while not ending.is_set():
            collected(hub)

    hub.alice.repo_exists("alice/busy")
    writers = [threading.Thread(target=write, args=[number]) for number in range(3)]
    others = [threading.Thread(target=grow_old), threading.Thread(target=gather), threading.Thread(target=gather)]
    for thread in [*writers, *others]:
        thread.start()
    for thread in writers:
        thread.join()
    ending.set()
    for thread in others:
        thread.join()
    assert done
    hub.command("fsck", "--deep")
    for entry in hub.alice.list_repo_tree("alice/busy"):
        if entry.path.endswith(".bin"):
            content = httpx.get(f"{hub.url}/alice/busy/resolve/main/{entry.path}").content
            assert hashlib.sha256(content).hexdigest() == entry.lfs.sha256


def test_large_uploads_of_the_stock_client_survive(hub, tmp_path):
    content = weights(4)
    hub.alice.create_repo("alice/stock")
    hub.alice.upload_file(repo_id="alice/stock", path_in_repo="w.bin", path_or_fileobj=content)
    age(hub)
    assert collected(hub) == 0
    assert Path(hub.alice.hf_hub_download("alice/stock", "w.bin", cache_dir=tmp_path / "c")).read_bytes() == content
