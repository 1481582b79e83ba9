"""What a Hub answers when it does not do what was asked: one error type, with the cause and the next step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from samovar.errors import HubError, OfflineError, SamovarError

Token = str | bool | None


@contextlib.contextmanager
def refusals(doing: str, name: str = "", token: Token = None, offline: bool = False) -> Iterator[None]:
    """Turn what `huggingface_hub` raises inside the block into `HubError`.

    `doing` begins the message (`"Pushing to"`), `name` is the repository. Raises `OfflineError` before the block, and
    so before a socket, when the network is switched off; with `offline` the block can do without a network.
    """
    from huggingface_hub import constants, errors

    from samovar.hub.endpoint import connection_error

    action = f"{doing} {name}".strip()
    if constants.HF_HUB_OFFLINE and not offline:
        raise OfflineError(f"{action} needs the network, and it is switched off.", "Unset HF_HUB_OFFLINE.")
    try:
        yield
    except SamovarError:
        raise
    except errors.LocalTokenNotFoundError as error:
        raise HubError(f"{action} failed: this machine is not logged in to {constants.ENDPOINT}.", LOG_IN) from error
    except errors.HFValidationError as error:
        raise HubError(
            f"{action} failed: {error}", "An id is 'name' or 'owner/name' of letters, digits, - _ ."
        ) from error
    except errors.HfHubHTTPError as error:
        raise HubError(*explained(action, name, token, error)) from error
    except errors.LocalEntryNotFoundError as error:
        cause = error.__cause__
        if isinstance(cause, errors.HfHubHTTPError):
            raise HubError(*explained(action, name, token, cause)) from error
        if constants.HF_HUB_OFFLINE:
            raise OfflineError(
                f"{action} failed: it is not in the cache, and the network is off.", "Unset HF_HUB_OFFLINE."
            ) from error
        raise HubError(*out_of_reach(action, cause or error)) from error
    except errors.EntryNotFoundError as error:
        raise HubError(f"{action} failed: {first_line(error)}", "Check the file's name and the revision.") from error
    except (connection_error(), ConnectionError, TimeoutError) as error:
        raise HubError(*out_of_reach(action, error)) from error


LOG_IN = "Log in with `samovar login` or `hf auth login`, set HF_TOKEN, or pass token=…"


def require_login(doing: str, token: Token) -> None:
    """Raise `HubError` when there is no token at all, without asking the Hub."""
    from huggingface_hub import constants, get_token

    if token is False or (not isinstance(token, str) and get_token() is None):
        raise HubError(f"{doing} needs a login, and this machine has none for {constants.ENDPOINT}.", LOG_IN)


def out_of_reach(action: str, error: BaseException) -> tuple[str, str]:
    """Cause and next step where there is no answer."""
    from huggingface_hub import constants

    said = str(error)
    if "xet-write-token" in said and "404" in said:
        return (
            f"{action} failed: {constants.ENDPOINT} does not take large files in the way that `hf_xet` sends them.",
            "Set HF_HUB_DISABLE_XET=1.",
        )
    if "HTTP status" in said:  # The way in which `hf_xet` tells of an answer.
        return f"{action} failed: {constants.ENDPOINT} refused it ({first_line(error)}).", "Check your right to write."
    return (
        f"{action} failed: {constants.ENDPOINT} cannot be reached ({first_line(error)}).",
        "Check the connection, the proxy settings and HF_ENDPOINT.",
    )


def explained(action: str, name: str, token: Token, error: Any) -> tuple[str, str]:
    """Cause and next step for an answer with an error status."""
    from huggingface_hub import constants, errors

    status = error.response.status_code
    said = error.server_message or first_line(error)
    begin = f"{action} failed"
    if isinstance(error, errors.GatedRepoError):
        return f"{begin}: the repository is gated.", f"Ask for access on {constants.ENDPOINT}/{name}, then log in."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{begin}: there is no such revision.", "Pass a branch, tag or full commit of the repository."
    if isinstance(error, errors.EntryNotFoundError):
        return f"{begin}: there is no such file.", "Check the file's name and the revision."
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{begin}: {constants.ENDPOINT} has no {name or 'such repository'} that {who(token)} may see.",
            f"Check the spelling, or log in: {LOG_IN}",
        )
    if status == 401:
        return f"{begin}: the token is not valid on {constants.ENDPOINT}.", LOG_IN
    if status == 403:
        return (
            f"{begin}: {who(token)} may not do that ({said}).",
            "Use a token with the role `write`, and a namespace that you may write to.",
        )
    if status == 409:
        return f"{begin}: {said}", "Choose another name, or pass exist_ok=True."
    if status == 412:
        return f"{begin}: somebody else changed it meanwhile.", "Do it again, on the newest state."
    if status == 413:
        return f"{begin}: it is too large for {constants.ENDPOINT} ({said}).", "Ask who runs it for more room."
    if status == 429:
        return f"{begin}: too many requests ({said}).", "Wait a while, or log in: a login has a higher limit."
    if status >= 500:
        return f"{begin}: {constants.ENDPOINT} answered HTTP {status} ({said}).", "Try again in a while."
    return f"{begin}: {said}", "Check the names, and what is sent."


def who(token: Token) -> str:
    """Whose request it was, as far as this machine knows."""
    from huggingface_hub import get_token

    known = isinstance(token, str) or (token is not False and get_token() is not None)
    return "the account of your token" if known else "an anonymous request"


def first_line(error: BaseException) -> str:
    """What an error says, on one line and without a stop."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
