"""The Hub is killed at any moment of commits and pushes, and nothing that was acknowledged is lost."""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import threading
import time

import httpx
import pytest
from running_hub import RunningHub

KILLS = 12
CLIENTS = 4


class Client:
    """Commits, or pushes, one file after the other, and remembers what was acknowledged."""

    def __init__(self, number: int, repo: str) -> None:
        self.number, self.repo = number, repo
        self.acknowledged: dict[str, str] = {}
        self.count = 0
        self.problems: list[str] = []

    def commit(self, url: str, token: str, stop: threading.Event) -> None:
        """Commit through the API until the Hub is gone. Every third commit is large enough to come as a pack."""
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            while not stop.is_set():
                path = f"api{self.number}/{self.count}.txt"
                names = [path, *(f"{path}.{more}" for more in range(30 if self.count % 3 == 0 else 0))]
                self.count += 1
                lines = [{"key": "header", "value": {"summary": path}}]
                content = base64.b64encode(path.encode()).decode()
                lines += [{"key": "file", "value": {"path": name, "content": content}} for name in names]
                body = "\n".join(map(json.dumps, lines)).encode()
                try:
                    answer = client.post(f"/api/models/{self.repo}/commit/main", content=body)
                except httpx.TransportError:
                    return
                if answer.status_code != 200:
                    self.problems.append(f"{answer.status_code} {answer.text}")
                    return
                self.acknowledged |= dict.fromkeys(names, answer.json()["commitOid"])

    def push(self, url: str, token: str, stop: threading.Event, folder, environment) -> None:
        """Push to a branch of its own until the Hub is gone."""
        address = url.replace("//", f"//x:{token}@") + f"/{self.repo}"

        def git(*arguments):
            done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, env=environment, check=False)
            return done.returncode, done.stdout.decode().strip()

        while not stop.is_set():
            name = f"push{self.number}-{self.count}.txt"
            self.count += 1
            (folder / name).write_text(name)
            git("add", ".")
            assert git("commit", "-q", "-m", name)[0] == 0
            if git("push", "-q", address, f"HEAD:refs/heads/p{self.number}")[0] != 0:
                return
            self.acknowledged[name] = git("rev-parse", "HEAD")[1]


def check(hub: RunningHub, repo: str, clients: list[Client]) -> None:
    """Git is whole, every acknowledged file is there, and what the Hub tells is what git holds."""
    (folder,) = hub.data.glob("repositories/*/*.git")
    done = subprocess.run(["git", "-C", folder, "fsck", "--full", "--strict"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    head = subprocess.run(["git", "-C", folder, "rev-parse", "main"], capture_output=True, check=True).stdout.decode()
    info = hub.alice.model_info(repo)
    assert info.sha == head.strip()
    names = set(hub.alice.list_repo_files(repo))
    assert {one.rfilename for one in info.siblings} == names
    history = {one.commit_id for one in hub.alice.list_repo_commits(repo)}
    for client in clients:
        assert client.problems == []
        if any(name.startswith("push") for name in client.acknowledged):
            revision = f"p{client.number}"
            assert set(client.acknowledged) <= set(hub.alice.list_repo_files(repo, revision=revision))
            pushed = {one.commit_id for one in hub.alice.list_repo_commits(repo, revision=revision)}
            assert set(client.acknowledged.values()) <= pushed
        else:
            assert set(client.acknowledged) <= names
            assert set(client.acknowledged.values()) <= history
            # A commit is there whole or not at all: if one of its files is, so are all.
            for count in range(0, client.count, 3):
                path = f"api{client.number}/{count}.txt"
                several = {path, *(f"{path}.{more}" for more in range(30))}
                assert len(several & names) in (0, 31)


@pytest.mark.slow
def test_killed_at_any_moment(client_online, tmp_path):
    hub, repo = RunningHub(tmp_path / "hub"), "alice/killed"
    hub.start()
    token = hub.alice.token
    hub.alice.create_repo(repo)
    work, home = tmp_path / "work", tmp_path / "home"
    home.mkdir()
    environment = {
        **os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_TERMINAL_PROMPT": "0", "HOME": str(home),
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "a@b.c",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@b.c",
    }  # fmt: skip
    subprocess.run(["git", "init", "-q", "-b", "main", work], check=True, env=environment)
    clients = [Client(number, repo) for number in range(CLIENTS)]
    generator = random.Random(os.environ.get("KILL_SEED", "1"))
    for _ in range(KILLS):
        stop = threading.Event()
        threads = [threading.Thread(target=client.commit, args=(hub.url, token, stop)) for client in clients[:-1]]
        pushing = (hub.url, token, stop, work, environment)
        threads.append(threading.Thread(target=clients[-1].push, args=pushing))
        for thread in threads:
            thread.start()
        time.sleep(generator.uniform(0.2, 2.0))
        hub.kill()
        stop.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        hub.start()
        hub.__dict__.pop("alice", None)
        hub.alice = hub.client(token)
        check(hub, repo, clients)
    assert all(client.acknowledged for client in clients)
    hub.stop()


def test_two_writers_never_lose_an_update(hub):
    """Without a parent every commit lands; with one, of two on the same head exactly one does."""
    repo, token = "alice/writers", hub.alice.token
    hub.alice.create_repo(repo)
    problems: list[str] = []

    def write(number):
        api = hub.client(token)
        for count in range(25):
            try:
                api.upload_file(repo_id=repo, path_or_fileobj=b"%d" % count, path_in_repo=f"{number}/{count}.txt")
            except Exception as error:
                problems.append(repr(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    files = set(hub.alice.list_repo_files(repo))
    assert files == {".gitattributes", *(f"{one}/{count}.txt" for one in range(CLIENTS) for count in range(25))}
    assert len(hub.alice.list_repo_commits(repo)) == 101
    assert {one.rfilename for one in hub.alice.model_info(repo).siblings} == files
    head, statuses = hub.alice.model_info(repo).sha, []

    def race(number):
        header = {"key": "header", "value": {"summary": "race", "parentCommit": head}}
        file = {"key": "file", "value": {"path": f"race{number}", "content": "QQ=="}}
        answer = httpx.post(
            f"{hub.url}/api/models/{repo}/commit/main", content=f"{json.dumps(header)}\n{json.dumps(file)}",
            headers={"Authorization": f"Bearer {token}"},
        )  # fmt: skip
        statuses.append(answer.status_code)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 412, 412, 412, 412, 412]
