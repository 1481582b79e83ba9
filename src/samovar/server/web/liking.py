"""Like a repository from its page, without scripts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.responses import RedirectResponse, Response

from samovar.server.api.context import WEB_PREFIX, HubOf
from samovar.server.api.forms import Submitted, submitted
from samovar.server.services import likes
from samovar.server.services.access import RepoType
from samovar.server.web.files import KINDS
from samovar.server.web.site import new_router

router = new_router()


def add_route(prefix: str, type_: RepoType) -> None:
    """The route of one kind of repository; models have no prefix."""

    @router.post(prefix + "/{owner:owner}/{name:segment}/like")
    def like(hub: HubOf, form: Annotated[Submitted, Depends(submitted)], owner: str, name: str) -> Response:
        """Form: `liked` (`yes`, or it is liked no more), `csrf`. Leads back to the repository."""
        full = f"{owner}/{name}"
        likes.set_like(hub.database, form.caller, type_, full, form.fields.get("liked") == "yes")
        return RedirectResponse(f"/{WEB_PREFIX[type_]}{full}", 303)


for _prefix, _type in KINDS:
    add_route(_prefix, _type)
