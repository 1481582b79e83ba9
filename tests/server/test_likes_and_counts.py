"""Likes, likers and download counts, by the stock client."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from running_hub import RunningHub
from sqlalchemy import select

from samovar.server.db.engine import Database
from samovar.server.db.migrate import migrate
from samovar.server.db.tables import Account, DownloadDay, Repository, RepositoryContent
from samovar.server.db.tables.base import now
from samovar.server.errors import BusyError
from samovar.server.services.access import Caller
from samovar.server.services.downloads import TELLING, WINDOW, Downloads, roll


def like(hub, people, user, path, method="POST", role="write"):
    """Press the heart."""
    return httpx.request(method, f"{hub.url}/api/{path}/like", headers=people.bearer(user, role))


def test_likes_are_counted_once_and_taken_back(hub, people):
    owner, fan = people.user(), people.user()
    client = people.client(owner)
    for kind in ("model", "dataset", "space"):
        more = {"space_sdk": "static"} if kind == "space" else {}
        client.create_repo(f"{owner}/liked", repo_type=kind, **more)
        for _ in range(2):
            assert like(hub, people, fan, f"{kind}s/{owner}/liked").json() == {"likes": 1}
        assert like(hub, people, owner, f"{kind}s/{owner}/liked").json() == {"likes": 2}
        assert [one.username for one in hub.nobody.list_repo_likers(f"{owner}/liked", repo_type=kind)] == [owner, fan]
    seen = hub.nobody.list_liked_repos(fan)
    assert (seen.models, seen.datasets, seen.spaces) == ([f"{owner}/liked"],) * 3
    assert hub.nobody.get_user_overview(fan).num_likes == 3
    assert hub.nobody.model_info(f"{owner}/liked").likes == 2
    for _ in range(2):
        people.client(fan).unlike(f"{owner}/liked")
    assert hub.nobody.model_info(f"{owner}/liked").likes == 1
    assert people.client(fan).list_liked_repos().models == []


def test_who_may_like(hub, people):
    owner = people.user()
    people.client(owner).create_repo(f"{owner}/liked")
    people.client(owner).create_repo(f"{owner}/hidden", private=True)
    assert httpx.post(f"{hub.url}/api/models/{owner}/liked/like").status_code == 401
    assert like(hub, people, people.user(), f"models/{owner}/liked", role="read").status_code == 403
    assert like(hub, people, people.user(), f"models/{owner}/hidden").status_code == 404
    with pytest.raises(RepositoryNotFoundError):
        people.client(people.user()).unlike(f"{owner}/hidden")
    assert like(hub, people, owner, f"models/{owner}/hidden").json() == {"likes": 1}


def test_many_at_once_are_all_counted(hub, people):
    owner = people.user()
    people.client(owner).create_repo(f"{owner}/liked")
    headers = [people.bearer(people.user()) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda one: httpx.post(f"{hub.url}/api/models/{owner}/liked/like", headers=one), headers)
        )
    assert {answer.status_code for answer in answers} == {200}
    assert hub.nobody.model_info(f"{owner}/liked").likes == 6


def test_likes_come_in_pages(hub, people):
    owner, fan = people.user(), people.user()
    client = people.client(owner)
    for number in range(5):
        client.create_repo(f"{owner}/m{number}")
        like(hub, people, fan, f"models/{owner}/m{number}")
    first = httpx.get(f"{hub.url}/api/users/{fan}/likes", params={"limit": 2})
    assert len(first.json()) == 2
    second = httpx.get(first.links["next"]["url"])
    third = httpx.get(second.links["next"]["url"])
    assert "next" not in third.links
    names = [one["repo"]["name"] for answer in (first, second, third) for one in answer.json()]
    assert names == [f"{owner}/m{number}" for number in range(5)]
    for cursor in ("x", "%00", "LTE", "A" * 90, "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        answer = httpx.get(f"{hub.url}/api/users/{fan}/likes?cursor={cursor}")
        assert answer.status_code in (200, 400), cursor
    with pytest.raises(HfHubHTTPError, match="404"):
        hub.nobody.list_liked_repos("nobody-here")


def until(condition, seconds=40):
    """Wait for what the Hub does now and then."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.3)


@pytest.mark.slow
def test_downloads_by_the_stock_client_are_counted_by_the_rule(hub, people, tmp_path):
    owner, reader = people.user(), people.user()
    client = people.client(owner)
    model, bare, data = f"{owner}/model", f"{owner}/bare", f"{owner}/data"
    client.create_repo(model)
    client.create_repo(bare)
    client.create_repo(data, repo_type="dataset")
    for name in ("config.json", "a.txt", "b.txt"):
        client.upload_file(path_or_fileobj=b"{}", path_in_repo=name, repo_id=model)
    client.upload_file(path_or_fileobj=b"{}", path_in_repo="a.txt", repo_id=bare)
    for name in ("a.txt", "b.txt"):
        client.upload_file(path_or_fileobj=b"{}", path_in_repo=name, repo_id=data, repo_type="dataset")

    def download(repo, name, user, kind="model"):
        return hf_hub_download(
            repo, name, repo_type=kind, endpoint=hub.url, cache_dir=tmp_path / str(user),
            token=people.token(user, "read") if user else False,
        )  # fmt: skip

    download(model, "a.txt", reader)  # No query file of a model that has one: nothing.
    for user in (reader, None):
        for _ in range(2):  # The second asks HEAD alone, within five minutes.
            download(model, "config.json", user)
        download(bare, "a.txt", user)
    snapshot_download(
        data, repo_type="dataset", endpoint=hub.url, cache_dir=tmp_path / "data", token=False
    )  # Many files, one download.
    httpx.head(f"{hub.url}/datasets/{data}/resolve/main/a.txt", headers=people.bearer(reader))  # Only looked.

    def counts():
        infos = (
            hub.nobody.model_info(model, expand=["downloads", "downloadsAllTime"]),
            hub.nobody.model_info(bare, expand=["downloads", "downloadsAllTime"]),
            hub.nobody.dataset_info(data, expand=["downloads", "downloadsAllTime"]),
        )
        return [(one.downloads, one.downloads_all_time) for one in infos]

    until(lambda: counts() == [(2, 2), (2, 2), (1, 1)])
    with people.database.read() as session:
        days = session.scalars(select(DownloadDay).join(Repository).where(Repository.name == model)).all()
    assert [(one.day, one.count) for one in days] == [(now().date(), 2)]


@pytest.mark.slow
def test_counts_are_written_when_the_hub_ends(tmp_path):
    hub = RunningHub(tmp_path / "hub")
    hub.start()
    hub.alice.create_repo("alice/model")
    hub.alice.upload_file(path_or_fileobj=b"{}", path_in_repo="config.json", repo_id="alice/model")
    time.sleep(11)  # So that the next writing is not just due.
    assert httpx.get(f"{hub.url}/alice/model/resolve/main/config.json").status_code == 200
    assert hub.stop() == 0
    database = Database(f"sqlite:///{hub.data / 'hub.sqlite3'}")
    with database.read() as session:
        assert session.scalars(select(Repository.downloads)).all() == [1]
    database.close()


@pytest.fixture
def database(tmp_path):
    """A database with a model that has a configuration, one that has none, and a data set: numbers 1 to 3."""
    database = Database(f"sqlite:///{tmp_path / 'hub.sqlite3'}")
    migrate(database)
    with database.write() as session:
        session.add(Account(id=1, kind="user", name="alice", name_key="alice"))
        session.flush()
        for number, (type_, files) in enumerate(
            (
                ("model", [["config.json", 2, "", None, None]]),
                ("model", [["a.gguf", 2, "", None, None]]),
                ("dataset", []),
            ),
            1,
        ):
            name = f"alice/{number}"
            session.add(Repository(id=number, type=type_, owner_id=1, name=name, name_key=name))
            session.flush()
            session.add(RepositoryContent(repository_id=number, files=files))
    yield database
    database.close()


def downloads_of(database):
    """The counts, and the change numbers."""
    with database.read() as session:
        rows = session.execute(
            select(Repository.downloads, Repository.downloads_all_time, Repository.changed).order_by(Repository.id)
        ).all()
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def test_a_caller_counts_once_in_five_minutes(database):
    clock = [0.0]
    counter = Downloads(lambda: clock[0])
    one, other, person = (
        Caller(address="192.0.2.1"),
        Caller(address="192.0.2.2"),
        Caller(account_id=1, address="192.0.2.1"),
    )
    for caller in (one, one, other, person):
        counter.count(1, "config.json", caller)
    clock[0] += WINDOW - 1
    counter.count(1, "config.json", one)
    clock[0] += 2
    counter.count(1, "config.json", one)
    counter.count(1, "config.json", other, "HEAD")
    counter.count(1, "config.json", other, "HEAD", "1")
    assert counter.flush(database) == 5
    assert downloads_of(database)[0] == [5, 0, 0]


def test_one_household_is_one_address(database):
    counter = Downloads()
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        counter.count(3, "a", Caller(address=address))
    assert counter.flush(database) == 2


def test_what_counts_depends_on_what_the_repository_has(database):
    counter = Downloads()
    for number in (1, 2, 3, 4):  # There is no fourth.
        counter.count(number, "model.safetensors", Caller(address="192.0.2.1"))
        counter.count(number, "sub/config.json", Caller(address="192.0.2.2"))
    assert counter.flush(database) == 4
    assert downloads_of(database)[0] == [0, 2, 2]


def test_the_search_index_is_told_now_and_then(database):
    clock = [0.0]
    counter = Downloads(lambda: clock[0])
    counter.count(3, "a", Caller(address="192.0.2.1"))
    counter.flush(database)
    first = downloads_of(database)[2][2]
    assert first > 0
    counter.count(3, "a", Caller(address="192.0.2.2"))
    counter.flush(database)
    assert downloads_of(database)[0][2] == 2
    assert downloads_of(database)[2][2] == first
    clock[0] += TELLING
    counter.flush(database)
    assert downloads_of(database)[2][2] > first


@pytest.mark.slow
def test_what_could_not_be_written_stays_counted(database):
    counter = Downloads()
    counter.count(3, "a", Caller(address="192.0.2.1"))
    impatient = Database(f"{database.url}?timeout=0.1")
    with database.write() as session:
        session.execute(select(1))  # The turn is taken with the first question.
        with pytest.raises(BusyError):
            counter.flush(impatient)
    impatient.close()
    assert counter.flush(database) == 1


def test_nothing_is_lost_between_threads(database):
    counter = Downloads()

    def work(thread):
        for number in range(200):
            counter.count(3, "a", Caller(address=f"{thread}.{number}"))
            if number % 50 == 0:
                counter.flush(database)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    counter.flush(database)
    assert downloads_of(database)[0][2] == 800


def test_days_leave_the_sum_of_thirty(database):
    today = now().date()
    with database.write() as session:
        for back, count in ((0, 1), (29, 10), (30, 100), (500, 1000)):
            session.add(DownloadDay(repository_id=3, day=today - timedelta(days=back), count=count))
        repository = session.get_one(Repository, 3)
        repository.downloads, repository.downloads_all_time = 1111, 1111
    assert roll(database) == 1
    counts, all_time, changed = downloads_of(database)
    assert (counts[2], all_time[2]) == (11, 1111)
    assert changed[2] > 0
    assert roll(database) == 0
    assert roll(database, now() + timedelta(days=1)) == 1
    assert downloads_of(database)[0][2] == 1
    with database.read() as session:
        kept = Counter(session.scalars(select(DownloadDay.count)))
    assert kept == Counter([1, 10, 100])
