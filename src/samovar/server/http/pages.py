"""Pages made on the server: no script, no foreign content, every value escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse

STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
a { color: inherit; }
main { max-width: 24rem; margin: 3rem auto; padding: 0 1rem; }
label, fieldset { display: block; margin: 1rem 0; }
fieldset label { margin: .5rem 0; }
input:not([type=radio]) { display: block; width: 100%; box-sizing: border-box; padding: .5rem; font: inherit; }
button { padding: .5rem 1rem; font: inherit; }
.code { font: 1.5rem monospace; letter-spacing: .1em; }
.error { border-left: .25rem solid #c33; padding-left: .75rem; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Pages hold the session's token, and differ by who looks.
    "Cache-Control": "no-store",
}


@cache
def templates() -> jinja2.Environment:
    """The templates in `server/pages/`; a name that a page was not given is a mistake."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("samovar.server", "pages"), autoescape=True, undefined=jinja2.StrictUndefined
    )


def page(template: str, title: str, status: int = 200, error: str = "", /, **values: object) -> HTMLResponse:
    """A page from its template."""
    # The style is ours and its hash is in the policy: escaped, it would be another text.
    text = templates().get_template(f"{template}.html").render(title=title, error=error, style=Markup(STYLE), **values)
    return HTMLResponse(text, status, HEADERS)
