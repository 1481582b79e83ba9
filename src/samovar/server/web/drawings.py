"""Boxes, masks and points over the picture that was asked about, as SVG: its colours come from the style sheet."""

from __future__ import annotations

import base64
import io
from typing import Any

from markupsafe import Markup

from samovar.server.web.markup import escape

COLOURS = 6
MOST = 100
TYPES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif", b"RIFF": "image/webp"}


def boxes(picture: bytes, found: list[dict[str, Any]]) -> Markup:
    """A box with its label around each thing."""
    width, height = size(picture)
    kinds = list(dict.fromkeys(str(one.get("label", "")) for one in found))
    parts = []
    for one in found[:MOST]:
        box = {name: float(one["box"][name]) for name in ("xmin", "ymin", "xmax", "ymax")}
        number = kinds.index(str(one.get("label", ""))) % COLOURS
        label = escape(str(one.get("label", "")))
        parts.append(
            f'<g class="k{number}"><rect x="{box["xmin"]:g}" y="{box["ymin"]:g}" '
            f'width="{max(0, box["xmax"] - box["xmin"]):g}" height="{max(0, box["ymax"] - box["ymin"]):g}"/>'
            f'<text x="{box["xmin"] + width / 100:g}" y="{box["ymin"] + height / 22:g}" '
            f'font-size="{height / 25:g}">{label}</text></g>'
        )
    return drawn(picture, width, height, "boxes", "".join(parts))


def masks(picture: bytes, found: list[str]) -> Markup:
    """Each mask (a PNG in base64, white where it holds) as a veil of its colour."""
    width, height = size(picture)
    parts = []
    for number, mask in enumerate(found[:MOST]):
        base64.b64decode(mask, validate=True)
        inside = f'width="{width}" height="{height}" preserveAspectRatio="none"'
        parts.append(
            f'<mask id="mask-{number}"><image href="data:image/png;base64,{mask}" {inside}/></mask>'
            f'<rect class="k{number % COLOURS}" width="{width}" height="{height}" mask="url(#mask-{number})"/>'
        )
    return drawn(picture, width, height, "masks", "".join(parts))


def points(picture: bytes, found: list[dict[str, Any]]) -> Markup:
    """A dot for each point."""
    width, height = size(picture)
    places = [place for one in found[:MOST] for place in one["keypoints"]]
    pairs = [(one["x"], one["y"]) if isinstance(one, dict) else (one[0], one[1]) for one in places[:1000]]
    dots = "".join(f'<circle cx="{float(x):g}" cy="{float(y):g}" r="{width / 120:g}"/>' for x, y in pairs)
    return drawn(picture, width, height, "points", dots)


def drawn(picture: bytes, width: int, height: int, kind: str, inside: str) -> Markup:
    """The picture with a drawing on it."""
    data = base64.b64encode(picture).decode()
    image = f'<image href="data:{type_of(picture)};base64,{data}" width="{width}" height="{height}"/>'
    return Markup(f'<svg class="drawing {kind}" viewBox="0 0 {width} {height}" role="img">{image}{inside}</svg>')


def size(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the head of the file."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        return opened.size


def type_of(picture: bytes) -> str:
    """The media type, by the first bytes."""
    return next((name for start, name in TYPES.items() if picture.startswith(start)), "image/png")
