"""The parts of a running Hub, put together once and handed to every route as `request.app.state.hub`."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field

from samovar.errors import SamovarError
from samovar.server.db.engine import Database
from samovar.server.db.migrate import migrate
from samovar.server.objects.store import LocalStore, ObjectStore
from samovar.server.repos.folders import RepositoryFolders
from samovar.server.search.index import SearchIndex
from samovar.server.services.activity import Activity
from samovar.server.services.downloads import Downloads
from samovar.server.services.rates import Rates
from samovar.server.settings import Settings
from samovar.server.signing import Signer


@dataclass
class Hub:
    """Everything that services need. Safe to use from many threads."""

    settings: Settings
    database: Database
    folders: RepositoryFolders
    objects: ObjectStore
    index: SearchIndex
    signer: Signer
    rates: Rates = field(default_factory=Rates)
    activity: Activity = field(default_factory=Activity)
    downloads: Downloads = field(default_factory=Downloads)

    @classmethod
    def open(cls, settings: Settings) -> Hub:
        """Open the data folder, bringing its database to the newest schema."""
        if shutil.which("git") is None:
            raise SamovarError("git is not installed; the Hub needs it.", "Install it (apt install git).")
        database = Database(settings.database_url)
        migrate(database)
        return cls(
            settings=settings,
            database=database,
            folders=RepositoryFolders(settings.repositories),
            objects=LocalStore(settings.objects),
            index=SearchIndex(database),
            signer=Signer(settings.signing_key()),
        )

    def close(self) -> None:
        """Let go of everything."""
        self.database.close()
