"""Numbers, sizes and ages as people read them at a glance."""

from __future__ import annotations

from datetime import UTC, datetime

from samovar.server.web.languages import Language

STEPS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def short(number: float | None) -> str:
    """`1234567` → `1.2M`."""
    if number is None:
        return ""
    for size, letter in STEPS:
        if number >= size:
            value = number / size
            return f"{value:.0f}{letter}" if value >= 100 else f"{value:.3g}{letter}"
    return f"{number:g}"


def size(count: int | None) -> str:
    """Bytes in decimal units, as downloads are counted."""
    if count is None:
        return ""
    for unit, name in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count / unit < 100 else f"{count / unit:.0f} {name}"
    return f"{count} B"


def age(moment: datetime | str, language: Language) -> str:
    """How long ago, in the largest fitting unit."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, one, many in (
        (365 * 86400, "{n} year ago", "{n} years ago"),
        (30 * 86400, "{n} month ago", "{n} months ago"),
        (86400, "{n} day ago", "{n} days ago"),
        (3600, "{n} hour ago", "{n} hours ago"),
        (60, "{n} minute ago", "{n} minutes ago"),
    ):
        if seconds >= unit:
            return language.count(one, many, seconds // unit)
    return language.text("just now")
