"""What an attacker sends: paths that lead out, names that git refuses, forged tickets, endless and poisoned bodies."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

PATHS = {
    "above": "../evil.txt", "deep above": "a/../../evil.txt", "absolute": "/etc/evil", "nul": "a\0b", "newline": "a\nb",
    "backslash": "a\\..\\evil", "drive": "C:\\evil", "git": ".git/config", "git in caps": ".GIT/hooks/post-update",
    "git for NTFS": "git~1/config", "git with stream": ".git::$INDEX_ALLOCATION/config", "git with dot": ".git./config",
    "git for HFS": ".g\u200cit/config", "wide dots": "\uff0e\uff0e/evil", "one dot": "a/./b", "nothing": "",
    "slash": "/", "two slashes": "a//b", "deep": "/".join(["a"] * 10_000), "long": "a" * 5000, "surrogate": "\ud800",
    "end slash": "a/", "bell": "a\x07",
}  # fmt: skip
REFERENCES = [
    "..", "a..b", "a b", "-x", "a.lock", "a/.b", "@{", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b",
    "\0", "refs/heads/x", "HEAD", "a" * 300, "a\x7f", "@", ".a", "a.", "0" * 40, "\ud800",
]  # fmt: skip


@pytest.fixture(scope="module")
def mallory(hub):
    """A client of a user with a repository `mallory/target`, a file in it and a branch."""
    token = hub.add_user("mallory")
    api = hub.client(token)
    api.create_repo("mallory/target")
    api.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="mallory/target")
    with httpx.Client(base_url=hub.url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        client.api = api
        yield client


def commit(client: httpx.Client, *lines: dict, revision: str = "main") -> httpx.Response:
    """A commit with these lines behind the header."""
    header = {"key": "header", "value": {"summary": "evil", "description": ""}}
    body = "".join(json.dumps(line) + "\n" for line in (header, *lines))
    return client.post(f"/api/models/mallory/target/commit/{quote(revision, safe='')}", content=body)


def head(client: httpx.Client) -> str:
    """The newest commit."""
    return client.api.model_info("mallory/target").sha


def escaped(text: str) -> str:
    """As a segment of an address, as far as it can be encoded at all."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.mark.parametrize("kind", PATHS)
def test_paths_that_lead_out_are_refused_everywhere(mallory, kind):
    path, before = PATHS[kind], head(mallory)
    sha256 = hashlib.sha256(b"x").hexdigest()
    for line in (
        {"key": "file", "value": {"path": path, "content": "eA==", "encoding": "base64"}},
        {"key": "lfsFile", "value": {"path": path, "algo": "sha256", "oid": sha256, "size": 1}},
        {"key": "deletedFile", "value": {"path": path}},
        {"key": "deletedFolder", "value": {"path": path + "/"}},
        {"key": "copyFile", "value": {"path": path, "srcPath": "config.json", "srcRevision": "main"}},
        {"key": "copyFile", "value": {"path": "b.json", "srcPath": path, "srcRevision": "main"}},
    ):
        assert 400 <= commit(mallory, line).status_code < 500, line["key"]
    one = escaped(path)
    for address in (
        f"/api/models/mallory/target/tree/main/{one}", f"/mallory/target/resolve/main/{one}",
        f"/mallory/target/raw/main/{one}", f"/api/models/mallory/target/treesize/main/{one}",
    ):  # fmt: skip
        if path.strip("/") or "resolve" in address or "raw" in address:
            assert mallory.get(address).status_code in (400, 404, 414), address
    asked = mallory.post("/api/models/mallory/target/paths-info/main", data={"paths": path.encode("utf-8", "replace")})
    assert asked.status_code < 500
    assert path not in [entry["path"] for entry in (asked.json() if asked.status_code == 200 else [])]
    asked = mallory.post(
        "/api/models/mallory/target/preupload/main", content=json.dumps({"files": [{"path": path, "size": 1}]}),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert asked.status_code < 500
    assert head(mallory) == before


def test_addresses_do_not_lead_to_files_of_the_machine(mallory, hub):
    for path in ("..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/secret", "....//secret", "%252e%252e%252fsecret"):
        for where in ("mallory/target/resolve/main", "mallory/target/raw/main", "api/avatars", "static", "assets"):
            answer = mallory.get(f"/{where}/{path}")
            assert answer.status_code in (400, 404), answer.url
            assert "root:" not in answer.text


@pytest.mark.parametrize("name", REFERENCES)
def test_names_that_git_refuses(mallory, name):
    before = mallory.api.list_repo_refs("mallory/target")
    one = escaped(name)
    assert 400 <= mallory.post(f"/api/models/mallory/target/branch/{one}", json={}).status_code < 500
    tagged = mallory.post(
        "/api/models/mallory/target/tag/main", content=json.dumps({"tag": name}),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert 400 <= tagged.status_code < 500
    for method, address in (
        ("GET", f"tree/{one}"), ("GET", f"revision/{one}"), ("GET", f"commits/{one}"), ("GET", f"compare/{one}..main"),
        ("DELETE", f"branch/{one}"), ("DELETE", f"tag/{one}"), ("POST", f"super-squash/{one}"),
    ):  # fmt: skip
        if name not in ("HEAD", ".."):  # Our own client makes another address of the latter.
            answer = mallory.request(method, f"/api/models/mallory/target/{address}", json={"message": "x"})
            assert 400 <= answer.status_code < 500, address
    file = {"key": "file", "value": {"path": "a.txt", "content": "eA==", "encoding": "base64"}}
    if name != "HEAD":
        assert 400 <= commit(mallory, file, revision=name if name.isprintable() else "..").status_code < 500
    assert mallory.api.list_repo_refs("mallory/target") == before


def test_names_of_accounts_and_repositories(mallory):
    for name in (
        "..",
        ".git",
        "a/../b",
        "a\\b",
        "a b",
        "",
        "x" * 500,
        "a.git",
        "con\0",
        "\u202egnp",
        "-a",
        "a--b",
        ".",
    ):
        answer = mallory.post("/api/repos/create", json={"name": name, "organization": None})
        assert 400 <= answer.status_code < 500, name
        answer = mallory.post("/api/repos/move", json={"fromRepo": "mallory/target", "toRepo": f"mallory/{name}"})
        assert 400 <= answer.status_code < 500, name
    assert head(mallory)


def test_a_commit_that_does_not_end(mallory):
    """The Hub stops reading at its limit, and its memory does not grow with what is sent."""
    before = head(mallory)
    line = json.dumps({"key": "deletedFile", "value": {"path": "a" * 500}}).encode() + b"\n"

    def endless() -> Iterator[bytes]:
        yield b'{"key":"header","value":{"summary":"x","description":""}}\n'
        while True:
            yield line * 100

    began = time.monotonic()
    try:
        status = mallory.post("/api/models/mallory/target/commit/main", content=endless()).status_code
    except httpx.WriteError:
        status = 413  # The Hub has closed the connection while we were still sending.
    assert 400 <= status < 500
    assert time.monotonic() - began < 60
    assert head(mallory) == before


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\n\n", b"{", b"[]", b"null\n", b'{"key":"header"}\n', b"\xff\xfe\n", b'{"key":"file","value":[]}\n',
        b'{"key":"header","value":{"summary":1}}\n', b"[" * 100_000, b'{"key":' * 5000, b"9" * 5000 + b"\n",
        b'{"key":"header","value":{"summary":"x"}}\n{"key":"file","value":{"path":"a","content":"!!!","encoding":"base64"}}',
        b'{"key":"header","value":{"summary":"x"}}\n{"key":"what","value":{}}\n',
        b'{"key":"header","value":{"summary":"x"}}\n{"key":"file","value":{"path":"a","content":7}}\n',
        b'{"key":"header","value":{"summary":"x","parentCommit":"; rm -rf /"}}\n',
    ],
)  # fmt: skip
def test_commits_of_the_wrong_form(mallory, body):
    before = head(mallory)
    answer = mallory.post("/api/models/mallory/target/commit/main", content=body)
    assert 400 <= answer.status_code < 500, answer.text
    assert head(mallory) == before


def test_forged_tickets(mallory, hub):
    content = os.urandom(2**17)
    sha256 = hashlib.sha256(content).hexdigest()
    batch = mallory.post(
        "/mallory/target.git/info/lfs/objects/batch",
        json={"operation": "upload", "transfers": ["basic"], "objects": [{"oid": sha256, "size": len(content)}]},
    ).json()
    address = batch["objects"][0]["actions"]["upload"]["href"]
    base, _, ticket = address.rpartition("/")
    raw = base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4))
    other = hashlib.sha256(b"other").hexdigest()
    for forged in (
        ticket[:-1], ticket[::-1], "A" * len(ticket), "", "..", "%00", ticket + "A" * 8,
        base64.urlsafe_b64encode(raw.replace(sha256.encode(), other.encode())).decode(),
        base64.urlsafe_b64encode(bytes(32) + raw[32:]).decode(),
    ):  # fmt: skip
        if forged.rstrip("=") != ticket:
            answer = httpx.put(f"{base}/{forged}", content=content)
            assert 400 <= answer.status_code < 500, forged
    wrong = httpx.put(address, content=content[::-1])
    assert wrong.status_code in (400, 422)
    short = httpx.put(address, content=content[:-1])
    assert short.status_code in (400, 422)
    assert not [path for path in (hub.data / "objects").glob("??/??/*") if path.name == sha256]
    for method, path in (
        ("POST", "xorbs/default/" + "0" * 64),
        ("POST", "shards"),
        ("GET", "chunks/default/" + "0" * 64),
    ):
        for token in ("x", ticket):
            answer = httpx.request(
                method, f"{hub.url}/api/xet/v1/{path}", content=b"x", headers={"Authorization": f"Bearer {token}"}
            )
            assert 400 <= answer.status_code < 500


def test_objects_that_were_never_brought(mallory, hub):
    """Knowing the hash of somebody's file is not having it."""
    hub.alice.create_repo("alice/treasure", private=True)
    secret = os.urandom(2**17)
    hub.alice.upload_file(path_or_fileobj=secret, path_in_repo="t.bin", repo_id="alice/treasure")
    line = {"key": "lfsFile", "value": {"path": "t.bin", "algo": "sha256", "oid": hashlib.sha256(secret).hexdigest(),
                                        "size": len(secret)}}  # fmt: skip
    assert 400 <= commit(mallory, line).status_code < 500
    assert not mallory.api.file_exists("mallory/target", "t.bin")


BOMBS = {
    "laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
    ),
    "object": "x: !!python/object/apply:os.system ['touch /tmp/owned']\n",
    "deep": "x: " + "[" * 20_000 + "\n",
    "deep keys": "".join("  " * n + f"k{n}:\n" for n in range(2000)),
    "merge": "a: &a {x: 1}\nb: {<<: [*a" + ", *a" * 50_000 + "]}\n",
    "self": "a: &a [*a]\n",
    "numbers": "x: " + "9" * 100_000 + "\n",
    "keys": "".join(f"k{n}: 1\n" for n in range(50_000)),
    "types": "license: [[[1]], {a: b}]\ntags: {x: 1}\nlanguage: 7\npipeline_tag: [a]\nmodel-index: 3\ndatasets: null\n",
    "dates": "license: 2020-01-01\ntags: [2020-01-01 00:00:00, .nan, .inf, !!binary aGk=]\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", BOMBS)
def test_cards_that_explode(mallory, kind):
    """Validation answers in time, and a commit of such a card leaves a Hub that answers."""
    card = f"---\n{BOMBS[kind]}---\n# Boom\n"
    began = time.monotonic()
    said = mallory.post("/api/validate-yaml", json={"content": card, "repoType": "model"})
    assert said.status_code < 500
    line = {"key": "file", "value": {"path": "README.md", "content": base64.b64encode(card.encode()).decode(),
                                     "encoding": "base64"}}  # fmt: skip
    assert commit(mallory, line).status_code in (200, 400)
    info = mallory.get("/api/models/mallory/target?blobs=true")
    assert info.status_code == 200
    assert mallory.get("/api/models?author=mallory&full=true").status_code == 200
    assert time.monotonic() - began < 60
    assert not os.path.exists("/tmp/owned")


def test_links_and_evil_trees_by_git(mallory, hub, tmp_path):
    """Links that lead out and trees with `..` or `.git` are refused; another link is served as the text that it is."""
    token = hub.command("token", "create", "mallory", "--role", "write")
    address = hub.url.replace("http://", f"http://mallory:{token}@") + "/mallory/links"
    mallory.api.create_repo("mallory/links")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0"}

    def git(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
        return subprocess.run(
            ["git", "-c", "user.name=M", "-c", "user.email=m@e.x", "-c", "core.protectNTFS=false", *arguments],
            cwd=tmp_path / "work", env=environment, input=stdin, capture_output=True, check=False,
        )  # fmt: skip

    (tmp_path / "work").mkdir()
    git("init", "-q", "-b", "main")
    git("fetch", "-q", address, "main")
    git("reset", "-q", "--hard", "FETCH_HEAD")
    for target in ("/etc/passwd", "../../../etc/passwd", "a/../../b"):
        (tmp_path / "work" / "out").symlink_to(target)
        git("add", "out")
        git("commit", "-q", "-m", "link")
        assert git("push", "-q", address, "main").returncode != 0, target
        git("reset", "-q", "--hard", "FETCH_HEAD")
    (tmp_path / "work" / "link").symlink_to(".gitattributes")
    git("add", "link")
    git("commit", "-q", "-m", "link")
    assert git("push", "-q", address, "main").returncode == 0
    assert httpx.get(f"{hub.url}/mallory/links/resolve/main/link").text == ".gitattributes"

    blob = git("hash-object", "-w", "--stdin", stdin=b"evil").stdout.strip()
    for name in (b"..", b".git", b".", b"a/b"):
        content = b"100644 " + name + b"\0" + bytes.fromhex(blob.decode())
        tree = git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=content).stdout.strip().decode()
        made = git("commit-tree", tree, "-m", "evil", "-p", "HEAD").stdout.strip().decode()
        assert git("push", "-q", address, f"{made}:refs/heads/evil").returncode != 0, name
    assert [branch.name for branch in mallory.api.list_repo_refs("mallory/links").branches] == ["main"]
    assert hub.command("fsck") == ""


@pytest.mark.parametrize("address", ["/api/organizations/%12%C2%85-/overview", "/api/users/%15/overview", "/%07/%0b"])
def test_control_characters_in_an_address_are_answered(mallory, address):
    """They come back in the message of the error, which stands in a header."""
    answer = mallory.get(address)
    assert 400 <= answer.status_code < 500
    assert answer.headers.get("x-error-message", "").isprintable()
