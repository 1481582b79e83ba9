"""Links to the next page (RFC 8288), as clients follow them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode


def next_link(base: str, path: str, query: str, **changed: str) -> str:
    """The value of `Link`: the same address with some parameters changed."""
    kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in changed]
    return f'<{base}{path}?{urlencode([*kept, *changed.items()])}>; rel="next"'
