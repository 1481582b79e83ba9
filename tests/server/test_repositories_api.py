"""Repositories as the stock client makes, copies, renames, squashes and deletes them."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import BadRequestError, HfHubHTTPError, RepositoryNotFoundError


def refused(status):
    """An answer of that status."""
    return pytest.raises(HfHubHTTPError, check=lambda error: error.response.status_code == status)


@pytest.mark.parametrize(("type_", "prefix"), [("model", ""), ("dataset", "datasets/"), ("space", "spaces/")])
def test_create_exists_delete(hub, type_, prefix):
    api, name = hub.alice, f"alice/{type_}-life"
    more = {"space_sdk": "static"} if type_ == "space" else {}
    url = api.create_repo(name, repo_type=type_, **more)
    assert (url.repo_id, url.repo_type, str(url)) == (name, type_, f"{hub.url}/{prefix}{name}")
    again = api.create_repo(name.partition("/")[2], repo_type=type_, exist_ok=True, **more)
    assert again.repo_id == name
    with refused(409):
        api.create_repo(name, repo_type=type_, **more)
    with refused(409):
        api.create_repo(name.upper().replace("ALICE", "alice"), repo_type=type_, **more)
    assert api.repo_exists(name, repo_type=type_)
    assert api.list_repo_files(name, repo_type=type_) == [".gitattributes"]
    assert [commit.title for commit in api.list_repo_commits(name, repo_type=type_)] == ["initial commit"]
    api.delete_repo(name, repo_type=type_)
    assert not api.repo_exists(name, repo_type=type_)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(name, repo_type=type_)
    api.delete_repo(name, repo_type=type_, missing_ok=True)
    api.create_repo(name, repo_type=type_, **more)
    assert [commit.title for commit in api.list_repo_commits(name, repo_type=type_)] == ["initial commit"]


def test_older_clients_say_private_and_newer_ones_visibility(hub):
    headers = {"Authorization": f"Bearer {hub.alice.token}"}
    for name, more in {"old": {"private": True}, "new": {"visibility": "private"}}.items():
        body = {"name": f"said-{name}", "organization": None, "type": "model", **more}
        answer = httpx.post(f"{hub.url}/api/repos/create", json=body, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["url"] == f"{hub.url}/alice/said-{name}"
        assert hub.alice.model_info(f"alice/said-{name}").private
        with pytest.raises(RepositoryNotFoundError):
            hub.bob.model_info(f"alice/said-{name}")


@pytest.mark.parametrize(
    "name",
    ["..", ".git", "a..b", "a--b", "x.git", "a/b/c", "", " ", "a b", "ü", "a\0b", "-x", "x" * 97, "a\\b", "%2e%2e"],
)
def test_names_that_cannot_be(hub, name):
    answer = httpx.post(
        f"{hub.url}/api/repos/create", json={"name": name}, headers={"Authorization": f"Bearer {hub.alice.token}"}
    )
    assert answer.status_code in (400, 404)
    assert answer.headers["x-error-message"]


def test_nobody_creates_for_somebody_else(hub):
    for api, status in ((hub.nobody, 401), (hub.bob, 403)):
        with refused(status):
            api.create_repo("alice/not-yours")
    with refused(404):
        hub.alice.create_repo("nobody-called-so/x")
    reader = hub.client(hub.add_user("reader", role="read"))
    with refused(403):
        reader.create_repo("reader/x")


def test_only_those_who_may_change_delete_and_rename(hub):
    hub.alice.create_repo("alice/kept")
    hub.alice.create_repo("alice/hidden", private=True)
    for call in (
        lambda api, name: api.delete_repo(name),
        lambda api, name: api.update_repo_settings(name, private=True),
        lambda api, name: api.move_repo(name, "bob/stolen"),
        lambda api, name: api.super_squash_history(name),
        lambda api, name: api.create_branch(name, branch="x"),
        lambda api, name: api.create_tag(name, tag="x"),
        lambda api, name: api.upload_file(repo_id=name, path_or_fileobj=b"x", path_in_repo="x"),
    ):
        with refused(403):
            call(hub.bob, "alice/kept")
        with refused(401):
            call(hub.nobody, "alice/kept")
        for api in (hub.bob, hub.nobody):
            with pytest.raises(RepositoryNotFoundError) as hidden:
                call(api, "alice/hidden")
            with pytest.raises(RepositoryNotFoundError) as absent:
                call(api, "alice/absent")
            answers = [error.value.response for error in (hidden, absent)]
            assert len({(one.status_code, one.headers["x-error-message"], one.text) for one in answers}) == 1
    assert hub.alice.list_repo_files("alice/kept") == [".gitattributes"]


def test_rename_leads_from_the_old_name_until_it_is_taken(hub):
    api = hub.alice
    api.create_repo("alice/before")
    api.upload_file(repo_id="alice/before", path_or_fileobj=b"1", path_in_repo="a.txt")
    api.create_repo("alice/taken")
    with refused(409):
        api.move_repo("alice/before", "alice/taken")
    api.move_repo("alice/before", "alice/after")
    assert api.model_info("alice/before").id == api.model_info("alice/after").id == "alice/after"
    assert api.list_repo_files("alice/before") == [".gitattributes", "a.txt"]
    api.upload_file(repo_id="alice/before", path_or_fileobj=b"2", path_in_repo="b.txt")
    assert "b.txt" in api.list_repo_files("alice/after")
    api.create_repo("alice/before")
    assert api.list_repo_files("alice/before") == [".gitattributes"]
    api.move_repo("alice/after", "alice/AFTER")
    assert api.model_info("alice/after").id == "alice/AFTER"
    with refused(404):
        api.move_repo("alice/nope", "alice/nope2")
    for target in ("nope", "alice/..", "alice/x/y"):
        with pytest.raises((BadRequestError, HfHubHTTPError, ValueError)):
            api.move_repo("alice/AFTER", target)


def test_settings(hub):
    api = hub.alice
    api.create_repo("alice/set")
    for gated in ("auto", "manual", False):
        api.update_repo_settings("alice/set", gated=gated)
        assert api.model_info("alice/set").gated == gated
    api.update_repo_settings("alice/set", private=True)
    with pytest.raises(RepositoryNotFoundError):
        hub.nobody.list_repo_files("alice/set")
    api.update_repo_settings("alice/set", private=False)
    assert hub.nobody.list_repo_files("alice/set")


def test_duplicate_takes_the_history_and_stays_apart(hub):
    api = hub.alice
    api.create_repo("alice/source")
    api.upload_file(repo_id="alice/source", path_or_fileobj=b"1", path_in_repo="a.txt")
    api.create_branch("alice/source", branch="dev")
    api.create_tag("alice/source", tag="v1")
    url = hub.bob.duplicate_repo("alice/source", "bob/copy", private=True)
    assert url.repo_id == "bob/copy"
    ids = [[one.commit_id for one in hub.bob.list_repo_commits(name)] for name in ("alice/source", "bob/copy")]
    assert ids[0] == ids[1]
    refs = hub.bob.list_repo_refs("bob/copy")
    assert [[one.name for one in kind] for kind in (refs.branches, refs.tags)] == [["main", "dev"], ["v1"]]
    hub.bob.upload_file(repo_id="bob/copy", path_or_fileobj=b"2", path_in_repo="b.txt")
    assert "b.txt" not in api.list_repo_files("alice/source")
    with pytest.raises(RepositoryNotFoundError):
        api.list_repo_files("bob/copy")
    with refused(409):
        hub.bob.duplicate_repo("alice/source", "bob/copy")
    assert hub.bob.duplicate_repo("alice/source", "bob/copy", exist_ok=True).repo_id == "bob/copy"
    api.update_repo_settings("alice/source", gated="manual")
    with refused(403):
        hub.bob.duplicate_repo("alice/source", "bob/copy2")


def test_squashing_leaves_the_files_and_one_commit(hub):
    api = hub.alice
    api.create_repo("alice/long")
    for number in range(3):
        api.upload_file(repo_id="alice/long", path_or_fileobj=b"%d" % number, path_in_repo=f"{number}.txt")
    before = api.list_repo_tree("alice/long", recursive=True)
    before = {one.path: one.blob_id for one in before}
    api.super_squash_history("alice/long", commit_message="All in one\n\nand why")
    commits = api.list_repo_commits("alice/long")
    assert [(one.title, one.message) for one in commits] == [("All in one", "and why")]
    assert {one.path: one.blob_id for one in api.list_repo_tree("alice/long", recursive=True)} == before
    assert api.model_info("alice/long").sha == commits[0].commit_id
    with refused(404):
        api.super_squash_history("alice/long", branch="nope")


def peak(hub):
    """The most memory that the Hub has had so far (kilobytes)."""
    return int(Path(f"/proc/{hub.process.pid}/status").read_text().split("VmHWM:")[1].split()[0])


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_without_end_is_not_kept_in_memory(hub, announced):
    def pieces():
        yield b'{"name": "'
        for _ in range(2**12):
            yield b"x" * 2**16

    before = peak(hub)
    headers = {"Authorization": f"Bearer {hub.alice.token}", "Content-Type": "application/json"}
    if announced:
        headers["Content-Length"] = str(10 + 2**28)
    for route in ("repos/create", "models/alice/x/preupload/main", "models/alice/x/paths-info/main", "validate-yaml"):
        try:
            answer = httpx.post(f"{hub.url}/api/{route}", content=pieces(), headers=headers)
            assert answer.status_code in (400, 404, 413)
        except (httpx.WriteError, httpx.ReadError):
            pass  # Cut off before it was all said.
        assert peak(hub) - before < 2**16  # Kilobytes: a quarter of what was sent.
