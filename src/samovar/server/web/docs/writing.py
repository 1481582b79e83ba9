"""The documentation as files that any server hands out, and that a browser opens from a disk."""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import tempfile
from pathlib import Path

import samovar
from samovar.server.web.docs import guide
from samovar.server.web.docs.finding import sections
from samovar.server.web.docs.rendering import ROOT
from samovar.server.web.docs.views import all_names, view
from samovar.server.web.languages import DEFAULT, languages
from samovar.server.web.site import HERE, environment

ASSETS = ("hub.css", "docs.css", "hub.js", "docs.js", "samovar.svg")
# Of a long section the search keeps the beginning.
KEPT = 1500
TAG = re.compile(r"<[a-z][^>]*>")
ADDRESS = re.compile(rf'\b(href|src|action)="({ROOT}(?:[/#][^"]*)?|/static/[0-9a-f]+/[^"]+)"')


def write(output: Path) -> int:
    """Write every page below a folder, which is replaced as a whole once all are made; how many there are.

    Raises `FileExistsError` if the folder holds something else.
    """
    if output.exists() and any(output.iterdir()) and not (output / "index.html").is_file():
        raise FileExistsError(f"{output} holds something else. Choose an empty folder.")
    output.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}-"))
    try:
        names = all_names()
        for name in names:
            put(made / file_of(name), page(name))
        for name in ASSETS:
            put(made / "static" / name, (HERE / "static" / name).read_bytes())
        put(made / "static" / "docs-index.js", index())
        put(made / file_of("search"), page("search"))
        for address, path in guide.pictures().items():
            put(made / "files" / address, path.read_bytes())
        made.chmod(0o755)
        if output.exists():
            shutil.rmtree(output)
        made.rename(output)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return len(names)


def put(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def file_of(name: str) -> str:
    """The file that a page is written to."""
    return f"{name}.html"


def page(name: str) -> bytes:
    """A page with relative links."""
    values = view("index" if name == "search" else name)
    if name == "search":
        values |= {
            "template": "docs_find", "heading": "Search the documentation", "name": name, "on_page": [],
            "behind": None, "translations": [],
        }  # fmt: skip
    template, title = values.pop("template"), values.pop("heading")
    language = languages()[values["own"]] if values["own"] in languages() else languages()[DEFAULT]
    text = environment().get_template(f"{template}.html").render(
        layout="docs_frame.html", title=title, language=language, _=language.text, n_=language.count,
        version=samovar.__version__, searchable=True, **values,
    )  # fmt: skip
    # In tags alone: code that is shown may hold addresses too.
    return TAG.sub(
        lambda tag: ADDRESS.sub(lambda found: f'{found[1]}="{nearby(found[2], name)}"', tag[0]), text
    ).encode()


def index() -> bytes:
    """What the search of the static site looks through."""
    rows = [
        [
            nearby(one.href, "search"),
            one.page,
            one.heading,
            " ".join(one.text.replace("`", "").split())[:KEPT],
            one.name,
        ]
        for one, _, _ in sections()
    ]
    return f"const DOCS_INDEX = {json.dumps(rows, ensure_ascii=False)};\n".encode()


def nearby(address: str, name: str) -> str:
    """An address of the Hub as one that is relative to the file of a page."""
    path, hash_, anchor = address.partition("#")
    if path.startswith("/static/"):
        target = f"static/{path.rpartition('/')[2]}"
    elif path.startswith(f"{ROOT}/files/"):
        target = path.removeprefix(f"{ROOT}/")
    else:
        target = file_of(path.removeprefix(ROOT).strip("/") or "index")
    return posixpath.relpath(target, posixpath.dirname(file_of(name)) or ".") + hash_ + anchor
