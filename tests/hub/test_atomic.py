"""Saves that are killed, forbidden or out of disk leave the old state whole; saves that end well leave nothing else."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from samovar.errors import CorruptFileError, SaveError
from samovar.hub import atomic
from samovar.hub.atomic import recover, write_beside, write_file

OLD = {"config.json": "old config", "model.safetensors": "old weights", "vocab.txt": "words", "runs/log.txt": "log"}
NEW = {"config.json": "new config", "model.safetensors": "new weights"}
MERGED = {**OLD, **NEW}


def fill(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def save_then(target: Path, error: BaseException) -> None:
    """Write new files, scribble on an old name, then fail."""
    with write_beside(target) as beside:
        fill(beside, {**NEW, "vocab.txt": "scribbled"})
        raise error


def contents(folder: Path) -> dict[str, str]:
    """Every file below the folder, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def without_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the path of systems that cannot exchange two names in one step."""

    def absent(first: Path, second: Path) -> None:
        raise OSError(errno.ENOSYS, "no renameat2")

    monkeypatch.setattr(atomic, "exchange", absent)


# Saves that end well ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["exchange", "two renames", "file by file"])
def test_a_folder_is_replaced_whole_where_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    target = fill(tmp_path / "model", OLD)
    (target / "link").symlink_to(target / "runs")
    if way == "two renames":
        without_exchange(monkeypatch)
    if way == "file by file":
        monkeypatch.chdir(target)
    with write_beside(target, keep=False) as beside:
        fill(beside, NEW | {"parts/one": "1"})
    assert contents(tmp_path) == {f"model/{name}": content for name, content in (NEW | {"parts/one": "1"}).items()}
    assert sorted(os.listdir(target)) == ["config.json", "model.safetensors", "parts"]


def test_new_folder_appears_whole_with_its_parents(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with write_beside(target) as beside:
        fill(beside, NEW)
        assert not target.exists()
    assert contents(tmp_path / "a") == {f"b/{name}": content for name, content in NEW.items()}


@pytest.mark.parametrize("with_exchange", [True, False])
def test_untouched_files_stay_and_nothing_is_left_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_exchange: bool
) -> None:
    if not with_exchange:
        without_exchange(monkeypatch)
    target = fill(tmp_path / "model", OLD)
    (target / "link").symlink_to("vocab.txt")
    target.chmod(0o750)
    with write_beside(target) as beside:
        fill(beside, NEW)
        assert contents(target) == {**OLD, "link": "words"}
    assert contents(target) == {**MERGED, "link": "words"}
    assert (target / "link").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["model"]


def test_exchange_swaps_two_folders_or_says_that_it_cannot(tmp_path: Path) -> None:
    first, second = fill(tmp_path / "first", {"a": "1"}), fill(tmp_path / "second", {"b": "2"})
    if sys.platform == "linux":
        atomic.exchange(first, second)
        assert (contents(first), contents(second)) == ({"b": "2"}, {"a": "1"})
    else:  # renameat2 is a Linux call.
        with pytest.raises(OSError, match="renameat2"):
            atomic.exchange(first, second)


@pytest.mark.parametrize("working_inside", [False, True])
def test_weights_of_an_earlier_save_go_whatever_they_were_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, working_inside: bool
) -> None:
    stale = {
        "model-00001-of-00002.safetensors": "1",
        "model-00002-of-00002.safetensors": "2",
        "model.safetensors.index.json": "{}",
        "pytorch_model.bin": "3",
    }
    other = {"model_card.txt": "stays", "my_model.safetensors": "stays"}
    target = fill(tmp_path / "model", {**stale, **other})
    if working_inside:
        monkeypatch.chdir(target)
    with write_beside(target) as beside:
        fill(beside, {"tokenizer.json": "t"})
    assert contents(target) == {**stale, **other, "tokenizer.json": "t"}  # no weights written: none removed
    with write_beside(target) as beside:
        fill(beside, NEW)
    assert contents(target) == {**NEW, **other, "tokenizer.json": "t"}


def test_current_folder_keeps_its_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = fill(tmp_path / "model", OLD)
    monkeypatch.chdir(target)
    before = os.stat(".").st_ino
    with write_beside(".") as beside:
        fill(beside, NEW)
    assert os.stat(target).st_ino == before == os.stat(".").st_ino
    assert contents(target) == MERGED


def test_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "real", OLD)
    (tmp_path / "alias").symlink_to("real")
    with write_beside(tmp_path / "alias") as beside:
        fill(beside, NEW)
    assert (tmp_path / "alias").is_symlink()
    assert contents(tmp_path / "real") == MERGED


def test_saves_at_the_same_time_are_each_whole(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def save(number: int) -> None:
        for _ in range(10):
            with write_beside(target) as beside:
                fill(beside, {"a": str(number), "b": str(number)})

    threads = [threading.Thread(target=save, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    saved = contents(target)
    assert set(saved) == {"a", "b"}
    assert saved["a"] == saved["b"]
    assert os.listdir(tmp_path) == ["model"]


def test_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_file(path, "ä")
    assert path.read_bytes() == "ä".encode()
    path.chmod(0o640)
    write_file(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["config.json"]


# Saves that fail --------------------------------------------------------------------------------------------------


def test_errors_of_the_block_pass_through_and_change_nothing(tmp_path: Path) -> None:
    target = fill(tmp_path / "model", OLD)
    for error in (ValueError("no"), CorruptFileError("also an OSError"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            save_then(target, error)
        assert contents(target) == OLD
        assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("reason", ["disk is full", "Permission denied"])
def test_system_errors_become_save_errors(tmp_path: Path, reason: str) -> None:
    code = {"disk is full": errno.ENOSPC, "Permission denied": errno.EACCES}[reason]
    target = fill(tmp_path / "model", OLD)
    # Rust libraries report what the system said in the text of errors of their own.
    for error in (OSError(code, os.strerror(code)), Exception(f"I/O error: {os.strerror(code)} (os error {code})")):
        with pytest.raises(SaveError, match=reason) as caught:
            save_then(target, error)
        assert caught.value.next_step
        assert contents(target) == OLD
        assert os.listdir(tmp_path) == ["model"]


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    with pytest.raises(SaveError, match="is a file, not a folder"), write_beside(tmp_path / "model"):
        pass
    with pytest.raises(SaveError), write_beside(tmp_path / "model" / "inner"):
        pass
    assert contents(tmp_path) == {"model": "a file"}


SAVE = """
import os, resource, signal, sys, time
from pathlib import Path
from samovar.hub import atomic
from samovar.hub.atomic import write_beside, write_file

def save(target, size=10):
    with write_beside(target) as beside:
        (beside / "config.json").write_text("new config")
        (beside / "model.safetensors").write_text("new weights".ljust(size))
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SAVE + program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_file_that_the_system_refuses_to_grow(tmp_path: Path) -> None:
    """A limit on file sizes stops a real write in the middle, as a full disk does."""
    target = fill(tmp_path / "model", OLD)
    program = """
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for attempt in (lambda: save(sys.argv[1], 1_000_000), lambda: write_file(sys.argv[1] + "/vocab.txt", "x" * 1_000_000)):
    try:
        attempt()
    except Exception as error:
        print(type(error).__name__, error)
"""
    done = run(program, str(target))
    assert done.stdout.count("SaveError") == 2, done.stderr
    assert os.strerror(errno.EFBIG) in done.stdout
    assert contents(target) == OLD
    assert os.listdir(tmp_path) == ["model"]


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    """The safetensors library reports a failed write as an error of its own."""
    target = fill(tmp_path / "model", OLD)
    program = """
import numpy
from safetensors.numpy import save_file
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
with write_beside(sys.argv[1]) as beside:
    save_file({"weight": numpy.zeros(1_000_000)}, beside / "model.safetensors")
"""
    assert "samovar.errors.SaveError" in run(program, str(target)).stderr
    assert contents(target) == OLD
    assert os.listdir(tmp_path) == ["model"]


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    target = fill(tmp_path / "model", OLD)
    program = """
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
for attempt in (lambda: save(sys.argv[1]), lambda: write_file(sys.argv[1] + "/vocab.txt", "x")):
    try:
        attempt()
    except Exception as error:
        print(type(error).__name__, error)
"""
    folders = [target, *(folder for folder in target.parents if folder.owner() == target.owner())]
    modes = [folder.stat().st_mode & 0o777 for folder in folders]
    try:
        for folder in folders[2:]:
            if folder.stat().st_mode & 0o055 != 0o055:
                folder.chmod(0o755)
        tmp_path.chmod(0o555)
        target.chmod(0o555)
        done = run(program, str(target))
    finally:
        for folder, mode in zip(folders, modes, strict=True):
            folder.chmod(mode)
    assert done.stdout.count("SaveError") == 2, done.stderr
    assert "Permission denied" in done.stdout
    assert contents(target) == OLD


# Killed saves -----------------------------------------------------------------------------------------------------

# Each takes the process down with SIGKILL at one step of a save.
POINTS = {
    "while writing": ("builtins", "open", "before"),
    "before flushing": ("samovar.hub.atomic", "flush_tree", "before"),
    "while linking old files": ("samovar.hub.atomic", "carry_over", "before"),
    "after linking old files": ("samovar.hub.atomic", "carry_over", "after"),
    "before the exchange": ("samovar.hub.atomic", "exchange", "before"),
    "after the exchange": ("samovar.hub.atomic", "exchange", "after"),
}
KILLED = """
import importlib
module, name, moment = sys.argv[2:5]
place = importlib.import_module(module)
original = getattr(place, name)
def killing(*arguments, **options):
    if moment == "after":
        original(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
def first_write(path, *arguments, **options):
    file = original(path, *arguments, **options)
    if "model.safetensors" in str(path):
        file.write("half"); file.flush(); os.kill(os.getpid(), signal.SIGKILL)
    return file
if name == "open":
    import io
    io.open = first_write
else:
    setattr(place, name, killing)
save(sys.argv[1])
"""


@pytest.mark.parametrize("point", POINTS)
def test_killed_save_leaves_a_whole_folder_and_the_next_save_tidies(tmp_path: Path, point: str) -> None:
    target = fill(tmp_path / "model", OLD)
    done = run(KILLED, str(target), *POINTS[point])
    assert done.returncode == -signal.SIGKILL, done.stderr
    expected = MERGED if point == "after the exchange" else OLD
    assert {name: text.strip() for name, text in contents(target).items()} == expected
    assert len(os.listdir(tmp_path)) == 2  # what the killed process left
    with write_beside(target) as beside:
        fill(beside, {"config.json": "third"})
    assert os.listdir(tmp_path) == ["model"]
    assert contents(target)["config.json"] == "third"
    assert contents(target)["runs/log.txt"] == "log"


def test_killed_between_two_renames_is_recovered(tmp_path: Path) -> None:
    target = fill(tmp_path / "model", OLD)
    program = """
def absent(first, second): raise OSError(38, "no renameat2")
atomic.exchange = absent
rename = os.rename
def first_rename_only(source, destination):
    rename(source, destination)
    os.kill(os.getpid(), signal.SIGKILL)
os.rename = first_rename_only
save(sys.argv[1])
"""
    done = run(program, str(target))
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not target.exists()
    assert recover(target)
    assert not recover(target)
    assert contents(target) == OLD


def test_killed_file_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("old")
    program = """
os.replace = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
write_file(sys.argv[1], "new")
"""
    assert run(program, str(path)).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_file(path, "newer")
    assert contents(tmp_path) == {"config.json": "newer"}


def test_a_living_save_is_not_taken_for_a_stale_one(tmp_path: Path) -> None:
    with write_beside(tmp_path / "model") as beside:
        fill(beside, NEW)
        assert run("save(sys.argv[1])", str(tmp_path / "model")).returncode == 0
        assert contents(beside) == NEW
    assert contents(tmp_path / "model") == NEW


def test_recover_leaves_what_is_there(tmp_path: Path) -> None:
    target = fill(tmp_path / "model", OLD)
    fill(tmp_path / ".model.samovar-old", {"config.json": "older"})
    assert not recover(target)
    assert contents(target) == OLD
