"""Names without an owner: whoever asks for `bert-base-cased` is sent to the repository that the operator has chosen."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import SINGULAR, WEB_PREFIX, CallerOf, HubOf, Plural
from samovar.server.hub import Hub
from samovar.server.services.access import Caller, RepoType, find

router = APIRouter(tags=["repositories"])
Name = Annotated[str, Path(max_length=100)]
API = "/api/{kind:kind}/{name:segment}"


def elsewhere(request: Request, hub: Hub, caller: Caller, type_: RepoType, name: str, before: str) -> Response:
    """The same address below the repository's whole name. Raises `RepositoryNotFoundError`.

    `before` is what stands in front of the name; what stands behind is left as it was sent.
    """
    with hub.database.read() as session:
        full = find(session, type_, name, caller).name
    behind = request.scope["path"].removeprefix(before).partition("/")[2]
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{before}{full}{'/' if behind else ''}{behind}{query}", 307)


@router.get(API)
@router.get(API + "/revision/{rev:segment}")
@router.get(API + "/tree/{rest:rest}")
@router.get(API + "/commits/{rev:segment}")
@router.post(API + "/paths-info/{rev:segment}")
def api(hub: HubOf, caller: CallerOf, request: Request, kind: Annotated[Plural, Path()], name: Name) -> Response:
    """What the API says of a repository."""
    return elsewhere(request, hub, caller, SINGULAR[kind], name, f"/api/{kind}/")


def add_files(type_: RepoType) -> None:
    """The routes of a kind's files."""
    before = f"/{WEB_PREFIX[type_]}"

    def file(hub: HubOf, caller: CallerOf, request: Request, name: Name) -> Response:
        """A file of a repository."""
        return elsewhere(request, hub, caller, type_, name, before)

    for verb in ("resolve", "raw"):
        router.add_api_route(
            f"{before}{{name:segment}}/{verb}/{{rev:segment}}/{{path:rest}}", file, methods=["GET", "HEAD"],
            name=f"{verb}_{type_}_by_short_name",
        )  # fmt: skip


# Models last: their addresses begin with any name.
for _type in ("dataset", "space", "model"):
    add_files(_type)
