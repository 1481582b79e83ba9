"""A README before it is committed: what would keep its YAML from being read."""

from __future__ import annotations

from samovar.server.services.metadata.card import read_card


def check_card(content: str) -> tuple[list[str], list[str]]:
    """Errors and warnings about a README's YAML."""
    card = read_card(content.encode(errors="replace"))
    if card.warnings:
        return list(card.warnings), []
    if not card.data:
        return [], ["empty or missing yaml metadata in repo card"]
    return [], []
