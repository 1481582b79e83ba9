"""Downloads as clients make them: headers, ranges, conditions, broken connections, and what no browser may run."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import socket
import struct
import threading
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

LARGE = os.urandom(3 * 2**20 + 17)
SHA256 = hashlib.sha256(LARGE).hexdigest()
SMALL = b'{"hidden_size": 8}\n'
BLOB = hashlib.sha1(b"blob %d\0" % len(SMALL) + SMALL).hexdigest()


@pytest.fixture(scope="module")
def files(hub) -> str:
    """A model with a large and a small file, and names that need care."""
    hub.alice.create_repo("alice/files")
    named = {"config.json": SMALL, "weights.bin": LARGE, "page.html": b"<script>1</script>", "x.svg": b"<svg/>",
             "sub dir/ü ?#%.txt": b"odd", 'q"uote.txt': b"quoted"}  # fmt: skip
    hub.alice.upload_folder(repo_id="alice/files", folder_path=write(hub.data.parent / "files", named))
    return f"{hub.url}/alice/files/resolve/main"


def write(folder, named):
    """A folder with these files."""
    for name, content in named.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_small_file_is_named_by_git_and_a_large_one_by_its_sha256(hub, files):
    commit = hub.alice.model_info("alice/files").sha
    small, large = httpx.head(f"{files}/config.json"), httpx.head(f"{files}/weights.bin")
    assert small.headers["x-repo-commit"] == large.headers["x-repo-commit"] == commit
    assert small.headers["etag"] == f'"{BLOB}"'
    assert large.headers["etag"] == large.headers["x-linked-etag"] == f'"{SHA256}"'
    assert int(small.headers["content-length"]) == len(SMALL)
    assert int(large.headers["content-length"]) == int(large.headers["x-linked-size"]) == len(LARGE)
    assert "x-xet-hash" not in large.headers
    got = httpx.get(f"{files}/weights.bin", headers={"Accept-Encoding": "gzip, deflate"})
    assert got.content == LARGE
    assert "content-encoding" not in got.headers


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1), ("bytes=5-9", 5, 10), ("bytes=100-", 100, None), ("bytes=-7", -7, None),
        (f"bytes=-{len(LARGE) * 2}", 0, None), (f"bytes=10-{len(LARGE) * 9}", 10, None),
        (f"bytes={len(LARGE) - 1}-", len(LARGE) - 1, None), ("Bytes = 1-2", 1, 3),
    ],
)  # fmt: skip
def test_one_range_is_sent(files, header, start, end):
    expected = LARGE[start:end]
    got = httpx.get(f"{files}/weights.bin", headers={"Range": header})
    first = start % len(LARGE)
    assert got.status_code == 206
    assert got.content == expected
    assert got.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(LARGE)}"


@pytest.mark.parametrize(
    "header", ["bytes=0-1,5-6", "bytes=9-3", "bytes=-", "lines=0-1", "bytes=a-b", "bytes=1", "=" * 99]
)
def test_a_range_that_is_not_understood_is_left_out_of_account(files, header):
    got = httpx.get(f"{files}/weights.bin", headers={"Range": header})
    assert (got.status_code, got.content) == (200, LARGE)


@pytest.mark.parametrize("header", [f"bytes={len(LARGE)}-", "bytes=-0", "bytes=99999999999999999999-"])
def test_a_range_behind_the_end_is_refused_with_the_size(files, header):
    got = httpx.get(f"{files}/weights.bin", headers={"Range": header})
    assert got.status_code == 416
    assert got.headers["content-range"] == f"bytes */{len(LARGE)}"


def test_conditions(files):
    url = f"{files}/weights.bin"
    for known in (f'"{SHA256}"', f'W/"{SHA256}"', f'"x", "{SHA256}"', "*"):
        got = httpx.get(url, headers={"If-None-Match": known})
        assert (got.status_code, got.content) == (304, b"")
    assert httpx.get(url, headers={"If-None-Match": '"x"'}).status_code == 200
    ranged = {"Range": "bytes=0-3"}
    assert httpx.get(url, headers={**ranged, "If-Range": f'"{SHA256}"'}).status_code == 206
    assert httpx.get(url, headers={**ranged, "If-Range": '"changed"'}).content == LARGE


def test_ranges_of_small_files_too(files):
    got = httpx.get(f"{files}/config.json", headers={"Range": "bytes=1-5"})
    assert (got.status_code, got.content) == (206, SMALL[1:6])


def test_what_is_not_there_says_at_which_commit(hub, files, tmp_path):
    missing = httpx.head(f"{files}/none.json")
    assert (missing.status_code, missing.headers["x-error-code"]) == (404, "EntryNotFound")
    assert missing.headers["x-repo-commit"] == hub.alice.model_info("alice/files").sha
    for path in ("sub%20dir", "config.json/deeper", "", "../config.json", "%00", "a" * 3000, "%ff", ".."):
        got = httpx.get(f"{files}/{path}")
        assert got.status_code == 404, path
    with pytest.raises(EntryNotFoundError):
        hub.alice.hf_hub_download("alice/files", "none.json", cache_dir=tmp_path)
    with pytest.raises(RevisionNotFoundError):
        hub.alice.hf_hub_download("alice/files", "config.json", revision="none", cache_dir=tmp_path)
    with pytest.raises(RepositoryNotFoundError):
        hub.alice.hf_hub_download("alice/none", "config.json", cache_dir=tmp_path)


def test_odd_names_and_revisions(hub, files, tmp_path):
    hub.alice.create_branch("alice/files", branch="a/b")
    for revision in ("main", "a/b", "refs/heads/main", hub.alice.model_info("alice/files").sha):
        path = hub.alice.hf_hub_download("alice/files", "sub dir/ü ?#%.txt", revision=revision, cache_dir=tmp_path)
        assert Path(path).read_bytes() == b"odd"
    got = httpx.get(f"{files}/{quote('q')}%22uote.txt")
    assert got.headers["content-disposition"].count('"') == 2
    got = httpx.get(f"{files}/sub%20dir/{quote('ü ?#%.txt')}")
    assert quote("ü ?#%.txt") in got.headers["content-disposition"]


def test_nothing_of_a_repository_runs_in_a_browser(hub, files):
    for name in ("page.html", "x.svg"):
        for way in (files, files.replace("/resolve/", "/raw/")):
            headers = httpx.get(f"{way}/{name}").headers
            assert headers["content-type"].startswith("text/plain")
            assert headers["content-disposition"].startswith("attachment")
            assert headers["x-content-type-options"] == "nosniff"
            assert "sandbox" in headers["content-security-policy"]


def test_raw_shows_the_pointer(files):
    got = httpx.get(f"{files.replace('/resolve/', '/raw/')}/weights.bin")
    assert got.text.splitlines()[1:] == [f"oid sha256:{SHA256}", f"size {len(LARGE)}"]
    assert httpx.get(f"{files.replace('/resolve/', '/raw/')}/config.json").content == SMALL


def test_a_pointer_alone_gives_nobody_a_file(hub, files):
    """Whoever knows a hash cannot read the file by committing a pointer to it, in whichever way."""
    hub.bob.create_repo("bob/thief")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize {len(LARGE)}\n".encode()
    with pytest.raises(HfHubHTTPError):
        hub.bob.upload_file(repo_id="bob/thief", path_in_repo="stolen.txt", path_or_fileobj=pointer)
    assert not hub.bob.file_exists("bob/thief", "stolen.txt")


def test_a_private_file_looks_like_none(hub):
    hub.alice.create_repo("alice/secret-files", private=True)
    hub.alice.upload_file(repo_id="alice/secret-files", path_in_repo="a.txt", path_or_fileobj=b"secret")
    for api, status in ((hub.bob, 404), (hub.nobody, 401)):
        headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
        there = httpx.get(f"{hub.url}/alice/secret-files/resolve/main/a.txt", headers=headers)
        none = httpx.get(f"{hub.url}/alice/no-such-files/resolve/main/a.txt", headers=headers)
        assert there.status_code == none.status_code == status
        assert there.json() == none.json()
        assert set(there.headers) == set(none.headers)


def test_gated_files_are_for_those_let_in(hub, tmp_path):
    hub.alice.create_repo("alice/gated-files")
    hub.alice.upload_file(repo_id="alice/gated-files", path_in_repo="a.txt", path_or_fileobj=b"gated")
    hub.alice.update_repo_settings("alice/gated-files", gated="manual")
    with pytest.raises(GatedRepoError):
        hub.bob.hf_hub_download("alice/gated-files", "a.txt", cache_dir=tmp_path / "cache")
    with pytest.raises(GatedRepoError):
        hub.nobody.hf_hub_download("alice/gated-files", "a.txt", cache_dir=tmp_path / "cache")
    assert hub.alice.hf_hub_download("alice/gated-files", "a.txt", cache_dir=tmp_path / "cache")


def test_a_repository_that_moved_is_found(hub, tmp_path):
    hub.alice.create_repo("alice/old-name")
    hub.alice.upload_file(repo_id="alice/old-name", path_in_repo="dir/ü.txt", path_or_fileobj=b"moved")
    hub.alice.move_repo("alice/old-name", "alice/new-name")
    got = httpx.get(f"{hub.url}/alice/old-name/resolve/main/dir/%C3%BC.txt")
    assert (got.status_code, got.headers["location"]) == (307, "/alice/new-name/resolve/main/dir/%C3%BC.txt")
    path = hub.nobody.hf_hub_download("alice/old-name", "dir/ü.txt", cache_dir=tmp_path)
    assert Path(path).read_bytes() == b"moved"


def test_a_broken_download_is_resumed(hub, files, tmp_path):
    """The client finds half a file in its folder and asks for the rest alone."""
    path = hub.nobody.hf_hub_download("alice/files", "weights.bin", cache_dir=tmp_path)
    blob = os.path.realpath(path)
    os.unlink(path)
    os.rename(blob, blob + ".incomplete")
    os.truncate(blob + ".incomplete", len(LARGE) // 2)
    path = hub.nobody.hf_hub_download("alice/files", "weights.bin", cache_dir=tmp_path)
    assert Path(path).read_bytes() == LARGE


def test_clients_that_hang_up_or_are_slow_disturb_nobody(hub, files):
    """Some go away in the middle, one reads slowly; the next request on the same connection is answered as ever."""
    address = urlsplit(files)
    request = f"GET {address.path}/weights.bin HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
    for _ in range(20):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(request)
            connection.recv(1000)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # Reset.
    with socket.create_connection((address.hostname, address.port)) as slow:
        slow.sendall(request)
        slow.recv(10)
        results: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: results.append(httpx.get(f"{files}/weights.bin").content)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [LARGE] * 8
    connection = http.client.HTTPConnection(address.hostname, address.port)
    for _ in range(3):
        for path, expected in (("weights.bin", LARGE), ("config.json", SMALL)):
            connection.request("HEAD", f"{address.path}/{path}")
            assert connection.getresponse().read() == b""
            connection.request("GET", f"{address.path}/{path}")
            assert connection.getresponse().read() == expected
    connection.close()
    assert "Exception in ASGI" not in hub.log()


def test_two_requests_sent_at_once_are_answered_in_order(files):
    address = urlsplit(files)
    both = "".join(
        f"GET {address.path}/{name} HTTP/1.1\r\nHost: {address.netloc}\r\n{more}\r\n"
        for name, more in (("weights.bin", ""), ("config.json", "Connection: close\r\n"))
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(both.encode())
        data = b"".join(iter(lambda: connection.recv(2**16), b""))
    assert data.index(LARGE) < data.rindex(SMALL)
    assert data.endswith(SMALL)


def test_snapshot(hub, files, tmp_path):
    folder = hub.nobody.snapshot_download("alice/files", cache_dir=tmp_path)
    assert Path(f"{folder}/weights.bin").read_bytes() == LARGE
    assert Path(f"{folder}/sub dir/ü ?#%.txt").read_bytes() == b"odd"
    local = hub.nobody.snapshot_download("alice/files", local_dir=tmp_path / "local", allow_patterns="*.json")
    assert Path(f"{local}/config.json").read_bytes() == SMALL


def test_safetensors_metadata_by_ranges(hub):
    header = json.dumps({"w": {"dtype": "F32", "shape": [256, 1024], "data_offsets": [0, 2**20]}}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(2**20)
    hub.alice.create_repo("alice/tensors")
    hub.alice.upload_file(repo_id="alice/tensors", path_in_repo="model.safetensors", path_or_fileobj=content)
    metadata = hub.nobody.get_safetensors_metadata("alice/tensors")
    assert metadata.parameter_count == {"F32": 256 * 1024}


def test_file_system(hub, files):
    system = HfFileSystem(endpoint=hub.url, token=False)
    with system.open("alice/files/weights.bin", "rb") as file:
        file.seek(2**20)
        assert file.read(100) == LARGE[2**20 : 2**20 + 100]
        file.seek(-5, 2)
        assert file.read() == LARGE[-5:]
    assert system.cat_file("alice/files/config.json") == SMALL


def test_datasets_and_spaces_have_their_own_addresses(hub):
    for kind, prefix in (("dataset", "datasets"), ("space", "spaces")):
        more = {"space_sdk": "static"} if kind == "space" else {}
        hub.alice.create_repo("alice/files", repo_type=kind, **more)
        hub.alice.upload_file(
            repo_id="alice/files", repo_type=kind, path_in_repo="a.txt", path_or_fileobj=kind.encode()
        )
        assert httpx.get(f"{hub.url}/{prefix}/alice/files/resolve/main/a.txt").text == kind
        assert httpx.get(f"{hub.url}/{prefix}/alice/files/raw/main/a.txt").text == kind


def test_files_that_nginx_sends(hub, tmp_path):
    """With `accel_prefix` the Hub says where the file is and sends no byte of it itself."""
    from running_hub import RunningHub

    other = RunningHub(tmp_path / "accelerated", accel_prefix="/internal/objects/")
    other.start()
    try:
        api: HfApi = other.alice
        api.create_repo("alice/files")
        api.upload_file(repo_id="alice/files", path_in_repo="weights.bin", path_or_fileobj=LARGE)
        got = httpx.get(f"{other.url}/alice/files/resolve/main/weights.bin")
        assert got.headers["x-accel-redirect"] == f"/internal/objects/{SHA256[:2]}/{SHA256[2:4]}/{SHA256}"
        assert got.content == b""
        stored = other.data / "objects" / SHA256[:2] / SHA256[2:4] / SHA256
        assert stored.stat().st_mode & 0o777 == 0o640  # Readable for nginx by its group, and for nobody else.
        head = httpx.head(f"{other.url}/alice/files/resolve/main/weights.bin")
        assert int(head.headers["content-length"]) == len(LARGE)
    finally:
        other.stop()


@pytest.mark.slow
def test_large_files_to_fast_and_slow_clients(hub, tmp_path):
    """A thread sends to a client that takes all at once; one that stops, crawls or hangs up in the middle is let go."""
    content = os.urandom(2**20) * 40
    hub.alice.create_repo("alice/large")
    hub.alice.upload_file(repo_id="alice/large", path_in_repo="w.bin", path_or_fileobj=content)
    address = urlsplit(f"{hub.url}/alice/large/resolve/main/w.bin")
    request = f"GET {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode()

    def read(pauses: set[int]) -> bytes:
        data, at = bytearray(), 0
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(request)
            while piece := connection.recv(2**18):
                data += piece
                if pauses and len(data) >> 20 in pauses - {at}:
                    at = len(data) >> 20
                    threading.Event().wait(1.5)
        return bytes(data)[-len(content) :]

    assert read(set()) == content
    for _ in range(12):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(request)
            for _ in range(60):
                connection.recv(2**18)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    results: list[bool] = []
    threads = [threading.Thread(target=lambda pauses=pauses: results.append(read(pauses) == content))
               for pauses in ({10}, {9, 20, 30}, set(), {1, 39}, *[set()] * 10)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * len(threads)
    assert read(set()) == content
    assert "Traceback" not in hub.log()
