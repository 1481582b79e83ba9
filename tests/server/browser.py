"""A browser as far as the Hub can tell one: cookies, forms, and the headers that browsers add."""

from __future__ import annotations

import html
import re

import httpx


class Browser(httpx.Client):
    """Somebody's browser. `address` is where the request seems to come from, through the trusted proxy."""

    def __init__(self, url: str, address: str = "198.51.100.1", agent: str = "Mozilla/5.0 (test)") -> None:
        super().__init__(base_url=url, headers={"User-Agent": agent, "X-Forwarded-For": address}, timeout=60)
        self.origin = url.rstrip("/")

    def submit(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of one of the Hub's own pages."""
        return self.post(path, data=fields, headers={"Origin": self.origin, "Sec-Fetch-Site": "same-origin"})

    def log_in(self, name: str, password: str | None = None, **more: str) -> httpx.Response:
        """Fill in the login page."""
        return self.submit("/login", name=name, password=password or f"password of {name}", **more)

    @property
    def csrf(self) -> str:
        """The session's token, as a page of the Hub holds it."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/login").text)
        assert found, "no form: not logged in"
        return html.unescape(found[1])

    @property
    def session(self) -> str | None:
        """The cookie."""
        return self.cookies.get("samovar_session")

    def api(self, method: str, path: str, **more: object) -> httpx.Response:
        """What a script of the Hub's own page would ask."""
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": self.csrf}
        return self.request(method, path, headers=headers, **more)  # type: ignore[arg-type]
