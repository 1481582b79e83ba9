"""All tables. Import this package and `Base.metadata` knows every one."""

from samovar.server.db.tables.accounts import (
    Account,
    AuditEntry,
    Avatar,
    DeviceGrant,
    Invitation,
    LoginSession,
    Membership,
    Token,
    TokenScope,
)
from samovar.server.db.tables.base import Base
from samovar.server.db.tables.discussions import Discussion, DiscussionEvent
from samovar.server.db.tables.objects import RepositoryObject, Scan, StoredObject, Xorb, XorbHolder, XorbRun
from samovar.server.db.tables.operation import Lease
from samovar.server.db.tables.repositories import (
    AccessRequest,
    DeletedRepository,
    DownloadDay,
    Like,
    PendingRefresh,
    Repository,
    RepositoryAlias,
    RepositoryContent,
    SearchTerm,
    Sequence,
)
from samovar.server.db.tables.viewer import Conversion

__all__ = [
    "AccessRequest",
    "Account",
    "AuditEntry",
    "Avatar",
    "Base",
    "Conversion",
    "DeletedRepository",
    "DeviceGrant",
    "Discussion",
    "DiscussionEvent",
    "DownloadDay",
    "Invitation",
    "Lease",
    "Like",
    "LoginSession",
    "Membership",
    "PendingRefresh",
    "Repository",
    "RepositoryAlias",
    "RepositoryContent",
    "RepositoryObject",
    "Scan",
    "SearchTerm",
    "Sequence",
    "StoredObject",
    "Token",
    "TokenScope",
    "Xorb",
    "XorbHolder",
    "XorbRun",
]
