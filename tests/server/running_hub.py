"""Start, kill and stop `samovar hub serve` as a person would, in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from functools import cached_property
from pathlib import Path

from huggingface_hub import HfApi

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from forks import Started, forks
from samovar import server
from samovar.server.db.engine import Database
from samovar.server.db.migrate import migrate
from samovar.server.offline import OPERATOR
from samovar.server.services.accounts import add_user
from samovar.server.services.tokens import create_token
from samovar.server.settings import read_settings

COMMAND = [sys.executable, "-m", "samovar.cli", "hub"]
# What a Hub imports; the process that has done so is copied for each.
IMPORTED = (
    "samovar.server.run",
    *(
        f"samovar.server.{part}.{path.stem}"
        for part in ("api", "web")
        for path in sorted(Path(server.__path__[0], part).glob("[!_]*.py"))
    ),
)


class RunningHub:
    """A Hub over a data folder."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data, self.settings = data, settings
        self.process: Started | None = None
        self.url = ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server's commands: `SAMOVAR_HUB_…` from the settings."""
        return {**os.environ, **{f"SAMOVAR_HUB_{name.upper()}": value for name, value in self.settings.items()}}

    def start(self, port: int = 0) -> str:
        """Serve until `stop`; the address."""
        arguments = ["hub", "serve", "--host", "127.0.0.1", "--port", str(port), "--data", str(self.data)]
        reads, writes = os.pipe()
        with (self.data.parent / f"{self.data.name}.log").open("a") as log, open(os.devnull) as nothing:
            streams = (nothing.fileno(), writes, log.fileno())
            self.process = forks(*IMPORTED).start(arguments, streams, self.environment, os.fdopen(reads))
        os.close(writes)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Hub ready at "), f"{line!r}\n{self.log()}"
        self.url = line.removeprefix("Hub ready at ").strip()
        return self.url

    def __enter__(self) -> RunningHub:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    def log(self) -> str:
        """What the server wrote."""
        return (self.data.parent / f"{self.data.name}.log").read_text()

    def stop(self) -> int:
        """End it with SIGTERM; the exit status."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.process.stdout.close()
        return status

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait(30)
        self.process.stdout.close()

    def command(self, *arguments: str, stdin: str | None = None) -> str:
        """Run `samovar hub …` on the data folder; what it printed."""
        given = ["hub", *arguments, "--data", str(self.data)]
        done = forks(*IMPORTED).run(given, stdin or "", environment=self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def add_user(self, name: str, role: str = "write", admin: bool = False) -> str:
        """Add a user with a token of that role; the token. As the commands do it, without two processes for each."""
        database = Database(read_settings(data=self.data, **self.settings).database_url)
        try:
            migrate(database)
            add_user(database, OPERATOR, name, f"password of {name}", is_admin=admin)
            return create_token(database, OPERATOR, name, role)[1]
        finally:
            database.close()

    @cached_property
    def alice(self) -> HfApi:
        """The stock client, logged in as the user alice."""
        return self.client(self.add_user("alice"))

    @cached_property
    def bob(self) -> HfApi:
        """The stock client, logged in as the user bob."""
        return self.client(self.add_user("bob"))

    @property
    def nobody(self) -> HfApi:
        """The stock client without a token."""
        return HfApi(endpoint=self.url, token=False)

    def client(self, token: str) -> HfApi:
        """The stock client with a token."""
        return HfApi(endpoint=self.url, token=token)
