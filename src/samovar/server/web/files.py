"""The files of a repository: folders, single files, tensors of a safetensors file, history, one commit's changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Query, Request
from starlette.responses import Response

from samovar.server.api.context import WEB_PREFIX, HubOf
from samovar.server.db.tables import Repository
from samovar.server.errors import EntryNotFoundError
from samovar.server.hub import Hub
from samovar.server.repos import commits as git_commits
from samovar.server.repos.history import difference, log
from samovar.server.repos.revisions import DEFAULT, referenced, resolve
from samovar.server.services import likes
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.files import File, find_file
from samovar.server.services.listing import folder
from samovar.server.web.markup import card_html, coloured
from samovar.server.web.site import BrowserOf, new_router, page, safe
from samovar.server.web.tensors import Tensors, tensors

router = new_router()
COMMITS = 50
# A text is shown up to this size, a difference up to this many characters.
SHOWN = 500_000
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".bmp")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a")
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


def tree(request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str) -> Response:
    """A folder."""
    at = opened(hub, caller, type_, full, revision)
    if revision == DEFAULT and not path and referenced(at.git, DEFAULT) is None:
        return page(request, "files", full, caller, **at.frame, path="", entries=[], trail=[], last=None, begun=False)
    entries, _, commit = folder(at.git, revision, path, recursive=False, expand=True, after=None, limit=None)
    last = resolve(at.git, commit)
    return page(
        request, "files", f"{full} · {path or revision}", caller, **at.frame, path=path, entries=entries,
        trail=trail(path), last=described(last), begun=bool(path) or len(entries) > 1 or not at.frame["may_write"],
    )  # fmt: skip


def blob(request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, path: str) -> Response:
    """One file, shown as what it is."""
    at = opened(hub, caller, type_, full, revision)
    with hub.database.read() as session:
        file = find_file(hub, session, type_, full, caller, revision, path)
    text, html, listed, media = "", "", None, ""
    suffix = f".{path.rpartition('.')[2].lower()}"
    raw = f"{at.root}/resolve/{file.commit}/{path}"
    if suffix in PICTURES:
        media = "picture"
    elif suffix in SOUNDS:
        media = "sound"
    elif suffix == ".safetensors":
        listed = header(hub, file)
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
        text=text, html=safe(html), rendered=suffix in (".md", ".markdown"), tensors=listed, media=media,
        lines=text.count("\n") + 1 if text else 0,
    )  # fmt: skip


def history(request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str, p: int) -> Response:
    """Commits, the newest first."""
    at = opened(hub, caller, type_, full, revision)
    found = []
    if not (revision == DEFAULT and referenced(at.git, DEFAULT) is None):
        found = [described(one) for one in log(at.git, resolve(at.git, revision), p * COMMITS, COMMITS + 1)]
    return page(
        request, "commits", f"{full} · {revision}", caller, **at.frame, commits=found[:COMMITS], p=p,
        more=len(found) > COMMITS,
    )  # fmt: skip


def commit(request: Request, hub: Hub, caller: Caller, type_: RepoType, full: str, revision: str) -> Response:
    """What one commit changed."""
    at = opened(hub, caller, type_, full, revision)
    found = resolve(at.git, revision)
    changes = difference(found.parents[0].tree if found.parents else None, found.tree)
    cut = len(changes) > SHOWN
    return page(
        request, "commit", f"{full} · {str(found.id)[:7]}", caller, **at.frame, commit=described(found),
        body=git_commits.body(found), html=safe(coloured(changes[:SHOWN], "", "diff")), cut=cut,
    )  # fmt: skip


def header(hub: Hub, file: File) -> Tensors:
    """The tensors of a safetensors file, from its header alone."""
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
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str, path: str = ""
    ) -> Response:
        return tree(request, hub, caller, type_, f"{owner}/{name}", revision, path.strip("/"))

    @router.get(here + "/blob/{revision:segment}/{path:rest}")
    def show_blob(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str, path: str
    ) -> Response:
        if not path:
            raise EntryNotFoundError("There is no file without a name.")
        return blob(request, hub, caller, type_, f"{owner}/{name}", revision, path)

    @router.get(here + "/commits/{revision:segment}")
    def show_history(
        request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str,
        p: Annotated[int, Query(ge=0, le=100_000)] = 0,
    ) -> Response:  # fmt: skip
        return history(request, hub, caller, type_, f"{owner}/{name}", revision, p)

    @router.get(here + "/commit/{revision:segment}")
    def show_commit(request: Request, hub: HubOf, caller: BrowserOf, owner: str, name: str, revision: str) -> Response:
        return commit(request, hub, caller, type_, f"{owner}/{name}", revision)


for _prefix, _type in KINDS:
    add_routes(_prefix, _type)
