"""`samovar login`, `whoami`, `upload`, `search` and `download` against a real Hub, each in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driving import PROGRAM

from samovar.cli.search import short, table

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))

from browser import Browser
from running_hub import RunningHub

pytestmark = pytest.mark.slow

CARDS = {
    "tea-classifier": "---\npipeline_tag: text-classification\nlanguage: ru\nlicense: mit\nlibrary_name: transformers\n"
    "datasets:\n- owner/films\n---\n# Tea\n",
    "tea-writer": "---\npipeline_tag: text-generation\nlanguage: en\nlicense: apache-2.0\n---\n# Tea\n",
}


class Shell:
    """Runs commands as one person, who has a home folder."""

    def __init__(self, home: Path, endpoint: str) -> None:
        home.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | {
            "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip

    def __call__(self, *given: Any, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        source = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run(
            [*PROGRAM, *map(str, given)], env=self.environment | environment, capture_output=True, text=True,
            timeout=120, check=False, **source,
        )  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    hub = RunningHub(tmp_path_factory.mktemp("hub") / "data")
    hub.start()
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def token(served: RunningHub) -> str:
    return served.add_user("alice")


@pytest.fixture(scope="module")
def alice(served: RunningHub, token: str, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Logged in, with two models on the Hub."""
    shell = Shell(tmp_path_factory.mktemp("alice") / "home", served.url)
    done = shell("login", stdin=f"{token}\n")
    assert done.returncode == 0, done.stderr
    folder = tmp_path_factory.mktemp("models")
    for name, card in CARDS.items():
        (folder / name / "onnx").mkdir(parents=True)
        (folder / name / "README.md").write_text(card)
        (folder / name / "config.json").write_text("{}")
        (folder / name / "weights.bin").write_bytes(bytes(64))
        (folder / name / "onnx" / "config.json").write_text('{"a": 1}')
        done = shell("upload", name, folder / name)
        assert done.returncode == 0, done.stderr
        assert f"{served.url}/alice/{name}/commit/" in done.stdout
    return shell


@pytest.fixture
def nobody(served: RunningHub, tmp_path: Path) -> Shell:
    return Shell(tmp_path / "nobody", served.url)


# Who one is -------------------------------------------------------------------------------------------------------


def test_login_whoami_and_logout(nobody: Shell, served: RunningHub, token: str) -> None:
    assert nobody("whoami").returncode == 1
    assert "samovar login" in nobody("whoami").stderr
    done = nobody("login", "--token", token)
    assert done.stdout == f"Logged in to {served.url} as alice.\n"
    assert done.stderr == ""
    assert token not in done.stdout
    said = json.loads(nobody("whoami", "--json").stdout)
    assert said == {"name": "alice", "endpoint": served.url, "role": "write", "organizations": []}
    assert nobody("whoami").stdout.startswith("alice\n")
    assert nobody("logout").stdout == "Logged out.\n"
    assert nobody("logout").stdout == "Not logged in.\n"
    assert nobody("whoami").returncode == 1
    assert json.loads(nobody("whoami", "--json", HF_TOKEN=token).stdout)["name"] == "alice"


def test_a_wrong_token_is_not_kept(nobody: Shell) -> None:
    done = nobody("login", "--token", "hf_wrong")
    assert done.returncode == 1
    assert "the token is not valid" in done.stderr
    assert "Traceback" not in done.stderr
    assert nobody("login", stdin="\n").stderr.startswith("error: No token was given.")
    assert nobody("whoami").returncode == 1


def test_the_endpoint_may_be_an_option(nobody: Shell, served: RunningHub, token: str) -> None:
    elsewhere = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    assert "cannot be reached" in nobody("whoami", "--token", token, **elsewhere).stderr
    done = nobody("whoami", "--token", token, "--endpoint", f"{served.url}/", **elsewhere)
    assert done.stdout.startswith("alice\n")
    assert "is no address" in nobody("whoami", "--endpoint", "localhost").stderr


def test_a_token_that_is_typed_is_not_shown(nobody: Shell, token: str) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, "login"], env=nobody.environment, stdin=slave, stdout=subprocess.PIPE, stderr=slave,
        start_new_session=True, text=True,
    ) as process:  # fmt: skip
        os.close(slave)
        asked = b""
        while b"Token of" not in asked:
            asked += os.read(master, 1000)
        os.write(master, f"{token}\n".encode())
        out, _ = process.communicate(timeout=120)
    assert "as alice." in out
    os.close(master)


def test_a_login_can_be_confirmed_in_a_browser(nobody: Shell, served: RunningHub, alice: Shell) -> None:
    with subprocess.Popen(
        [*PROGRAM, "login", "--browser"], env=nobody.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        text=True, bufsize=1,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = ""
        while "enter the code" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        code = said.rpartition("enter the code: ")[2].split()[0]
        with Browser(served.url) as browser:
            browser.log_in("alice")
            browser.submit("/login/device", csrf=browser.csrf, code=code, decision="allow", role="write")
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said + rest
    assert rest.endswith(f"Logged in to {served.url} as alice.\n")
    assert nobody("whoami").stdout.startswith("alice\n")


# Finding ----------------------------------------------------------------------------------------------------------


def found(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stderr
    return sorted(json.loads(line)["id"] for line in done.stdout.splitlines())


def test_search(alice: Shell, nobody: Shell) -> None:
    both = ["alice/tea-classifier", "alice/tea-writer"]
    assert found(nobody("search", "tea", "--json")) == both
    for filters in (
        ["--task", "text-classification"], ["--language", "ru"], ["--license", "mit"], ["--dataset", "owner/films"],
        ["--library", "transformers", "--task", "text-classification"], ["classifier"],
    ):  # fmt: skip
        assert found(nobody("search", "--json", "--author", "alice", *filters)) == ["alice/tea-classifier"], filters
    assert found(nobody("search", "tea", "--limit", "1", "--sort", "likes", "--json"))[0] in both
    row = json.loads(nobody("search", "tea-writer", "--json").stdout)
    assert (row["task"], row["private"]) == ("text-generation", False)
    shown = nobody("search", "tea").stdout.splitlines()
    assert shown[0].split() == ["id", "task", "library", "downloads", "likes", "modified"]
    assert len(shown) == 3
    nothing = nobody("search", "no-such-thing-at-all")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "Nothing fits.\n")


def test_a_private_model_is_found_by_its_owner_only(alice: Shell, nobody: Shell, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert alice("upload", "alice/quiet-kettle", tmp_path / "config.json", "--private").returncode == 0
    assert found(alice("search", "quiet-kettle", "--json")) == ["alice/quiet-kettle"]
    assert "(private)" in alice("search", "quiet-kettle").stdout
    assert found(nobody("search", "quiet-kettle", "--json")) == []


def test_data_sets(alice: Shell, nobody: Shell, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlanguage: ru\ntask_categories:\n- text-classification\n---\n# Cups\n")
    assert alice("upload", "cups", tmp_path, "--type", "dataset").returncode == 0
    options = ("search", "--type", "datasets", "--task", "text-classification", "--language", "ru", "--json")
    assert found(nobody(*options)) == ["alice/cups"]
    path = nobody("download", "alice/cups", "README.md", "--type", "dataset").stdout.strip()
    assert "# Cups" in Path(path).read_text()


# Files up and down ------------------------------------------------------------------------------------------------


def test_download_into_the_cache_or_a_folder(alice: Shell, nobody: Shell, tmp_path: Path) -> None:
    path = Path(nobody("download", "alice/tea-writer", "--exclude", "*.bin").stdout.strip())
    assert sorted(one.relative_to(path).as_posix() for one in path.rglob("*") if one.is_file()) == [
        ".gitattributes", "README.md", "config.json", "onnx/config.json",
    ]  # fmt: skip
    one = nobody("download", "alice/tea-writer", "onnx/config.json", "--to", tmp_path / "one")
    assert Path(one.stdout.strip()) == tmp_path / "one" / "onnx" / "config.json"
    folder = nobody("download", "alice/tea-writer", "onnx/", "weights.bin", "--to", tmp_path / "two")
    assert folder.returncode == 0, folder.stderr
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert {"onnx", "weights.bin"} <= names
    assert "README.md" not in names
    # What is in the cache is there without a network too.
    again = nobody("download", "alice/tea-writer", "--exclude", "*.bin", HF_HUB_OFFLINE="1")
    assert again.stdout.strip() == str(path)


def test_upload_a_file_to_a_branch_and_as_a_proposal(alice: Shell, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("hot")
    done = alice(
        "upload", "alice/tea-writer", tmp_path / "notes.md", "docs/notes.md", "--revision", "next", "-m", "Say"
    )
    assert done.returncode == 0, done.stderr
    path = alice("download", "alice/tea-writer", "docs/notes.md", "--revision", "next").stdout.strip()
    assert Path(path).read_text() == "hot"
    assert "there is no such file" in alice("download", "alice/tea-writer", "docs/notes.md").stderr
    proposal = alice("upload", "alice/tea-writer", tmp_path / "notes.md", "--create-pr")
    assert "/alice/tea-writer/discussions/" in proposal.stdout, proposal.stderr


def test_refusals_are_two_lines(alice: Shell, nobody: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    cases = {
        "no alice/none that": nobody("download", "alice/none"),
        "no such revision": nobody("download", "alice/tea-writer", "--revision", "absent"),
        "needs a login": nobody("upload", "alice/x", tmp_path / "a.txt"),
        "There is no": alice("upload", "alice/x", tmp_path / "absent"),
        "cannot be a repository's id": alice("upload", "a/b/c", tmp_path / "a.txt"),
        "Uploading to somebody/x failed": alice("upload", "somebody/x", tmp_path / "a.txt"),
        "needs the network": nobody("search", "tea", HF_HUB_OFFLINE="1"),
        "cannot be reached": nobody("search", "tea", "--endpoint", "http://127.0.0.1:9"),
    }
    for words, done in cases.items():
        assert done.returncode == 1, words
        assert words in done.stderr
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.strip().splitlines()) == 2, done.stderr
        assert "\n  → " in done.stderr


# The table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200, None])
def test_the_table_fits(width: int | None) -> None:
    rows = [
        {"id": "owner/" + "x" * 60, "task": "text-classification", "library": "transformers", "downloads": 1_234_567,
         "likes": 9, "modified": "2026-11-27", "private": False, "tags": []},
        {"id": "a/b", "task": None, "library": None, "downloads": None, "likes": 1000, "modified": None,
         "private": True, "tags": []},
    ]  # fmt: skip
    lines = table(rows, width).splitlines()
    assert len(lines) == 3
    assert width is None or max(map(len, lines)) <= width
    assert ("x" * 60 in lines[1]) == (width in (200, None))
    assert "1.2M" in lines[1] or (width is not None and width < 80)


def test_numbers_are_short() -> None:
    assert [short(number) for number in (0, 999, 1000, 1_234_567, 2_000_000_000)] == [
        "0",
        "999",
        "1.0k",
        "1.2M",
        "2.0G",
    ]
