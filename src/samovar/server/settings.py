"""The Hub's settings: typed, from the environment (`SAMOVAR_HUB_…`) and from `hub.toml` in the data folder."""

from __future__ import annotations

import contextlib
import os
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import ByteSize, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from samovar.errors import ConfigError

FILE = "hub.toml"
MEBIBYTE = 2**20


class Settings(BaseSettings):
    """All settings. The command line wins over the environment, which wins over the file."""

    model_config = SettingsConfigDict(
        env_prefix="SAMOVAR_HUB_", extra="forbid", frozen=True, use_attribute_docstrings=True
    )

    data: Path
    """The folder that holds everything: database, repositories, large files, secret."""
    host: str = "127.0.0.1"
    """The address to listen on; `0.0.0.0` is all of this machine."""
    port: int = Field(8080, ge=0, le=65535)
    """0 takes any free port."""
    url: str | None = None
    """The address that people use, such as `https://hub.example`; taken from each request when not given."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses, separated by commas, whose `X-Forwarded-…` headers are believed."""

    database: str | None = None
    """An SQLAlchemy URL; SQLite in the data folder when not given."""
    secret: str | None = None
    """What signatures are made with; made once and kept in the data folder when not given."""

    sign_up: Literal["open", "invitation", "closed"] = "open"
    """Who may make an account: anybody, those with an invitation, or only the operator for others."""
    session_lifetime: timedelta = timedelta(days=30)
    """How long a browser stays logged in."""
    quota: ByteSize | None = None
    """Bytes that one account may store; none: no limit."""

    notice: str | None = None
    """`topic; message` of the operator (maintenance, a new address), which clients show once: ASCII."""

    anonymous_rate: int = Field(3000, ge=0)
    """API requests in five minutes from one address without a token, and four times as many for files; 0: no limit."""
    account_rate: int = Field(30000, ge=0)
    """The same of one account."""

    large_file: ByteSize = ByteSize(MEBIBYTE)
    """Files from this size on, and binary ones of the usual kinds, are kept outside git."""
    largest_regular: ByteSize = ByteSize(10 * MEBIBYTE)
    """A file inside git is no larger than this."""
    largest_file: ByteSize = ByteSize(512 * 2**30)
    """No file is larger than this."""
    largest_commit: ByteSize = ByteSize(1024 * MEBIBYTE)
    """The regular files of one commit together are no larger than this."""
    part: ByteSize = ByteSize(64 * MEBIBYTE)
    """A part of an upload in several parts."""
    upload_lifetime: timedelta = timedelta(hours=12)
    """How long an address to upload to is good."""
    keep_unreferenced: timedelta = timedelta(days=30)
    """Large files that nothing refers to are kept this long: a client remembers for weeks what it has sent."""

    least_free: ByteSize = ByteSize(1024 * MEBIBYTE)
    """With less free disk space than this, `/readyz` says that the Hub is not ready."""

    inference: Literal["on", "off"] = "on"
    """Whether models can be asked, on pages and over HTTP (needs the extra `torch` too), and metrics computed."""
    inference_memory: ByteSize = ByteSize(8192 * MEBIBYTE)
    """What all loaded models together may use."""
    inference_time: float = Field(60.0, gt=0)
    """A model may take this many seconds for one answer, and for being loaded."""
    inference_threads: int | None = Field(None, ge=1)
    """Threads of each worker; as many as there are processors when not given."""

    accel_prefix: str | None = None
    """Path of an internal nginx location over the folder of large files: nginx sends them then."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged; `debug` logs every request."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, then the file in the data folder."""
        given = init_settings()
        data = given.get("data") or env_settings().get("data")
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        if data:
            sources += (TomlConfigSettingsSource(settings_cls, Path(data) / FILE),)
        return sources

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return self.database or f"sqlite:///{self.data / 'hub.sqlite3'}"

    @property
    def repositories(self) -> Path:
        """The folder of git repositories."""
        return self.data / "repositories"

    @property
    def objects(self) -> Path:
        """The folder of large files."""
        return self.data / "objects"

    def signing_key(self) -> bytes:
        """The secret, made and kept on first use. Two processes that start at once agree on one."""
        if self.secret:
            return self.secret.encode()
        path = self.data / "secret"
        if not path.exists():
            draft = self.data / f"secret.{secrets.token_hex(8)}"
            try:
                with draft.open("x") as file:
                    draft.chmod(0o600)
                    file.write(secrets.token_hex(32))
                with contextlib.suppress(FileExistsError):
                    os.link(draft, path)  # Nobody reads it half written, and the first one stays.
            finally:
                draft.unlink()
        return path.read_text().encode()


def read_settings(**given: Any) -> Settings:
    """The settings, with `given` on top of environment and file. Raises `ConfigError` that names each wrong one."""
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigError(
            f"The Hub's settings cannot be used: {wrong}.",
            f"Correct the options, SAMOVAR_HUB_… in the environment, or {FILE} in the data folder.",
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{FILE} cannot be read: {error}.", "Correct it; it is a TOML file.") from error
    settings.data.mkdir(parents=True, exist_ok=True)
    return settings.model_copy(update={"data": settings.data.resolve()})
