"""What is wanted lately: likes and downloads of the last days, each day counting less than the one after it.

    score = Σ over days d back, 0 ≤ d < 30:  2^(-d / 4) · (3 · likes on that day + ln(1 + downloads on that day))

A like is a person's word and counts most; downloads are many and easily made, so their logarithm counts.
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import date, datetime, timedelta

from sqlalchemy import select, update

from samovar.server.db.engine import next_change
from samovar.server.db.tables import DownloadDay, Like, Repository
from samovar.server.db.tables.base import now
from samovar.server.hub import Hub

DAYS, HALVED_EACH = 30, 4.0
OF_A_LIKE = 3.0
# Smaller differences are not worth a change of the row.
LEAST = 0.01
AT_ONCE = 500


def decay(day: date, today: date) -> float:
    """How much of a day's worth is left."""
    return 2.0 ** (-max((today - day).days, 0) / HALVED_EACH)


def recompute_trending(hub: Hub, at: datetime | None = None) -> int:
    """Write the scores anew, of those that have changed; how many did. To be run every hour or so."""
    today = (at or now()).date()
    begin = today - timedelta(days=DAYS - 1)
    scores: defaultdict[int, float] = defaultdict(float)
    with hub.database.read() as session:
        for number, liked in session.execute(
            select(Like.repository_id, Like.created_at).where(Like.created_at > (at or now()) - timedelta(days=DAYS))
        ):
            scores[number] += OF_A_LIKE * decay(liked.date(), today)
        for number, day, count in session.execute(
            select(DownloadDay.repository_id, DownloadDay.day, DownloadDay.count).where(DownloadDay.day >= begin)
        ):
            scores[number] += math.log1p(count) * decay(day, today)
        scored = session.execute(select(Repository.id, Repository.trending_score).where(Repository.trending_score > 0))
        before = {row.id: row.trending_score for row in scored}
    changed = [
        {"id": number, "trending_score": round(scores.get(number, 0.0), 4)}
        for number in sorted({*scores, *before})
        if abs(scores.get(number, 0.0) - before.get(number, 0.0)) > LEAST
    ]
    for start in range(0, len(changed), AT_ONCE):
        with hub.database.write() as session:
            change = next_change(session)
            session.execute(
                update(Repository), [{**row, "changed": change} for row in changed[start : start + AT_ONCE]]
            )
    return len(changed)
