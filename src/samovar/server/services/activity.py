"""When tokens and sessions were last used: noted in memory, written now and then, so that no request waits for it."""

from __future__ import annotations

import threading
from datetime import datetime

from sqlalchemy import update

from samovar.server.db.engine import Database
from samovar.server.db.tables import LoginSession, Token
from samovar.server.db.tables.base import now


class Activity:
    """Uses that are not written yet."""

    def __init__(self) -> None:
        self.tokens: dict[int, datetime] = {}
        self.sessions: dict[str, datetime] = {}
        self.lock = threading.Lock()

    def note(self, token_id: int | None, session: str | None) -> None:
        """The token or session was just used."""
        with self.lock:
            if token_id is not None:
                self.tokens[token_id] = now()
            elif session is not None:
                self.sessions[session] = now()

    def flush(self, database: Database) -> None:
        """Write what was noted. What cannot be written stays noted."""
        with self.lock:
            tokens, sessions = self.tokens, self.sessions
            self.tokens, self.sessions = {}, {}
        if not tokens and not sessions:
            return
        try:
            with database.write() as session:
                for token_id, at in tokens.items():
                    session.execute(update(Token).where(Token.id == token_id).values(last_used_at=at))
                for digest, at in sessions.items():
                    session.execute(update(LoginSession).where(LoginSession.digest == digest).values(last_used_at=at))
        except Exception:
            with self.lock:
                self.tokens, self.sessions = tokens | self.tokens, sessions | self.sessions
            raise
