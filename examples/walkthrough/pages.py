"""The Hub's pages as a browser without scripts sees them: get one, fill in a form, read the text."""

from __future__ import annotations

import os
import re
import time
from html import unescape

import httpx

HEADERS = {"Accept": "text/html"}
HUB = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def get(path: str, **parameters: str | list[str]) -> str:
    """A page's HTML; one that is not ready yet is asked for again."""
    for _ in range(60):
        answer = httpx.get(HUB + path, params=parameters or None, headers=HEADERS, follow_redirects=True, timeout=60)
        if "refresh" not in answer.headers and answer.status_code != 503:
            break
        time.sleep(1)
    return answer.raise_for_status().text


def submit(path: str, **fields: str) -> str:
    """The page that a form leads to."""
    return httpx.post(HUB + path, data=fields, headers=HEADERS | {"Origin": HUB}, timeout=120).raise_for_status().text


def text(html: str) -> str:
    """What a page says, without tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))
