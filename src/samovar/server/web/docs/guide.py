"""The pages that people write, `docs/*.md`, in the order in which `docs/index.md` lists them; their translations."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from samovar.server.web.docs.rendering import Rendered, relative, render
from samovar.server.web.languages import DEFAULT, languages
from samovar.server.web.markup import coloured

HERE = Path(__file__).parent
# In an installed package the pages lie beside this file; in a clone they are where people look for them.
INSTALLED, CLONE = HERE / "pages", HERE.parents[4]
# Pages that lie beside the folder of the docs.
OUTSIDE = {"../CONTRIBUTING.md": "contributing", "../examples": "examples"}
ENTRY = re.compile(r"^- \[(.+?)\]\(([^)]+?)\)(?: [—–-] (.*))?$")


@dataclass(frozen=True)
class Entry:
    """A page as the contents name it."""

    name: str
    title: str
    about: str


def folder(what: str = "docs") -> Path:
    """Where `docs`, `examples` or `CONTRIBUTING.md` lies."""
    return (INSTALLED if INSTALLED.is_dir() else CLONE) / what


def language_of(name: str) -> str:
    """The language that a page is written in: `tour.ru` → `ru`."""
    last = name.rpartition("/")[2].rpartition(".")
    return last[2] if last[0] and last[2] in languages() else DEFAULT


def in_language(name: str, language: str) -> str:
    """The name that the page has in a language, whether or not it exists."""
    own = language_of(name)
    bare = name if own == DEFAULT else name.removesuffix(f".{own}")
    return bare if language == DEFAULT else f"{bare}.{language}"


def path_of(name: str) -> Path | None:
    """The file of a page, None where there is none."""
    if name == "contributing":
        found = folder("CONTRIBUTING.md")
        return found if found.is_file() else None
    return files().get(name)


@cache
def files() -> dict[str, Path]:
    """Name → file of every page."""
    root = folder()
    return {str(path.relative_to(root).with_suffix("")): path for path in sorted(root.rglob("*.md"))}


@cache
def pictures() -> dict[str, Path]:
    """Address below `files/` → file of every picture."""
    root = folder()
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.suffix in (".png", ".svg")}


@cache
def page(name: str) -> Rendered:
    """A page as HTML. Raises `KeyError` if there is none."""
    path = path_of(name)
    if path is None:
        raise KeyError(name)
    where = "../CONTRIBUTING" if name == "contributing" else name
    return render(path.read_text("utf-8"), where, relative)


def translations(name: str) -> list[str]:
    """The names of a page in all languages that it is written in."""
    return [one for code in languages() if path_of(one := in_language(name, code)) is not None]


@cache
def contents(language: str) -> list[tuple[str, list[Entry]]]:
    """(heading, pages) as the index of that language lists them; pages that it does not translate come in English."""
    index = path_of(in_language("index", language)) or path_of("index")
    found: list[tuple[str, list[Entry]]] = []
    lines: list[str] = re.sub(r"\n  (?=\S)", " ", index.read_text("utf-8")).splitlines() if index else []
    for line in lines:
        entry = ENTRY.match(line)
        if line.startswith("## "):
            found.append((line.removeprefix("## "), []))
        elif entry and found:
            name = OUTSIDE.get(entry[2], entry[2].removesuffix(".md"))
            found[-1][1].append(Entry(name, entry[1], entry[3] or ""))
    return [(heading, entries) for heading, entries in found if entries]


def order(language: str) -> list[Entry]:
    """All pages in the order of reading."""
    return [entry for _, entries in contents(language) for entry in entries]


def neighbours(name: str) -> tuple[Entry | None, Entry | None]:
    """The pages before and behind this one."""
    listed = order(language_of(name))
    place = next((number for number, entry in enumerate(listed) if entry.name == name), None)
    if place is None:
        return None, listed[0] if name.partition(".")[0] == "index" and listed else None
    return (listed[place - 1] if place else None), (listed[place + 1] if place + 1 < len(listed) else None)


@cache
def examples() -> dict[str, Path]:
    """`examples/NAME` → file."""
    root = folder("examples")
    found = [path for path in root.rglob("*") if path.suffix in (".py", ".sh")]
    # Those of the folder itself before those of folders in it.
    found.sort(key=lambda path: (len(path.parts), path))
    return {f"examples/{path.relative_to(root)}": path for path in found}


@cache
def example(name: str) -> tuple[str, str]:
    """An example's first words, and the whole of it in colours. Raises `KeyError`."""
    text = examples()[name].read_text("utf-8")
    found = re.search(r'"""(.*?)(?:\n\n|""")', text, re.DOTALL) or re.search(r"^# (.*)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else "", coloured(text, name)
