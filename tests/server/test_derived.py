"""Folders made of commits: cleared at start, after a deletion and with the garbage; never one that is in use."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from bare_hub import BareHub

from samovar.server.db.tables import Conversion
from samovar.server.db.tables.base import now
from samovar.server.errors import UnprocessableError
from samovar.server.inference.files import of_model
from samovar.server.inference.pool import Pool
from samovar.server.maintenance.fsck import fsck
from samovar.server.maintenance.repair import repair
from samovar.server.services import derived, repositories
from samovar.server.services.collect import collect
from samovar.server.services.derived import GRACE, LONGEST, clear_derived
from samovar.server.services.jobs import JOBS, Jobs
from samovar.server.services.snapshots import Held, snapshot


@pytest.fixture
def bare(tmp_path):
    """A Hub without a server."""
    bare = BareHub(tmp_path / "hub")
    yield bare
    bare.hub.close()


def old(path: Path, seconds: float = GRACE + 60) -> Path:
    """As if nobody had used it for a while."""
    os.utime(path, (time.time() - seconds,) * 2)
    return path


class Made:
    """A repository with folders made of a former and of its present commit."""

    def __init__(self, bare: BareHub, who, name: str) -> None:
        self.bare, self.number = bare, bare.repository(who, name, {"config.json": b"{}"})
        self.former = self.lay_out(self.head)
        bare.commit(self.number, {"config.json": b'{"a": 1}'})
        self.present = self.lay_out(self.head)

    @property
    def head(self) -> str:
        """Where the branch is."""
        return self.bare.row(self.number).sha

    def lay_out(self, commit: str) -> list[Path]:
        """One of each kind, long unused."""
        data = self.bare.hub.settings.data
        viewer = data / "viewer" / f"{self.number}-{commit}"
        viewer.mkdir(parents=True)
        (viewer / "info.json").write_text("{}")
        roots = (data / "inference", data / "viewer" / "sources")
        return [
            old(path)
            for path in (viewer, *(snapshot(self.bare.hub, one, self.number, commit, of_model) for one in roots))
        ]


def there(paths: list[Path]) -> list[bool]:
    """Which of them there are."""
    return [path.is_dir() for path in paths]


@pytest.mark.slow
def test_what_is_no_head_goes_and_what_is_needed_stays(bare):
    alice = bare.user("alice")
    made, other = Made(bare, alice, "a"), Made(bare, alice, "b")
    # A former commit that another branch stands at; one that somebody has just looked at; one that is converted.
    git = bare.hub.folders.open(other.number)
    git.references.create("refs/heads/kept", other.former[0].name.partition("-")[2])
    renamed = repositories.rename(bare.hub, alice, "model", "alice/b", "alice/c")
    looked_at, converted = Made(bare, alice, "d"), Made(bare, alice, "e")
    for path in looked_at.former:
        os.utime(path)
    with bare.hub.database.write() as session:
        for one, state in ((made, "done"), (converted, "running")):
            commit = one.former[0].name.partition("-")[2]
            alive = now() + timedelta(minutes=1)
            session.add(Conversion(repository_id=one.number, commit=commit, state=state, alive_until=alive))
    abandoned = bare.hub.settings.data / "inference" / f".{made.former[0].name}-abc"
    abandoned.mkdir()
    old(abandoned, LONGEST + 60)
    assert renamed.id == other.number
    # A check knows them as leftovers, and as nothing worse.
    report = fsck(bare.hub, settling=0)
    assert report.whole
    assert {finding.subject for finding in report.findings} == {str(path) for path in [*made.former, abandoned]}
    assert clear_derived(bare.hub) > 0
    assert there(made.former) == [False] * 3
    assert not abandoned.exists()
    for one in (other, looked_at, converted):
        assert there(one.former) == [True] * 3
    for one in (made, other, looked_at, converted):
        assert there(one.present) == [True] * 3
    with bare.hub.database.read() as session:
        assert {row.state for row in session.query(Conversion)} == {"running"}
    assert not fsck(bare.hub, settling=0).findings


def test_a_deleted_repository_leaves_nothing_at_once(bare):
    alice = bare.user("alice")
    gone, stays = Made(bare, alice, "a"), Made(bare, alice, "b")
    for path in gone.present:
        os.utime(path)
    repositories.remove(bare.hub, alice, "model", "alice/a")
    assert there([*gone.former, *gone.present]) == [False] * 6
    assert there([*stays.former, *stays.present]) == [True] * 6


@pytest.mark.slow
@pytest.mark.parametrize("way", ["start", "collect", "repair"])
def test_every_way_of_clearing_leaves_what_is_held(bare, way):
    made = Made(bare, bare.user("alice"), "a")
    with Held(made.former[1]):
        if way == "start":
            jobs = Jobs(bare.hub, tuple(job for job in JOBS if job.work is derived.clear_derived))
            assert len(jobs.jobs) == 1  # All jobs run when a Hub starts.
            jobs.run(jobs.jobs[0])
        elif way == "collect":
            collect(bare.hub)
        else:
            repair(bare.hub)
        assert there(made.former) == [False, True, False]
        assert there(made.present) == [True] * 3
    clear_derived(bare.hub)
    assert there(made.former) == [False] * 3


@pytest.mark.slow
def test_a_worker_holds_its_folder_until_it_ends(bare):
    made = Made(bare, bare.user("alice"), "a")
    commit = made.former[1].name.partition("-")[2]

    async def work() -> None:
        pool = Pool(bare.hub)
        worker = await pool.begin((made.number, commit, "text-classification"))
        old(made.former[1])
        assert clear_derived(bare.hub) > 0
        assert there(made.former) == [False, True, False]
        with pytest.raises(UnprocessableError):  # There is no model in it: the process ends.
            await asyncio.wait_for(worker.ready, 60)
        await worker.end()
        await pool.close()

    asyncio.run(work())
    clear_derived(bare.hub)
    assert there(made.former) == [False] * 3
    with pytest.raises(FileNotFoundError):
        Held(made.former[1])
