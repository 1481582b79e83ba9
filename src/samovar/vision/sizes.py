"""Sizes as checkpoints write them, and the output size that each way of writing asks for. Order: height, width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from samovar.errors import ConfigError

Size = Mapping[str, int]
Shape = tuple[int, int]
# (size, crop_pct, height, width) → the size to resize to, and the size to crop to afterwards, if any.
SizeRule = Callable[[Size, float | None, int, int], tuple[Shape, Shape | None]]

KEYS = (
    {"height", "width"},
    {"shortest_edge"},
    {"longest_edge"},
    {"shortest_edge", "longest_edge"},
    {"max_height", "max_width"},
)
# From this edge on, the ConvNeXt evaluation recipe stretches the whole image instead of cropping its centre.
WARP_FROM = 384


def parse_size(value: Any, name: str, square: bool = True) -> dict[str, int] | None:
    """A size as a mapping. Raises `ConfigError` that shows the ways to write one.

    An int is a square, or the shortest edge when `square` is false; a pair is (height, width).
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        size = {str(key): edge for key, edge in value.items() if edge is not None}
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) in (1, 2):
        size = {"height": value[0], "width": value[-1]}
    elif isinstance(value, int) and not isinstance(value, bool):
        size = {"height": value, "width": value} if square else {"shortest_edge": value}
    else:
        raise wrong_size(value, name)
    edges = size.values()
    if set(size) not in KEYS or not all(type(edge) is int and edge > 0 for edge in edges):
        raise wrong_size(value, name)
    return size


def wrong_size(value: Any, name: str) -> ConfigError:
    """The error for a size that is none."""
    return ConfigError(
        f"{name} = {value!r} is not a size in whole pixels above 0.",
        "Use an int, [height, width], {'height': h, 'width': w}, {'shortest_edge': n} or {'longest_edge': n}.",
    )


def fixed(size: Size, name: str) -> Shape:
    """(height, width) of a size that does not depend on the image."""
    if "height" not in size:
        raise ConfigError(f"{name} = {dict(size)} needs a height and a width.", f"Set {name} to an int or a pair.")
    return size["height"], size["width"]


def fit(size: Size, crop_pct: float | None, height: int, width: int) -> tuple[Shape, Shape | None]:
    """The general rule: an exact size stretches, an edge keeps the aspect ratio (fractions of a pixel are cut off)."""
    if "height" in size:
        return (size["height"], size["width"]), None
    if "max_height" in size:
        ratio = min(size["max_height"] / height, size["max_width"] / width)
        return at_least_one(int(height * ratio), int(width * ratio)), None
    short, long = min(height, width), max(height, width)
    edge, limit = size.get("shortest_edge"), size.get("longest_edge")
    if edge is None:
        new_short, new_long = int(size["longest_edge"] * short / long), size["longest_edge"]
    elif limit is not None and long / short * edge > limit:
        exact = limit * short / long
        new_short, new_long = round(exact), int(exact * long / short)
        if new_short == short:
            new_long = long
    else:
        new_short, new_long = edge, int(edge * long / short)
    return at_least_one(*((new_long, new_short) if width <= height else (new_short, new_long))), None


def centre_fraction(size: Size, crop_pct: float | None, height: int, width: int) -> tuple[Shape, Shape | None]:
    """The rule of ConvNeXt and ResNet checkpoints: resize to more than is wanted, keep the centre.

    A shortest edge `n` below 384 is resized to `int(n / crop_pct)` and cropped to n × n; from 384 on, the image is
    stretched to n × n.
    """
    if "shortest_edge" not in size or not crop_pct:
        return fit(size, crop_pct, height, width)
    edge = size["shortest_edge"]
    if edge >= WARP_FROM:
        return (edge, edge), None
    resized, _ = fit({"shortest_edge": int(edge / crop_pct)}, None, height, width)
    return resized, (edge, edge)


def at_least_one(height: int, width: int) -> Shape:
    """No edge shrinks to nothing, however long the other one is."""
    return max(height, 1), max(width, 1)
