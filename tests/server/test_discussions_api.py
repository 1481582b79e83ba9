"""Discussions and pull requests with the stock client."""

from __future__ import annotations

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError


def refused(status):
    """An answer of that status."""
    return pytest.raises(HfHubHTTPError, check=lambda error: error.response.status_code == status)


@pytest.fixture
def repo(hub, request):
    """A repository of this test's own."""
    name = f"alice/{request.node.name.replace('_', '-')[:60].strip('-')}"
    hub.alice.create_repo(name)
    hub.alice.upload_file(repo_id=name, path_or_fileobj=b"1\n", path_in_repo="a.txt")
    return name


def test_people_talk(hub, repo):
    talk = hub.bob.create_discussion(repo, title="Why so slow?", description="It takes long.")
    assert (talk.num, talk.status, talk.author, talk.is_pull_request) == (1, "open", "bob", False)
    said = hub.alice.comment_discussion(repo, 1, "Does it?")
    assert (said.content, said.author, said.edited) == ("Does it?", "alice", False)
    edited = hub.alice.edit_discussion_comment(repo, 1, said.id, "It does.")
    assert (edited.content, edited.edited) == ("It does.", True)
    assert [one["raw"] for one in edited.edit_history] == ["Does it?"]
    with refused(403):
        hub.bob.edit_discussion_comment(repo, 1, said.id, "I said this.")
    hub.alice.rename_discussion(repo, 1, "Why slow?")
    hub.bob.change_discussion_status(repo, 1, "closed", comment="Fine.")
    with pytest.warns(UserWarning, match="irreversible"):
        hidden = hub.alice.hide_discussion_comment(repo, 1, said.id)
    assert hidden.hidden
    found = hub.nobody.get_discussion_details(repo, 1)
    assert (found.title, found.status) == ("Why slow?", "closed")
    assert [one.type for one in found.events] == ["comment", "comment", "title-change", "comment", "status-change"]
    assert found.events[1].content == ""


def test_lists_are_filtered_and_end(hub, repo):
    for number in range(60):
        hub.alice.create_discussion(repo, title=f"Number {number}")
    hub.bob.create_pull_request(repo, title="A proposal")
    hub.alice.change_discussion_status(repo, 3, "closed")
    every = list(hub.nobody.get_repo_discussions(repo))
    assert [one.num for one in every] == list(range(61, 0, -1))
    for more, count in (
        ({"discussion_type": "pull_request"}, 1), ({"discussion_type": "discussion"}, 60), ({"author": "bob"}, 1),
        ({"discussion_status": "closed"}, 1), ({"discussion_status": "open"}, 60), ({"author": "nobody"}, 0),
    ):  # fmt: skip
        assert len(list(hub.nobody.get_repo_discussions(repo, **more))) == count
    beyond = httpx.get(f"{hub.url}/api/models/{repo}/discussions?p=9").json()
    assert beyond["start"] + len(beyond["discussions"]) >= beyond["count"]


def test_a_pull_request_by_somebody_who_may_not_write(hub, repo):
    with refused(403):
        hub.bob.upload_file(repo_id=repo, path_or_fileobj=b"2\n", path_in_repo="b.txt")
    info = hub.bob.upload_file(
        repo_id=repo, path_or_fileobj=b"2\n", path_in_repo="b.txt", create_pr=True, commit_message="Add b",
        commit_description="as it is missing",
    )  # fmt: skip
    assert (info.pr_num, info.pr_revision, info.pr_url) == (1, "refs/pr/1", f"{hub.url}/{repo}/discussions/1")
    assert set(hub.nobody.list_repo_files(repo, revision="refs/pr/1")) == {".gitattributes", "a.txt", "b.txt"}
    assert "b.txt" not in hub.nobody.list_repo_files(repo)
    hub.bob.upload_file(repo_id=repo, path_or_fileobj=b"3\n", path_in_repo="c.txt", revision="refs/pr/1")
    refs = hub.nobody.list_repo_refs(repo, include_pull_requests=True)
    assert [one.ref for one in refs.pull_requests] == ["refs/pr/1"]
    found = hub.nobody.get_discussion_details(repo, 1)
    assert (found.title, found.status, found.target_branch) == ("Add b", "open", "refs/heads/main")
    assert [one.type for one in found.events] == ["comment", "commit", "commit"]
    assert "+++ b/b.txt" in found.diff
    assert "+++ b/c.txt" in found.diff
    with refused(403):
        hub.bob.merge_pull_request(repo, 1)
    hub.alice.merge_pull_request(repo, 1, comment="Thanks")
    assert set(hub.nobody.list_repo_files(repo)) == {".gitattributes", "a.txt", "b.txt", "c.txt"}
    merged = hub.nobody.get_discussion_details(repo, 1)
    head = hub.nobody.list_repo_commits(repo)[0]
    assert (merged.status, merged.merge_commit_oid) == ("merged", head.commit_id)
    assert head.title == "Add b (#1)"
    assert hub.nobody.model_info(repo).sha == head.commit_id
    for call in (
        lambda: hub.alice.merge_pull_request(repo, 1),
        lambda: hub.alice.change_discussion_status(repo, 1, "open"),
    ):
        with refused(400):
            call()
    with refused(409):
        hub.bob.upload_file(repo_id=repo, path_or_fileobj=b"4", path_in_repo="d.txt", revision="refs/pr/1")


def test_changes_on_both_sides(hub, repo):
    api = hub.alice
    pull = api.create_pull_request(repo, title="Other words")
    assert pull.status == "draft"
    api.upload_file(repo_id=repo, path_or_fileobj=b"theirs\n", path_in_repo="a.txt", revision="refs/pr/1")
    api.upload_file(repo_id=repo, path_or_fileobj=b"ours\n", path_in_repo="a.txt")
    assert api.get_discussion_details(repo, 1).conflicting_files == ["a.txt"]
    with refused(409):
        api.merge_pull_request(repo, 1)
    api.upload_file(repo_id=repo, path_or_fileobj=b"ours\n", path_in_repo="a.txt", revision="refs/pr/1")
    api.upload_file(repo_id=repo, path_or_fileobj=b"new\n", path_in_repo="new.txt", revision="refs/pr/1")
    api.upload_file(repo_id=repo, path_or_fileobj=b"main\n", path_in_repo="main.txt")
    api.merge_pull_request(repo, 1)
    assert set(api.list_repo_files(repo)) == {".gitattributes", "a.txt", "new.txt", "main.txt"}


def test_nobody_commits_to_somebody_elses_pull_request(hub, repo):
    hub.alice.create_pull_request(repo, title="Mine alone")
    with refused(403):
        hub.bob.upload_file(repo_id=repo, path_or_fileobj=b"x", path_in_repo="x", revision="refs/pr/1")
    with refused(401):
        hub.nobody.create_discussion(repo, title="Anonymous")
    reader = hub.client(hub.add_user("pr-reader", role="read"))
    with refused(403):
        reader.create_pull_request(repo, title="With a token that reads")


def test_a_proposal_that_fails_leaves_no_pull_request(hub, repo):
    with refused(404):
        hub.alice.create_commit(repo, [CommitOperationDelete("nope")], commit_message="x", create_pr=True)
    assert list(hub.alice.get_repo_discussions(repo)) == []
    old = hub.alice.list_repo_commits(repo)[-1].commit_id
    with refused(412):
        hub.alice.create_commit(
            repo, [CommitOperationAdd("x", b"x")], commit_message="x", create_pr=True, parent_commit=old
        )
    assert list(hub.alice.get_repo_discussions(repo)) == []


def test_private_repositories_have_private_discussions(hub, repo):
    hub.alice.create_discussion(repo, title="Secret plan")
    hub.alice.update_repo_settings(repo, private=True)
    for call in (
        lambda api: list(api.get_repo_discussions(repo)),
        lambda api: api.get_discussion_details(repo, 1),
        lambda api: api.comment_discussion(repo, 1, "x"),
    ):
        with pytest.raises(RepositoryNotFoundError):
            call(hub.bob)
    for number in ("0", "99", "x", "-1", "9" * 30):
        url = f"{hub.url}/api/models/{repo}/discussions/{number}"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {hub.alice.token}"})
        assert answer.status_code in (400, 404)


def test_the_difference_of_gated_files_is_for_those_let_in(hub, repo):
    hub.alice.upload_file(repo_id=repo, path_or_fileobj=b"secret\n", path_in_repo="b.txt", create_pr=True)
    hub.alice.update_repo_settings(repo, gated="manual")
    assert "secret" in hub.alice.get_discussion_details(repo, 1).diff
    assert hub.bob.get_discussion_details(repo, 1).diff is None
    with refused(403):
        hub.bob.comment_discussion(repo, 1, "Let me in")
