"""Search inside the docs: every section and every name, ranked by where the words stand."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup, escape

from samovar.server.web.docs import guide
from samovar.server.web.docs.reference import described
from samovar.server.web.docs.rendering import address
from samovar.server.web.docs.sources import Definition, read, summary

MOST, AROUND = 40, 90
# Without it й would be и.
BREVE = "\u0306"
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Section:
    """What can be found: a section of a page, or a definition."""

    href: str
    page: str
    heading: str
    text: str
    language: str
    name: bool = False


@dataclass(frozen=True)
class Found:
    """A section with the words marked in a part of its text."""

    section: Section
    excerpt: Markup


def fold(text: str) -> str:
    """Letters alike whatever their case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", "".join(one for one in parts if one == BREVE or not unicodedata.combining(one)))


@cache
def sections() -> tuple[tuple[Section, str, str], ...]:
    """Every section, with heading and text folded."""
    found: list[Section] = []
    for name in (*guide.files(), "contributing"):
        if guide.path_of(name) is None:
            continue
        page = guide.page(name)
        for anchor, heading, text in page.sections:
            href = address(name if heading == page.title else f"{name}#{anchor}")
            found.append(Section(href, page.title, heading, text, guide.language_of(name)))
    for name, definitions in described().items():
        if name == "samovar":
            continue
        module, place = read(name), f"api/{name.removeprefix('samovar.')}"
        found.append(Section(address(place), name, name, summary(module.doc), "en"))
        for one in module.definitions:
            if one.name in definitions:
                found += definition(place, name, one)
    return tuple((one, fold(f"{one.heading} {parted(one.heading)}"), fold(one.text)) for one in found)


def parted(name: str) -> str:
    """The words of a name: `EarlyStopping` → `Early Stopping`."""
    return re.sub(r"(?<=[a-zа-я0-9])(?=[A-ZА-Я])", " ", name)


def definition(place: str, module: str, one: Definition, owner: str = "") -> list[Section]:
    """A definition and its members."""
    fields = " ".join(f"{field.name} {field.text}" for _, group in one.fields for field in group)
    shown = f"{owner}.{one.name}".lstrip(".")
    own = Section(address(f"{place}#{shown}"), module, shown, f"{one.doc} {fields}", "en", True)
    return [
        own,
        *(part for member in one.members if member.doc for part in definition(place, module, member, one.name)),
    ]


def find(query: str, language: str = "en") -> list[Found]:
    """The sections that hold all words, or words that begin so; headings and exact names first."""
    words = [fold(word) for word in WORD.findall(query[:200])][:8]
    if not words:
        return []
    ranked = []
    for place, (section, heading, text) in enumerate(sections()):
        score = 0.0
        for word in words:
            in_heading, in_text = begins(word, heading), begins(word, text)
            if not in_heading and not in_text:
                break
            score += (8 if in_heading else 0) + min(3, in_text)
        else:
            own, exact = fold(section.heading), [joint.join(words) for joint in ("", " ", "_")]
            score += 20 if own in exact else 12 if own.rpartition(".")[2] in exact else 0
            # People look for how to do a thing; of names, for those that they import.
            score += (2 if section.language == language else 0) + (0 if section.href.startswith("/docs/api/") else 5)
            score -= 3 if section.name and "." in section.heading else 0
            ranked.append((-score, place, section))
    return [
        Found(section, excerpt(section.text, words)) for _, _, section in sorted(ranked, key=lambda one: one[:2])[:MOST]
    ]


def begins(word: str, text: str) -> int:
    """How many words of a text begin so; parts of names behind `_` and `.` count as words."""
    return len(re.findall(rf"(?<![^\W_]){re.escape(word)}", text)) if word in text else 0


def excerpt(text: str, words: list[str]) -> Markup:
    """The part of a text around the first of the words, with all of them marked."""
    text = " ".join(text.replace("`", "").split())
    pattern = re.compile("|".join(rf"\b{re.escape(word)}\w*" for word in words), re.IGNORECASE)
    first = pattern.search(text)
    start = max(0, (first.start() if first else 0) - AROUND)
    start = text.rfind(" ", 0, start) + 1 if start else 0
    part = text[start : start + 3 * AROUND]
    made, last = Markup(), 0
    for found in pattern.finditer(part):
        made += escape(part[last : found.start()]) + Markup("<mark>") + escape(found[0]) + Markup("</mark>")
        last = found.end()
    tail = escape(part[last:]) + ("…" if start + len(part) < len(text) else "")
    return ("…" if start else Markup()) + made + tail
