"""Large files by LFS: one PUT, parts, verify; wrong hashes and sizes, forged addresses, and who may refer to what."""

from __future__ import annotations

import hashlib
import http.client
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
from running_hub import RunningHub
from separate_client import run

PART = 5 * 2**20


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A Hub with small parts."""
    running = RunningHub(tmp_path_factory.mktemp("hub"), part=str(PART))
    running.start()
    yield running
    running.stop()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def batch(hub: RunningHub, api: HfApi, name: str, *objects: tuple[str, int], **more: object) -> httpx.Response:
    """Ask what to do with files of (hash, size)."""
    body = {"operation": "upload", "objects": [{"oid": oid, "size": size} for oid, size in objects], **more}
    headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
    return httpx.post(f"{hub.url}/{name}.git/info/lfs/objects/batch", json=body, headers=headers)


def address(hub: RunningHub, api: HfApi, name: str, content: bytes) -> str:
    """Where to send a file."""
    return batch(hub, api, name, (sha256(content), len(content))).json()["objects"][0]["actions"]["upload"]["href"]


def refer(api: HfApi, name: str, content: bytes, size: int | None = None) -> int:
    """Commit to a large file without sending it; the status."""
    lines = (
        '{"key":"header","value":{"summary":"refer"}}\n'
        f'{{"key":"lfsFile","value":{{"path":"{sha256(content)[:9]}.bin","algo":"sha256","oid":"{sha256(content)}",'
        f'"size":{len(content) if size is None else size}}}}}\n'
    )
    headers = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/x-ndjson"}
    return httpx.post(f"{api.endpoint}/api/models/{name}/commit/main", content=lines, headers=headers).status_code


def test_a_file_goes_up_whole_and_comes_down(hub):
    hub.alice.create_repo("alice/whole")
    content = os.urandom(2**20)
    answer = batch(hub, hub.alice, "alice/whole", (sha256(content), len(content)))
    assert answer.headers["content-type"].startswith("application/vnd.git-lfs+json")
    (one,) = answer.json()["objects"]
    assert refer(hub.alice, "alice/whole", content) == 422
    assert httpx.post(one["actions"]["verify"]["href"], json={"oid": one["oid"], "size": one["size"]},
                      headers={"Authorization": f"Bearer {hub.alice.token}"}).status_code == 422  # fmt: skip
    put = httpx.put(one["actions"]["upload"]["href"], content=content)
    assert put.status_code == 200
    assert put.headers["etag"]
    assert httpx.post(one["actions"]["verify"]["href"], json={"oid": one["oid"], "size": one["size"]},
                      headers={"Authorization": f"Bearer {hub.alice.token}"}).status_code == 200  # fmt: skip
    assert refer(hub.alice, "alice/whole", content, len(content) + 1) == 422
    assert refer(hub.alice, "alice/whole", content) == 200
    (again,) = batch(hub, hub.alice, "alice/whole", (sha256(content), len(content))).json()["objects"]
    assert "actions" not in again
    assert "error" not in again
    (down,) = batch(
        hub, hub.nobody, "alice/whole", (sha256(content), len(content)), operation="download"
    ).json()["objects"]  # fmt: skip
    href = down["actions"]["download"]["href"]
    assert httpx.get(href).content == content
    assert httpx.get(href, headers={"Range": "bytes=5-9"}).content == content[5:10]


def test_errors_are_said_for_each_file(hub):
    hub.alice.create_repo("alice/errors")
    good = sha256(b"good")
    wrong = [("x" * 64, 1), ("A" * 64, 1), ("../../etc/passwd", 1), ("0" * 63, 1), (good, -1), (good, 2**62)]
    found = batch(hub, hub.alice, "alice/errors", *wrong, (good, 4)).json()["objects"]
    assert [one.get("error", {}).get("code") for one in found] == [422] * len(wrong) + [None]
    (missing,) = batch(hub, hub.alice, "alice/errors", (good, 4), operation="download").json()["objects"]
    assert missing["error"]["code"] == 404
    for body in ({"operation": "delete"}, {"hash_algo": "sha512"}):
        assert batch(hub, hub.alice, "alice/errors", (good, 4), **body).status_code == 400
    assert batch(hub, hub.alice, "alice/errors", *[(good, 4)] * 1001).status_code == 400


def test_who_may_send(hub):
    hub.alice.create_repo("alice/mine", private=True)
    one = (sha256(b"1"), 1)
    refused = batch(hub, hub.nobody, "alice/mine", one)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Basic")
    assert batch(hub, hub.bob, "alice/mine", one).status_code == 404
    reader = hub.client(hub.command("token", "create", "alice", "--role", "read"))
    assert batch(hub, reader, "alice/mine", one).status_code == 403


def test_what_arrives_must_be_what_was_announced(hub):
    hub.alice.create_repo("alice/checked")
    content = os.urandom(2**20)
    url = address(hub, hub.alice, "alice/checked", content)
    for wrong in (content[:-1], content[:-1] + b"x" if content[-1:] != b"x" else content[:-1] + b"y", b""):
        assert httpx.put(url, content=wrong).status_code == 422
    assert httpx.put(url, content=content + b"more").status_code == 413
    assert httpx.put(url, content=iter([content, b"more"])).status_code == 413  # In chunks, of unknown length.
    assert refer(hub.alice, "alice/checked", content) == 422
    assert httpx.put(url, content=iter([content[:5], content[5:]])).status_code == 200
    assert refer(hub.alice, "alice/checked", content) == 200
    assert drafts(hub) == []


def drafts(hub: RunningHub) -> list[str]:
    """What waits beside the objects."""
    return sorted(path.name for path in (hub.data / "objects" / "drafts").glob("*"))


def test_addresses_are_signed_and_end_with_the_token(hub):
    hub.alice.create_repo("alice/signed")
    content = os.urandom(1000)
    token = hub.command("token", "create", "alice", "--role", "write")
    url = address(hub, hub.client(token), "alice/signed", content)
    start, _, ticket = url.rpartition("/")
    for forged in (ticket[:-2] + ("AA" if ticket[-2:] != "AA" else "BB"), "x", "a" * 1500, "%00", ticket[::-1]):
        assert httpx.put(f"{start}/{forged}", content=content).status_code == 403
    assert httpx.get(url).status_code == 403  # To send is not to fetch.
    assert httpx.put(f"{hub.url}/api/lfs/parts/{ticket}", content=content).status_code == 403
    hub.alice.delete_repo("alice/signed")
    assert httpx.put(url, content=content).status_code == 404


def test_an_upload_that_breaks_off_leaves_nothing(hub):
    hub.alice.create_repo("alice/broken")
    content = os.urandom(3 * 2**20)
    where = urlsplit(address(hub, hub.alice, "alice/broken", content))
    for _ in range(5):
        connection = http.client.HTTPConnection(where.hostname, where.port)
        connection.putrequest("PUT", where.path)
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders()
        connection.send(content[: 2 * 2**20])
        connection.close()
    assert httpx.put(where.geturl(), content=content).status_code == 200
    for _ in range(100):
        if not drafts(hub):
            break
        threading.Event().wait(0.1)
    assert drafts(hub) == []
    assert "Traceback" not in hub.log()


def test_parts_in_any_order_at_the_same_time_and_again(hub):
    hub.alice.create_repo("alice/parts")
    content = os.urandom(3 * PART + 17)
    answer = batch(
        hub, hub.alice, "alice/parts", (sha256(content), len(content)), transfers=["basic", "multipart"]
    ).json()  # fmt: skip
    assert answer["transfer"] == "multipart"
    upload = answer["objects"][0]["actions"]["upload"]
    size = int(upload["header"].pop("chunk_size"))
    urls = {int(number): url for number, url in upload["header"].items()}
    assert sorted(urls) == list(range(1, -(-len(content) // size) + 1))
    cut = {number: content[(number - 1) * size : number * size] for number in urls}

    def finish() -> httpx.Response:
        done = {
            "oid": sha256(content),
            "parts": [{"partNumber": number, "etag": tags[number]} for number in sorted(tags)],
        }
        return httpx.post(upload["href"], json=done)

    tags: dict[int, str] = {}
    assert httpx.put(urls[1], content=cut[1][:-1]).status_code == 422
    assert httpx.put(urls[1], content=cut[1] + b"x").status_code == 413
    assert httpx.put(upload["href"], content=content).status_code == 400
    assert finish().status_code in (404, 422)

    def send(number: int) -> None:
        tags[number] = httpx.put(urls[number], content=cut[number]).headers["etag"]

    threads = [threading.Thread(target=send, args=[number]) for number in [4, 2, 3, 3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert finish().status_code == 422
    send(1)
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(finish().status_code)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 200 in results
    assert set(results) <= {200, 404}
    assert finish().status_code == 200
    assert refer(hub.alice, "alice/parts", content) == 200
    assert httpx.get(f"{hub.url}/alice/parts/resolve/main/{sha256(content)[:9]}.bin").content == content


def test_wrong_parts_make_no_file(hub):
    hub.alice.create_repo("alice/wrong-parts")
    content = os.urandom(PART + 1)
    upload = batch(
        hub, hub.alice, "alice/wrong-parts", (sha256(content), len(content)), transfers=["multipart"]
    ).json()["objects"][0]["actions"]["upload"]  # fmt: skip
    tags = [httpx.put(upload["header"][number], content=part).headers["etag"]
            for number, part in (("1", os.urandom(PART)), ("2", content[PART:]))]  # fmt: skip
    done = {"oid": sha256(content), "parts": [{"partNumber": at + 1, "etag": tag} for at, tag in enumerate(tags)]}
    assert httpx.post(upload["href"], json=done).status_code == 422
    assert refer(hub.alice, "alice/wrong-parts", content) == 422
    assert not [name for name in drafts(hub) if name.startswith("parts-")]


def test_a_file_that_the_caller_may_read_is_not_sent_again_and_any_other_is(hub):
    """Knowing the hash of somebody's private file gives neither the file nor the knowledge that it is here."""
    for name, private in (("alice/open", False), ("alice/closed", True)):
        hub.alice.create_repo(name, private=private)
    hub.bob.create_repo("bob/copies")
    open_, closed, new = os.urandom(2**20), os.urandom(2**20), os.urandom(2**20)
    for name, content in (("alice/open", open_), ("alice/closed", closed)):
        httpx.put(address(hub, hub.alice, name, content), content=content)
        assert refer(hub.alice, name, content) == 200
    found = batch(hub, hub.bob, "bob/copies", *[(sha256(one), len(one)) for one in (open_, closed, new)]).json()[
        "objects"
    ]
    assert [sorted(one) for one in found] == [["oid", "size"]] + [["actions", "oid", "size"]] * 2
    assert refer(hub.bob, "bob/copies", open_) == 200
    assert refer(hub.bob, "bob/copies", closed) == refer(hub.bob, "bob/copies", new) == 422
    assert httpx.put(found[1]["actions"]["upload"]["href"], content=closed).status_code == 200
    assert refer(hub.bob, "bob/copies", closed) == 200


def test_quota(hub):
    token = hub.add_user("small")
    api = hub.client(token)
    api.create_repo("small/m")
    content = os.urandom(2**20)
    url = address(hub, api, "small/m", content)
    with closing(sqlite3.connect(hub.data / "hub.sqlite3")) as database, database:
        database.execute("UPDATE accounts SET quota = 1000 WHERE name = 'small'")
    refused = batch(hub, api, "small/m", (sha256(content), len(content)))
    assert (refused.status_code, refused.headers["x-error-code"]) == (403, "QuotaExceededError")
    assert httpx.put(url, content=content).status_code == 403


@pytest.mark.slow
@pytest.mark.parametrize("size", [PART // 2, 3 * PART + 5])
def test_the_stock_client_without_xet(hub, tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "weights.bin").write_bytes(content)
    name = f"alice/stock-{size}"
    hub.alice.create_repo(name)
    code = "api.upload_file(repo_id=sys.argv[1], path_in_repo='weights.bin', path_or_fileobj=sys.argv[2])"
    run(hub.url, hub.alice.token, code, tmp_path / "home", name, str(tmp_path / "weights.bin"), HF_HUB_DISABLE_XET="1")
    path = hub.nobody.hf_hub_download(name, "weights.bin", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == content


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # Of the client's own libraries.
def test_file_objects(hub, tmp_path):
    """The client sends these by LFS, whatever else it can."""
    content = os.urandom(2 * 2**20)
    (tmp_path / "x").write_bytes(content)
    hub.alice.create_repo("alice/objects")
    with (tmp_path / "x").open("rb") as file:
        hub.alice.create_commit("alice/objects", [CommitOperationAdd("a.bin", file)], commit_message="a file object")
    path = hub.nobody.hf_hub_download("alice/objects", "a.bin", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == content


def test_whoever_may_only_propose_sends_files_for_a_proposal(hub):
    hub.alice.create_repo("alice/proposals")
    content = os.urandom(2**20)
    commit = hub.bob.upload_file(
        repo_id="alice/proposals", path_in_repo="a.bin", path_or_fileobj=content, create_pr=True
    )  # fmt: skip
    assert commit.pr_revision == "refs/pr/1"
    assert httpx.get(f"{hub.url}/alice/proposals/resolve/refs%2Fpr%2F1/a.bin").content == content
    with pytest.raises(HfHubHTTPError):
        hub.bob.upload_file(repo_id="alice/proposals", path_in_repo="b.bin", path_or_fileobj=content)
