"""Cards and files as HTML that can do no harm: Markdown by CommonMark and GitHub's tables, code in colours, and then
everything through a list of what is allowed. Links and pictures lead into the repository they stand in."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, urlsplit

import nh3
from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from samovar.server.services.metadata.card import FENCE

LONGEST = 500_000
# Colouring is slow: longer code stays plain.
LONGEST_CODE = 200_000
TAGS = frozenset(
    """
    a abbr b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins kbd li
    ol p pre q rp rt ruby s samp section small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var
    """.split()  # noqa: SIM905
)
ATTRIBUTES = {
    "a": {"href", "title", "id"}, "img": {"src", "alt", "title", "width", "height", "align"},
    "td": {"align", "colspan", "rowspan"}, "th": {"align", "colspan", "rowspan"}, "div": {"align"}, "p": {"align"},
    "h1": {"id", "align"}, "h2": {"id", "align"}, "h3": {"id", "align"}, "h4": {"id"}, "h5": {"id"}, "h6": {"id"},
    "ol": {"start"}, "details": {"open"}, "li": {"id"}, "code": set(), "span": {"title"},
}  # fmt: skip
CLASSES = {
    "span": set(), "div": {"highlight"}, "pre": {"highlight"}, "li": {"task-list-item"},
    "ul": {"contains-task-list"}, "section": {"footnotes"}, "sup": {"footnote-ref"},
}  # fmt: skip
# A whole element of cleaned HTML, whose values stand in quotes, and may hold `>` in them.
ATTRIBUTE = re.compile(r'\s([a-z]+)="([^"]*)"')
IMAGE = re.compile(r'<img((?:\s[a-z]+="[^"]*")*)>')
PLAIN = HtmlFormatter(nowrap=True, classprefix="c-")
# All short class names that the colouring uses.
CODE_CLASSES = {f"c-{name}" for name in STANDARD_TYPES.values() if name}
CLASSES["span"] |= CODE_CLASSES


def coloured(code: str, name: str, language: str = "") -> str:
    """Code with its parts marked by class; escaped, and plain where the language is not known."""
    if len(code) <= LONGEST_CODE:
        try:
            lexer = get_lexer_by_name(language) if language else get_lexer_for_filename(name, code)
            return str(highlight(code, lexer, PLAIN))
        except ClassNotFound:
            pass
    return escape(code)


def escape(text: str) -> str:
    """Text as HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


@lru_cache(1)
def parser() -> MarkdownIt:
    """Markdown as cards are written: tables, strike-through, bare links, footnotes, tasks, some HTML."""
    made = MarkdownIt("commonmark", {"html": True, "linkify": True, "highlight": in_fence})
    made.enable(["table", "strikethrough", "linkify"])
    return made.use(footnote_plugin).use(tasklists_plugin)


def in_fence(code: str, language: str, attributes: str) -> str:
    """The inside of a block of code."""
    return coloured(code, "", language.lower()[:30]) if language else escape(code)


def slug(title: str) -> str:
    """The anchor of a heading, as other hubs make it."""
    plain = re.sub(r"<[^>]*>", "", title)
    return re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")[:100]


def card_html(text: str, files: str, blob: str) -> str:
    """A README as HTML. Relative pictures are read below `files`, relative links below `blob` (both end with `/`)."""
    fence = FENCE.match(text)
    html = parser().render(text[fence.end() if fence else 0 :][:LONGEST])
    html = re.sub(
        r"<(h[1-6])>(.*?)</\1>", lambda m: f'<{m[1]} id="{escape(slug(m[2]))}">{m[2]}</{m[1]}>', html, flags=re.DOTALL
    )
    html = re.sub(r'<input class="task-list-item-checkbox"( checked="checked")?[^>]*>', box, html)
    cleaned = nh3.clean(
        html, tags=set(TAGS), attributes={key: set(value) for key, value in ATTRIBUTES.items()},
        allowed_classes=CLASSES,
        url_schemes={"http", "https", "mailto"}, link_rel="nofollow ugc noopener noreferrer",
        attribute_filter=leading(files, blob), strip_comments=True, id_prefix="card-",
    )  # fmt: skip
    # A picture from elsewhere is not fetched: what it says in words takes its place.
    return IMAGE.sub(spoken, cleaned)


def box(found: re.Match[str]) -> str:
    """A task's box as a character: forms are not allowed in cards."""
    return "☑" if found[1] else "☐"


def spoken(found: re.Match[str]) -> str:
    """The words of a picture that is not shown; one that is stays as it is."""
    given = dict(ATTRIBUTE.findall(found[1]))
    if "src" in given:
        return found[0]
    words = given.get("alt", "").replace("<", "&lt;").replace(">", "&gt;")
    return f"<span>{words}</span>" if words else ""


def leading(files: str, blob: str) -> Callable[[str, str, str], str | None]:
    """Where an address in a card leads: relative ones into the repository; foreign pictures are not fetched."""

    def led(tag: str, attribute: str, value: str) -> str | None:
        if attribute not in ("href", "src"):
            return value
        value = value.strip()
        if tag == "a" and value.startswith("#"):
            return f"#card-{value[1:]}"
        try:
            parts = urlsplit(value)
        except ValueError:
            return None
        if parts.scheme or parts.netloc or value.startswith(("//", "\\")):
            return value if tag == "a" and parts.scheme in ("http", "https", "mailto") else None
        if value.startswith("/"):
            return value if tag == "a" else None
        path = re.sub(r"^(\./)+", "", parts.path)
        if ".." in path.split("/"):
            return None
        return (
            (files if tag == "img" else blob)
            + quote(path, safe="/%")
            + (f"#{parts.fragment}" if parts.fragment else "")
        )

    return led
