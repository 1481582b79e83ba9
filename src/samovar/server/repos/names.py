"""Names that are allowed: of accounts, repositories, branches and tags, and of paths inside a repository."""

from __future__ import annotations

import re
import unicodedata

import pygit2

from samovar.server.errors import BadRequestError

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
# First segments of the Hub's own addresses: no account may be called so.
RESERVED = frozenset(
    """
    about admin api app apps assets blog buckets cas collections copy datasets docs explore favicon.ico filter
    first-rows healthz hub inference info is-valid join kernels login logout me metrics models new none
    notifications null oauth organizations orgs papers parquet pipeline pricing privacy public readyz robots.txt
    rows search security settings signup size spaces splits static statistics support system tasks terms tokens
    undefined uploads users v1 v2 viewer www xet
    """.split()  # noqa: SIM905
)
# Behind an account's name these are pages about the account.
TABS = frozenset({"likes"})
LONGEST_PATH = 1000
MOST_SEGMENTS = 40
LONGEST_SEGMENT = 255


def account_name(name: str) -> str:
    """The name of a user or organisation. Raises `BadRequestError`."""
    if not NAME.fullmatch(name) or not 2 <= len(name) <= 42 or ".." in name or "--" in name:
        raise BadRequestError(
            f"{printable(name)} cannot be an account's name.",
            "Use 2 to 42 letters, digits, '-', '_' and '.', beginning with a letter or digit, without '--' or '..'.",
        )
    if name.lower() in RESERVED or name.lower().endswith(".git"):
        raise BadRequestError(f"{name} is an address of the Hub itself.", "Choose another name.")
    return name


def repository_name(name: str) -> str:
    """The part behind the slash. Raises `BadRequestError`."""
    if not NAME.fullmatch(name) or ".." in name or "--" in name or name.lower().endswith((".git", ".ipynb")):
        raise BadRequestError(
            f"{printable(name)} cannot be a repository's name.",
            "Use up to 96 letters, digits, '-', '_' and '.', without '--', '..' or '.git' at the end.",
        )
    if name.lower() in TABS:
        raise BadRequestError(f"{name} is an address of the Hub itself.", "Choose another name.")
    return name


def split(full: str) -> tuple[str, str]:
    """`owner/name` → both. Raises `BadRequestError`."""
    owner, slash, name = full.partition("/")
    if not slash or not owner or not name or "/" in name:
        raise BadRequestError(f"{printable(full)} is no repository's name.", "Write it as owner/name.")
    return owner, name


def reference_name(name: str, what: str = "branch") -> str:
    """A branch's or tag's name as git allows it, that could not pass for a commit. Raises `BadRequestError`."""
    full = f"refs/heads/{name}"
    taken = name in ("HEAD", "@") or name.startswith(("-", "refs/"))
    if not name or len(name) > 200 or taken or not valid_reference(full):
        raise BadRequestError(
            f"{printable(name)} cannot be a {what}'s name.", "Git's rules for names of references hold."
        )
    if re.fullmatch(r"[0-9a-fA-F]{40}", name):
        raise BadRequestError(f"{name} looks like a commit.", f"Choose another name for the {what}.")
    return name


def valid_reference(full: str) -> bool:
    """Whether git accepts it as a full reference name."""
    return "\0" not in full and unicode_safe(full) and bool(pygit2.reference_is_valid_name(full))


def file_path(path: str) -> str:
    """A path inside a repository, as it is stored. Raises `BadRequestError` for whatever could lead out of a checkout.

    Refused: absolute paths, `.`, `..` and `.git` in any form that some file system takes for them (case, trailing dots
    and spaces, NTFS streams and short names, characters that HFS+ ignores), backslashes, control characters.
    """
    if not isinstance(path, str) or not path or len(path) > LONGEST_PATH or not unicode_safe(path):
        raise BadRequestError(f"{printable(path)} cannot be a file's path.", f"Use 1 to {LONGEST_PATH} characters.")
    segments = path.split("/")
    if len(segments) > MOST_SEGMENTS:
        raise BadRequestError("The path has too many folders.", f"At most {MOST_SEGMENTS} are allowed.")
    for segment in segments:
        if not segment or len(segment.encode()) > LONGEST_SEGMENT or "\\" in segment or leads_out(segment):
            raise BadRequestError(
                f"{printable(path)} cannot be a file's path.",
                "Use a relative path with '/' between its parts, none of them '.', '..' or '.git'.",
            )
    return path


def leads_out(segment: str) -> bool:
    """Whether some file system would take the segment for `.`, `..` or `.git`."""
    visible = "".join(one for one in segment if unicodedata.category(one) not in ("Cf", "Cc"))
    plain = unicodedata.normalize("NFKC", visible).lower().split(":")[0].rstrip(". ")
    return plain in ("", ".", "..", ".git") or bool(re.fullmatch(r"git~\d+|gi[0-9a-f]{4}~\d", plain)) or (
        "/" in plain or "\\" in plain
    )  # fmt: skip


def unicode_safe(text: str) -> bool:
    """No control characters, no lone surrogates, nothing that was not decodable."""
    return "\ufffd" not in text and all(unicodedata.category(one) not in ("Cc", "Cs") for one in text)


def printable(text: object) -> str:
    """A name from outside for use in a message: quoted, short, escaped."""
    shown = ascii(text)
    return shown if len(shown) <= 100 else f"{shown[:97]}…'"
