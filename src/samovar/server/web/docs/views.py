"""What the templates of the docs are given, for the Hub's pages and for the files of a static site alike."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any

from markupsafe import Markup

from samovar.server.web.docs import guide
from samovar.server.web.docs.description import Described, overview, reference, safe
from samovar.server.web.docs.reference import described, groups
from samovar.server.web.docs.rendering import address, phrase
from samovar.server.web.docs.sources import read, summary
from samovar.server.web.languages import languages

ABSENT: dict[str, Any] = {}
# The first look at the docs reads the sources, which takes a second or two: whoever comes meanwhile waits for that.
READING = Lock()


def view(name: str, language: str | None = None) -> dict[str, Any]:
    """The values of a page's template, `ABSENT` if there is no such page. `language` is the rail's."""
    with READING:
        described()
    if name == "api":
        made: dict[str, Any] = {"template": "docs_api", "heading": "API reference", "tables": tables()}
    elif name.startswith("api/"):
        module = f"samovar.{name.removeprefix('api/')}"
        if module not in described() or module == "samovar.":
            return ABSENT
        found = reference(module)
        made = {
            "template": "docs_module", "heading": module, "module": found,
            "on_page": [part for one in found.definitions for part in outline(one)],
        }  # fmt: skip
    elif name in guide.examples():
        words, html = guide.example(name)
        made = {"template": "docs_example", "heading": name, "words": words, "html": safe(html)}
    elif name == "examples":
        rows = [(one, address(one), guide.example(one)[0]) for one in guide.examples()]
        made = {"template": "docs_examples", "heading": "Examples", "rows": rows}
    elif guide.path_of(name) is not None:
        page = guide.page(name)
        made = {
            "template": "docs_page", "heading": page.title, "html": safe(page.html),
            "on_page": [one for one in page.headings if one[0] in (2, 3)],
        }  # fmt: skip
    else:
        return ABSENT
    own = guide.language_of(name)
    home = guide.in_language("index", own)
    before, behind = guide.neighbours(name)
    others = [
        (languages()[guide.language_of(one)].name, guide.language_of(one), address(one))
        for one in guide.translations(name)
    ]
    return {
        "on_page": [],
        "name": name,
        "own": own,
        "translations": others if len(others) > 1 else [],
        "before": before,
        "behind": behind,
        "address": address,
        "phrase": marked,
        "rail": guide.contents(language or own),
        "modules": groups(),
        "home": address(home if guide.path_of(home) else "index"),
        "query": "",
        **made,
    }


def marked(text: str) -> Markup:
    """A sentence for a template."""
    return safe(phrase(text))


def outline(one: Described) -> list[tuple[int, str, str]]:
    """A definition and its members, as headings."""
    return [(2, one.name, one.anchor), *((3, member.name, member.anchor) for member in one.members)]


@cache
def tables() -> list[tuple[str, list[tuple[str, str, str, list[tuple[str, str, str]]]]]]:
    """(heading, [(module, address, summary, names)]) of the whole reference."""
    names = overview()
    return [
        (
            heading,
            [
                (one, address(f"api/{one.removeprefix('samovar.')}"), summary(read(one).doc), names.get(one, []))
                for one in modules
            ],
        )
        for heading, modules in groups().items()
    ]


def all_names() -> list[str]:
    """Every page that there is."""
    written = [*guide.files(), *(["contributing"] if guide.path_of("contributing") else [])]
    modules = [f"api/{one.removeprefix('samovar.')}" for one in described() if one != "samovar"]
    return [*written, "examples", *guide.examples(), "api", *modules]
