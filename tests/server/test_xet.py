"""The write half of Xet: the stock client as it is, then everything that a client should not send."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import lz4.frame
import numpy as np
import pytest
from blake3 import blake3
from separate_client import run
from test_large_files import refer
from xet_client import GROUPED, LZ4, PLAIN, Sender, chunk, make_shard, name

from samovar.server.objects.xet import hashes, shard

UPLOAD = "api.upload_file(repo_id=sys.argv[1], path_in_repo=sys.argv[2], path_or_fileobj=sys.argv[3])"


def weights(megabytes: int, seed: int = 0) -> bytes:
    """Bytes as weights have them: floats that compress a little."""
    return np.random.default_rng(seed).standard_normal(megabytes * 2**18).astype("float32").tobytes()


def stored(hub) -> int:
    """Bytes of all objects."""
    return sum(path.stat().st_size for path in (hub.data / "objects").glob("??/??/*"))


def scratch(hub) -> list[Path]:
    """Files that should not outlive the request."""
    return [path for path in (hub.data / "objects" / "drafts").glob("*") if not path.name.startswith("xorb-")]


def downloaded(hub, repository: str, path: str, folder: Path) -> bytes:
    return Path(hub.alice.hf_hub_download(repository, path, cache_dir=folder)).read_bytes()


@pytest.mark.slow
def test_the_stock_client_uploads_changes_and_copies(hub, tmp_path):
    """A change sends little, a copy nothing, and what the client remembers is found again when its draft is gone."""
    content = bytearray(weights(150))
    file = tmp_path / "w.bin"
    file.write_bytes(content)
    hub.alice.create_repo("alice/xet")
    hub.alice.create_repo("alice/xet-copy")
    home = tmp_path / "home"
    run(hub.url, hub.alice.token, UPLOAD, home, "alice/xet", "w.bin", str(file))
    assert downloaded(hub, "alice/xet", "w.bin", tmp_path / "cache") == content
    assert not list((hub.data / "objects" / "drafts").glob("*"))  # What became a file is stored once.
    content[50 * 2**20 : 50 * 2**20 + 10] = b"0123456789"
    content += b"more"
    file.write_bytes(content)
    run(hub.url, hub.alice.token, UPLOAD, home, "alice/xet", "w.bin", str(file))
    assert downloaded(hub, "alice/xet", "w.bin", tmp_path / "cache") == content
    assert not list((hub.data / "objects" / "drafts").glob("*"))
    size = stored(hub)
    run(hub.url, hub.alice.token, UPLOAD, home, "alice/xet-copy", "again.bin", str(file))
    assert downloaded(hub, "alice/xet-copy", "again.bin", tmp_path / "cache") == content
    assert stored(hub) == size


@pytest.mark.slow
def test_folders_by_the_stock_client(hub, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    contents = {f"part-{at}.safetensors": weights(3, at) for at in range(12)} | {"config.json": b"{}"}
    for path, content in contents.items():
        (folder / path).write_bytes(content)
    hub.alice.create_repo("alice/folder")
    code = "api.upload_folder(repo_id=sys.argv[1], folder_path=sys.argv[2])"
    run(hub.url, hub.alice.token, code, tmp_path / "home", "alice/folder", str(folder))
    got = Path(hub.alice.snapshot_download("alice/folder", cache_dir=tmp_path / "cache"))
    assert {path: (got / path).read_bytes() for path in contents} == contents


@pytest.mark.slow
def test_what_the_client_remembers_of_another_account_is_refused_clearly(hub, tmp_path):
    """One home, two accounts: the client believes that it need not send; the second one may not build of it."""
    (tmp_path / "w.bin").write_bytes(weights(20, 5))
    home = tmp_path / "home"
    hub.alice.create_repo("alice/first", private=True)
    hub.bob.create_repo("bob/second")
    run(hub.url, hub.alice.token, UPLOAD, home, "alice/first", "w.bin", str(tmp_path / "w.bin"))
    said = run(hub.url, hub.bob.token, UPLOAD, home, "bob/second", "w.bin", str(tmp_path / "w.bin"), fails=True)
    assert "400" in said
    assert not hub.bob.file_exists("bob/second", "w.bin")
    run(hub.url, hub.bob.token, UPLOAD, tmp_path / "other", "bob/second", "w.bin", str(tmp_path / "w.bin"))
    assert hub.bob.file_exists("bob/second", "w.bin")


@pytest.fixture
def sender(hub, request):
    """Alice's, to a repository of the test's own."""
    repository = f"alice/{request.node.originalname.replace('_', '-')[:60]}-{os.urandom(4).hex()}"
    hub.alice.create_repo(repository)
    with closing(Sender(hub.alice, repository)) as sender:
        sender.repository = repository
        yield sender


def test_every_compression(hub, sender):
    text = b"to be or not to be " * 5000
    floats = weights(1)[:99_999]  # No multiple of four.
    odd = os.urandom(3)
    sent = [chunk(text, LZ4), chunk(floats, GROUPED), chunk(odd), chunk(b"x", GROUPED)]
    plain = [text, floats, odd, b"x"]
    assert sender.xorb(name(plain), b"".join(sent)).json() == {"was_inserted": True}
    content = plain[1] + plain[0] + plain[1] + plain[2] + plain[3]
    terms = [(name(plain), 1, 2, len(floats)), (name(plain), 0, 4, len(text) + len(floats) + 4)]
    assert sender.shard(make_shard((content, terms))).json() == {"result": 1}
    assert refer(hub.alice, sender.repository, content) == 200
    digest = hashlib.sha256(content).hexdigest()
    assert httpx.get(f"{hub.url}/{sender.repository}/resolve/main/{digest[:9]}.bin").content == content


def test_a_footer_is_left_out_of_account(sender):
    data = os.urandom(1000)
    assert sender.xorb(name([data]), chunk(data) + b"XETBLOB" + os.urandom(500)).status_code == 200


def test_tokens(hub, sender):
    assert sender.token["exp"] - time.time() > 3600
    assert sender.headers["x-xet-cas-url"] == sender.token["casUrl"]
    assert sender.headers["x-xet-access-token"] == sender.token["accessToken"]
    assert sender.headers["x-xet-token-expiration"] == str(sender.token["exp"])
    data = os.urandom(1000)
    good = sender.token["accessToken"]
    for forged in ("x", good[:-1] + ("A" if good[-1] != "A" else "B"), hub.alice.token, good[::-1]):
        for path, body in ((f"xorbs/default/{name([data])}", chunk(data)), ("shards", make_shard())):
            headers = {"Authorization": f"Bearer {forged}"}
            assert httpx.post(f"{sender.token['casUrl']}/v1/{path}", content=body, headers=headers).status_code == 401
    url = f"{hub.url}/api/models/{sender.repository}/xet-write-token/main"
    assert httpx.get(url).status_code == 401
    reader = hub.command("token", "create", "alice", "--role", "read")
    assert httpx.get(url, headers={"Authorization": f"Bearer {reader}"}).status_code == 403
    hub.alice.delete_repo(sender.repository)
    assert sender.xorb(name([data]), chunk(data)).status_code == 404


def test_nobody_is_told_who_has_a_chunk(sender):
    data = os.urandom(1000)
    sender.xorb(name([data]), chunk(data))
    for one in (data, b"other"):
        assert sender.client.get(f"/v1/chunks/default/{hashes.to_hex(hashes.chunk_hash(one))}").status_code == 404


BOMB = lz4.frame.compress(bytes(50 * 2**20))
GOOD = os.urandom(2000)


@pytest.mark.parametrize(
    "body",
    [
        b"", chunk(GOOD)[:5], chunk(GOOD)[:-1], chunk(GOOD) + b"\0", chunk(GOOD, version=1), chunk(GOOD, LZ4)[:-30],
        chunk(GOOD, length=1999), chunk(GOOD, LZ4, length=2001), chunk(GOOD, LZ4, length=1999), chunk(GOOD, length=0),
        chunk(GOOD, LZ4, length=2**24 - 1), bytes([0, 0, 8, 0, 3, 0, 8, 0]) + bytes(2**11),
        bytes([0]) + len(BOMB).to_bytes(3, "little") + bytes([1]) + (2**17).to_bytes(3, "little") + BOMB,
        bytes([0]) + (4).to_bytes(3, "little") + bytes([1]) + (9).to_bytes(3, "little") + b"\x04\x22\x4d\x18",
        chunk(b"x") * 8193, chunk(bytes(2**17), LZ4) * 513, os.urandom(5000),
    ],
    ids=range(17),
)  # fmt: skip
def test_what_is_no_xorb(hub, sender, body):
    """Truncated, of unknown kind, of wrong lengths, bombs, too many chunks, too many bytes."""
    got = sender.xorb("ab" * 32, body)
    assert got.status_code == 400, got.text
    assert got.json()["error"]
    assert not scratch(hub)


def test_a_xorb_under_a_wrong_name(sender):
    data = os.urandom(1000)
    assert sender.xorb(name([data + b"x"]), chunk(data)).status_code == 400
    for wrong in ("x", "A" * 64, "%2e%2e", "0" * 65):
        assert sender.xorb(wrong, chunk(data)).status_code in (400, 404)


def test_a_xorb_that_is_too_large(sender):
    assert sender.xorb("ab" * 32, bytes(66 * 2**20)).status_code == 413


def record(flags: int, count: int) -> bytes:
    return os.urandom(32) + struct.pack("<IIQ", flags, count, 0)


HEADER = shard.TAG + struct.pack("<QQ", 2, 0)
END = b"\xff" * 32 + bytes(16)


@pytest.mark.parametrize(
    "body",
    [
        b"", HEADER, HEADER[:-1] + END, shard.TAG + struct.pack("<QQ", 3, 0) + END, os.urandom(96),
        HEADER + os.urandom(48),
        HEADER + record(shard.DESCRIBED | shard.VERIFIED, 2**32 - 1) + END, HEADER + record(0, 1) + bytes(48) + END,
        HEADER + record(shard.DESCRIBED, 1) + bytes(96), HEADER + record(shard.DESCRIBED, 1) + bytes(96) + END,
        HEADER + record(shard.DESCRIBED, 1) + os.urandom(32) + struct.pack("<IIII", 0, 5, 3, 2) + bytes(48) + END,
    ],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_shard(sender, body):
    """Cut off, of another version, of absurd counts, without SHA-256, with empty pieces."""
    assert sender.shard(body).status_code == 400


def test_pieces_that_make_another_file(hub, sender):
    data = os.urandom(1000)
    xorb = name([data])
    sender.xorb(xorb, chunk(data))
    other = os.urandom(1000)
    for terms in ([(xorb, 0, 1, 1000)], [(xorb, 0, 2, 1000)], [(xorb, 0, 1, 999)], [(xorb, 5, 9, 1000)],
                  [(xorb, 0, 2**32 - 1, 2**32 - 1)], [("cd" * 32, 0, 1, 1000)]):  # fmt: skip
        assert sender.shard(make_shard((other, terms))).status_code == 400
    assert refer(hub.alice, sender.repository, other) == 422
    assert sender.shard(make_shard((data, [(xorb, 0, 1, 1000)]))).status_code == 200
    assert sender.shard(make_shard((data, [(xorb, 0, 1, 1000)]))).status_code == 200  # Asked again.


def test_a_file_of_absurd_size(sender):
    """A small shard that would make a very large file."""
    data = bytes(2**16)
    xorb = name([data] * 1000)
    assert sender.xorb(xorb, chunk(data, LZ4) * 1000).status_code == 200
    terms = [(xorb, 0, 1000, 1000 * 2**16)] * 10_000
    assert sender.shard(make_shard((b"x", terms))).status_code in (413, 507)


def test_only_who_sent_a_xorb_or_may_read_its_file_builds_of_it(hub, sender):
    """Knowing the hash of a xorb is not having it."""
    data = [os.urandom(5000), os.urandom(5000)]
    xorb, content = name(data), b"".join(data)
    hub.bob.create_repo(f"bob/{xorb[:8]}")
    with closing(Sender(hub.bob, f"bob/{xorb[:8]}")) as bob:
        term = make_shard((content, [(xorb, 0, 2, 10_000)]))
        sender.xorb(xorb, chunk(data[0]) + chunk(data[1]))
        assert bob.shard(term).status_code == 400
        assert sender.shard(term).status_code == 200
        hub.alice.update_repo_settings(sender.repository, visibility="private")
        assert refer(hub.alice, sender.repository, content) == 200
        assert bob.shard(term).status_code == 400
        assert refer(hub.bob, f"bob/{xorb[:8]}", content) == 422
        hub.alice.update_repo_settings(sender.repository, visibility="public")
        assert bob.shard(make_shard((data[1], [(xorb, 1, 2, 5000)]))).status_code == 200
        assert refer(hub.bob, f"bob/{xorb[:8]}", data[1]) == 200


def test_a_xorb_is_read_out_of_several_files(hub, sender):
    """Its chunks went into different files, and its draft is gone; a third file needs all of them."""
    data = [os.urandom(3000 + at) for at in range(6)]
    xorb = name(data)
    sender.xorb(xorb, b"".join(chunk(one, random.choice([PLAIN, LZ4, GROUPED])) for one in data))
    first, second = b"".join(data[:4]), b"head" and b"".join(data[2:])
    assert sender.shard(make_shard((first, [(xorb, 0, 4, len(first))]))).status_code == 200
    assert sender.shard(make_shard((second, [(xorb, 2, 6, len(second))]))).status_code == 200
    assert not list((hub.data / "objects" / "drafts").glob(f"xorb-{xorb}"))
    third = b"".join(data[1:]) + data[0] + b"".join(data)
    terms = [(xorb, 1, 6, sum(map(len, data[1:]))), (xorb, 0, 1, len(data[0])), (xorb, 0, 6, sum(map(len, data)))]
    assert sender.shard(make_shard((third, terms))).status_code == 200
    assert refer(hub.alice, sender.repository, third) == 200


def test_shards_at_the_same_time(hub, sender):
    """A client that loses its patience sends the shard again while the first is being worked on."""
    data = [os.urandom(2**17) for _ in range(100)]
    xorb, content = name(data), b"".join(data)
    sender.xorb(xorb, b"".join(map(chunk, data)))
    body = make_shard((content, [(xorb, 0, 100, len(content))]))
    with ThreadPoolExecutor(6) as threads:
        assert {got.status_code for got in threads.map(lambda _: sender.shard(body), range(12))} == {200}
    assert not scratch(hub)
    assert not (hub.data / "objects" / "drafts" / f"xorb-{xorb}").exists()


def test_hashes_of_the_specification():
    """The example of the published page on hashing: a node of four chunks has the BLAKE3 of these lines."""
    lines = [("1f6a2b8e9d3c4075a2e8c5fd4f0b763e6f3c1d7a9b2e6487de3f91ab7c6d5401", 10000),
             ("7c94fe2a38bdcf9b4d2a6f7e1e08ac35bc24a7903d6f5a0e7d1c2b93e5f748de", 20000)]  # fmt: skip
    expected = blake3("".join(f"{hash} : {size}\n" for hash, size in lines).encode(), key=hashes.NODE_KEY).digest()
    assert hashes.node([(hashes.from_hex(hash), size) for hash, size in lines]) == (expected, 30000)
    for hash, _ in lines:
        assert hashes.to_hex(hashes.from_hex(hash)) == hash
