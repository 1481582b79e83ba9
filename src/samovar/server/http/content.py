"""What a repository's file may be called on its way to a browser: never anything that runs with the Hub's rights."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

# Whatever is not here is sent as bytes. HTML, SVG, XML and scripts are text: on the Hub's own address they would act
# for whoever is logged in.
TYPES = {
    ".avif": "image/avif", ".bmp": "image/bmp", ".gif": "image/gif", ".jpeg": "image/jpeg", ".jpg": "image/jpeg",
    ".png": "image/png", ".webp": "image/webp", ".flac": "audio/flac", ".m4a": "audio/mp4", ".mp3": "audio/mpeg",
    ".oga": "audio/ogg", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".wav": "audio/wav", ".mp4": "video/mp4",
    ".webm": "video/webm", ".json": "application/json",
}  # fmt: skip
TEXT = frozenset(
    """
    .cfg .conf .css .csv .gitattributes .gitignore .htm .html .ini .ipynb .jinja .js .jsonl .log .md .mjs .py .rst .sh
    .svg .toml .tsv .txt .xhtml .xml .yaml .yml
    """.split()  # noqa: SIM905
)
ACTIVE = frozenset(".htm .html .js .mjs .svg .xhtml .xml".split())  # noqa: SIM905


def content_headers(path: str) -> dict[str, str]:
    """Type, disposition and protection of a file by its name."""
    name = PurePosixPath(path).name
    suffix = PurePosixPath(path).suffix.lower() or name.lower()
    text = suffix in TEXT or name in ("LICENSE", "README", "Dockerfile", "Makefile")
    type_ = TYPES.get(suffix) or ("text/plain; charset=utf-8" if text else "application/octet-stream")
    plain = "".join(one if one.isascii() and one.isprintable() and one not in '"\\%' else "_" for one in name)
    how = "attachment" if suffix in ACTIVE else "inline"
    return {
        "Content-Type": type_,
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(name, safe='')}; filename=\"{plain}\"",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
