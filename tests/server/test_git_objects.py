"""Our own trees, packs, attributes and pointers beside git's."""

from __future__ import annotations

import io
import random
import subprocess

import pygit2
import pytest

from samovar.server.errors import BadRequestError, BusyError, ConflictError, EntryNotFoundError, RepositoryNotFoundError
from samovar.server.repos import attributes, commits, packing, references, revisions, trees
from samovar.server.repos.folders import RepositoryFolders
from samovar.server.repos.references import ReferenceMovedError
from samovar.server.repos.writing import NewObjects


def git(folder, *arguments, stdin=b""):
    """What git prints."""
    done = subprocess.run(["git", "-C", folder, *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture
def folder(tmp_path):
    """An empty repository."""
    return RepositoryFolders(tmp_path).create(1)


def commit(folder, change, branch="refs/heads/main"):
    """Commit what `change(editor, new)` does on top of a branch; the commit's id."""
    repo = pygit2.Repository(str(folder))
    head = revisions.target(repo, branch)
    with NewObjects(folder) as new:
        editor = trees.TreeEditor(repo, repo[head].tree_id.raw if head else None)
        change(editor, new)
        oid = commits.write(new, editor.write(new), [head] if head else [], "alice", commits.message("a change"))
        new.flush(repo)
    references.move(repo, {branch: (head, oid)})
    return oid


def put(**files):
    """A change that adds these files (`__` for `/`)."""

    def change(editor, new):
        for name, content in files.items():
            editor.put(name.replace("__", "/"), new.add_blob(io.BytesIO(content), len(content)))

    return change


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence_of_operations_leaves_the_tree_that_git_makes_of_the_same_files(folder, seed):
    generator = random.Random(seed)
    expected: dict[str, bytes] = {}
    names = ["a", "a-b", "a.b", "a0", "b", "ü", "dir", "dir.x"]
    for _ in range(12):

        def change(editor, new):
            for _ in range(generator.randrange(1, 8)):
                path = "/".join(generator.choice(names) for _ in range(generator.randrange(1, 4)))
                inside = [one for one in expected if one.startswith(f"{path}/")]
                above = any(path.startswith(f"{one}/") for one in expected)
                kind = generator.choice(["put", "put", "put", "file", "folder"])
                if kind == "put":
                    content = generator.randbytes(generator.randrange(0, 300))
                    if inside or above:
                        with pytest.raises(BadRequestError):
                            editor.put(path, new.add("blob", content))
                    else:
                        editor.put(path, new.add_blob(io.BytesIO(content), len(content)))
                        expected[path] = content
                elif (path in expected) if kind == "file" else inside:
                    editor.delete(path, folder=kind == "folder")
                    for one in [path] if kind == "file" else inside:
                        del expected[one]
                else:
                    with pytest.raises(EntryNotFoundError):
                        editor.delete(path, folder=kind == "folder")

        oid = commit(folder, change)
        repo = pygit2.Repository(str(folder))
        index = pygit2.Index()
        for path, content in expected.items():
            index.add(pygit2.IndexEntry(path, repo.create_blob(content), pygit2.enums.FileMode.BLOB))
        assert repo[oid].tree_id == index.write_tree(repo)
        listed = {path for path, mode, _ in trees.walk(repo, repo[oid].tree_id.raw) if mode != trees.FOLDER}
        assert listed == set(expected)
    git(folder, "fsck", "--full", "--strict")


@pytest.mark.parametrize("count", [1, 500])
def test_objects_are_the_same_in_a_pack_and_alone(folder, count):
    contents = [random.Random(number).randbytes(number * 7) for number in range(count)]
    contents += [random.Random(0).randbytes(300_000), b"text " * 60_000]
    with NewObjects(folder) as new:
        ids = [new.add_blob(io.BytesIO(one), len(one)) for one in contents]
        assert new.read(ids[-1]) == contents[-1]
        repo = pygit2.Repository(str(folder))
        assert pygit2.Oid(raw=ids[-1]) not in repo
        new.flush(repo)
    assert [oid.hex() for oid in ids] == [str(pygit2.hash(one)) for one in contents]
    repo = pygit2.Repository(str(folder))
    assert [repo[oid.hex()].data for oid in ids] == contents
    assert len(list((folder / "objects/pack").glob("*.pack"))) == (count > 8)


def test_what_was_not_flushed_leaves_nothing_behind(folder):
    before = sorted(folder.rglob("*"))
    with NewObjects(folder) as new:
        new.add("blob", b"content")
    assert sorted(folder.rglob("*")) == before


PATTERNS = [
    r"*.bin",
    r"x/*.txt",
    r"/root.dat",
    r"sub/**/deep.h5",
    r"**/any.pt",
    r"saved/**/*",
    r"[abc]?.npy",
    r"with[[:space:]]space.txt",
    r"\#hash.txt",
    r"*.tar.*",
    r"dir/",
    r"a/**/b/c.txt",
]


def test_attributes_match_what_git_matches(folder, tmp_path):
    lines = [f"{pattern} {attributes.LARGE}" for pattern in [*PATTERNS, '"quoted name.txt"']]
    lines += ["keep.bin -filter", "small/*.bin !filter", "# comment", "*.md text"]
    paths = [
        "m.bin",
        "d/e/m.bin",
        "keep.bin",
        "small/m.bin",
        "small/d/m.bin",
        "x/a.txt",
        "x/y/a.txt",
        "root.dat",
        "d/root.dat",
        "sub/deep.h5",
        "sub/a/b/deep.h5",
        "any.pt",
        "d/any.pt",
        "saved/a",
        "saved/a/b",
        "saved",
        "a1.npy",
        "d1.npy",
        "ab1.npy",
        "t.tar.gz",
        "#hash.txt",
        "dir/file",
        "dir",
        "a/b/c.txt",
        "a/x/y/b/c.txt",
        "README.md",
    ]
    paths += ["with space.txt", "d/with space.txt", "quoted name.txt"]
    work = tmp_path / "work"
    subprocess.run(["git", "init", "-q", work], check=True)
    (work / ".gitattributes").write_text("\n".join(lines) + "\n")
    told = git(work, "check-attr", "-z", "--stdin", "filter", stdin="\0".join(paths).encode()).split("\0")
    expected = {path: value == "lfs" for path, value in zip(told[::3], told[2::3], strict=False)}
    rules = attributes.Attributes("\n".join(lines).encode())
    assert {path: rules.large(path) for path in paths} == expected
    assert len(set(expected.values())) == 2


@pytest.mark.parametrize("path", ["plain.txt", "a b.txt", "x[1]*?.txt", "#h", "!n", '"q"', "d/é ü.txt", "d/[a]"])
def test_a_rule_for_one_path_is_about_this_path_alone(tmp_path, path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitattributes").write_bytes(attributes.rule(path))
    others = [f"other/{path}", f"{path}x", "x1.txt"]
    told = git(tmp_path, "check-attr", "-z", "--stdin", "filter", stdin="\0".join([path, *others]).encode()).split("\0")
    assert told[2::3] == ["lfs"] + ["unspecified"] * 3
    rules = attributes.Attributes(attributes.rule(path))
    assert [rules.large(one) for one in [path, *others]] == [True, False, False, False]


def test_a_revision_is_a_branch_a_tag_a_commit_or_the_beginning_of_one(folder):
    first, second = commit(folder, put(a=b"1")), commit(folder, put(a=b"2"))
    repo = pygit2.Repository(str(folder))
    references.move(repo, {"refs/heads/a/b": (None, first), "refs/tags/v1": (None, first), "refs/pr/1": (None, first)})
    for name in ("a/b", "v1", "refs/pr/1", "refs/heads/a/b", first, first[:8]):
        assert str(revisions.resolve(repo, name).id) == first
    for name in ("main", "HEAD", second[:10]):
        assert str(revisions.resolve(repo, name).id) == second
    tree = str(repo[first].tree_id)
    for name in ("nope", "0" * 40, tree, tree[:8], "../main", "main.lock", "a", "refs/remotes/x", "", "main~1", "@{0}"):
        with pytest.raises(revisions.RevisionNotFoundError):
            revisions.resolve(repo, name)


def test_a_reference_only_moves_from_where_it_is_expected(folder):
    first, second = commit(folder, put(a=b"1")), commit(folder, put(a=b"2"))
    repo = pygit2.Repository(str(folder))
    for change in ((first, first), (None, first), (first, None)):
        with pytest.raises(ReferenceMovedError):
            references.move(repo, {"refs/heads/main": change})
    with pytest.raises(ReferenceMovedError):
        references.move(repo, {"refs/heads/new": (None, first), "refs/heads/main": (first, None)})
    assert revisions.target(repo, "refs/heads/new") is None
    assert revisions.target(repo, "refs/heads/main") == second


def test_a_reference_cannot_be_the_folder_of_another_even_when_packed(folder):
    oid = commit(folder, put(a=b"1"))
    repo = pygit2.Repository(str(folder))
    references.move(repo, {"refs/heads/x": (None, oid)})
    git(folder, "pack-refs", "--all")
    for name in ("refs/heads/x/y", "refs/heads/main/z"):
        with pytest.raises(ConflictError):
            references.move(repo, {name: (None, oid)})


@pytest.mark.slow
def test_a_lock_that_somebody_left_behind_holds_nobody_up(folder):
    first = commit(folder, put(a=b"1"))
    repo = pygit2.Repository(str(folder))
    for lock in ("refs/heads/main.lock", "packed-refs.lock", "HEAD.lock", "refs/heads/new.lock"):
        (folder / lock).touch()
    second = commit(folder, put(a=b"2"))
    references.move(repo, {"refs/heads/new": (None, first)})
    git(folder, "pack-refs", "--all")
    (folder / "packed-refs.lock").touch()
    references.move(repo, {"refs/heads/new": (first, None)})
    assert revisions.target(repo, "refs/heads/main") == second
    assert revisions.target(repo, "refs/heads/new") is None


def test_a_lock_that_somebody_alive_holds_is_left_alone(folder, monkeypatch):
    monkeypatch.setattr(references, "PATIENCE", 0.3)
    commit(folder, put(a=b"1"))
    lock = folder / "refs/heads/main.lock"
    lock.touch()
    with references.moving(folder), pytest.raises(BusyError):
        commit(folder, put(a=b"2"))
    assert lock.exists()


def test_packing_removes_nothing_that_somebody_needs(folder, monkeypatch):
    for number in range(40):
        commit(folder, put(**{f"d{number}__f{inner}": b"%d %d" % (number, inner) for inner in range(12)}))
    repo = pygit2.Repository(str(folder))
    fresh = repo.create_blob(b"of a commit that is on its way")
    everything = git(folder, "rev-list", "--objects", "--all")
    assert packing.due(folder)
    for _ in range(2):
        packing.pack(folder)
        assert not packing.due(folder)
        commit(folder, put(z=b"after"))
        git(folder, "fsck", "--full", "--strict")
    repo = pygit2.Repository(str(folder))
    assert all(line.split()[0] in repo for line in everything.splitlines())
    assert fresh in repo


def test_what_is_half_made_or_half_removed_is_nobodys_and_goes_in_time(tmp_path, monkeypatch):
    folders = RepositoryFolders(tmp_path)
    folders.create(1)
    commit(folders.path(1), put(a=b"1"))
    draft = folders.prepare()
    assert list(folders.ids()) == [1]
    folders.adopt(draft, 1)  # As after a try that was broken off.
    assert list(folders.open(1).references) == []
    folders.tidy()
    (aside,) = (tmp_path / "drafts").iterdir()
    assert list(pygit2.Repository(str(aside)).references) == ["refs/heads/main"]
    monkeypatch.setattr("samovar.server.repos.folders.LEFT", -1)
    folders.tidy()
    assert list((tmp_path / "drafts").iterdir()) == []
    folders.delete(1)
    folders.delete(1)
    assert list(folders.ids()) == []
    with pytest.raises(RepositoryNotFoundError):
        folders.open(1)
