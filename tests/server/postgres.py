"""A PostgreSQL server of a test's own, on a socket in its folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path


def programs() -> Path:
    """The folder of PostgreSQL's programs; Debian keeps it outside of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    named = shutil.which("postgres")
    assert found or named, "PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)."
    return found[-1].parent if found else Path(os.path.realpath(str(named))).parent


class Postgres:
    """Runs while the block does. PostgreSQL refuses to run as root: another user does it then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg://{self.user.pw_name}@/postgres?host={self.folder}"

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run one of its programs as its user."""
        return subprocess.run(
            [programs() / program, *arguments], capture_output=True, check=False, cwd=self.folder, **self.identity
        )

    @property
    def identity(self) -> dict[str, int]:
        """Whom its programs run as."""
        return {"user": self.user.pw_uid, "group": self.user.pw_gid} if os.geteuid() == 0 else {}

    def __enter__(self) -> Postgres:
        self.folder.mkdir(parents=True)
        os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        done = self.run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-E", "UTF8", "--no-sync")
        assert done.returncode == 0, done.stderr.decode()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [programs() / "postgres", "-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses="],
                stdout=log, stderr=log, cwd=self.folder, **self.identity,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while self.run("pg_isready", "-h", str(self.folder)).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
