"""Checkpoints for the tests of pipelines, each built once."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_checkpoints import SAVERS, Build


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build("bert", "BertForMaskedLM", …)` → the folder of such a checkpoint, made once per session."""
    made: dict[str, str] = {}

    def build_once(family: str, head: str, **settings: Any) -> str:
        key = f"{family} {head} {settings}"
        if key not in made:
            made[key] = str(SAVERS[family](tmp_path_factory.mktemp(head), head, **settings))
        return made[key]

    return build_once
