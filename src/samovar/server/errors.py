"""What the Hub refuses: a status, the code that clients look at, and a cause with a next step for the person."""

from __future__ import annotations

from samovar.errors import SamovarError


class HubError(SamovarError):
    """Base of everything that the Hub answers with a status of 400 or more."""

    status = 400
    code: str | None = None

    def __init__(self, cause: str, next_step: str = "", headers: dict[str, str] | None = None, **more: object) -> None:
        super().__init__(cause, next_step)
        self.headers = headers or {}
        self.more = more
        """Further keys of the JSON answer."""

    @property
    def message(self) -> str:
        """One line: it also travels in a header, as an answer to HEAD has no body."""
        return f"{self.cause} {self.next_step}".strip()


class BadRequestError(HubError):
    """The request itself is wrong."""


class UnauthenticatedError(HubError):
    """Nobody is logged in, or the token is not known."""

    status = 401


class InvalidCredentialsError(UnauthenticatedError):
    """A token or password was given, and it is not right. Clients know the sentence."""

    def __init__(self) -> None:
        super().__init__("Invalid credentials in Authorization header")


class ForbiddenError(HubError):
    """The caller may see this, but may not do it."""

    status = 403


class NotFoundError(HubError):
    """No such thing."""

    status = 404


class RepositoryNotFoundError(NotFoundError):
    """There is no such repository, or it is not for the caller's eyes: both look the same."""

    code = "RepoNotFound"

    def __init__(self, cause: str = "Repository not found", anonymous: bool = False) -> None:
        super().__init__(cause)
        if anonymous:
            # As the field's Hub does: without a login, it may be a private one.
            self.status = 401
            self.cause = "Invalid username or password."


class RevisionNotFoundError(NotFoundError):
    """The repository has no such branch, tag or commit."""

    code = "RevisionNotFound"


class EntryNotFoundError(NotFoundError):
    """The revision has no such file or folder."""

    code = "EntryNotFound"


class GatedRepositoryError(HubError):
    """Files are for those whom the owner has let in."""

    status = 403
    code = "GatedRepo"

    def __init__(self, cause: str, next_step: str = "", anonymous: bool = False) -> None:
        super().__init__(cause, next_step)
        if anonymous:
            self.status = 401


class DisabledRepositoryError(HubError):
    """Nobody reads the files of this repository any more. Clients know the sentence."""

    status = 403

    def __init__(self) -> None:
        super().__init__("Access to this resource is disabled.")


class NotSupportedError(HubError):
    """This Hub does not have that family of routes."""

    status = 501
    code = "NotImplemented"


class ConflictError(HubError):
    """It exists already, or somebody was faster."""

    status = 409


class PreconditionFailedError(HubError):
    """The parent that the caller builds on is not the head any more."""

    status = 412


class TooLargeError(HubError):
    """More bytes than are allowed."""

    status = 413


class QuotaExceededError(HubError):
    """The account's storage is full."""

    status = 403
    code = "QuotaExceededError"


class UnprocessableError(HubError):
    """The bytes are not what they were said to be."""

    status = 422


class TooManyRequestsError(HubError):
    """The caller asks too often."""

    status = 429


class BusyError(HubError):
    """The database or disk cannot take this now; nothing was changed."""

    status = 503


class GatewayTimeoutError(HubError):
    """A model took too long."""

    status = 504


class ClientGoneError(HubError):
    """Nobody waits for the answer any more. The status is nginx's own for this, seen in logs and counters alone."""

    status = 499


class StorageFullError(HubError):
    """The disk is full; nothing was changed."""

    status = 507
