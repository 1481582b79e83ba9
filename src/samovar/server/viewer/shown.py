"""Cells as JSON and pages can carry them: pictures and sounds by their address, long texts cut."""

from __future__ import annotations

import base64
import datetime
import math
from typing import Any

LONGEST = 5_000
MEDIA = {"Image": "image", "Audio": "audio"}
SIGNS = (
    (b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"), (b"BM", "image/bmp"),
    (b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"), (b"ID3", "audio/mpeg"),
    # MPEG 1 and 2, layer 3, with and without a checksum.
    *((b"\xff" + bytes([second]), "audio/mpeg") for second in (0xFB, 0xFA, 0xF3, 0xF2)),
)  # fmt: skip


def kind_of(data: bytes) -> str:
    """The type of an image or a sound by its first bytes; empty for anything else."""
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(data[8:12], "")
    return next((type_ for sign, type_ in SIGNS if data.startswith(sign)), "")


def sound_type(value: dict[str, Any]) -> str:
    """The type of a sound's cell, that a player can choose by."""
    return kind_of(value.get("bytes") or b"") or "audio/wav"


def media(type_: Any) -> str:
    """`image`, `audio`, or nothing."""
    return MEDIA.get(type_.get("_type", ""), "") if isinstance(type_, dict) else ""


def cells(
    row: dict[str, Any], number: int, features: list[dict[str, Any]], asset: str
) -> tuple[dict[str, Any], list[str]]:
    """A row for JSON, and the names of its cells that were cut. `asset` is the address of the split's media."""
    found, cut = {}, []
    for feature in features:
        name, value = feature["name"], row.get(feature["name"])
        kind = media(feature["type"])
        if kind and isinstance(value, dict):
            source = f"{asset}/{number}/{feature['feature_idx']}"
            found[name] = {"src": source} if kind == "image" else [{"src": source, "type": sound_type(value)}]
            continue
        plain = jsonable(value)
        if isinstance(plain, str) and len(plain) > LONGEST:
            plain = plain[:LONGEST]
            cut.append(name)
        found[name] = plain
    return found, cut


def jsonable(value: Any) -> Any:
    """A value of Arrow or DuckDB as JSON: dates in ISO form, bytes in base64, what is not finite as none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value[:LONGEST]).decode()
    if isinstance(value, dict):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value[:1000]]
    return str(value)
