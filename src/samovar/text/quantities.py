"""Numbers and dates in short texts, and how those of a table compare (Herzig et al. 2020, TAPAS, appendix C).

A quantity is a float, or a date (year, month, day) of which parts may be None.
"""

from __future__ import annotations

import datetime
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Date = tuple[int | None, int | None, int | None]
Quantity = float | Date

MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
SPELLED = {word: float(value) for words in (WORDS, ORDINALS) for value, word in enumerate(words)}

NUMBER = re.compile(r"(?:(?:^|\s)[+-])?(?:\.\d+|\d+(?:,\d\d\d)*(?:\.\d*)?)")
FULL, SHORT = "|".join(MONTHS), "|".join(month[:3] for month in MONTHS)
YEAR, MONTH, DAY = r"(?P<year>[0-9]{4})", r"(?P<month>[0-9]{1,2})", r"(?P<day>[0-9]{1,2})"
NAMED = rf"(?P<name>{FULL}|{SHORT})"
WEEKDAY = rf"(?:{'|'.join([*DAYS])})"
DATES = [
    re.compile(form)
    for form in (
        rf"(?P<name>{FULL})", rf"{YEAR}s?", rf"{NAMED}\s+{YEAR}", rf"{NAMED}\s+{DAY}", rf"{DAY}\s+{NAMED}",
        rf"{NAMED}\s+{DAY},\s+{YEAR}", rf"{DAY}\s+{NAMED}\s+{YEAR}", rf"{MONTH}-{DAY}-{YEAR}",
        rf"{YEAR}-{MONTH}-{DAY}", rf"{YEAR}-{MONTH}", rf"{DAY}\.{MONTH}\.{YEAR}", rf"{WEEKDAY},\s+{NAMED}\s+{DAY}",
    )
]  # fmt: skip
LONGEST_DATE = 5  # words
YEARS = range(1700, 2017)  # Other numbers of four digits are no years.
# A column's quantities count when they are in this share of its cells.
SHARE = 0.7


def plain(text: str) -> str:
    """Lower case, with single spaces."""
    return " ".join(text.lower().split())


def number(text: str) -> float | None:
    """`"1,200"`, `"3rd"` or `"-.5"` as a number."""
    text = re.sub(r"(?:st|nd|rd|th)$", "", text).replace(",", "")
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) or value == math.inf else value


def date(text: str) -> Date | None:
    """`"12 may 1990"`, `"1990s"` or `"1990-05"` as a date."""
    for form in DATES:
        found = form.fullmatch(text)
        if not found:
            continue
        parts = found.groupdict()
        year, month, day = (int(parts[key]) if parts.get(key) else None for key in ("year", "month", "day"))
        if parts.get("name"):
            month = next(index for index, name in enumerate(MONTHS, 1) if name.startswith(parts["name"]))
        try:
            # A day without a year is one of 1900, which has no 29th of February.
            full = datetime.date(1900 if year is None else year, month or 1, 1 if day is None else day)
        except ValueError:
            continue
        if full.year in YEARS and month != 0:
            return year, month, day
    return None


def runs(text: str, longest: int) -> Iterator[tuple[int, int]]:
    """Start and end of every run of up to `longest` words, which begins and ends with a letter or digit."""
    words = [found.span() for found in re.finditer(r"[^\W_]+", text)]
    for last, (_, end) in enumerate(words):
        for start, _ in words[max(0, last + 1 - longest) : last + 1]:
            yield start, end


def quantities(text: str) -> list[Quantity]:
    """All in a `plain` text, in order; what stands inside a longer one does not count."""
    found: dict[tuple[int, int], list[Quantity]] = {}
    for match in NUMBER.finditer(text):
        value = number(match.group())
        if value is not None:
            found[match.span()] = [value]
    for span in runs(text, 1):
        word = text[slice(*span)]
        values = [value for value in (number(word), SPELLED.get(word)) if value is not None]
        if span not in found and values:
            found[span] = list(values)
    for span in runs(text, LONGEST_DATE):
        day = date(text[slice(*span)])
        if day is not None:
            found.setdefault(span, []).append(day)
    kept: list[tuple[int, int]] = []
    for start, end in sorted(found, key=lambda span: (span[0] - span[1], span[0])):
        if not any(left <= start and end <= right for left, right in kept):
            kept.append((start, end))
    return [value for span in sorted(kept) for value in found[span]]


def is_date(value: Quantity) -> bool:
    """Whether it is a date and not a number."""
    return isinstance(value, tuple)


def of_column(cells: Sequence[str]) -> dict[int, Quantity]:
    """Row → its first quantity of the kind that most cells have; nothing where too few cells have one."""
    every = [quantities(plain(cell)) for cell in cells]
    counts = Counter(kind for values in every for kind in {is_date(value) for value in values})
    most = max(counts.values(), default=0)
    if not most or most < len(cells) * SHARE:
        return {}
    kind = counts[True] == most
    firsts = ((row, next((one for one in values if is_date(one) == kind), None)) for row, values in enumerate(every))
    return {row: value for row, value in firsts if value is not None}


def order_of(values: Iterable[Quantity]) -> Callable[[Quantity], tuple[float, ...]] | None:
    """How to compare these: as numbers, or by the parts of a date that all of them have; None: not at all."""
    known = list(values)
    if not known or len({is_date(value) for value in known}) > 1:
        return None
    if not is_date(known[0]):
        return lambda value: (float(value),)  # type: ignore[arg-type]
    parts = [part for part in range(3) if all(value[part] is not None for value in known)]  # type: ignore[index]
    if not parts:
        return None
    return lambda value: tuple(float(value[part]) for part in parts)  # type: ignore[index,arg-type]


def ranks(values: Mapping[int, Quantity]) -> dict[int, tuple[int, int]]:
    """Row → its rank from below and from above, both from 1; equal quantities share one."""
    order = order_of(values.values())
    if order is None:
        return {}
    keys = {row: order(value) for row, value in values.items()}
    places = {key: place for place, key in enumerate(sorted(set(keys.values())), 1)}
    return {row: (places[key], len(places) + 1 - places[key]) for row, key in keys.items()}


EQUAL, LESS, GREATER = 1, 2, 4


def relations(asked: Iterable[Quantity], values: Mapping[int, Quantity]) -> dict[int, int]:
    """Row → the sum of how quantities of a question are to its own: equal, less, greater."""
    found: dict[int, int] = {}
    for wanted in asked:
        order = order_of([*values.values(), wanted]) if values else None
        if order is None:
            continue
        for row, value in values.items():
            mine, own = order(wanted), order(value)
            found[row] = found.get(row, 0) | (EQUAL if mine == own else LESS if mine < own else GREATER)
    return found
