"""What people do with a Hub, in the words of every client from huggingface_hub 0.36 on: `journey.py URL TOKEN FOLDER`.

It needs huggingface_hub alone, prints a line for each step, and ends with 1 at the first that goes wrong. `make
test-clients` runs it under several versions, each in an environment of its own.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
import time
from pathlib import Path

URL, TOKEN, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
os.environ.update(HF_ENDPOINT=URL, HF_HOME=str(FOLDER / "home"), HF_HUB_DISABLE_TELEMETRY="1")
os.environ.pop("HF_HUB_OFFLINE", None)

import huggingface_hub  # noqa: E402  (it reads the environment when it is imported)
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem  # noqa: E402
from huggingface_hub.errors import (  # noqa: E402
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

VERSION = huggingface_hub.__version__
# Many times the size from which files are kept outside git, and more than one block of the Xet protocol.
LARGE = 70 * 2**20
CARD = "---\nlicense: mit\ntags:\n- journey\nlanguage: ru\n---\n# A model\n"
api = HfApi(endpoint=URL, token=TOKEN)
nobody = HfApi(endpoint=URL, token=False)
owner = api.whoami()["name"]
repo = f"{owner}/journey-{VERSION.replace('.', '-')}"
dataset = f"{repo}-data"


def refused(error: type[Exception], call, *arguments, **named) -> Exception:
    """The error that a call must raise."""
    try:
        call(*arguments, **named)
    except error as raised:
        return raised
    raise AssertionError(f"{call.__name__} was not refused")


def hidden(private: bool) -> dict[str, object]:
    """The argument's name has changed in 1.8."""
    if "visibility" in inspect.signature(api.create_repo).parameters and VERSION.startswith("2"):
        return {"visibility": "private" if private else "public"}
    return {"private": private}


def written(name: str, size: int) -> Path:
    """A file of that size which does not shrink."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    block = b"".join(hashlib.sha256(f"{VERSION} {name} {number}".encode()).digest() for number in range(2**15))
    with path.open("wb") as file:
        for start in range(0, size, len(block)):
            file.write(start.to_bytes(8, "big") + block[8 : min(len(block), size - start)])
    return path


def sha256(path: Path | str) -> str:
    """Of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def who_am_i():
    assert api.whoami()["type"] == "user"
    refused(OSError, HfApi(endpoint=URL, token="hf_" + "x" * 34).whoami)


def create():
    url = api.create_repo(repo)
    assert str(url).endswith(repo)
    refused(HfHubHTTPError, api.create_repo, repo)
    assert str(api.create_repo(repo, exist_ok=True)).endswith(repo)
    assert api.repo_exists(repo)
    assert not api.repo_exists(f"{repo}-that-is-not-there")


def upload_small():
    commit = api.upload_file(path_or_fileobj=CARD.encode(), path_in_repo="README.md", repo_id=repo)
    assert repo in str(commit)
    api.upload_file(path_or_fileobj=b'{"model_type": "bert"}', path_in_repo="config.json", repo_id=repo)
    assert api.file_exists(repo, "config.json")
    assert not api.file_exists(repo, "nothing.json")


def upload_large():
    path = written("large/model.bin", LARGE)
    api.upload_file(path_or_fileobj=path, path_in_repo="weights/model.bin", repo_id=repo)
    found = {one.path: one for one in api.get_paths_info(repo, ["weights/model.bin", "config.json", "no"])}
    assert set(found) == {"weights/model.bin", "config.json"}
    assert found["weights/model.bin"].size == LARGE
    assert found["weights/model.bin"].lfs["sha256"] == sha256(path)


def upload_again():
    """What is there already is not made a commit of, nor sent again."""
    before = api.repo_info(repo).sha
    path = FOLDER / "large" / "model.bin"
    began = time.monotonic()
    api.upload_file(path_or_fileobj=path, path_in_repo="weights/again.bin", repo_id=repo)
    print(f"    the same {LARGE >> 20} MiB under another name: {time.monotonic() - began:.1f} s")
    assert api.repo_info(repo).sha != before


def upload_many():
    folder = FOLDER / "folder"
    for number in range(30):
        (folder / f"part{number % 3}").mkdir(parents=True, exist_ok=True)
        (folder / f"part{number % 3}" / f"файл {number}.txt").write_text(f"text {number}")
    written("folder/big.safetensors", 3 * 2**20)
    api.upload_folder(folder_path=folder, path_in_repo="many", repo_id=repo, ignore_patterns=["*29.txt"])
    names = [name for name in api.list_repo_files(repo) if name.startswith("many/")]
    assert len(names) == 30, names


def tree():
    entries = list(api.list_repo_tree(repo, recursive=True, expand=True))
    assert {"many/part0", "weights/model.bin", "README.md"} <= {entry.path for entry in entries}
    assert [entry.path for entry in api.list_repo_tree(repo, "weights")] == ["weights/again.bin", "weights/model.bin"]
    refused(EntryNotFoundError, lambda: list(api.list_repo_tree(repo, "nowhere")))


def info():
    found = api.model_info(repo, files_metadata=True)
    sizes = {sibling.rfilename: sibling.size for sibling in found.siblings}
    assert sizes["weights/model.bin"] == LARGE
    assert "journey" in found.tags
    assert found.created_at <= found.last_modified
    refused(RevisionNotFoundError, api.model_info, repo, revision="no-such-branch")
    refused(RepositoryNotFoundError, api.model_info, f"{owner}/no-such-model")


def listing():
    assert [one.id for one in api.list_models(search="journey", author=owner, filter="journey") if one.id == repo]
    assert not list(api.list_models(search="journey", filter=["journey", "license:gpl"]))


def download():
    path = api.hf_hub_download(repo, "weights/model.bin")
    assert sha256(path) == sha256(FOLDER / "large" / "model.bin")
    local = api.hf_hub_download(repo, "many/part1/файл 1.txt", local_dir=FOLDER / "local")
    assert Path(local).read_text() == "text 1"
    refused(EntryNotFoundError, api.hf_hub_download, repo, "nothing.json")
    nobody.hf_hub_download(repo, "config.json", cache_dir=FOLDER / "cache2")


def snapshot():
    folder = Path(api.snapshot_download(repo, ignore_patterns=["weights/again.bin"]))
    assert sorted(path.name for path in (folder / "weights").iterdir()) == ["model.bin"]
    assert (folder / "README.md").read_text() == CARD


def file_system():
    files = HfFileSystem(endpoint=URL, token=TOKEN)
    assert f"{repo}/many/part0" in files.ls(f"{repo}/many", detail=False)
    assert files.cat_file(f"{repo}/config.json", start=2, end=7) == b"model"[:5]
    with files.open(f"{repo}/weights/model.bin", "rb") as file:
        file.seek(LARGE - 100)
        assert file.read() == (FOLDER / "large" / "model.bin").read_bytes()[-100:]


def branches_and_tags():
    api.create_branch(repo, branch="work/in-progress")
    refused(HfHubHTTPError, api.create_branch, repo, branch="work/in-progress")
    api.create_branch(repo, branch="work/in-progress", exist_ok=True)
    api.upload_file(path_or_fileobj=b"b", path_in_repo="branch.txt", repo_id=repo, revision="work/in-progress")
    assert not api.file_exists(repo, "branch.txt")
    assert api.file_exists(repo, "branch.txt", revision="work/in-progress")
    api.create_tag(repo, tag="v1.0", tag_message="The first")
    refs = api.list_repo_refs(repo)
    assert {branch.name for branch in refs.branches} == {"main", "work/in-progress"}
    assert [tag.name for tag in refs.tags] == ["v1.0"]
    assert api.model_info(repo, revision="v1.0").sha == api.model_info(repo).sha
    api.delete_tag(repo, tag="v1.0")
    api.delete_branch(repo, branch="work/in-progress")
    assert [branch.name for branch in api.list_repo_refs(repo).branches] == ["main"]


def commits():
    head = api.model_info(repo).sha
    done = api.create_commit(
        repo,
        [
            CommitOperationAdd("a.txt", b"a"),
            CommitOperationAdd("b/c.txt", b"c"),
            CommitOperationDelete("many/part2/", is_folder=True),
        ],
        commit_message="Several things",
        commit_description="at once",
        parent_commit=head,
    )
    found = api.list_repo_commits(repo)
    assert (found[0].commit_id, found[0].title, found[0].message) == (done.oid, "Several things", "at once")
    assert found[1].commit_id == head
    assert not [name for name in api.list_repo_files(repo) if name.startswith("many/part2")]
    refused(
        HfHubHTTPError, api.create_commit, repo, [CommitOperationAdd("a.txt", b"A")], commit_message="Too late",
        parent_commit=head,
    )  # fmt: skip
    api.delete_file("a.txt", repo)
    api.delete_folder("many", repo)
    assert "a.txt" not in api.list_repo_files(repo)
    assert api.hf_hub_download(repo, "a.txt", revision=done.oid)


def pull_requests():
    done = api.create_commit(
        repo, [CommitOperationAdd("pr.txt", b"pr")], commit_message="Proposed", create_pr=True
    )  # fmt: skip
    assert done.pr_num == 1
    assert not api.file_exists(repo, "pr.txt")
    assert api.file_exists(repo, "pr.txt", revision="refs/pr/1")
    api.merge_pull_request(repo, 1)
    assert api.file_exists(repo, "pr.txt")
    assert api.get_discussion_details(repo, 1).status == "merged"


def private():
    secret = f"{repo}-secret"
    api.create_repo(secret, **hidden(True))
    api.upload_file(path_or_fileobj=b"s", path_in_repo="s.txt", repo_id=secret)
    assert api.model_info(secret).private
    refused(RepositoryNotFoundError, nobody.model_info, secret)
    assert secret not in [one.id for one in nobody.list_models(author=owner)]
    refused(RepositoryNotFoundError, nobody.hf_hub_download, secret, "s.txt", cache_dir=FOLDER / "cache3")
    api.update_repo_settings(secret, **hidden(False))
    assert nobody.model_info(secret).id == secret
    api.delete_repo(secret)
    refused(RepositoryNotFoundError, api.delete_repo, secret)
    api.delete_repo(secret, missing_ok=True)


def data_sets():
    api.create_repo(dataset, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"a,b\n1,2\n", path_in_repo="data.csv", repo_id=dataset, repo_type="dataset")
    assert dataset in [one.id for one in api.list_datasets(author=owner)]
    assert Path(api.hf_hub_download(dataset, "data.csv", repo_type="dataset")).read_text() == "a,b\n1,2\n"
    api.move_repo(dataset, f"{dataset}-moved", repo_type="dataset")
    assert api.dataset_info(dataset).id == f"{dataset}-moved"
    api.delete_repo(f"{dataset}-moved", repo_type="dataset")


def delete():
    api.delete_repo(repo)
    assert not api.repo_exists(repo)


STEPS = [
    who_am_i, create, upload_small, upload_large, upload_again, upload_many, tree, info, listing, download, snapshot,
    file_system, branches_and_tags, commits, pull_requests, private, data_sets, delete,
]  # fmt: skip

if __name__ == "__main__":
    for step in STEPS:
        began = time.monotonic()
        step()
        print(f"  {step.__name__:20} {time.monotonic() - began:6.2f} s", flush=True)
