"""Search over 1,000,000 made-up models through HTTP: latency by kind of query, start-up and memory.

    python benchmarks/hub_search.py [--models 1000000] [--data DIR] [--queries 300] [--output FILE]

The database is made once and kept in `--data`. The Hub runs in a process of its own; latency is taken at the client,
over one connection, so it holds the server's whole work. Each query is drawn anew, so that no cache answers it. The
last rows change a model before each query: the search sees the change.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import hub_models
import psutil
from measure import CACHE

from samovar.server.db.engine import Database, mark_changed
from samovar.server.db.tables import Repository

P50, P99 = 20.0, 100.0
"""Milliseconds that the first row must keep."""
Parameters = list[tuple[str, str]]


class Served:
    """A Hub over a data folder, in a process of its own."""

    def __init__(self, data: Path) -> None:
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "samovar.cli", "hub", "serve", "--port", "0", "--data", str(data)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "SAMOVAR_HUB_ANONYMOUS_RATE": "0"},
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("Hub ready at "), line
        self.ready = time.perf_counter() - started
        self.address = urlsplit(line.split()[-1]).netloc
        self.connection = http.client.HTTPConnection(self.address, timeout=300)
        self.get("/api/models?limit=1")
        self.searching = time.perf_counter() - started

    def get(self, path: str, connection: http.client.HTTPConnection | None = None) -> bytes:
        """An answer's body; anything but 200 ends the benchmark."""
        connection = connection or self.connection
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:500]!r}")
        return body

    def busy(self) -> float:
        """Seconds of processor time that the process has used: steadier than a clock on a machine that others use."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def memory(self) -> tuple[float, float]:
        """MiB that the process holds now, and that it held at most."""
        process = psutil.Process(self.process.pid)
        peak = next(
            int(line.split()[1]) / 1024
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        )
        return process.memory_info().rss / 2**20, peak

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(60)


def draws(random_: random.Random) -> dict[str, Callable[[], str]]:
    """Kind of query → an address of that kind."""
    language, license_ = hub_models.Choice(hub_models.LANGUAGES), hub_models.Choice(hub_models.LICENSES)
    task, family = hub_models.Choice(hub_models.TASKS), list(hub_models.FAMILIES)
    sorts = ("downloads", "likes", "lastModified", "createdAt", "trendingScore")

    def address(path: str, *parameters: tuple[str, object]) -> str:
        return f"{path}?{urlencode(parameters)}"

    def listed(*parameters: tuple[str, object], limit: int = 30) -> str:
        return address("/api/models", *parameters, ("limit", limit))

    def word() -> str:
        return random_.choice([*family, *hub_models.SUFFIXES, "word1", "word17", "7b", f"{random_.randrange(4096):x}"])

    def number(size: int) -> int:
        return hub_models.zipf(random_, size)

    def three() -> Parameters:
        return [
            ("filter", random_.choice(["transformers", "pytorch", "safetensors", language.draw(random_)])),
            ("filter", f"license:{license_.draw(random_)}"),
            ("pipeline_tag", task.draw(random_)),
        ]

    def sort() -> tuple[str, str]:
        return "sort", random_.choice(sorts)

    return {
        "three filters, a word, a sort": lambda: listed(*three(), ("search", word()), sort()),
        "the same, 1000 models a page": lambda: listed(*three(), ("search", word()), sort(), limit=1000),
        "two words": lambda: listed(("search", f"{word()} {word()}"), sort()),
        "one filter, a range of sizes": lambda: listed(
            ("filter", language.draw(random_)), ("num_parameters", "min:1B,max:8B"), sort()
        ),
        "all models, a sort": lambda: listed(sort()),
        "an author": lambda: listed(("author", f"owner{number(hub_models.OWNERS)}")),
        "a base model": lambda: listed(("filter", f"base_model:owner{number(99)}/base{number(99)}")),
        "facets of three filters": lambda: address("/api/models-facets", *three()),
        "facets of all models": lambda: address("/api/models-facets", ("limit", random_.randint(20, 60))),
        "full text, two words": lambda: address(
            "/api/search/full-text", ("q", f"word{number(9000)} {word()}"), ("type", "model")
        ),
    }


def latencies(
    hub: Served, draw: Callable[[], str], queries: int, before: Callable[[], None] | None = None
) -> tuple[list[float], float]:
    """Milliseconds of each query, in order of size; and the server's processor time for one."""
    times = []
    busy = hub.busy()
    for number in range(queries + 10):
        path = draw()
        if before:
            before()
        started = time.perf_counter()
        hub.get(path)
        if number >= 10:
            times.append((time.perf_counter() - started) * 1000)
    return sorted(times), (hub.busy() - busy) * 1000 / (queries + 10)


def at_once(hub: Served, draw: Callable[[], str], queries: int, threads: int) -> tuple[list[float], float]:
    """Milliseconds of each query when several clients ask at once, and queries in a second."""
    times: list[float] = []
    lock = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection(hub.address, timeout=300)
        for _ in range(queries // threads):
            with lock:
                path = draw()
            started = time.perf_counter()
            hub.get(path, connection)
            times.append((time.perf_counter() - started) * 1000)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(times), len(times) / (time.perf_counter() - started)


def row(name: str, times: list[float], busy: float | None, more: str = "") -> str:
    """A line of the table."""
    p50, p99 = times[len(times) // 2], times[min(int(len(times) * 0.99), len(times) - 1)]
    cpu = "" if busy is None else f"{busy:.1f}"
    p90 = times[int(len(times) * 0.9)]
    return f"| {name} | {p50:.1f} | {p90:.1f} | {p99:.1f} | {times[-1]:.1f} | {cpu} | {more} |"


def changing(data: Path, count: int, random_: random.Random) -> Callable[[], None]:
    """Changes some model, as a like or a commit does."""
    database = Database(f"sqlite:///{data / 'hub.sqlite3'}")

    def change() -> None:
        with database.write() as session:
            model = session.get_one(Repository, random_.randint(1, count))
            model.likes += 1
            model.tags = [*model.tags[:20], f"new{random_.randrange(10**6)}"]
            mark_changed(session, model)

    return change


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    data = options.data or CACHE / f"hub-{options.models}"
    if not (data / "hub.sqlite3").exists():
        print(f"Making {options.models:,} models in {data} …", file=sys.stderr)
        draft = data.with_name(f"{data.name}.draft.{os.getpid()}")
        hub_models.make(draft, options.models)
        draft.rename(data)
    random_ = random.Random(1)
    hub = Served(data)
    try:
        lines = [
            f"Search over {options.models:,} models, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
            f"{options.queries} queries of each kind through HTTP.",
            "",
            f"Start: answers after {hub.ready:.1f} s, first search after {hub.searching:.1f} s. "
            f"Memory: {hub.memory()[0]:.0f} MiB, at most {hub.memory()[1]:.0f} MiB.",
            "",
            "| query | p50 ms | p90 ms | p99 ms | max ms | server CPU ms | |",
            "|---|---:|---:|---:|---:|---:|---|",
        ]
        kinds = draws(random_)
        target = next(iter(kinds))
        for name, draw in kinds.items():
            times, busy = latencies(hub, draw, options.queries)
            holds = ""
            if name == target:
                holds = f"target: p50 ≤ {P50:.0f}, p99 ≤ {P99:.0f}"
            lines.append(row(name, times, busy, holds))
            print(lines[-1], file=sys.stderr)
        times, rate = at_once(hub, kinds[target], options.queries, 8)
        lines.append(row(f"{target}; 8 clients at once", times, None, f"{rate:.0f} a second"))
        times, busy = latencies(hub, kinds[target], options.queries, changing(data, options.models, random_))
        lines.append(row(f"{target}; a model changed before each", times, busy))
        lines += ["", f"Memory afterwards: {hub.memory()[0]:.0f} MiB, at most {hub.memory()[1]:.0f} MiB."]
    finally:
        hub.stop()
    table = "\n".join(lines)
    print(table)
    if options.output:
        options.output.write_text(table + "\n")


if __name__ == "__main__":
    main()
