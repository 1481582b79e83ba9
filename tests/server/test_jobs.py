"""What the Hub does by itself: jobs that fail are tried again, and of several processes one works for all."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from samovar.server.db.tables import Account, DeviceGrant, Lease, LoginSession, Token
from samovar.server.db.tables.base import now
from samovar.server.hub import Hub
from samovar.server.services.jobs import Job, Jobs, forget_expired, write_counts
from samovar.server.services.leases import give_back, take
from samovar.server.settings import read_settings


@pytest.fixture
def open_hub(tmp_path):
    """A Hub without a server."""
    hub = Hub.open(read_settings(data=tmp_path / "hub"))
    yield hub
    hub.close()


def test_a_job_that_fails_is_logged_and_runs_again(open_hub, caplog):
    done = threading.Event()
    times = []

    def fails(hub):
        times.append(1)
        if len(times) == 1:
            raise RuntimeError("the first time")
        done.set()

    others = threading.Event()
    jobs = Jobs(open_hub, (Job(fails, 0.05), Job(lambda hub: others.set(), 3600)))
    with caplog.at_level(logging.ERROR):
        jobs.start()
        assert done.wait(30)
        assert others.wait(30)
        jobs.stop()
    assert "The job fails failed" in caplog.text
    assert "the first time" in caplog.text


def test_of_several_processes_one_works_for_all(open_hub):
    times = []
    jobs = [Jobs(open_hub, (Job(times.append, 3600, for_all=True),)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: one.run(one.jobs[0]), jobs))
    assert len(times) == 1
    holders = [one for one in jobs if one.held]
    assert len(holders) == 1
    holders[0].start()
    holders[0].stop()
    assert len(times) == 1
    # Whoever ends in order leaves the work to the others.
    again = Jobs(open_hub, (Job(times.append, 3600, for_all=True),))
    again.run(again.jobs[0])
    assert len(times) == 2


def test_a_lease_has_one_holder_until_it_ends(open_hub):
    database = open_hub.database
    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(lambda number: take(database, "work", str(number), 60), range(8)))
    assert took.count(True) == 1
    holder = str(took.index(True))
    give_back(database, "work", "somebody else")
    assert not take(database, "work", "other", 60)
    give_back(database, "work", holder)
    assert take(database, "work", "other", 60)
    with database.write() as session:
        session.execute(update(Lease).values(until=now() - timedelta(seconds=1)))
    assert take(database, "work", holder, 60)


def test_what_has_ended_is_forgotten(open_hub):
    with open_hub.database.write() as session:
        session.add(Account(id=1, kind="user", name="alice", name_key="alice"))
        session.flush()
        for name, seconds in (("over", -1), ("good", 60)):
            until = now() + timedelta(seconds=seconds)
            session.add(LoginSession(digest=name, account_id=1, csrf="", expires_at=until))
            session.add(DeviceGrant(digest=name, user_code=name, expires_at=until - timedelta(hours=1)))
    forget_expired(open_hub)
    with open_hub.database.read() as session:
        assert session.scalars(select(LoginSession.digest)).all() == ["good"]
        assert session.scalars(select(DeviceGrant.digest)).all() == ["good"]


def test_last_uses_are_written(open_hub):
    with open_hub.database.write() as session:
        session.add(Account(id=1, kind="user", name="alice", name_key="alice"))
        session.flush()
        session.add(Token(id=1, account_id=1, name="", role="read", digest="x", ending=""))
        session.add(
            LoginSession(digest="s", account_id=1, csrf="", expires_at=now(), last_used_at=now() - timedelta(1))
        )
    open_hub.activity.note(1, None)
    open_hub.activity.note(None, "s")
    write_counts(open_hub)
    with open_hub.database.read() as session:
        assert now() - session.scalars(select(Token.last_used_at)).one() < timedelta(minutes=1)
        assert now() - session.scalars(select(LoginSession.last_used_at)).one() < timedelta(minutes=1)
    assert not open_hub.activity.tokens
