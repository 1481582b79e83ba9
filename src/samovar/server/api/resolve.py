"""Files of repositories: `/owner/name/resolve/REVISION/PATH`, and `raw`, which shows pointers as they are."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import WEB_PREFIX, CallerOf, HubOf
from samovar.server.http.content import content_headers
from samovar.server.http.files import Content, FileResponse, Held, Stored
from samovar.server.hub import Hub
from samovar.server.services.access import Caller, RepoType
from samovar.server.services.files import File, find_file

router = APIRouter(tags=["files"])
Segment = Annotated[str, Path(max_length=300)]
Rest = Annotated[str, Path(max_length=4000)]
# What scripts of other sites may read of a public file's answer.
EXPOSED = "X-Repo-Commit, X-Linked-Size, X-Linked-Etag, ETag, Content-Range, Accept-Ranges"


def answer(
    request: Request, hub: Hub, caller: Caller, type_: RepoType, name: str, revision: str, path: str, raw: bool
) -> Response:
    """The file with the headers that clients rely on, or the way to a repository that has another name now."""
    with hub.database.read() as session:
        file = find_file(hub, session, type_, name, caller, revision, path, raw)
        repository = file.repository
        if repository.name_key != name.lower():
            verb = "raw" if raw else "resolve"
            there = f"/{WEB_PREFIX[type_]}{repository.name}/{verb}/{quote(revision, safe='')}/{quote(path)}"
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(there + query, 307, {"X-Repo-Commit": file.commit})
    if not raw:
        hub.downloads.count(
            repository.id, path, caller, request.method, request.headers.get("x-hf-download-counter")
        )  # fmt: skip
    content: Content = Stored(hub.objects, file.sha256, file.size) if file.sha256 else Held(file.data)
    accel = accelerated(hub, file) if request.method == "GET" else None
    return FileResponse(content, file.etag, request.headers, headers_of(file), accel)


def headers_of(file: File) -> dict[str, str]:
    """What the contract asks for beside ETag and length."""
    headers = {
        "X-Repo-Commit": file.commit,
        # May be kept, and must be asked about: access to it can end.
        "Cache-Control": "private, no-cache" if file.repository.private or file.repository.gated else "no-cache",
        "Access-Control-Expose-Headers": EXPOSED,
        **content_headers(file.path),
    }
    if file.sha256:
        headers |= {"X-Linked-Size": str(file.size), "X-Linked-Etag": f'"{file.sha256}"'}
    return headers


def accelerated(hub: Hub, file: File) -> str | None:
    """Where nginx finds the file, if it is told to send files itself."""
    path = hub.objects.local_path(file.sha256) if file.sha256 and hub.settings.accel_prefix else None
    if path is None or hub.settings.accel_prefix is None:
        return None
    return f"{hub.settings.accel_prefix.rstrip('/')}/{path.relative_to(hub.settings.objects).as_posix()}"


@router.get("/datasets/{owner:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}")
@router.head("/datasets/{owner:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}")
def resolve_dataset_file(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, rev: Segment, path: Rest
) -> Response:
    """A file of a data set."""
    return answer(request, hub, caller, "dataset", f"{owner}/{name}", rev, path, raw=False)


@router.get("/datasets/{owner:segment}/{name:segment}/raw/{rev:segment}/{path:rest}")
@router.head("/datasets/{owner:segment}/{name:segment}/raw/{rev:segment}/{path:rest}")
def raw_dataset_file(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, rev: Segment, path: Rest
) -> Response:
    """A file of a data set as git holds it."""
    return answer(request, hub, caller, "dataset", f"{owner}/{name}", rev, path, raw=True)


@router.get("/spaces/{owner:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}")
@router.head("/spaces/{owner:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}")
def resolve_space_file(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, rev: Segment, path: Rest
) -> Response:
    """A file of a space."""
    return answer(request, hub, caller, "space", f"{owner}/{name}", rev, path, raw=False)


@router.get("/spaces/{owner:segment}/{name:segment}/raw/{rev:segment}/{path:rest}")
@router.head("/spaces/{owner:segment}/{name:segment}/raw/{rev:segment}/{path:rest}")
def raw_space_file(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, rev: Segment, path: Rest
) -> Response:
    """A file of a space as git holds it."""
    return answer(request, hub, caller, "space", f"{owner}/{name}", rev, path, raw=True)


@router.get("/{owner:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}")
@router.head("/{owner:segment}/{name:segment}/resolve/{rev:segment}/{path:rest}")
def resolve_model_file(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, rev: Segment, path: Rest
) -> Response:
    """A file of a model."""
    return answer(request, hub, caller, "model", f"{owner}/{name}", rev, path, raw=False)


@router.get("/{owner:segment}/{name:segment}/raw/{rev:segment}/{path:rest}")
@router.head("/{owner:segment}/{name:segment}/raw/{rev:segment}/{path:rest}")
def raw_model_file(
    request: Request, hub: HubOf, caller: CallerOf, owner: Segment, name: Segment, rev: Segment, path: Rest
) -> Response:
    """A file of a model as git holds it."""
    return answer(request, hub, caller, "model", f"{owner}/{name}", rev, path, raw=True)
