"""Kill the Hub at any moment, fill its disk, lock its database: what was acknowledged stays, half of a thing never."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from huggingface_hub import HfApi
from running_hub import COMMAND, RunningHub

pytestmark = pytest.mark.slow
KILLS = int(os.environ.get("SAMOVAR_KILLS", "3"))


def put(api: HfApi, repo: str, content: bytes) -> str:
    """Bring a large file over LFS by hand; its SHA-256. (The stock client would wait and try again for minutes.)"""
    sha256 = hashlib.sha256(content).hexdigest()
    headers = {"Authorization": f"Bearer {api.token}"}
    batch = httpx.post(
        f"{api.endpoint}/{repo}.git/info/lfs/objects/batch", headers=headers,
        json={"operation": "upload", "transfers": ["basic"], "objects": [{"oid": sha256, "size": len(content)}]},
    )  # fmt: skip
    batch.raise_for_status()
    (one,) = batch.json()["objects"]
    if "actions" in one:
        httpx.put(one["actions"]["upload"]["href"], content=content, timeout=60).raise_for_status()
    return sha256


def commit(api: HfApi, repo: str, lines: list[dict]) -> httpx.Response:
    """Make a commit without the client's own retries."""
    return httpx.post(
        f"{api.endpoint}/api/models/{repo}/commit/main", headers={"Authorization": f"Bearer {api.token}"},
        content="".join(json.dumps(line) + "\n" for line in lines), timeout=60,
    )  # fmt: skip


def operations(turn: int, sha256: str | None, size: int) -> list[dict]:
    """A commit of a small and a large file."""
    small = base64.b64encode(f"turn {turn}".encode()).decode()
    lines = [
        {"key": "header", "value": {"summary": f"turn {turn}", "description": ""}},
        {"key": "file", "value": {"path": f"{turn}.txt", "content": small, "encoding": "base64"}},
    ]
    if sha256:
        value = {"path": f"{turn}.bin", "algo": "sha256", "oid": sha256, "size": size}
        lines.append({"key": "lfsFile", "value": value})
    return lines


def whole(hub: RunningHub) -> None:
    """Nothing is broken, also when every byte is read."""
    done = subprocess.run(
        [*COMMAND, "fsck", "--deep", "--data", str(hub.data)], capture_output=True, text=True,
        env=hub.environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_kills_during_uploads_commits_and_creations(tmp_path):
    """Three writers without rest; the Hub is killed at random moments and started again."""
    hub = RunningHub(tmp_path / "data")
    hub.start()
    token = hub.add_user("alice")
    acknowledged: dict[str, list[str]] = {f"alice/kill-{number}": [] for number in range(3)}
    created: set[str] = set()
    stop = threading.Event()

    def work(number: int) -> None:
        repo, turn = f"alice/kill-{number}", 0
        while not stop.is_set():
            api, turn = HfApi(endpoint=hub.url, token=token), turn + 1
            try:
                if repo not in created:
                    made = httpx.post(
                        f"{hub.url}/api/repos/create", json={"name": repo.split("/")[1], "organization": None},
                        headers={"Authorization": f"Bearer {token}"},
                    )  # fmt: skip
                    if made.status_code in (200, 409):
                        created.add(repo)
                content = os.urandom(random.randrange(2**19, 2**22))
                sha256 = put(api, repo, content) if turn % 2 else None
                done = commit(api, repo, operations(turn, sha256, len(content)))
                if done.status_code == 200:
                    acknowledged[repo].append(done.json()["commitOid"])
            except httpx.HTTPError:
                time.sleep(0.05)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            done, deadline = sum(map(len, acknowledged.values())), time.monotonic() + 60
            while sum(map(len, acknowledged.values())) == done and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.5))
            hub.kill()
            hub.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    hub.kill()
    whole(hub)
    hub.start()
    api = HfApi(endpoint=hub.url, token=token)
    assert sum(map(len, acknowledged.values())) >= KILLS
    for repo, commits in acknowledged.items():
        history = [one.commit_id for one in api.list_repo_commits(repo)] if repo in created else []
        assert set(commits) <= set(history), repo
        if commits:
            assert api.model_info(repo).sha == history[0]
            name = next(name for name in api.list_repo_files(repo) if name.endswith(".txt"))
            assert Path(api.hf_hub_download(repo, name, cache_dir=tmp_path)).read_text() == f"turn {name[:-4]}"
    hub.stop()


def test_kills_during_pushes(tmp_path):
    """`git push` either ends with success and is there, or is not there at all."""
    hub = RunningHub(tmp_path / "data")
    hub.start()
    token = hub.add_user("alice")
    HfApi(endpoint=hub.url, token=token).create_repo("alice/pushed")
    clone = tmp_path / "clone"
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0"}

    def git(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "-C", str(clone), *arguments],
            capture_output=True, text=True, env=environment, check=False,
        )  # fmt: skip

    def address() -> str:
        return hub.url.replace("http://", f"http://alice:{token}@") + "/alice/pushed"

    clone.mkdir()
    git("init", "--quiet", "-b", "main")
    git("fetch", address(), "main")
    git("reset", "--hard", "FETCH_HEAD")
    acknowledged = []
    for turn in range(KILLS):
        for number in range(20):
            (clone / f"{turn}-{number}.txt").write_text(os.urandom(2**12).hex())
        git("add", ".")
        git("commit", "--quiet", "-m", f"turn {turn}")
        head = git("rev-parse", "HEAD").stdout.strip()
        killer = threading.Timer(random.uniform(0.05, 0.8), hub.kill)
        killer.start()
        if git("push", "--quiet", address(), "main").returncode == 0:
            acknowledged.append(head)
        killer.join()
        hub.start()
    hub.kill()
    whole(hub)
    hub.start()
    assert git("push", "--quiet", address(), "main").returncode == 0, "a lock was left"
    history = [one.commit_id for one in HfApi(endpoint=hub.url, token=token).list_repo_commits("alice/pushed")]
    assert set(acknowledged) <= set(history)
    hub.stop()
    whole(hub)


def test_kills_during_the_first_start(tmp_path):
    """Migrations begin anew after a kill, whenever it came."""
    for turn in range(KILLS + 3):
        data = tmp_path / f"data-{turn}"
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        # From the moment that the database file is there, a little longer each time.
        while not (data / "hub.sqlite3").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.02 * turn)
        process.kill()
        process.communicate()
        whole(RunningHub(data))
    with RunningHub(data) as hub:
        hub.alice.create_repo("alice/after")


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, small_disk):
    """Commit until nothing fits, find everything whole and readable, make room and go on."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(8 * 2**20))
    with RunningHub(small_disk / "data") as hub:
        api = hub.alice
        api.create_repo("alice/full")
        commits, refusals = [], []
        while len(refusals) < 4:
            content = os.urandom(2**22)
            try:
                sha256 = put(api, "alice/full", content)
                done = commit(api, "alice/full", operations(len(commits), sha256, len(content)))
                done.raise_for_status()
            except httpx.HTTPStatusError as error:
                refusals.append((error.response.status_code, error.response.text))
            else:
                commits.append(done.json()["commitOid"])
        assert commits, refusals
        assert {status for status, _ in refusals} == {507}, f"{refusals}\n{hub.log()[-3000:]}"
        ready = httpx.get(f"{hub.url}/readyz")
        assert (ready.status_code, ready.json()["checks"]["space"]) == (503, False)
        assert [one.commit_id for one in api.list_repo_commits("alice/full")][: len(commits)] == commits[::-1]
        assert api.model_info("alice/full").sha == commits[-1]
        # Fill the very last byte: the database cannot grow either.
        with (small_disk / "rest").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(2**12))
        answers = {commit(api, "alice/full", operations(turn, None, 0)).status_code for turn in range(900, 905)}
        assert answers <= {200, 503, 507}, hub.log()[-3000:]
        assert api.model_info("alice/full").sha
        ballast.unlink()
        (small_disk / "rest").unlink()
        assert commit(api, "alice/full", operations(99, None, 0)).status_code == 200
    whole(hub)


@pytest.fixture
def small_disk(tmp_path):
    """A small file system. Only root may mount one; others are told so."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=112m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"This test needs to mount a small file system (root, or CAP_SYS_ADMIN): {done.stderr}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_locked_database_says_so_and_loses_nothing(tmp_path):
    """Somebody else holds the writer's turn: readers go on, writers are told to come again, and then it works."""
    with RunningHub(tmp_path / "data") as hub:
        api = hub.alice
        api.create_repo("alice/locked")
        sha256 = put(api, "alice/locked", os.urandom(2**20))
        before = api.model_info("alice/locked").sha
        with closing(sqlite3.connect(hub.data / "hub.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert api.model_info("alice/locked").sha == before
            assert [one.id for one in api.list_models(author="alice")] == ["alice/locked"]
            refused = commit(api, "alice/locked", operations(1, sha256, 2**20))
            assert (refused.status_code, refused.headers["retry-after"].isdigit()) == (503, True)
            other.execute("ROLLBACK")
        assert api.model_info("alice/locked").sha == before
        assert commit(api, "alice/locked", operations(1, sha256, 2**20)).status_code == 200
        assert api.file_exists("alice/locked", "1.bin")
    whole(hub)
