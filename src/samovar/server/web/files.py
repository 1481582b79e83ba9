"""The files of a repository: folders, single files, tensors of a safetensors file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from samovar.server.api.context import WEB_PREFIX, HubOf
from samovar.server.db.tables import Repository
from samovar.server.errors import EntryNotFoundError
from samovar.server.hub import Hub
from samovar.server.objects import pickles
from samovar.server.repos import commits as git_commits
from samovar.server.repos.revisions import DEFAULT, referenced, resolve
from samovar.server.services import likes, scans
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.files import File, find_file
from samovar.server.services.listing import folder
from samovar.server.web.markup import card_html, coloured
from samovar.server.web.site import BrowserOf, new_router, page, safe
from samovar.server.web.tensors import Tensors, sight, tensors

router = new_router()
ENTRIES = 500
# A text is shown up to this size.
SHOWN = 500_000
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a")
# Headers of files by content: whoever sorts and searches asks again and again.
HEADERS: dict[str, Tensors] = {}
REMEMBERED, MOST_REMEMBERED = 8, 50_000
KINDS: tuple[tuple[str, RepoType], ...] = (("", "model"), ("/datasets", "dataset"), ("/spaces", "space"))


@dataclass(frozen=True)
class Opened:
    """A repository whose files are looked at."""

    repository: Repository
    git: Any
    root: str
    frame: dict[str, Any]
    """What the frame of each of these pages shows."""


def opened(hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str = DEFAULT) -> Opened:
    """The repository, for a caller who may see it."""
    with hub.database.read() as session:
        repository = find(session, type_, full, caller)
        liked = likes.likes(session, caller, repository.id)
    git = hub.folders.open(repository.id)
    root = f"/{WEB_PREFIX[type_]}{repository.name}"
    names = sorted(one.removeprefix("refs/heads/") for one in git.references if one.startswith("refs/heads/"))
    tags = sorted(one.removeprefix("refs/tags/") for one in git.references if one.startswith("refs/tags/"))
    frame = {
        "type": type_, "kind": f"{type_}s", "repository": repository, "root": root, "tab": "files", "branches": names,
        "tags": tags, "revision": revision, "may_write": caller.may_write(repository), "liked": liked,
    }  # fmt: skip
    return Opened(repository, git, root, frame)


def tree(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str, after: str | None
) -> Response:  # fmt: skip
    """A folder, or of a large one the part behind an entry."""
    at = opened(hub, caller, type_, full, revision)
    if revision == DEFAULT and not path and referenced(at.git, DEFAULT) is None:
        return page(
            request, "files", full, caller, **at.frame, path="", entries=[], trail=[], last=None, begun=False,
            further=None, after=None,
        )  # fmt: skip
    entries, further, commit = folder(at.git, revision, path, recursive=False, expand=True, after=after, limit=ENTRIES)
    last = resolve(at.git, commit)
    return page(
        request, "files", f"{full} · {path or revision}", caller, **at.frame, path=path,
        entries=scans.add(hub, entries), trail=trail(path), last=described(last), further=further, after=after,
        begun=bool(path) or len(entries) > 1 or not at.frame["may_write"],
    )  # fmt: skip


def blob(request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str) -> Response:
    """One file, shown as what it is."""
    at = opened(hub, caller, type_, full, revision)
    with hub.database.read() as session:
        file = find_file(hub, session, type_, full, caller, revision, path)
        scan = (
            scans.described(path, scans.results(session, [file.etag]).get(file.etag)) if pickles.wanted(path) else None
        )
    text, html, listed, media = "", "", None, ""
    suffix = f".{path.rpartition('.')[2].lower()}"
    raw = f"{at.root}/resolve/{file.commit}/{path}"
    if suffix in PICTURES:
        media = "picture"
    elif suffix in SOUNDS:
        media = "sound"
    elif suffix == ".safetensors":
        listed = sight(header(hub, file), **choices(request))
    elif file.sha256 is None and file.size <= SHOWN and b"\0" not in file.data:
        text = file.data.decode("utf-8", "replace")
        if suffix in (".md", ".markdown"):
            parent = path.rpartition("/")[0]
            below = f"{parent}/" if parent else ""
            html = card_html(text, f"{at.root}/resolve/{file.commit}/{below}", f"{at.root}/blob/{revision}/{below}")
        else:
            html = coloured(text, path)
    return page(
        request, "file", f"{full} · {path}", caller, **at.frame, path=path, trail=trail(path), file=file, raw=raw,
        scan=scan, text=text, html=safe(html), rendered=bool(html) and suffix in (".md", ".markdown"),
        tensors=listed, media=media, lines=text.count("\n") + 1 if text else 0,
    )  # fmt: skip


def choices(request: Request) -> dict[str, Any]:
    """Which tensors are asked for: `search`, `sort`, `p`."""
    given = request.query_params
    number = given.get("p", "0")
    return {"search": given.get("search", "")[:200], "sort": given.get("sort", ""),
            "p": int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 0}  # fmt: skip


def header(hub: Hub, file: File) -> Tensors:
    """The tensors of a safetensors file, from its header alone. The last ones are remembered."""
    if (known := HEADERS.get(file.etag)) is not None:
        return known
    found = read_header(hub, file)
    if len(found.rows) <= MOST_REMEMBERED:
        for old in list(HEADERS)[: max(0, len(HEADERS) - REMEMBERED + 1)]:
            HEADERS.pop(old, None)
        HEADERS[file.etag] = found
    return found


def read_header(hub: Hub, file: File) -> Tensors:
    """The same, read."""
    if file.sha256 is None:
        return tensors(lambda start, count: file.data[start : start + count], file.size)
    sha256 = file.sha256
    return tensors(lambda start, count: b"".join(hub.objects.read(sha256, start, count)), file.size)


def described(found: Any) -> dict[str, Any]:
    """A commit, for a template."""
    return {
        "id": str(found.id), "title": git_commits.title(found), "author": git_commits.author(found),
        "moment": git_commits.moment(found),
    }  # fmt: skip


def trail(path: str) -> list[tuple[str, str]]:
    """(name, path) of each folder down to a path."""
    parts = path.split("/") if path else []
    return [(name, "/".join(parts[: at + 1])) for at, name in enumerate(parts)]


def add_routes(prefix: str, type_: RepoType) -> None:
    """The pages of one kind of repository; models have no prefix."""
    here = prefix + "/{owner:owner}/{name:segment}"

    @router.get(here + "/tree/{revision:segment}")
    @router.get(here + "/tree/{revision:segment}/{path:rest}")
    def show_tree(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str, path: str = "",
        after: str | None = None,
    ) -> Response:  # fmt: skip
        return tree(request, hub, caller, type_, f"{owner}/{name}", revision, path.strip("/"), after)

    @router.get(here + "/blob/{revision:segment}/{path:rest}")
    def show_blob(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str, path: str
    ) -> Response:
        if not path:
            raise EntryNotFoundError("There is no file without a name.")
        return blob(request, hub, caller, type_, f"{owner}/{name}", revision, path)


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
