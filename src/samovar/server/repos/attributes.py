"""`.gitattributes`: which files git-lfs takes care of on a checkout (gitattributes(5))."""

from __future__ import annotations

import re
from functools import lru_cache

NAME = ".gitattributes"
LARGE = "filter=lfs diff=lfs merge=lfs -text"
# What new repositories have: kinds of files that hold weights, data, archives, sound and pictures.
KINDS = """
    7z aac arrow avif avro bin bmp bz2 ckpt ftz gguf gif gz h5 heic ico jpeg jpg joblib m4a mlmodel mkv model mp3 mp4
    msgpack npy npz ogg onnx opus ot parquet pb pdf pickle pkl png pt pth rar safetensors sqlite tar task tflite tgz
    tiff wasm wav webm webp xz zip zst
""".split()  # noqa: SIM905
PATTERNS = [*(f"*.{kind}" for kind in KINDS), "*.tar.*", "*tfevents*", "saved_model/**/*"]
# Always in git: clients and the Hub itself read them as text.
ALWAYS_REGULAR = frozenset({".gitattributes", ".gitignore", "README.md"})


def initial() -> bytes:
    """The file of a new repository."""
    return "".join(f"{pattern} {LARGE}\n" for pattern in PATTERNS).encode()


class Attributes:
    """The rules of one file, for the question whether a path is git-lfs's."""

    def __init__(self, content: bytes) -> None:
        self.rules: list[tuple[re.Pattern[str], bool]] = []
        for line in content.decode(errors="replace").splitlines():
            pattern, settings = split(line)
            if not pattern or pattern.startswith(("#", "[attr]", "!")):
                continue
            for setting in settings:
                if setting in ("-filter", "!filter") or setting.startswith("filter="):
                    self.rules.append((compiled(pattern), setting == "filter=lfs"))

    def large(self, path: str) -> bool:
        """Whether git-lfs takes care of the path: the last rule that fits decides."""
        return next((large for rule, large in reversed(self.rules) if rule.fullmatch(path)), False)


def split(line: str) -> tuple[str, list[str]]:
    """Pattern and settings of a line; a pattern may be quoted as in C."""
    line = line.strip(" \t\r\n")
    if quoted := re.match(r'"((?:[^"\\]|\\.)*)"(?:\s|$)', line):
        return re.sub(r"\\([\"\\])", r"\1", quoted[1]), line[quoted.end() :].split()
    pattern, *settings = line.split() or [""]
    return pattern, settings


@lru_cache(4096)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern as a regular expression over whole paths. Without a slash, it is about names in any folder."""
    anchored = "/" in pattern.rstrip("/")
    body = pattern.lstrip("/") if anchored else pattern
    out, position = "" if anchored else "(?:.*/)?", 0
    while position < len(body):
        rest = body[position:]
        if found := re.match(r"\*\*/|/\*\*$|\*+|\?|\[!?\]?(?:\[:\w+:\]|[^\]])*\]|\\.|.", rest, re.DOTALL):
            out += translated(found[0])
            position += found.end()
    try:
        return re.compile(out, re.DOTALL)
    except re.error:
        return re.compile(r"(?!)")


def translated(part: str) -> str:
    """One piece of a pattern."""
    if part == "**/":
        return "(?:.*/)?"
    if part == "/**":
        return "/.+"
    if part.startswith("*"):
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if part.startswith("[") and len(part) > 1:
        inner = part[1:-1].replace("[:space:]", r"\s").replace("[:digit:]", r"\d").replace("[:alnum:]", "a-zA-Z0-9")
        return "[" + ("^" + inner[1:] if inner.startswith("!") else inner) + "]"
    return re.escape(part[1:] if part.startswith("\\") and len(part) > 1 else part)


def rule(path: str) -> bytes:
    """A line that gives exactly this path to git-lfs."""
    escaped = "" if "/" in path else "/"
    escaped += re.sub(r"([*?\[\]\\#!\"])", r"\\\1", path)
    # Blanks would end the pattern.
    return f"{re.sub(' ', '[[:space:]]', escaped)} {LARGE}\n".encode()
