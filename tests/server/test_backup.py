"""`samovar hub backup` while people push, and `samovar hub restore`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest
from running_hub import COMMAND, RunningHub

from samovar.errors import SamovarError
from samovar.server.maintenance.backup import backup
from samovar.server.maintenance.restore import restore
from samovar.server.settings import read_settings


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A stopped Hub with two repositories that share a large file."""
    with RunningHub(tmp_path_factory.mktemp("template") / "data") as running:
        large = os.urandom(2 * 2**20)
        for name in ("alice/one", "alice/two"):
            running.alice.create_repo(name)
            running.alice.upload_file(path_or_fileobj=large, path_in_repo="model.bin", repo_id=name)
        running.alice.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="alice/one")
    return running


@pytest.fixture
def data(template, tmp_path):
    """A copy of its data folder."""
    return Path(shutil.copytree(template.data, tmp_path / "data"))


def files(folder: Path, without: str = "\0") -> dict[str, bytes]:
    """Content of every file by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and without not in str(path)
    }


def inodes(folder: Path) -> dict[str, int]:
    """Which files are the same."""
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_backup_under_load_is_whole_and_has_everything_from_before(tmp_path):
    """Four writers commit, create and delete; each commit that was acknowledged before the backup began is in it."""
    acknowledged: dict[str, str] = {}
    stop, failures = threading.Event(), []

    def work(hub: RunningHub, number: int) -> None:
        try:
            turn = 0
            while not stop.is_set():
                turn += 1
                name = f"alice/load-{number}"
                content = f"{turn}".encode() if turn % 2 else os.urandom(2**17)
                hub.alice.create_repo(name, exist_ok=True)
                done = hub.alice.upload_file(
                    path_or_fileobj=content, path_in_repo=f"{turn}.{'txt' if turn % 2 else 'bin'}", repo_id=name
                )
                acknowledged[name] = done.oid
                if turn % 4 == 0:
                    hub.alice.create_repo(f"{name}-{turn}")
                    hub.alice.delete_repo(f"{name}-{turn}")
        except Exception as error:
            failures.append(error)

    with RunningHub(tmp_path / "data") as hub:
        hub.alice.whoami()
        threads = [threading.Thread(target=work, args=(hub, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            while len(acknowledged) < len(threads) and not failures:
                time.sleep(0.05)
            for _ in range(2):
                before = dict(acknowledged)
                hub.command("backup", str(tmp_path / "backup"))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not failures
        assert before
        hub.command("fsck")
    report = restore(tmp_path / "backup", tmp_path / "restored")
    assert [str(finding) for finding in report.findings if finding.level == "broken"] == []
    with RunningHub(tmp_path / "restored") as restored:
        api = restored.client(restored.command("token", "create", "alice", "--role", "read"))
        for name, commit in before.items():
            assert commit in [one.commit_id for one in api.list_repo_commits(name)]
            info = api.model_info(name)
            assert info.sha == api.list_repo_commits(name)[0].commit_id
            api.snapshot_download(name, cache_dir=tmp_path / "cache")


@pytest.mark.slow
def test_a_second_backup_links_what_is_the_same(data, tmp_path):
    first = backup(read_settings(data=data), tmp_path / "backup")
    assert (first.repositories, first.objects, first.new_objects, first.problems) == (2, 1, 1, [])
    before = inodes(tmp_path / "backup")
    second = backup(read_settings(data=data), tmp_path / "backup")
    assert (second.repositories, second.objects, second.new_objects) == (2, 1, 0)
    after = inodes(tmp_path / "backup")
    immutable = {name for name in after if "/objects/" in f"/{name}"}
    assert len(immutable) > 5
    assert all(before[name] == after[name] for name in immutable)
    assert not (set(inodes(data).values()) & set(after.values())), "a copy, not links to the Hub itself"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.slow
def test_a_restored_hub_is_the_same(data, tmp_path):
    backup(read_settings(data=data), tmp_path / "backup")
    report = restore(tmp_path / "backup", tmp_path / "restored")
    assert (report.whole, report.repositories, report.objects) == (True, 2, 1)
    kept = ("objects/", "secret")
    original = {name: content for name, content in files(data).items() if name.startswith(kept)}
    assert {
        name: content for name, content in files(tmp_path / "restored").items() if name.startswith(kept)
    } == original
    with RunningHub(tmp_path / "restored") as hub:
        assert hub.nobody.list_repo_files("alice/one") == [".gitattributes", "config.json", "model.bin"]


@pytest.mark.slow
def test_a_backup_that_was_broken_off_is_gone_on_with(data, tmp_path):
    work = tmp_path / ".backup.samovar-backup"
    (name,) = (data / "objects").glob("??/??/*")
    kept = work / name.relative_to(data)
    kept.parent.mkdir(parents=True)
    shutil.copyfile(name, kept)
    (work / "objects" / "drafts").mkdir()
    (work / "objects" / "drafts" / "half").write_bytes(b"half")
    other = work / "objects" / "00" / "00" / ("0" * 64)
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of another day")
    (work / "hub.sqlite3").write_bytes(b"half")
    copied = backup(read_settings(data=data), tmp_path / "backup")
    assert (copied.objects, copied.new_objects) == (1, 0)
    assert restore(tmp_path / "backup", tmp_path / "restored").findings == []
    assert not (tmp_path / "backup" / "objects" / "00" / "00" / ("0" * 64)).exists()


@pytest.mark.slow
def test_a_damaged_original_is_named_and_the_rest_copied(data, tmp_path):
    (path,) = (data / "objects").glob("??/??/*")
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    done = subprocess.run(
        [*COMMAND, "backup", str(tmp_path / "backup"), "--data", str(data)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, f"broken: object {path.name}: its bytes have changed\n")
    report = restore(tmp_path / "backup", tmp_path / "restored")
    assert report.repositories == 2
    assert any(path.name in str(finding) for finding in report.findings)


def change_database(folder: Path) -> None:
    with (folder / "hub.sqlite3").open("ab") as file:
        file.write(b"x")


def change_reference(folder: Path) -> None:
    path = next(folder.glob("repositories/*/*.git/packed-refs"))
    path.write_text(path.read_text().replace("refs/heads/main", "refs/heads/evil"))


def change_version(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema": "9999"}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (change_database, "is not as it was backed up"),
        (change_reference, "is not as it was backed up"),
        (change_version, "whose format this version does not know"),
        (lambda folder: (folder / "manifest.json").unlink(), "holds no backup"),
    ],
)
def test_a_changed_backup_is_refused(data, tmp_path, change, said):
    backup(read_settings(data=data), tmp_path / "backup")
    change(tmp_path / "backup")
    with pytest.raises(SamovarError, match=said):
        restore(tmp_path / "backup", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.slow
def test_a_changed_large_file_is_found_on_the_way_back(data, tmp_path):
    backup(read_settings(data=data), tmp_path / "backup")
    (path,) = (tmp_path / "backup" / "objects").glob("??/??/*")
    path.write_bytes(path.read_bytes()[::-1])
    report = restore(tmp_path / "backup", tmp_path / "restored")
    assert "its bytes in the backup have changed" in "".join(map(str, report.findings))
    assert not report.whole


@pytest.mark.slow
def test_nothing_is_overwritten(data, tmp_path):
    backup(read_settings(data=data), tmp_path / "backup")
    before = files(data)
    with pytest.raises(SamovarError, match="is not empty"):
        restore(tmp_path / "backup", data)
    assert files(data) == before
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "photo.jpg").write_bytes(b"mine")
    for target, said in ((stranger, "holds no backup"), (data / "inside", "lie in each other"), (tmp_path, "lie in")):
        with pytest.raises(SamovarError, match=said):
            backup(read_settings(data=data), target)
    assert files(stranger) == {"photo.jpg": b"mine"}


@pytest.mark.slow
def test_another_database_is_not_copied(data, tmp_path):
    settings = read_settings(data=data, database="postgresql+psycopg://hub@localhost/hub")
    with pytest.raises(SamovarError, match="pg_dump"):
        backup(settings, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
