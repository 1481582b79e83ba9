"""The corpus of hostile texts in `hostile/`, and a browser that notices when one of them works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Error, Page, Route

from samovar.server.web.markup import ATTRIBUTES, TAGS

FOLDER = Path(__file__).parent / "hostile"

# What of a document's part is not what the list of allowed elements and attributes says. The buttons to copy code, and
# that code can be reached by keyboard, are made by the page's own script.
LOOK = """([selector, tags, attributes, own]) => {
  const wrong = [];
  if ("pwned" in window) wrong.push("window.pwned");
  if (document.querySelectorAll("iframe, frame, object, embed, base").length) wrong.push("a frame or a base");
  const places = document.querySelectorAll(selector);
  if (!places.length) wrong.push(`nothing at ${selector}`);
  for (const place of places) for (const one of place.querySelectorAll("*:not(button.copy)")) {
    const tag = one.localName;
    if (one.namespaceURI !== "http://www.w3.org/1999/xhtml" || !tags.includes(tag)) wrong.push(one.outerHTML);
    for (const { name, value } of one.attributes) {
      if (name === "id" && !value.startsWith("card-")) wrong.push(one.outerHTML);
      if (name === "tabindex" && tag === "pre") continue;
      if (!["class", "id", "rel", ...(attributes[tag] || [])].includes(name)) wrong.push(`${name} in ${one.outerHTML}`);
    }
    if (tag === "a" && one.href && !["http:", "https:", "mailto:"].includes(one.protocol)) wrong.push(one.outerHTML);
    if (tag === "img" && !one.src.startsWith(own)) wrong.push(one.outerHTML);
  }
  return wrong;
}"""
# Touch everything; links are followed only where that would run a script.
TOUCH = """(selector) => {
  const kept = (event) => { const link = event.target.closest("a"); if (link && link.protocol !== "javascript:") event.preventDefault(); };
  document.addEventListener("click", kept, true);
  for (const place of document.querySelectorAll(selector)) for (const one of place.querySelectorAll("*:not(button.copy):not(summary)")) {
    for (const name of ["pointerover", "mouseover", "focus", "focusin", "mousedown", "keydown"]) one.dispatchEvent(new Event(name, { bubbles: true }));
    if (one.click) one.click();
  }
  document.removeEventListener("click", kept, true);
  return "pwned" in window;
}"""  # noqa: E501


def pieces() -> dict[str, list[str]]:
    """Family → its texts."""
    found = {
        path.stem: [part.partition("\n")[2].removesuffix("\n") for part in re.split(r"(?m)^%%% ", text)[1:]]
        for path in sorted(FOLDER.glob("*.txt"))
        for text in [path.read_text("utf-8")]
    }
    return found | {path.stem: [text for _, text in json.loads(path.read_text())] for path in FOLDER.glob("*.json")}


class Visitor:
    """A browser that watches itself: dialogs, and requests that leave the Hub. None of them gets out."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.noticed: list[str] = []
        self.tab: Page = context.new_page()
        context.route("**/*", self.asked)
        context.on("page", lambda page: self.noticed.append(f"a window: {page.url}"))
        self.tab.on("dialog", lambda dialog: (self.noticed.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def asked(self, route: Route) -> None:
        """A request is about to be sent."""
        if route.request.url.startswith(f"{self.url}/"):
            route.continue_()
        else:
            self.noticed.append(f"request: {route.request.url}")
            route.abort()

    def open(self, path: str) -> None:
        """Go to a page of the Hub; a file that the browser keeps instead of showing it is all right."""
        try:
            self.tab.goto(self.url + path)
        except Error as error:
            if "Download is starting" not in error.message and "ERR_ABORTED" not in error.message:
                raise

    def sees_nothing_happen(self, path: str, selector: str, own: str) -> None:
        """Whatever stands at the selector, it is inert, also when it is touched; and the page is still this one."""
        assert self.tab.url == self.url + path
        allowed = {tag: sorted(names) for tag, names in ATTRIBUTES.items()}
        wrong = self.tab.evaluate(LOOK, [selector, sorted(TAGS), allowed, self.url + own])
        assert not wrong, (path, wrong)
        assert not self.tab.evaluate(TOUCH, selector), path
        assert not self.noticed, (path, self.noticed)
        assert self.tab.url == self.url + path


@contextmanager
def visitor(chromium: Browser, url: str, **options: object) -> Iterator[Visitor]:
    """A visitor without a policy to protect them: what is proven holds without it. See `Browser.new_context`."""
    context = chromium.new_context(bypass_csp=True, **options)  # type: ignore[arg-type]
    context.set_default_timeout(60_000)
    yield Visitor(context, url)
    context.close()
