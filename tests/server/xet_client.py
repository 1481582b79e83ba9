"""Xorbs and shards made by hand, right and wrong, and sent as a client sends them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import httpx
import lz4.frame
from blake3 import blake3
from huggingface_hub import HfApi

from samovar.server.objects.xet import hashes, shard

PLAIN, LZ4, GROUPED = 0, 1, 2


def group(data: bytes) -> bytes:
    """Bytes sorted by their place in groups of four."""
    return b"".join(data[at::4] for at in range(4))


def chunk(data: bytes, scheme: int = PLAIN, length: int | None = None, version: int = 0) -> bytes:
    """A chunk with its header; `length` is what the header claims."""
    packed = data if scheme == PLAIN else lz4.frame.compress(group(data) if scheme == GROUPED else data)
    claimed = len(data) if length is None else length
    return (
        bytes([version]) + len(packed).to_bytes(3, "little") + bytes([scheme]) + claimed.to_bytes(3, "little") + packed
    )


def name(chunks: Sequence[bytes]) -> str:
    """The hash under which a xorb of these chunks is sent."""
    return hashes.to_hex(hashes.xorb_hash([(hashes.chunk_hash(one), len(one)) for one in chunks]))


def raw(text: str) -> bytes:
    """A written hash as 32 bytes."""
    return hashes.from_hex(text)


def make_shard(*files: tuple[bytes, Sequence[tuple[str, int, int, int]]], sha256: str | None = None) -> bytes:
    """A shard of files: content, and (xorb, first chunk, behind the last, bytes) of each piece."""
    body = shard.TAG + struct.pack("<QQ", 2, 0)
    for content, terms in files:
        digest = sha256 or hashlib.sha256(content).hexdigest()
        body += blake3(content).digest() + struct.pack("<IIQ", shard.VERIFIED | shard.DESCRIBED, len(terms), 0)
        for xorb, start, end, length in terms:
            body += raw(xorb) + struct.pack("<IIII", 0, length, start, end)
        body += bytes(48) * len(terms)
        body += raw(digest) + bytes(16)
    return body + b"\xff" * 32 + bytes(16) + b"\xff" * 32 + bytes(16)


class Sender:
    """Sends to one repository."""

    def __init__(self, api: HfApi, repository: str, kind: str = "models") -> None:
        url = f"{api.endpoint}/api/{kind}/{repository}/xet-write-token/main"
        answer = httpx.get(url, headers={"Authorization": f"Bearer {api.token}"} if api.token else {})
        self.token = answer.raise_for_status().json()
        self.headers = answer.headers
        self.client = httpx.Client(
            base_url=self.token["casUrl"], headers={"Authorization": f"Bearer {self.token['accessToken']}"}, timeout=60
        )

    def xorb(self, hash: str, body: bytes) -> httpx.Response:
        """Send a xorb."""
        return self.client.post(f"/v1/xorbs/default/{hash}", content=body)

    def shard(self, body: bytes) -> httpx.Response:
        """Send a shard."""
        return self.client.post("/v1/shards", content=body)

    def close(self) -> None:
        """Let go of the connection."""
        self.client.close()
