"""Names to files: local folders, the cache and a real endpoint on this machine.

`huggingface_hub` reads its environment when it is imported, so everything about the cache and the endpoint runs in a
process of its own.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import HubServer, Repository

from samovar.errors import FileMissingError, InputTypeError, ModelNotFoundError, UnsafeFileError
from samovar.hub.source import Source

FIRST, SECOND = "1" * 40, "2" * 40

# Runs an expression over `Source`, printing its value or the error as JSON, and what sockets were used.
PROGRAM = """
import json, sys
sockets = []
sys.addaudithook(lambda event, arguments: sockets.append(event) if event in (
    "socket.connect", "socket.getaddrinfo", "socket.__new__", "socket.bind", "socket.sendto") else None)
from pathlib import Path
from samovar.errors import SamovarError
from samovar.hub.source import Source
def text(path): return None if path is None else path.read_text()
try:
    result = {"value": eval(sys.argv[1])}
except SamovarError as error:
    result = {"error": type(error).__name__, "cause": error.cause, "next": error.next_step}
print(json.dumps({**result, "sockets": sockets}))
"""


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(
        {
            "tea/black": Repository(
                commits={
                    FIRST: {"config.json": b"old config", "weights.txt": b"old weights", "onnx/config.json": b"inner"},
                    SECOND: {"config.json": b"new config", "weights.txt": b"new weights"},
                },
                branches={"main": FIRST, "next": SECOND},
            ),
            "tea/gated": Repository(commits={FIRST: {}}, branches={"main": FIRST}, gated=True),
            "tea/private": Repository(
                commits={FIRST: {"config.json": b"secret"}}, branches={"main": FIRST}, token="hf_good"
            ),
        }
    ) as server:
        yield server


class Client:
    """Runs expressions in new processes that share one cache."""

    def __init__(self, cache: Path, endpoint: str) -> None:
        self.cache, self.endpoint = cache, endpoint

    def __call__(self, expression: str, stderr: int = subprocess.PIPE, **environment: str) -> dict[str, Any]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, expression],
            env={**inherited, "HF_HOME": str(self.cache), "HF_ENDPOINT": self.endpoint, **environment},
            cwd=self.cache,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return {**json.loads(done.stdout.splitlines()[-1]), "stderr": done.stderr}


@pytest.fixture
def client(hub: HubServer, tmp_path: Path) -> Client:
    return Client(tmp_path, hub.url)


# Local folders ----------------------------------------------------------------------------------------------------


def test_local_folder_gives_its_own_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "inner.txt").write_text("x")
    source = Source(tmp_path)
    assert source.is_local
    assert source.name == str(tmp_path)
    assert source.file("config.json") == tmp_path / "config.json"
    assert source.file("absent.json") is None
    assert source.file("part") is None  # a folder is no file
    assert source.file("part/inner.txt") == tmp_path / "part" / "inner.txt"
    assert source.first("absent.json", "config.json") == tmp_path / "config.json"
    assert source.first("absent.json") is None
    assert Source(str(tmp_path), subfolder="part").require("inner.txt") == tmp_path / "part" / "inner.txt"


def test_missing_file_names_what_is_there_nearest_first(tmp_path: Path) -> None:
    for name in ("aaa.txt", "config.jsn", "vocab.txt"):
        (tmp_path / name).write_text("")
    with pytest.raises(FileMissingError) as caught:
        Source(tmp_path).require("config.json", why="It names the architecture.")
    assert (
        "has no config.json. It names the architecture. It holds config.jsn, aaa.txt, vocab.txt" in caught.value.cause
    )
    assert caught.value.next_step


def test_missing_file_points_to_the_subfolder_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(FileMissingError, match="The subfolder model has one"):
        Source(tmp_path).require("config.json")


def test_folder_that_does_not_exist_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    with pytest.raises(ModelNotFoundError, match="Did you mean 'my-model'"):
        Source(tmp_path / "my-modle")


def test_file_instead_of_folder_is_explained(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("")
    with pytest.raises(ModelNotFoundError, match=r"is a file, not a folder") as caught:
        Source(str(tmp_path / "model.safetensors"))
    assert str(tmp_path) in caught.value.next_step


@pytest.mark.parametrize("name", ["", "two words", "owner/name.git", "a--b", "a..b", "-x", "owner/na\0me", "naïve"])
def test_names_that_nothing_can_have(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match="neither a folder on this machine nor a repository's id"):
        Source(name)


@pytest.mark.parametrize("name", ["./absent", "/absent/model", "~/absent", "a/b/c", "~nobody-here/x"])
def test_paths_are_never_taken_for_repositories(name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="There is no folder"):
        Source(name)


@pytest.mark.parametrize("name", [None, 3, b"bert", ["bert"]])
def test_names_of_another_type(name: Any) -> None:
    with pytest.raises(InputTypeError, match="name or path expected, got"):
        Source(name)


@pytest.mark.parametrize("filename", ["../secret", "/etc/passwd", "a/../../b", "", "a\\..\\b", "C:/x", "x\0y"])
def test_file_names_cannot_lead_out(filename: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret").write_text("")
    with pytest.raises(UnsafeFileError):
        Source(tmp_path / "model").file(filename)
    with pytest.raises(UnsafeFileError):
        Source("tea/black").file(filename)
    if filename:
        with pytest.raises(UnsafeFileError):
            Source(tmp_path / "model", subfolder=filename)


def test_folder_left_between_two_renames_is_found(tmp_path: Path) -> None:
    (tmp_path / ".model.samovar-old").mkdir()
    (tmp_path / ".model.samovar-old" / "config.json").write_text("{}")
    assert Source(tmp_path / "model").file("config.json") == tmp_path / "model" / "config.json"


# Cache and endpoint -----------------------------------------------------------------------------------------------


def test_first_use_downloads_and_later_uses_open_no_socket(hub: HubServer, client: Client) -> None:
    wanted = "[text(s.file(n)) for s in [Source('tea/black')] for n in ('config.json', 'absent.json', 'weights.txt')]"
    first = client(wanted)
    assert first["value"] == ["old config", None, "old weights"]
    assert "socket.connect" in first["sockets"]
    seen = len(hub.requests)
    again = client(wanted)
    assert again["value"] == first["value"]
    assert again["sockets"] == []
    assert len(hub.requests) == seen


def test_a_download_shows_its_progress_in_a_terminal(hub: HubServer, client: Client) -> None:
    hub.repositories["tea/black"].commits[FIRST]["weights.txt"] = b"x" * 3_000_000
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    client("Source('tea/black').require('weights.txt').name", stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "weights.txt" in shown
    assert "3.00M/3.00M" in shown


def test_offline_opens_no_socket_whether_cached_or_not(client: Client) -> None:
    client("text(Source('tea/black').file('config.json'))")
    for expression, environment in (
        ("[text(Source('tea/black').file('config.json')), Source('tea/black').file('weights.txt')]", "1"),
        ("[text(s.file(n)) for s in [Source('tea/black', local_files_only=True)] for n in ('config.json', 'no')]", "0"),
    ):
        result = client(expression, HF_HUB_OFFLINE=environment)
        assert result["value"] == ["old config", None]
        assert result["sockets"] == []
    missing = client("Source('tea/black').require('weights.txt')", HF_HUB_OFFLINE="1")
    assert missing["error"] == "OfflineError"
    assert "The cache holds config.json. The network is off." in missing["cause"]
    unknown = client("Source('tea/blakc').file('config.json')", HF_HUB_OFFLINE="1")
    assert unknown["error"] == "OfflineError"
    assert "Did you mean 'tea/black'?" in unknown["next"]
    assert unknown["sockets"] == missing["sockets"] == []


def test_files_of_one_source_come_from_one_commit(hub: HubServer, client: Client) -> None:
    client("text(Source('tea/black').file('config.json'))")
    hub.repositories["tea/black"].branches["main"] = SECOND
    mixed = "[text(s.file(n)) for s in [Source('tea/black'{})] for n in ('config.json', 'weights.txt')] + [s.commit]"
    pinned = mixed.replace("+ [s.commit]", "")
    assert client(pinned.format(""))["value"] == ["old config", "old weights"]
    assert client(pinned.format(", force_download=True"))["value"] == ["new config", "new weights"]
    assert client(pinned.format(""))["value"] == ["new config", "new weights"]
    assert client(pinned.format(f", revision='{FIRST}'"))["value"] == ["old config", "old weights"]


def test_revision_and_subfolder_choose(client: Client) -> None:
    result = client("text(Source('tea/black', revision='next').require('config.json'))")
    assert result["value"] == "new config"
    assert client("text(Source('tea/black', subfolder='onnx').require('config.json'))")["value"] == "inner"


def test_unknown_revision_is_said(client: Client) -> None:
    result = client("Source('tea/black', revision='v9').file('config.json')")
    assert result["error"] == "ModelNotFoundError"
    assert "tea/black has no revision 'v9'" in result["cause"]


def test_unknown_repository_names_near_folders_and_cached_ids(client: Client) -> None:
    client("text(Source('tea/black').file('config.json'))")
    (client.cache / "tea").mkdir()
    (client.cache / "tea" / "blank").mkdir()
    result = client("Source('tea/blackk').file('config.json')")
    assert result["error"] == "ModelNotFoundError"
    assert "neither a folder on this machine nor a repository on http://127.0.0.1" in result["cause"]
    assert "'tea/black'" in result["next"]
    assert "'tea/blank'" in result["next"]
    assert "'tea/black'" in client("Source('black').file('config.json')")["next"]


def test_missing_file_of_a_repository(client: Client) -> None:
    result = client("Source('tea/black').require('absent.json', why='It is needed.')")
    assert result["error"] == "FileMissingError"
    assert "tea/black has no absent.json. It is needed." in result["cause"]


def test_gated_and_private_repositories_say_how_to_get_in(client: Client) -> None:
    gated = client("Source('tea/gated').file('config.json')")
    assert gated["error"] == "ModelNotFoundError"
    assert "gated" in gated["cause"]
    assert "HF_TOKEN" in gated["next"]
    private = client("Source('tea/private').file('config.json')")
    assert private["error"] == "ModelNotFoundError"
    assert "refused tea/private to an anonymous request (HTTP 403)" in private["cause"]
    assert "HF_TOKEN" in private["next"]
    wrong = client("Source('tea/private', token='hf_bad').file('config.json')")
    assert "the account of your token" in wrong["cause"]
    assert client("text(Source('tea/private', token='hf_good').file('config.json'))")["value"] == "secret"
    with_variable = client("text(Source('tea/private').file('config.json'))", HF_TOKEN="hf_good")
    assert with_variable["value"] == "secret"


def test_endpoint_out_of_reach(hub: HubServer, client: Client) -> None:
    client("text(Source('tea/black').file('config.json'))")
    hub.server.shutdown()
    hub.server.server_close()
    cached = client("[text(s.file(n)) for s in [Source('tea/black')] for n in ('config.json', 'a.txt', 'b.txt')]")
    assert cached["value"] == ["old config", None, None]
    assert "goes on with the files that are cached, without a.txt" in cached["stderr"]
    unknown = client("Source('tea/green').file('config.json')")
    assert unknown["error"] == "OfflineError"
    assert "cannot be reached" in unknown["cause"]
    assert "HF_ENDPOINT" in unknown["next"]
