"""All tables. Import this package and `Base.metadata` knows every one."""

from samovar.server.db.tables.accounts import (
    Account,
    AuditEntry,
    DeviceGrant,
    Invitation,
    LoginSession,
    Membership,
    Token,
    TokenScope,
)
from samovar.server.db.tables.base import Base
from samovar.server.db.tables.objects import RepositoryObject, StoredObject
from samovar.server.db.tables.repositories import (
    DownloadDay,
    Like,
    PendingRefresh,
    Repository,
    RepositoryAlias,
    Sequence,
)

__all__ = [
    "Account",
    "AuditEntry",
    "Base",
    "DeviceGrant",
    "DownloadDay",
    "Invitation",
    "Like",
    "LoginSession",
    "Membership",
    "PendingRefresh",
    "Repository",
    "RepositoryAlias",
    "RepositoryObject",
    "Sequence",
    "StoredObject",
    "Token",
    "TokenScope",
]
