"""Two processes of one Hub over PostgreSQL and one folder: what one wrote, the other knows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from huggingface_hub.errors import HfHubHTTPError
from postgres import Postgres
from running_hub import COMMAND, RunningHub

pytestmark = pytest.mark.slow
JOURNEY = Path(__file__).parent / "clients" / "journey.py"


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two processes of one Hub."""
    # The path of a socket is short, and another user must reach it.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o755)
    try:
        with Postgres(folder / "pg") as server:
            data = tmp_path_factory.mktemp("hub") / "data"
            with RunningHub(data, database=server.url) as first, RunningHub(data, database=server.url) as second:
                yield first, second
    finally:
        shutil.rmtree(folder)


def test_the_journey(two, tmp_path):
    first, _ = two
    token = first.add_user("traveller")
    done = subprocess.run(
        [sys.executable, str(JOURNEY), first.url, token, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{first.log()[-5000:]}"


def test_what_one_process_wrote_the_other_knows(two):
    """At once: info, files, lists, search and deletion."""
    first, second = two
    here, there = first.alice, second.client(first.alice.token)
    for turn in range(3):
        name = f"alice/known-{turn}"
        here.create_repo(name)
        card = f"---\nlicense: mit\ntags:\n- turn{turn}\n---\n# Кипяток number{turn}\n"
        done = here.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=name)
        assert there.model_info(name).sha == done.oid
        assert there.list_repo_files(name) == [".gitattributes", "README.md"]
        assert [one.id for one in there.list_models(filter=f"turn{turn}")] == [name]
        large = there.upload_file(path_or_fileobj=os.urandom(2**17), path_in_repo="m.bin", repo_id=name)
        assert here.model_info(name).sha == large.oid
        assert here.file_exists(name, "m.bin")
    there.delete_repo("alice/known-0")
    assert [one.id for one in here.list_models(author="alice", search="known")].count("alice/known-0") == 0
    assert not here.repo_exists("alice/known-0")


def test_two_processes_lose_no_commit(two):
    """Writers at both add files to one repository; every commit that was acknowledged is in its history."""
    first, second = two
    first.alice.create_repo("alice/shared")
    clients = [first.alice, second.client(first.alice.token)] * 2
    made, failures = [], []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                done = clients[number].upload_file(
                    path_or_fileobj=f"{number} {turn}".encode(), path_in_repo=f"{number}/{turn}.txt",
                    repo_id="alice/shared",
                )  # fmt: skip
                made.append(done.oid)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    history = [one.commit_id for one in second.nobody.list_repo_commits("alice/shared")]
    assert set(made) <= set(history)
    assert len([name for name in second.nobody.list_repo_files("alice/shared") if name.endswith(".txt")]) == 20
    assert first.nobody.model_info("alice/shared").sha == history[0]


def test_names_are_taken_once(two):
    first, second = two
    here, there = first.alice, second.client(first.alice.token)
    here.create_repo("alice/once")
    with pytest.raises(HfHubHTTPError, match="409"):
        there.create_repo("alice/Once")


def test_it_is_whole_and_its_backup_is_refused(two, tmp_path):
    first, _ = two
    assert first.command("fsck", "--deep") == ""
    done = subprocess.run(
        [*COMMAND, "backup", str(tmp_path / "backup"), "--data", str(first.data)],
        capture_output=True, text=True, env=first.environment, check=False,
    )  # fmt: skip
    assert (done.returncode, "pg_dump" in done.stderr) == (1, True)
