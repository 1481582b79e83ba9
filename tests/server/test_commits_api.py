"""Commits as the stock client makes them, and as nobody should."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
from urllib.parse import quote, urlsplit

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete
from huggingface_hub.errors import (
    BadRequestError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

CARD = b"---\nlicense: mit\n---\n# Card\n"


@pytest.fixture
def repo(hub, request):
    """A repository of this test's own."""
    name = f"alice/{request.node.name.partition('[')[0].replace('_', '-')[:60].strip('-')}"
    hub.alice.delete_repo(name, missing_ok=True)
    hub.alice.create_repo(name)
    return name


def content(hub, repo, path, revision="main"):
    """What a file holds."""
    answer = httpx.get(f"{hub.url}/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}")
    assert answer.status_code == 200, answer.text
    return answer.content


def post(hub, repo, body, revision="main", token=None, **params):
    """Send a body to the route of commits; the answer."""
    return httpx.post(
        f"{hub.url}/api/models/{repo}/commit/{quote(revision, safe='')}", content=body, params=params,
        headers={"Authorization": f"Bearer {token or hub.alice.token}", "Content-Type": "application/x-ndjson"},
    )  # fmt: skip


def lines(*operations, summary="a change", **header):
    """A body of these operations, with a header."""
    every = [("header", {"summary": summary, **header}), *operations]
    return b"\n".join(json.dumps({"key": key, "value": value}).encode() for key, value in every)


def added(path, data=b"x"):
    """An operation that adds a file."""
    return "file", {"path": path, "content": base64.b64encode(data).decode(), "encoding": "base64"}


def test_upload_file_and_read_it_back(hub, repo):
    api = hub.alice
    info = api.upload_file(repo_id=repo, path_or_fileobj=CARD, path_in_repo="README.md", commit_message="Add it")
    assert info.commit_url == f"{hub.url}/{repo}/commit/{info.oid}"
    assert api.model_info(repo).sha == info.oid
    commits = api.list_repo_commits(repo)
    assert [(one.commit_id, one.title, one.authors) for one in commits[:1]] == [(info.oid, "Add it", ["alice"])]
    assert content(hub, repo, "README.md") == CARD
    again = api.upload_file(repo_id=repo, path_or_fileobj=CARD, path_in_repo="README.md")
    assert again.oid == info.oid
    assert len(api.list_repo_commits(repo)) == 2


def test_upload_folder_respects_gitignore_and_keeps_names(hub, repo, tmp_path):
    odd = ["a b.txt", "ü/日本.txt", "x#y?z%.txt", "deep/1/2/3/4/5/6/7/8.txt", "quo'te\".txt", "plus+.txt", "skip.log"]
    for name in odd:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".gitignore").write_text("*.log\n")
    hub.alice.upload_folder(repo_id=repo, folder_path=tmp_path)
    assert set(hub.alice.list_repo_files(repo)) == {*odd[:-1], ".gitattributes", ".gitignore"}
    for name in odd[:-1]:
        assert content(hub, repo, name) == name.encode()
    # The ignore file of the repository holds for those who do not send it.
    hub.alice.upload_file(repo_id=repo, path_or_fileobj=b"x", path_in_repo="other.log")
    assert "other.log" not in hub.alice.list_repo_files(repo)


def test_operations_of_every_kind_in_one_commit(hub, repo):
    api = hub.alice
    start = [CommitOperationAdd(path, path.encode()) for path in ("a.txt", "d/1.txt", "d/2.txt", "e/f/g.txt", "h.txt")]
    api.create_commit(repo, start, commit_message="Begin")
    api.create_commit(
        repo,
        [
            CommitOperationAdd("new.txt", b"new"),
            CommitOperationAdd("a.txt", b"changed"),
            CommitOperationDelete("d/"),
            CommitOperationDelete("e/f/g.txt"),
            CommitOperationCopy("h.txt", "copies/h.txt"),
        ],
        commit_message="Everything",
        commit_description="Line one\n\nLine two",
    )
    assert set(api.list_repo_files(repo)) == {".gitattributes", "a.txt", "copies/h.txt", "h.txt", "new.txt"}
    assert content(hub, repo, "a.txt") == b"changed"
    assert content(hub, repo, "copies/h.txt") == b"h.txt"
    assert api.list_repo_commits(repo)[0].message == "Line one\n\nLine two"
    api.delete_file("h.txt", repo)
    api.delete_folder("copies", repo)
    assert set(api.list_repo_files(repo)) == {".gitattributes", "a.txt", "new.txt"}


def test_deleting_what_is_not_there(hub, repo):
    before = hub.alice.model_info(repo).sha
    with pytest.raises(RemoteEntryNotFoundError, match="A file with this name doesn't exist"):
        hub.alice.delete_file("nope.txt", repo)
    for path in ("nope", ".gitattributes", "a/b/c"):
        with pytest.raises(RemoteEntryNotFoundError):
            hub.alice.delete_folder(path, repo)
    assert hub.alice.model_info(repo).sha == before


def test_a_parent_that_is_not_the_head(hub, repo):
    api = hub.alice
    first = api.upload_file(repo_id=repo, path_or_fileobj=b"1", path_in_repo="a")
    second = api.upload_file(repo_id=repo, path_or_fileobj=b"2", path_in_repo="a", parent_commit=first.oid)
    with pytest.raises(HfHubHTTPError) as error:
        api.upload_file(repo_id=repo, path_or_fileobj=b"3", path_in_repo="a", parent_commit=first.oid)
    assert error.value.response.status_code == 412
    assert api.model_info(repo).sha == second.oid
    for parent in ("", "x", "0" * 40, first.oid.upper()):
        assert post(hub, repo, lines(added("a", b"4"), parentCommit=parent)).status_code == 412


def test_only_branches_take_commits(hub, repo):
    hub.alice.create_tag(repo, tag="v1")
    sha = hub.alice.model_info(repo).sha
    for revision in ("nope", "v1", sha, "refs/tags/v1", "refs/pr/7", "../main", "main.lock", "a b", "\0", "refs/x"):
        answer = post(hub, repo, lines(added("a")), revision=revision)
        assert (answer.status_code, answer.headers.get("x-error-code")) == (404, "RevisionNotFound"), revision
    with pytest.raises(RevisionNotFoundError):
        hub.alice.upload_file(repo_id=repo, path_or_fileobj=b"1", path_in_repo="a", revision="nope")
    hub.alice.create_branch(repo, branch="feature/x")
    hub.alice.upload_file(repo_id=repo, path_or_fileobj=b"1", path_in_repo="a", revision="feature/x")
    assert "a" not in hub.alice.list_repo_files(repo)
    assert "a" in hub.alice.list_repo_files(repo, revision="feature/x")


HOSTILE = [
    "", "/", "..", ".", "../x", "a/../b", "a/./b", "/etc/passwd", "a//b", "a/", "C:\\x", "a\\b", "..\\x", "a\0b",
    "a\nb",
    ".git/config", ".GIT/config", "a/.git/hooks/pre-receive", ".git", "git~1", "GIT~2", ".git. ", ".git::$INDEX",
    ".g\u200cit/config", "\uff0e\uff0e/x", "\u2024\u2024/x", "a/\uff0e\uff47\uff49\uff54/x", "x\ud800", "x\ufffd",
    "/".join(["a"] * 10_000), "a" * 256, "a/" * 600 + "b", "\x7f", "\x1b[31m",
]  # fmt: skip


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_paths_that_lead_anywhere_else(hub, repo, path):
    before = hub.alice.model_info(repo).sha
    operations = [
        added(path),
        ("lfsFile", {"path": path, "algo": "sha256", "oid": "a" * 64, "size": 1}),
        ("deletedFile", {"path": path}),
    ]
    for operation in operations:
        answer = post(hub, repo, lines(operation))
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.headers["x-error-message"]
    files = {"files": [{"path": path, "sample": "", "size": 1}]}
    body = json.dumps(files).encode()
    answer = httpx.post(
        f"{hub.url}/api/models/{repo}/preupload/main", content=body,
        headers={"Authorization": f"Bearer {hub.alice.token}", "Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 400
    assert hub.alice.model_info(repo).sha == before


def test_a_file_cannot_be_where_a_folder_is(hub, repo):
    assert post(hub, repo, lines(added("d/x"), added("f"))).status_code == 200
    for operation in (added("d"), added("f/x"), added("f/x/y")):
        answer = post(hub, repo, lines(operation))
        assert answer.status_code == 400
        assert "Delete it first" in answer.json()["error"]
    assert post(hub, repo, lines(("deletedFolder", {"path": "d"}), added("d"))).status_code == 200
    assert post(hub, repo, lines(("deletedFile", {"path": "f"}), added("f/x"))).status_code == 200
    assert set(hub.alice.list_repo_files(repo)) == {".gitattributes", "d", "f/x"}


WRONG = [
    b"",
    b"\n\n",
    b"not json",
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"key":"header"}',
    b'{"key":"header","value":{"summary":1}}',
    b'{"key":"header","value":{"summary":""}}',
    b'{"key":"header","value":{"summary":"x\\u0000y"}}',
    b'{"key":"header","value":{"summary":"x","description":{}}}',
    b'{"key":"header","value":{"summary":"\\ud800"}}',
    json.dumps({"key": "header", "value": {"summary": "x" * 600}}).encode(),
    lines(("file", {"path": "a", "content": "!!!!", "encoding": "base64"})),
    lines(("file", {"path": "a", "content": "QQ", "encoding": "base64"})),
    lines(("file", {"path": "a", "content": "QQ==", "encoding": "utf-8"})),
    lines(("file", {"path": "a"})),
    lines(("file", {"path": 1, "content": "QQ==", "encoding": "base64"})),
    lines(("file", {"path": None, "content": "QQ==", "encoding": "base64"})),
    lines(("file", {"content": "QQ==", "encoding": "base64"})),
    lines(("file", {"path": "a", "content": ["QQ=="], "encoding": "base64"})),
    lines(("lfsFile", {"path": "a", "algo": "md5", "oid": "a" * 64})),
    lines(("lfsFile", {"path": "a", "algo": "sha256", "oid": "A" * 64})),
    lines(("lfsFile", {"path": "a", "algo": "sha256", "oid": "../" + "a" * 61})),
    lines(("lfsFile", {"path": "a", "algo": "sha256", "oid": 7})),
    lines(("lfsFile", {"path": "a", "algo": "sha256", "oid": "a" * 64, "size": -1})),
    lines(("lfsFile", {"path": "a", "algo": "sha256", "oid": "a" * 64, "size": True})),
    lines(("lfsFile", {"path": "a", "algo": "sha256", "oid": "a" * 64, "size": 1.5})),
    lines(("lfsFile", {"path": ".gitattributes", "algo": "sha256", "oid": "a" * 64, "size": 1})),
    lines(("deletedFile", {})),
    lines(("deletedFolder", {"path": "/"})),
    lines(("somethingElse", {"path": "a"})),
    lines(added("a")).partition(b"\n")[2],
    b"[" * 50_000,
    b'{"key":' + b"9" * 5000 + b"}",
]


@pytest.mark.parametrize("body", WRONG, ids=range(len(WRONG)))
def test_bodies_that_make_no_sense_change_nothing(hub, repo, body):
    before = hub.alice.model_info(repo).sha
    answer = post(hub, repo, body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["x-error-message"]
    assert hub.alice.model_info(repo).sha == before


def test_a_hash_alone_is_not_a_file(hub, repo):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12\n"
    for operation in (
        ("lfsFile", {"path": "a.bin", "algo": "sha256", "oid": "a" * 64, "size": 12}),
        ("lfsFile", {"path": "a.bin", "algo": "sha256", "oid": "a" * 64}),
        added("a.bin", pointer),
    ):
        answer = post(hub, repo, lines(operation))
        assert answer.status_code == 422
        assert "a.bin" in answer.json()["error"]


def test_what_git_itself_would_stumble_over_is_refused(hub, repo):
    for path, data in {
        ".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch /tmp/x\n',
        "GITMOD~1": b'[submodule "../x"]\n\tpath = x\n\turl = x\n',
        "sub/.gitattributes": b"x" * 5000 + b" text\n",
    }.items():
        answer = post(hub, repo, lines(added(path, data)))
        assert answer.status_code in (200, 422), answer.text
    for folder in hub.data.glob("repositories/*/*.git"):
        subprocess.run(["git", "-C", folder, "fsck", "--full", "--strict"], check=True, capture_output=True)


def test_a_file_too_large_for_git_is_refused_while_it_arrives(hub, repo):
    body = lines(added("big.txt", b"x" * (11 * 2**20)))
    answer = post(hub, repo, body)
    assert answer.status_code == 413
    assert "LFS or Xet" in answer.json()["error"]


@pytest.mark.parametrize("piece", [b'{"key":"deletedFile","value":{"path":"x"}}\n' * 1500, b"x" * 2**16, b"\n" * 2**16])
def test_an_endless_body_is_cut_off(hub, repo, piece):
    """The Hub answers and closes long before whoever sends has an end."""
    address = urlsplit(hub.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as raw:
        head = f"POST /api/models/{repo}/commit/main HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        raw.sendall(f"{head}Authorization: Bearer {hub.alice.token}\r\n\r\n".encode())
        chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
        sent = 0
        with pytest.raises((ConnectionError, BrokenPipeError)):  # noqa: PT012
            while sent < 4 * 2**30:
                raw.sendall(chunk)
                sent += len(chunk)
    assert hub.alice.list_repo_files(repo) == [".gitattributes"]


def test_preupload_says_which_way_each_file_goes(hub, repo):
    hub.alice.upload_file(repo_id=repo, path_or_fileobj=b"text", path_in_repo="there.txt")
    files = {
        "there.txt": (b"text", 4),
        "model.safetensors": (b"text", 4),
        "README.md": (b"text", 2**21),
        "long.txt": (b"text", 2**20),
        "short.txt": ("ü".encode() * 255 + b"\xc3", 2000),
        "binary": (b"\x00\x01", 2),
        "latin": (b"caf\xe9 and more text behind it", 27),
        "empty.bin": (b"", 0),
        "a/b/c.txt": (b"x", 1),
    }
    body = {
        "files": [
            {"path": path, "sample": base64.b64encode(sample).decode(), "size": size}
            for path, (sample, size) in files.items()
        ],
        "gitIgnore": "a/\n",
    }
    answer = httpx.post(
        f"{hub.url}/api/models/{repo}/preupload/main", json=body, headers={"Authorization": f"Bearer {hub.alice.token}"}
    ).json()["files"]
    large = {"model.safetensors", "long.txt", "binary", "latin"}
    assert {one["path"]: one["uploadMode"] for one in answer} == {
        path: "lfs" if path in large else "regular" for path in files
    }
    assert [one["path"] for one in answer if one["shouldIgnore"]] == ["a/b/c.txt"]
    blob = {one.path: one.blob_id for one in hub.alice.get_paths_info(repo, ["there.txt"])}
    assert [one.get("oid") for one in answer if "oid" in one] == [blob["there.txt"]]


def test_large_files_come_with_a_rule_for_git_lfs(hub, repo):
    data = os.urandom(2**20)
    hub.alice.upload_file(repo_id=repo, path_or_fileobj=data, path_in_repo="odd name [1].data")
    rules = content(hub, repo, ".gitattributes").decode()
    assert "odd[[:space:]]name[[:space:]]\\[1\\].data filter=lfs" in rules
    hub.alice.upload_file(repo_id=repo, path_or_fileobj=data, path_in_repo="b.bin")
    assert content(hub, repo, ".gitattributes").decode() == rules
    copied = hub.alice.create_commit(repo, [CommitOperationCopy("b.bin", "c/b.bin")], commit_message="Copy")
    (info,) = hub.alice.get_paths_info(repo, ["c/b.bin"])
    assert info.lfs is not None
    assert info.lfs.size == info.size == len(data)
    assert content(hub, repo, "c/b.bin", copied.oid) == data


def test_card_with_broken_yaml_is_told_before_the_commit(hub, repo):
    with pytest.raises(ValueError, match="YAML"):
        hub.alice.upload_file(repo_id=repo, path_or_fileobj=b"---\na: [\n---\n", path_in_repo="README.md")
    assert hub.alice.list_repo_files(repo) == [".gitattributes"]
    for body in (b"x", b"{}", b'{"content": 1}'):
        answer = httpx.post(f"{hub.url}/api/validate-yaml", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_repositories_that_are_not_for_the_callers_eyes(hub, repo):
    with pytest.raises((RepositoryNotFoundError, BadRequestError)):
        hub.bob.upload_file(repo_id="alice/absent", path_or_fileobj=b"x", path_in_repo="x")
    assert post(hub, repo, lines(added("a")), token=hub.bob.token).status_code == 403
    assert post(hub, repo, lines(added("a")), token="hf_wrong").status_code == 401
