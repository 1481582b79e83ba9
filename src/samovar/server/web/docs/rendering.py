"""Markdown of the docs as HTML: anchors, code in colours, links to other pages; names lead to the reference."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from samovar.server.web.docs.reference import place_of
from samovar.server.web.markup import coloured, escape, slug

ROOT = "/docs"
# Marks for programs that write a part of a page.
COMMENT = re.compile(r"^<!--.*?-->\n?", re.MULTILINE | re.DOTALL)
PICTURES = (".png", ".svg", ".jpg")


def address(name: str) -> str:
    """The Hub's address of a page of the docs, `tour` or `api/nn.cache#LayerCache`."""
    page, hash_, anchor = name.partition("#")
    page = "" if page == "index" else page
    return (f"{ROOT}/{quote(page, safe='/')}" if page else ROOT) + hash_ + quote(anchor)


@dataclass
class Rendered:
    """HTML, its headings as (level, text, anchor), and its text by section: (anchor, heading, words)."""

    html: str = ""
    title: str = ""
    headings: list[tuple[int, str, str]] = field(default_factory=list)
    sections: list[tuple[str, str, str]] = field(default_factory=list)


@lru_cache(1)
def parser() -> MarkdownIt:
    """CommonMark with tables; HTML is text."""
    made = MarkdownIt("commonmark", {"html": False, "linkify": True})
    made.enable(["table", "strikethrough", "linkify"])
    made.add_render_rule("fence", fence)
    made.add_render_rule("code_block", fence)
    made.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>')
    made.add_render_rule("table_close", lambda *_: "</table></div>")
    return made


def fence(_: object, tokens: list[Token], index: int, *__: object) -> str:
    """A block of code. Its first word is the language; what follows is for the tests."""
    token = tokens[index]
    language = (token.info.split() or [""])[0]
    code = token.content.rstrip("\n") + "\n"
    inside = coloured(code, "", language) if language else escape(code)
    return f'<pre tabindex="0"{f" data-language={quote(language)}" if language else ""}><code>{inside}</code></pre>\n'


def render(text: str, name: str = "", links: Callable[[str, str], str] | None = None, skip: str = "") -> Rendered:
    """A page's Markdown. `links` turns (page's name, relative address) into an address; `skip` is not linked."""
    made = Rendered()
    tokens = parser().parse(COMMENT.sub("", text))
    seen: dict[str, int] = {}
    words: list[str] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open":
            inline, level = tokens[place + 1], int(token.tag[1])
            plain = plain_text(inline.children or [])
            anchor = slug(plain)
            seen[anchor] = seen.get(anchor, 0) + 1
            anchor += f"-{seen[anchor] - 1}" if seen[anchor] > 1 else ""
            token.attrSet("id", anchor)
            if level == 1 and not made.title:
                made.title = plain
            if level > 1 and not any(one.type == "link_open" for one in inline.children or []):
                around = Token("link_open", "a", 1, attrs={"href": f"#{anchor}", "class": "anchor"})
                inline.children = [around, *(inline.children or []), Token("link_close", "a", -1)]
            made.headings.append((level, plain, anchor))
            made.sections.append((anchor, plain, ""))
        elif token.type == "inline":
            heading = tokens[place - 1].type == "heading_open"
            if links is not None:
                lead(token.children or [], name, links)
            if not heading:
                token.children = linked(token.children or [], skip)
                words.append(plain_text(token.children))
        elif token.type in ("fence", "code_block"):
            words.append(token.content)
        if words and made.sections and token.type in ("inline", "fence", "code_block"):
            anchor, heading_text, before = made.sections[-1]
            made.sections[-1] = (anchor, heading_text, f"{before} {' '.join(words)}".strip())
            words = []
    made.html = str(parser().renderer.render(tokens, parser().options, {}))
    return made


def plain_text(children: list[Token]) -> str:
    """The words of an inline part."""
    return "".join(" " if one.type in ("softbreak", "hardbreak") else one.content for one in children).strip()


def lead(children: list[Token], name: str, links: Callable[[str, str], str]) -> None:
    """Point links and pictures to where the site has them."""
    for one in children:
        key = "href" if one.type == "link_open" else "src" if one.type == "image" else ""
        if key and "anchor" not in str(one.attrs.get("class", "")):
            one.attrs[key] = links(name, str(one.attrs[key]))


def linked(children: list[Token], skip: str) -> list[Token]:
    """Code that is a name of the reference becomes a link to it, unless it stands in a link."""
    made: list[Token] = []
    inside = 0
    for one in children:
        inside += one.nesting if one.type in ("link_open", "link_close") else 0
        place = place_of(one.content) if one.type == "code_inline" and not inside and one.content != skip else None
        if place is None:
            made.append(one)
            continue
        opened = Token("link_open", "a", 1, attrs={"href": address(place.address), "class": "name"})
        made += [opened, one, Token("link_close", "a", -1)]
    return made


def phrase(text: str) -> str:
    """A sentence as HTML, with its code marked."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def relative(name: str, target: str) -> str:
    """Where a link in the Markdown page `name` leads on the site; addresses elsewhere stay as they are."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not parts.path:
        return target
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(name), parts.path))
    anchor = f"#{parts.fragment}" if parts.fragment else ""
    if path == "README.md":
        return address("index")
    if path == "CONTRIBUTING.md":
        return address(f"contributing{anchor}")
    if path == "examples" or path.startswith("examples/"):
        return address(path)
    inside = path.removeprefix("docs/")
    if inside.endswith(PICTURES):
        return f"{ROOT}/files/{quote(inside)}"
    return address(inside.removesuffix(".md") + anchor)


def docstring(text: str, skip: str = "") -> str:
    """A docstring as HTML: `::` begins indented code, `>>>` begins what a console shows."""
    text = re.sub(r"(?m)^::[ \t]*$", "", text)
    text = re.sub(r"::[ \t]*(?=\n|$)", ":", text)
    text = re.sub(r"(?m)((?:^>>> .*\n?)(?:^(?!\s*$).*\n?)*)", lambda m: f"```pycon\n{m[1].rstrip()}\n```\n", text)
    text = re.sub(r"(?m)\n\n((?:    .*\n?|\n)+)", code, text)
    return render(text, skip=skip).html


def code(found: re.Match[str]) -> str:
    """Indented code, with its language."""
    lines = found[1].rstrip().splitlines()
    return "\n\n```python\n" + "\n".join(line.removeprefix("    ") for line in lines) + "\n```\n\n"
