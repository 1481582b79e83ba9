"""`samovar hub fsck`."""

from __future__ import annotations

import argparse

from samovar.errors import SamovarError


def add_options(parser: argparse.ArgumentParser) -> None:
    """None yet."""


def run(options: argparse.Namespace) -> int:
    """Not there yet."""
    raise SamovarError("`samovar hub fsck` is not written yet.")
