"""The device's half of `hf auth login` (RFC 8628): begin a login, and poll for its token."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from samovar.server.api.context import HubOf, address_of, base_url
from samovar.server.api.forms import Fields, fields_of
from samovar.server.services import devices
from samovar.server.services.access import Caller
from samovar.server.services.devices import DeviceError, Granted

router = APIRouter(tags=["login"])
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH = "refresh_token"
FormOf = Annotated[Fields, Depends(fields_of)]


@router.post("/oauth/device")
def device(request: Request, hub: HubOf, form: FormOf) -> JSONResponse:
    """Begin a login. Form: `client_id`. The answer is that of RFC 8628, 3.2."""
    code, user_code = devices.start(hub, Caller(address=address_of(request)), form.get("client_id", ""))
    page = f"{base_url(request)}/login/device"
    return said({
        "device_code": code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?code={user_code}",
        "interval": devices.INTERVAL,
        "expires_in": round(devices.LIFETIME.total_seconds()),
    })  # fmt: skip


@router.post("/oauth/token")
def token(request: Request, hub: HubOf, form: FormOf) -> Response:
    """Poll with `device_code`, or renew with `refresh_token`; `grant_type` says which.

    400 with `error`: `authorization_pending`, `slow_down`, `expired_token`, `access_denied`, `invalid_grant`,
    `invalid_request`, `unsupported_grant_type`.
    """
    caller = Caller(address=address_of(request))
    kind = form.get("grant_type", "")
    try:
        if kind == DEVICE_CODE:
            return said(body_of(devices.poll(hub, caller, required(form, "device_code"))))
        if kind == REFRESH:
            return said(body_of(devices.refresh(hub, caller, required(form, "refresh_token"))))
        raise DeviceError("unsupported_grant_type", "This Hub gives tokens to devices, and renews them.")
    except DeviceError as error:
        return said({"error": error.error, "error_description": error.message}, 400)


def required(form: Fields, name: str) -> str:
    """A field of the form. Raises `DeviceError`."""
    if not form.get(name):
        raise DeviceError("invalid_request", f"{name} is missing.")
    return form[name]


def body_of(granted: Granted) -> dict[str, Any]:
    """The answer that carries a token."""
    return {
        "access_token": granted.access_token,
        "token_type": "bearer",
        "expires_in": granted.expires_in,
        "refresh_token": granted.refresh_token,
        "scope": "",
    }


def said(body: dict[str, Any], status: int = 200) -> JSONResponse:
    """JSON that nothing on the way keeps."""
    return JSONResponse(body, status, {"Cache-Control": "no-store", "Pragma": "no-cache"})
