"""The caller's access tokens. In the browser, or with a token of role admin: a token that only works with repositories
makes no others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from samovar.server.api.context import CallerOf, HubOf
from samovar.server.db.tables import Token
from samovar.server.http.dates import iso
from samovar.server.hub import Hub
from samovar.server.services import tokens
from samovar.server.services.tokens import MOST_SCOPES, Scope

router = APIRouter(tags=["tokens"])


class WantedScope(BaseModel):
    """What a fine-grained token reaches."""

    type: Literal["account", "model", "dataset", "space"] = Field(description="`account`: all repositories of one.")
    name: str = Field(description="`owner/name` of a repository, or an account's name.", max_length=200)
    right: Literal["read", "write"] = "read"


class WantedToken(BaseModel):
    """A token to make."""

    name: str = Field("", max_length=tokens.LONGEST_NAME)
    role: Literal["read", "write", "admin", "fineGrained"]
    expires_at: datetime | None = Field(None, alias="expiresAt", description="Without, it is good until revoked.")
    scopes: list[WantedScope] = Field([], max_length=MOST_SCOPES, description="Of a fine-grained token alone.")


@router.get("/api/settings/tokens")
def listed(hub: HubOf, caller: CallerOf) -> list[dict[str, Any]]:
    """The caller's tokens that are not revoked, the newest first: `id`, `name`, `role`, `ending` (the last four
    characters), `createdAt`, `expiresAt`, `lastUsedAt`, `scopes`."""
    account_id = caller.require_person()
    return [shown(hub, token, scopes) for token, scopes in tokens.listed(hub.database, caller, account_id)]


@router.post("/api/settings/tokens")
def create(hub: HubOf, caller: CallerOf, wanted: WantedToken) -> dict[str, Any]:
    """Make a token. `token` in the answer is shown this once; `id` is for revoking it."""
    caller.require_person()
    expires = wanted.expires_at
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    scopes = tuple(Scope(one.type, one.name, one.right) for one in wanted.scopes)
    number, token = tokens.create_token(
        hub.database, caller, caller.name, wanted.role, wanted.name, expires, scopes
    )  # fmt: skip
    return {"id": number, "token": token}


@router.delete("/api/settings/tokens/{number}")
def revoke(hub: HubOf, caller: CallerOf, number: Annotated[int, Path(ge=1, lt=2**63)]) -> dict[str, Any]:
    """Revoke a token; the next request with it is refused."""
    tokens.revoke(hub.database, caller, number, caller.require_person())
    return {}


def shown(hub: Hub, token: Token, scopes: list[Scope]) -> dict[str, Any]:
    """A token, without itself."""
    used = hub.activity.tokens.get(token.id) or token.last_used_at
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "ending": token.ending,
        "createdAt": iso(token.created_at),
        "expiresAt": iso(token.expires_at) if token.expires_at else None,
        "lastUsedAt": iso(used) if used else None,
        "scopes": [{"type": one.type, "name": one.name, "right": one.right} for one in scopes],
    }
