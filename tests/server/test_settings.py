"""The settings of a Hub: where they come from, and the page that lists them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from samovar.errors import ConfigError
from samovar.server.settings import read_settings
from samovar.server.settings_page import page

PAGE = Path(__file__).parents[2] / "docs" / "hub" / "settings.md"


def test_the_page_lists_the_settings_as_they_are():
    assert PAGE.read_text() == page()
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert all(not line.endswith("|  |") for line in rows), "a setting without a sentence"


def test_arguments_before_environment_before_file(tmp_path, monkeypatch):
    (tmp_path / "hub.toml").write_text(
        'host = "192.0.2.1"\nport = 1\nsign_up = "closed"\npart = "5MiB"\nupload_lifetime = "PT1H"\n'
    )
    monkeypatch.setenv("SAMOVAR_HUB_HOST", "192.0.2.2")
    monkeypatch.setenv("SAMOVAR_HUB_PORT", "2")
    monkeypatch.setenv("SAMOVAR_HUB_SESSION_LIFETIME", "P2D")
    settings = read_settings(data=tmp_path, port=3)
    assert (settings.port, settings.host, settings.sign_up) == (3, "192.0.2.2", "closed")
    assert (settings.part, settings.upload_lifetime) == (5 * 2**20, timedelta(hours=1))
    assert settings.session_lifetime == timedelta(days=2)


@pytest.mark.parametrize(
    "line", ['sign_upp = "open"', 'sign_up = "perhaps"', "port = 70000", "port =", 'part = "many"']
)
def test_a_wrong_line_is_named(tmp_path, line):
    (tmp_path / "hub.toml").write_text(line + "\n")
    with pytest.raises(ConfigError) as caught:
        read_settings(data=tmp_path)
    assert line.split()[0] in str(caught.value) or "hub.toml cannot be read" in str(caught.value)


def test_all_who_start_at_once_agree_on_the_secret(tmp_path):
    settings = read_settings(data=tmp_path)
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: settings.signing_key(), range(200)))
    assert len(keys) == 1
    assert len(keys.pop()) == 64
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0
