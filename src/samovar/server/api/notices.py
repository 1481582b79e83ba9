"""What clients ask in passing, answered cheaply; and what this Hub does not have, said clearly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from samovar.server.errors import NotSupportedError

router = APIRouter()
# Families of the field's Hub that this one has not, below `/api/`, and what to use.
ABSENT = {
    "settings/webhooks": "Ask for what is new: `?sort=lastModified`.",
    "jobs": "Run the program on a machine of yours.",
    "scheduled-jobs": "Run the program on a machine of yours.",
    "buckets": "Use a data set.",
    "kernels": "Use a model.",
    "papers": "Link the paper in the card.",
    "daily_papers": "Link the paper in the card.",
    "collections": "List repositories by author or tag.",
    "resource-groups": "Use an organisation.",
    "posts": "",
    "blog": "",
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


@router.get("/api/agent-harnesses", tags=["notices"])
def agent_harnesses() -> dict[str, Any]:
    """None are known here; clients ask once a day."""
    return {"standardEnvVars": [], "harnesses": {}}


@router.head("/api/telemetry/{topic:rest}", include_in_schema=False)
def telemetry(topic: Annotated[str, Path()]) -> Response:
    """Taken note of by nobody."""
    return Response(status_code=204)


def refusal(family: str) -> Callable[[], Response]:
    """A route that answers 501, with what to do instead."""

    def not_here() -> Response:
        named = family.rpartition("/")[2].replace("-", " ").replace("_", " ")
        raise NotSupportedError(f"This Hub has no {named}.", ABSENT[family])

    return not_here


for family in ABSENT:
    for path in (f"/api/{family}", f"/api/{family}/{{rest:rest}}"):
        router.add_api_route(path, refusal(family), methods=METHODS, include_in_schema=False)
