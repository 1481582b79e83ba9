"""Who is asking, as clients ask it before anything else."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import select

from samovar.server.api.avatars import avatar_url
from samovar.server.api.context import CallerOf, HubOf
from samovar.server.db.tables import Account, Membership
from samovar.server.errors import UnauthenticatedError

router = APIRouter(tags=["accounts"])


@router.get("/api/whoami-v2")
def whoami(request: Request, hub: HubOf, caller: CallerOf) -> dict[str, Any]:
    """The caller's name, organisations, and what their token may do.

    401 for nobody (`Invalid username or password.`) and for a token that is not right (`Invalid credentials in
    Authorization header`).
    """
    if caller.account_id is None:
        raise UnauthenticatedError("Invalid username or password.")
    with hub.database.read() as session:
        account = session.get_one(Account, caller.account_id)
        memberships = session.execute(
            select(Account, Membership.role)
            .join(Membership, Membership.organisation_id == Account.id)
            .where(Membership.user_id == account.id)
            .order_by(Account.name_key)
        ).all()
    answer: dict[str, Any] = {
        "type": "user",
        "id": f"{account.id:024x}",
        "name": account.name,
        "fullname": account.full_name or account.name,
        "email": account.email,
        "emailVerified": False,
        "isPro": False,
        "isAdmin": account.is_admin,
        "avatarUrl": avatar_url(request, account.name),
        "orgs": [
            {
                "type": "org",
                "id": f"{organisation.id:024x}",
                "name": organisation.name,
                "fullname": organisation.full_name or organisation.name,
                "avatarUrl": avatar_url(request, organisation.name),
                "roleInOrg": role,
            }
            for organisation, role in memberships
        ],
        "auth": {"type": "session"},
    }
    if caller.token_id is not None:
        answer["auth"] = {
            "type": "access_token",
            "accessToken": {"displayName": caller.token_name, "role": caller.token_role},
        }
    return answer
