"""git itself against the Hub: clone, pull, push, git-lfs; and pushes that must not get in."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import httpx
import pytest

NOBODY = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


class Work:
    """A working copy."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, **NOBODY, "HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / "gitconfig")}

    def run(self, *arguments, stdin=None, status=0):
        """Run git; what it printed, on both channels."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder if self.folder.exists() else self.folder.parent, input=stdin,
            capture_output=True, env=self.environment, check=False,
        )  # fmt: skip
        said = done.stdout.decode() + done.stderr.decode()
        assert (done.returncode == 0) == (status == 0), said
        return said

    def commit(self, name, data, message="a change"):
        """Write a file and commit it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.run("add", ".")
        self.run("commit", "-m", message)

    def head(self):
        """The commit checked out."""
        return self.run("rev-parse", "HEAD").strip()


def address(hub, path, token=None):
    """With the token as the password, if there is one."""
    return hub.url.replace("//", f"//anyone:{token}@") + path if token else hub.url + path


@pytest.fixture
def clone(hub, tmp_path):
    """Clones a repository, as alice unless told otherwise."""

    def make(path, token=hub.alice.token, *options):
        work = Work(tmp_path / f"work{len(list(tmp_path.iterdir()))}", tmp_path)
        work.run("clone", *options, address(hub, path, token), work.folder)
        return work

    return make


@pytest.fixture
def repo(hub, request):
    """A model of this test's own."""
    name = f"alice/{request.node.name.partition('[')[0].replace('_', '-')[:60].strip('-')}"
    hub.alice.delete_repo(name, missing_ok=True)
    hub.alice.create_repo(name)
    return name


@pytest.mark.parametrize("type_", ["model", "dataset", "space"])
@pytest.mark.parametrize("suffix", ["", ".git"])
def test_clone_push_pull(hub, clone, type_, suffix):
    name = f"alice/git-{type_}{len(suffix)}"
    prefix = "" if type_ == "model" else f"/{type_}s"
    more = {"space_sdk": "static"} if type_ == "space" else {}
    hub.alice.create_repo(name, repo_type=type_, **more)
    work = clone(f"{prefix}/{name}{suffix}")
    work.commit("a.txt", b"one")
    work.run("push")
    info = hub.alice.repo_info(name, repo_type=type_)
    assert info.sha == work.head()
    assert "a.txt" in hub.alice.list_repo_files(name, repo_type=type_)
    (commit, *_) = hub.alice.list_repo_commits(name, repo_type=type_)
    assert (commit.title, commit.authors) == ("a change", ["Ada"])
    hub.alice.upload_file(repo_id=name, repo_type=type_, path_or_fileobj=b"two", path_in_repo="b.txt")
    work.run("pull", "--ff-only")
    assert (work.folder / "b.txt").read_bytes() == b"two"
    other = clone(f"{prefix}/{name}{suffix}", None)
    assert other.head() == work.head()


def test_who_may_clone_and_push(hub, repo, clone, tmp_path):
    work = clone(f"/{repo}", None)
    work.commit("a.txt", b"one")
    assert "could not read Username" in work.run("push", status=1)
    for token in (hub.bob.token, hub.add_user("git-reader", role="read")):
        assert "403" in work.run("push", address(hub, f"/{repo}", token), "main", status=1)
    assert "401" in str(httpx.get(f"{hub.url}/{repo}/info/refs?service=git-receive-pack"))
    wrong = httpx.get(f"{hub.url}/{repo}/info/refs?service=git-upload-pack", auth=("x", "hf_wrong"))
    assert (wrong.status_code, "Basic" in wrong.headers["www-authenticate"]) == (401, True)
    hub.alice.update_repo_settings(repo, private=True)
    outside = Work(tmp_path / "outside", tmp_path)
    assert "could not read Username" in outside.run("clone", address(hub, f"/{repo}"), outside.folder, status=1)
    for path in (f"/{repo}", "/alice/absent"):
        said = outside.run("clone", address(hub, path, hub.bob.token), outside.folder, status=1)
        assert "not found" in said
        anonymous = httpx.get(f"{hub.url}{path}/info/refs?service=git-upload-pack")
        assert anonymous.status_code == 401
        assert anonymous.headers["www-authenticate"].startswith("Basic")
    hub.alice.update_repo_settings(repo, private=False, gated="manual")
    assert "restricted" in outside.run("clone", address(hub, f"/{repo}", hub.bob.token), outside.folder, status=1)


def test_branches_tags_force_and_atomic(hub, repo, clone):
    work = clone(f"/{repo}")
    work.commit("a.txt", b"one")
    work.run("tag", "-a", "v1", "-m", "first")
    work.run("tag", "light")
    work.run("push", "--atomic", "origin", "main", "HEAD:refs/heads/x/y", "v1", "light")
    refs = hub.alice.list_repo_refs(repo)
    assert {one.name for one in refs.branches} == {"main", "x/y"}
    assert {one.name: one.target_commit for one in refs.tags} == {"v1": work.head(), "light": work.head()}
    work.run("commit", "--amend", "-m", "other words")
    assert "rejected" in work.run("push", status=1)
    work.run("push", "--force")
    assert hub.alice.model_info(repo).sha == work.head()
    work.run("push", "origin", ":x/y", ":light")
    refs = hub.alice.list_repo_refs(repo)
    assert ({one.name for one in refs.branches}, {one.name for one in refs.tags}) == ({"main"}, {"v1"})
    for spec, why in (
        (":main", "cannot be deleted"), ("main:refs/pr/9", "only branches and tags"), ("main:refs/meta/x", "only"),
        ("main:refs/heads/" + "0" * 40, "looks like a commit"), ("main:refs/heads/main/sub", "clashes"),
    ):  # fmt: skip
        assert why in work.run("push", "origin", spec, status=1)
    said = work.run("push", "--atomic", "origin", "main:refs/heads/good", "main:refs/pr/9", status=1)
    assert "atomic" in said
    assert {one.name for one in hub.alice.list_repo_refs(repo).branches} == {"main"}


def test_whoever_comes_late_is_told_to_fetch(hub, repo, clone):
    first, second = clone(f"/{repo}"), clone(f"/{repo}")
    first.commit("a.txt", b"1")
    first.run("push")
    second.commit("b.txt", b"2")
    assert "fetch first" in second.run("push", status=1)
    second.run("pull", "--rebase")
    second.run("push")
    assert {"a.txt", "b.txt"} < set(hub.alice.list_repo_files(repo))


def test_shallow_and_partial_clones(hub, repo, clone):
    for number in range(3):
        hub.alice.upload_file(repo_id=repo, path_or_fileobj=b"%d" % number, path_in_repo=f"{number}.txt")
    shallow = clone(f"/{repo}", hub.alice.token, "--depth=1")
    assert shallow.run("rev-list", "--count", "HEAD").strip() == "1"
    shallow.commit("new.txt", b"new")
    shallow.run("push")
    assert "new.txt" in hub.alice.list_repo_files(repo)
    partial = clone(f"/{repo}", hub.alice.token, "--filter=blob:none", "--no-checkout")
    partial.run("checkout", "main")
    assert (partial.folder / "0.txt").read_bytes() == b"0"
    for version in ("0", "1", "2"):
        old = clone(f"/{repo}", hub.alice.token, "-c", f"protocol.version={version}")
        assert old.head() == partial.head()


def test_git_lfs_both_ways(hub, repo, clone, tmp_path):
    data = os.urandom(2**20 + 7)
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / "gitconfig").touch()
    Work(tmp_path, tmp_path).run("lfs", "install", "--skip-repo")
    work = clone(f"/{repo}")
    work.commit("weights.safetensors", data)
    work.run("push")
    (info,) = hub.alice.get_paths_info(repo, ["weights.safetensors"])
    assert (info.lfs.sha256, info.size) == (sha256, len(data))
    assert httpx.get(f"{hub.url}/{repo}/resolve/main/weights.safetensors", follow_redirects=True).content == data
    hub.alice.upload_file(repo_id=repo, path_or_fileobj=data[::-1], path_in_repo="more.bin")
    other = clone(f"/{repo}", None)
    assert (other.folder / "weights.safetensors").read_bytes() == data
    assert (other.folder / "more.bin").read_bytes() == data[::-1]
    assert other.run("status", "--porcelain") == ""


@pytest.fixture
def raw(clone, repo):
    """A working copy, and a way to push any tree at all."""
    work = clone(f"/{repo}")

    def push(*entries, status=1):
        """Push a commit whose tree has these entries: mode, name, content or id."""
        tree = b""
        for mode, name, data in entries:
            oid = data
            if isinstance(data, bytes):
                oid = work.run("hash-object", "-w", "--stdin", "--literally", "-t", "blob", stdin=data).strip()
            tree += mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(oid)
        # Git's own tools do not make such trees.
        oid = work.run("hash-object", "-w", "--stdin", "--literally", "-t", "tree", stdin=tree).strip()
        commit = work.run("commit-tree", oid, "-p", "HEAD", "-m", "hostile").strip()
        return work.run("push", "origin", f"{commit}:refs/heads/main", status=status)

    push.work = work
    return push


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"b" * 64 + b"\nsize 12\n"
HOSTILE = {
    "link to the root": [("120000", b"l", b"/etc/passwd")],
    "link out": [("120000", b"l", b"../x")],
    "link out on a way round": [("120000", b"l", b"a/../../x")],
    "link with a backslash": [("120000", b"l", b"..\\x")],
    "huge link": [("120000", b"l", b"a/" * 5000)],
    "submodule": [("160000", b"sub", "1" * 40)],
    "dots": [("100644", b"..", b"x")],
    "dot git": [("100644", b".git", b"x")],
    "dot git in capitals": [("100644", b".GIT", b"x")],
    "short name of dot git": [("100644", b"git~1", b"x")],
    "a slash in a name": [("100644", b"a/../b", b"x")],
    "a backslash in a name": [("100644", b"a\\b", b"x")],
    "a name that is no text": [("100644", b"\xff\xfe", b"x")],
    "a control character": [("100644", b"a\x1bb", b"x")],
    "a stream": [("100644", b".git::$DATA", b"x")],
    "an invisible character": [("100644", ".g\u200cit".encode(), b"x")],
    "too large": [("100644", b"big", b"x" * (10 * 2**20 + 1))],
    "a large file that nobody brought": [("100644", b"w.bin", POINTER)],
    "a mode of its own": [("100664", b"x", b"x"), ("120000", b"m", b"../..")],
    "a submodule that runs a program": [("100644", b".gitmodules", b'[submodule "a"]\n\tpath = a\n\turl = -u./x\n')],
    "attributes with an endless line": [("100644", b".gitattributes", b"x" * 5000 + b" text\n")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_must_not_get_in(hub, repo, raw, name):
    before = hub.alice.model_info(repo).sha
    said = raw(*HOSTILE[name])
    assert "remote rejected" in said
    assert hub.alice.model_info(repo).sha == before
    assert hub.alice.list_repo_files(repo) == [".gitattributes"]


def test_links_that_stay_inside_get_in(hub, repo, raw):
    tree = raw.work.run("mktree", "-z", stdin=b"").strip()
    link = raw.work.run("hash-object", "-w", "--stdin", stdin=b"../a.txt").strip()
    tree = raw.work.run("mktree", "-z", stdin=f"120000 blob {link}\tl".encode() + b"\0").strip()
    raw(("100644", b"a.txt", b"x"), ("120000", b"b", b"a.txt"), ("040000", b"d", tree), status=0)
    assert set(hub.alice.list_repo_files(repo)) == {"a.txt", "b", "d/l"}
    # The same folder one level up leads out.
    raw.work.run("fetch")
    raw.work.run("reset", "--hard", "origin/main")
    assert "leads out" in raw(("120000", b"l", b"../a.txt"))


def test_what_is_hidden_in_the_history_is_found(hub, repo, clone):
    work = clone(f"/{repo}")
    (work.folder / "l").symlink_to("/etc/passwd")
    work.run("add", ".")
    work.run("commit", "-m", "hidden")
    work.run("rm", "-q", "l")
    work.run("commit", "-m", "gone")
    assert "leads out" in work.run("push", status=1)
    work.run("push", "origin", "HEAD~2:refs/heads/fine")


BAD_PACKS = [b"", b"PACK", b"PACK" + b"\0" * 100, os.urandom(1000), b"\x1f\x8b" + b"\0" * 20]


@pytest.mark.parametrize("pack", BAD_PACKS, ids=range(len(BAD_PACKS)))
def test_packs_and_commands_that_are_none(hub, repo, pack):
    before = hub.alice.model_info(repo).sha
    auth = ("x", hub.alice.token)
    line = f"{before} {'1' * 40} refs/heads/main\0report-status\n".encode()
    for body in (b"%04x" % (len(line) + 4) + line + b"0000" + pack, b"zzzz" + pack, b"0001", b"0006ab" + pack):
        answer = httpx.post(f"{hub.url}/{repo}/git-receive-pack", content=body, auth=auth)
        assert answer.status_code in (200, 400)
        assert b"ok refs" not in answer.content
        answer = httpx.post(f"{hub.url}/{repo}/git-upload-pack", content=body, auth=auth)
        assert answer.status_code in (200, 400)
        gzipped = {"Content-Encoding": "gzip"}
        answer = httpx.post(f"{hub.url}/{repo}/git-receive-pack", content=body, auth=auth, headers=gzipped)
        assert answer.status_code == 400
    assert hub.alice.model_info(repo).sha == before
    for service in ("", "?service=git-x", "?service=git-upload-pack%00"):
        assert httpx.get(f"{hub.url}/{repo}/info/refs{service}").status_code == 400
    for folder in hub.data.glob("repositories/*/*.git"):
        subprocess.run(["git", "-C", folder, "fsck", "--full", "--strict"], check=True, capture_output=True)
