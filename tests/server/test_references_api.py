"""Branches, tags, history, trees and differences, as the stock client asks for them."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError, RemoteEntryNotFoundError, RevisionNotFoundError


def refused(status):
    """An answer of that status."""
    return pytest.raises(HfHubHTTPError, check=lambda error: error.response.status_code == status)


@pytest.fixture(scope="module")
def repo(hub):
    """A repository with a history: three files at first, then one commit for each of five more."""
    api = hub.alice
    api.create_repo("alice/refs")
    first = [CommitOperationAdd(path, path.encode()) for path in ("a.txt", "d/b.txt", "d/e/c.txt")]
    api.create_commit("alice/refs", first, commit_message="First <b>")
    for number in range(5):
        api.upload_file(
            repo_id="alice/refs", path_or_fileobj=b"%d" % number, path_in_repo=f"d/{number}.txt",
            commit_message=f"Number {number}", commit_description="why\nand how",
        )  # fmt: skip
    return "alice/refs"


def test_branches_and_tags_come_and_go(hub, repo):
    api = hub.alice
    head = api.model_info(repo).sha
    old = api.list_repo_commits(repo)[-1].commit_id
    api.create_branch(repo, branch="a/b")
    api.create_branch(repo, branch="a/old", revision=old)
    api.create_tag(repo, tag="light", revision=old[:10])
    api.create_tag(repo, tag="heavy", tag_message="A tag\n\nwith a message", revision="a/b")
    refs = api.list_repo_refs(repo, include_pull_requests=True)
    assert {one.name: (one.ref, one.target_commit) for one in refs.branches} == {
        "main": ("refs/heads/main", head),
        "a/b": ("refs/heads/a/b", head),
        "a/old": ("refs/heads/a/old", old),
    }
    assert {one.name: one.target_commit for one in refs.tags} == {"light": old, "heavy": head}
    assert (refs.converts, refs.pull_requests) == ([], [])
    for revision in ("a/b", "light", "heavy", old, old[:7], "refs/heads/a/b", "refs/tags/light"):
        assert ".gitattributes" in api.list_repo_files(repo, revision=revision)
    with refused(409):
        api.create_branch(repo, branch="a/b")
    api.create_branch(repo, branch="a/b", exist_ok=True)
    with refused(409):
        api.create_tag(repo, tag="light")
    api.create_tag(repo, tag="light", exist_ok=True)
    for clash in ("a", "a/b/c"):
        with refused(409):
            api.create_branch(repo, branch=clash)
    with pytest.raises(RevisionNotFoundError):
        api.create_branch(repo, branch="x", revision="nope")
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo, tag="x", revision="nope")
    for branch in ("a/b", "a/old"):
        api.delete_branch(repo, branch=branch)
        with refused(404):
            api.delete_branch(repo, branch=branch)
    for tag in ("light", "heavy"):
        api.delete_tag(repo, tag=tag)
        with refused(404):
            api.delete_tag(repo, tag=tag)
    with refused(400):
        api.delete_branch(repo, branch="main")


@pytest.mark.parametrize(
    "name",
    ["..", ".", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "/a", "a/", "a//b", ".a", "a/.b", "-a",
     "a.lock", "a.lock/b", "@", "a@{1}", "HEAD", "refs/heads/x", "0" * 40, "a\0b", "a\nb", "a\x7f", "x" * 300, "a.",
     "\ud800"],
    ids=ascii,
)  # fmt: skip
def test_names_that_git_refuses(hub, repo, name):
    headers = {"Authorization": f"Bearer {hub.alice.token}"}
    encoded = quote(name.encode("utf-8", "surrogatepass"), safe="")
    before = hub.alice.list_repo_refs(repo)
    for url in (f"branch/{encoded}", "tag/main"):
        body = (
            b'{"tag": "%s"}' % name.encode("unicode_escape").replace(b"\\x", b"\\u00") if url == "tag/main" else b"{}"
        )
        answer = httpx.post(
            f"{hub.url}/api/models/{repo}/{url}", content=body, headers={**headers, "Content-Type": "application/json"}
        )
        # A client normalises `.` and `..` away before it asks.
        assert answer.status_code in ((400, 404, 405) if name in (".", "..") else (400,)), (url, answer.text)
    assert httpx.delete(f"{hub.url}/api/models/{repo}/branch/{encoded}", headers=headers).status_code in (400, 404, 405)
    assert hub.alice.list_repo_refs(repo) == before


def test_history_in_pages(hub, repo):
    commits = hub.alice.list_repo_commits(repo, formatted=True)
    assert [one.title for one in commits] == [f"Number {n}" for n in (4, 3, 2, 1, 0)] + ["First <b>", "initial commit"]
    assert commits[0].message == commits[0].formatted_message == "why\nand how"
    assert commits[5].formatted_title == "First &lt;b&gt;"
    url, found = f"{hub.url}/api/models/{repo}/commits/main?limit=3&expand[]=formatted", []
    while url:
        answer = httpx.get(url)
        found += [one["id"] for one in answer.json()]
        # What is committed meanwhile shifts nothing.
        url = answer.links.get("next", {}).get("url")
    assert found == [one.commit_id for one in commits]
    with pytest.raises(RevisionNotFoundError):
        hub.alice.list_repo_commits(repo, revision="nope")
    for bad in ("cursor=%00", "cursor=x", "limit=0", "limit=x", "p=-1", "cursor=" + "A" * 5000):
        assert 400 <= httpx.get(f"{hub.url}/api/models/{repo}/commits/main?{bad}").status_code < 500


def test_trees_recursive_and_not_with_last_commits(hub, repo):
    api = hub.alice
    by_title = {one.title: one.commit_id for one in api.list_repo_commits(repo)}
    top = {one.path: one.last_commit.oid for one in api.list_repo_tree(repo, expand=True)}
    assert top == {
        ".gitattributes": by_title["initial commit"], "a.txt": by_title["First <b>"], "d": by_title["Number 4"]
    }  # fmt: skip
    below = {one.path: one.last_commit.title for one in api.list_repo_tree(repo, "d", recursive=True, expand=True)}
    assert below == {
        **{f"d/{number}.txt": f"Number {number}" for number in range(5)},
        "d/b.txt": "First <b>", "d/e": "First <b>", "d/e/c.txt": "First <b>",
    }  # fmt: skip
    assert [one.path for one in api.list_repo_tree(repo, "d/e")] == ["d/e/c.txt"]
    for path in ("nope", "a.txt", "d/nope", "a.txt/x", "d/../d"):
        with pytest.raises(RemoteEntryNotFoundError):
            list(api.list_repo_tree(repo, path))
    with pytest.raises(RevisionNotFoundError):
        list(api.list_repo_tree(repo, revision="nope"))
    infos = api.get_paths_info(repo, ["d", "a.txt", "nope", "d/e/c.txt", "a.txt", "../x", ""], expand=True)
    assert {one.path: one.last_commit.title for one in infos} == {
        "d": "Number 4", "a.txt": "First <b>", "d/e/c.txt": "First <b>"
    }  # fmt: skip


def test_trees_in_pages_stay_with_their_commit(hub, repo):
    expected = [one.path for one in hub.alice.list_repo_tree(repo, recursive=True)]
    url, found = f"{hub.url}/api/models/{repo}/tree/main?recursive=true&expand=false&limit=2", []
    while url:
        answer = httpx.get(url)
        found += [one["path"] for one in answer.json()]
        if len(found) == 2:
            hub.alice.create_branch(repo, branch="paged", exist_ok=True)
        url = answer.links.get("next", {}).get("url")
    assert found == expected
    assert httpx.get(f"{hub.url}/api/models/{repo}/tree/main?cursor=%FF").status_code == 400


def test_compare_and_size(hub, repo):
    ids = [one.commit_id for one in hub.alice.list_repo_commits(repo)]
    diff = httpx.get(f"{hub.url}/api/models/{repo}/compare/{ids[1]}..{ids[0]}").text
    assert "+++ b/d/4.txt" in diff
    assert "+4" in diff
    assert "-4" in httpx.get(f"{hub.url}/api/models/{repo}/compare/{ids[0]}..{ids[1]}").text
    assert httpx.get(f"{hub.url}/api/models/{repo}/compare/{ids[0]}...{ids[1]}").text == ""
    assert httpx.get(f"{hub.url}/api/models/{repo}/compare/main..nope").status_code == 404
    for wrong in ("main", "main..", "..main"):
        assert httpx.get(f"{hub.url}/api/models/{repo}/compare/{wrong}").status_code in (400, 404)
    size = httpx.get(f"{hub.url}/api/models/{repo}/treesize/main/d").json()
    assert size == {"path": "d", "size": len("d/b.txt") + len("d/e/c.txt") + 5}
