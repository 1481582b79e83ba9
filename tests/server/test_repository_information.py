"""One repository's description as the stock client reads it: keys, revisions, old names, and who may see it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta
from typing import get_args

import httpx
import pytest
import torch
from bare_hub import BareHub
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import BadRequestError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import ExpandDatasetProperty_T, ExpandModelProperty_T, ExpandSpaceProperty_T
from safetensors.torch import save

from samovar.server.db.tables import DownloadDay, Like, Repository
from samovar.server.db.tables.base import now
from samovar.server.services.jobs import Jobs
from samovar.server.services.refresh import refresh_pending
from samovar.server.services.repositories import announce, forget
from samovar.server.services.trending import DAYS, recompute_trending

CARD = """---
license: mit
language: en
model-index:
- name: x
  results: []
widget:
- text: Hello
---
Hello.
"""
CONFIG = {"architectures": ["BertForMaskedLM"], "model_type": "bert"}
TOKENIZER = {"mask_token": {"content": "[MASK]"}, "chat_template": "{{ x }}"}


@pytest.fixture(scope="module")
def commits(hub):
    """The model alice/told: its first commit, one with files on main, and one on a branch."""
    api = hub.alice
    api.create_repo("alice/told")
    first = api.model_info("alice/told").sha
    files = {"README.md": CARD, "config.json": json.dumps(CONFIG), "tokenizer_config.json": json.dumps(TOKENIZER),
             "sub folder/ä.txt": "x"}  # fmt: skip
    operations = [CommitOperationAdd(path, text.encode()) for path, text in files.items()]
    second = api.create_commit("alice/told", operations, commit_message="files").oid
    api.create_branch("alice/told", branch="other/branch")
    third = api.upload_file(
        path_or_fileobj=json.dumps({**CONFIG, "architectures": ["BertForSequenceClassification"]}).encode(),
        path_in_repo="config.json", repo_id="alice/told", revision="other/branch",
    ).oid  # fmt: skip
    api.create_tag("alice/told", tag="v1", revision=second)
    return first, second, third


def test_what_the_client_reads(hub, commits):
    info = hub.nobody.model_info("alice/told", files_metadata=True, securityStatus=True)
    assert (info.id, info.author, info.sha) == ("alice/told", "alice", commits[1])
    assert (info.private, info.gated, info.disabled) == (False, False, False)
    assert (info.pipeline_tag, info.library_name, info.mask_token) == ("fill-mask", "transformers", "[MASK]")
    assert info.card_data.license == "mit"
    assert info.model_index[0]["name"] == "x"
    assert info.widget_data == [{"text": "Hello"}]
    assert info.transformers_info.auto_model == "AutoModelForMaskedLM"
    assert info.config["tokenizer_config"]["chat_template"] == "{{ x }}"
    assert info.created_at <= info.last_modified <= datetime.now(UTC) + timedelta(seconds=1)
    siblings = {one.rfilename: one for one in info.siblings}
    text = siblings["sub folder/ä.txt"]
    assert (text.size, text.lfs) == (1, None)
    assert text.blob_id == hashlib.sha1(b"blob 1\0x").hexdigest()
    assert info.security_repo_status is not None
    plain = hub.nobody.model_info("alice/told")
    assert {one.size for one in plain.siblings} == {None}


def test_every_revision(hub, commits):
    api, (first, second, third) = hub.nobody, commits
    for revision, sha in {
        None: second, "main": second, "v1": second, "refs/heads/main": second, second: second, first: first,
        "other/branch": third, "refs/heads/other/branch": third, third: third,
    }.items():  # fmt: skip
        assert api.model_info("alice/told", revision=revision).sha == sha, revision
    assert [one.rfilename for one in api.model_info("alice/told", revision=first).siblings] == [".gitattributes"]
    assert api.model_info("alice/told", revision="other/branch").pipeline_tag == "text-classification"
    assert api.model_info("alice/told").pipeline_tag == "fill-mask"
    for revision in ("none", "0" * 40, "refs/pr/7", "a b", "refs/heads/\0"):
        with pytest.raises(RevisionNotFoundError):
            api.model_info("alice/told", revision=revision)
    assert api.revision_exists("alice/told", "v1")
    assert not api.revision_exists("alice/told", "v2")


@pytest.mark.parametrize(("type_", "known"), [
    ("model", ExpandModelProperty_T), ("dataset", ExpandDatasetProperty_T), ("space", ExpandSpaceProperty_T),
])  # fmt: skip
def test_every_key_that_the_client_can_ask_for(hub, commits, type_, known):
    name = f"alice/keys-{type_}"
    hub.alice.create_repo(name, repo_type=type_, **({"space_sdk": "static"} if type_ == "space" else {}))
    for key in get_args(known):
        answer = httpx.get(f"{hub.url}/api/{type_}s/{name}", params={"expand": key})
        assert answer.status_code == 200, key
        assert set(answer.json()) - {"_id", "id", "modelId"} <= {key}
    info = hub.nobody.repo_info(name, repo_type=type_, expand=list(get_args(known)))
    assert info.id == name
    with pytest.raises(BadRequestError):
        hub.nobody.repo_info(name, repo_type=type_, expand=["nonsense"])
    assert hub.nobody.repo_info(name, repo_type=type_, files_metadata=True).siblings[0].rfilename == ".gitattributes"


def test_headers_of_all_shards_in_one_answer(hub):
    api = hub.alice
    api.create_repo("alice/shards")
    shards = {"a.safetensors": save({"x": torch.zeros(3, 5)}), "b.safetensors": save({"y": torch.zeros(7)})}
    weight_map = {"x": "a.safetensors", "y": "b.safetensors"}
    index = json.dumps({"metadata": {"total_size": 88}, "weight_map": weight_map}).encode()
    files = {
        **shards,
        "model.safetensors.index.json": index,
        "broken.safetensors.index.json": b"{",
        "notes.json": b"{}",
    }
    api.create_commit(
        "alice/shards", [CommitOperationAdd(path, content) for path, content in files.items()], commit_message="shards"
    )
    found = hub.nobody.get_sharded_safetensors_metadata("alice/shards")
    assert found.weight_map == weight_map
    assert found.parameter_count == {"F32": 22}
    assert found.metadata == {"total_size": 88}
    assert hub.nobody.get_safetensors_metadata("alice/shards").parameter_count == {"F32": 22}
    address = f"{hub.url}/api/models/alice/shards/safetensors-metadata"
    for path, status in (("none.index.json", 404), ("notes.json", 404), ("broken.safetensors.index.json", 422)):
        assert httpx.get(f"{address}/{path}").status_code == status


def test_a_space_and_its_kit(hub):
    hub.alice.create_repo("alice/kit", repo_type="space", space_sdk="gradio")
    info = hub.nobody.space_info("alice/kit")
    assert (info.sdk, info.runtime.stage, info.subdomain) == ("gradio", "STOPPED", "alice-kit")


def test_an_old_name_leads_to_the_new_one(hub):
    hub.alice.create_repo("alice/old-name")
    hub.alice.move_repo("alice/old-name", "alice/new-name")
    assert hub.nobody.model_info("alice/old-name").id == "alice/new-name"
    assert hub.nobody.model_info("ALICE/New-Name").id == "alice/new-name"


def test_private_and_absent_ones_look_the_same(hub):
    hub.alice.create_repo("alice/unseen", private=True)
    for api in (hub.nobody, hub.bob):
        answers = []
        for name in ("alice/unseen", "alice/absent"):
            headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
            for path in ("", "/revision/main", "/revision/none", "?expand=likes", "?blobs=true"):
                answer = httpx.get(f"{hub.url}/api/models/{name}{path}", headers=headers)
                said = {key: value for key, value in answer.headers.items() if key not in ("x-request-id", "date")}
                answers.append((path, answer.status_code, answer.content, said))
        assert answers[:5] == answers[5:]
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("alice/unseen")
        assert not api.repo_exists("alice/unseen")
    assert hub.alice.model_info("alice/unseen").private
    for name in ("bert", "a/b/c", "..", "a%2Fb"):
        assert httpx.get(f"{hub.url}/api/models/{name}").status_code in (401, 404)


@pytest.fixture
def bare(tmp_path):
    return BareHub(tmp_path)


def test_trending_counts_the_last_days(bare):
    ann, bob = bare.user("ann"), bare.user("bob")
    liked, downloaded, old, quiet = (bare.repository(ann, name) for name in ("liked", "downloaded", "old", "quiet"))
    with bare.hub.database.write() as session:
        session.add(Like(account_id=bob.account_id, repository_id=liked))
        session.add(Like(account_id=ann.account_id, repository_id=old, created_at=now() - timedelta(days=20)))
        today: date = now().date()
        session.add(DownloadDay(repository_id=downloaded, day=today, count=5))
        session.add(DownloadDay(repository_id=old, day=today - timedelta(days=DAYS + 1), count=10**6))
    before = bare.row(liked).changed
    assert recompute_trending(bare.hub) == 3
    scores = [bare.row(number).trending_score for number in (liked, downloaded, old, quiet)]
    assert scores == sorted(scores, reverse=True)
    assert scores[2] > scores[3] == 0
    assert bare.row(liked).changed > before
    assert recompute_trending(bare.hub) == 0
    assert recompute_trending(bare.hub, now() + timedelta(days=DAYS * 3)) == 3
    assert bare.row(liked).trending_score == 0


@pytest.mark.slow
def test_jobs_run_at_once_and_end(bare):
    number = bare.repository(bare.user("ann"), "unread")
    with bare.hub.database.write() as session:
        announce(session, number)
    sha = bare.commit(number, {"README.md": b"new"}, read=False)
    jobs = Jobs(bare.hub)
    jobs.start()
    for _ in range(200):
        if bare.row(number).sha == sha:
            break
        jobs.ending.wait(0.05)
    jobs.stop()
    assert not jobs.thread.is_alive()
    assert bare.row(number).sha == sha


def test_one_broken_repository_keeps_no_other_from_being_read(bare):
    ann = bare.user("ann")
    broken, whole = bare.repository(ann, "broken"), bare.repository(ann, "whole")
    sha = bare.commit(whole, {"README.md": b"new"}, read=False)
    with bare.hub.database.write() as session:
        announce(session, broken)
        announce(session, whole)
    folder = bare.hub.folders.path(broken)
    for path in sorted((folder / "objects").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert refresh_pending(bare.hub) == [whole]
    assert bare.row(whole).sha == sha


def test_a_forgotten_repository_leaves_the_index(bare):
    ann = bare.user("ann")
    number = bare.repository(ann, "soon-gone")
    assert bare.hub.index.table("model").slot_of(number) is not None
    with bare.hub.database.write() as session:
        forget(session, session.get_one(Repository, number))
    assert bare.hub.index.table("model").slot_of(number) is None
