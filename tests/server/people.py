"""Users, organisations and tokens, written into the Hub's database from beside: no process is started for each."""

from __future__ import annotations

from itertools import count

from huggingface_hub import HfApi
from running_hub import RunningHub

from samovar.server.db.engine import Database
from samovar.server.db.tables import Membership
from samovar.server.offline import OPERATOR
from samovar.server.services import accounts, organisations, tokens
from samovar.server.services.access import find_account
from samovar.server.services.credentials import described
from samovar.server.services.tokens import Scope


class People:
    """The people of one Hub; each test makes its own."""

    numbers = count()

    def __init__(self, hub: RunningHub) -> None:
        self.hub = hub
        self.database = Database(f"sqlite:///{hub.data / 'hub.sqlite3'}")

    def name(self, what: str) -> str:
        """A name that no other test has."""
        return f"{what}{next(self.numbers)}"

    def user(self, what: str = "user", admin: bool = False) -> str:
        """A user, whose password is `password of NAME`; the name."""
        name = self.name(what)
        accounts.add_user(self.database, OPERATOR, name, f"password of {name}", is_admin=admin)
        return name

    def organisation(self, admin: str, **members: str) -> str:
        """An organisation that a user runs, with further members: name → role. The name."""
        name = self.name("lab")
        with self.database.read() as session:
            account = find_account(session, admin)
            assert account is not None
            caller = described(session, account)
        number = organisations.create(self.database, caller, name)
        with self.database.write() as session:
            for member, role in members.items():
                found = find_account(session, member)
                assert found is not None
                session.add(Membership(organisation_id=number, user_id=found.id, role=role))
        return name

    def token(self, user: str, role: str = "write", *scopes: Scope) -> str:
        """A token of a user."""
        return tokens.create_token(self.database, OPERATOR, user, role, scopes=scopes)[1]

    def client(self, user: str, role: str = "write") -> HfApi:
        """The stock client with a token of a user."""
        return self.hub.client(self.token(user, role))

    def bearer(self, user: str, role: str = "write") -> dict[str, str]:
        """The header of a token of a user."""
        return {"authorization": f"Bearer {self.token(user, role)}"}
