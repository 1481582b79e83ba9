"""Dates as clients parse them: UTC, milliseconds, `Z` at the end, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """`2026-11-27T14:05:21.123Z`. A time without a zone is taken for UTC."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    # Years before 1000 keep their four digits.
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
