"""The Hub's pages over 100,000 models: time at the client and bytes over the wire, by kind of page.

    python benchmarks/hub_pages.py [--models 100000] [--data DIR] [--visits 100] [--output FILE]

The database is made once and kept in `--data`; a few models and data sets in it are real ones with a long card, sent by
the stock client. The Hub runs in a process of its own. A page is asked for over one connection by a visitor who accepts
compressed answers, as every browser does; what is fetched is the page alone, since its style and script are kept by the
browser for good. Of each kind every visit asks for another page where there are enough of them.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import hub_models
from hub_search import Served, draws
from huggingface_hub import HfApi
from huggingface_hub.utils import disable_progress_bars
from measure import CACHE, Row
from run import table
from sqlalchemy import insert

from samovar.server.db.engine import Database
from samovar.server.db.tables import DownloadDay, Repository
from samovar.server.db.tables.base import now
from samovar.server.offline import OPERATOR
from samovar.server.services import accounts, tokens
from samovar.server.taxonomy.about import ABOUT

MILLISECONDS, BYTES = 50.0, 100_000
"""What a page may take at the server, half of the time, and over the wire, at most."""
OWNER, REAL_MODELS, REAL_DATASETS, DAYS = "bench", 20, 5, 30
SECTION = """
## Part {number}

A paragraph of **some length** about what the model was made for, with a [link](https://example.com) and `code`.
What it was trained on, how long, and on which machines; what it cannot do, and whom to ask.

| data set | split | accuracy | F1 | what is remarkable |
|---|---|---:|---:|---|
| one | test | 0.9{number} | 0.8{number} | nothing |
| two | test | 0.7{number} | 0.6{number} | harder than it looks |

```python
from samovar import pipeline

classify = pipeline("text-classification", model="bench/model-{number}")
print(classify(["a pot of tea", "a cup of coffee"]))
```
"""


@dataclass(frozen=True)
class Visits:
    """What many visits of one kind of page took: milliseconds, and the bytes of the largest answer."""

    times: list[float]
    largest: int
    plain: int
    busy: float

    @property
    def p50(self) -> float:
        """The time within which half of the answers came."""
        return statistics.median(self.times)

    @property
    def p95(self) -> float:
        """The same of 95 %."""
        return sorted(self.times)[int(len(self.times) * 0.95)]


def fill(hub: Served, data: Path) -> None:
    """Publish the real models and data sets, unless an earlier run has done so."""
    database = Database(f"sqlite:///{data / 'hub.sqlite3'}")
    api = HfApi(endpoint=f"http://{hub.address}")
    try:
        api.dataset_info(f"{OWNER}/data-{REAL_DATASETS - 1}")
        return
    except Exception:  # Nobody has made them.
        accounts.add_user(database, OPERATOR, OWNER, "password of bench")
    api.token = tokens.create_token(database, OPERATOR, OWNER, "write")[1]
    config = json.dumps({"architectures": ["BertForSequenceClassification"], "model_type": "bert", "id2label": {
        str(number): f"label {number}" for number in range(20)
    }})  # fmt: skip
    header = json.dumps({"a.weight": {"dtype": "F32", "shape": [512, 512], "data_offsets": [0, 2**20]}}).encode()
    weights = len(header).to_bytes(8, "little") + header + bytes(2**20)
    for number in range(REAL_MODELS):
        name = f"{OWNER}/model-{number}"
        files = {"README.md": card(number).encode(), "config.json": config.encode(), "model.safetensors": weights}
        publish(api, name, "model", files)
    for number in range(REAL_DATASETS):
        rows = "text,label\n" + "".join(f"row {row} of set {number},{row % 2}\n" for row in range(2000))
        publish(
            api, f"{OWNER}/data-{number}", "dataset", {"README.md": card(number).encode(), "rows.csv": rows.encode()}
        )
    with database.write() as session:
        made = session.query(Repository.id).filter(Repository.name.like(f"{OWNER}/%")).all()
        session.execute(insert(DownloadDay), [
            {"repository_id": one.id, "day": now().date() - timedelta(days=back), "count": 100 + back * 7}
            for one in made for back in range(1, DAYS)
        ])  # fmt: skip
    database.close()


def card(number: int) -> str:
    """A long README with facts, results, tables and code."""
    results = "".join(
        f"  - task: {{type: text-classification}}\n    dataset: {{type: set{at}, name: Set {at}}}\n"
        f"    metrics: [{{type: accuracy, value: 0.{80 + at}}}, {{type: f1, value: 0.{70 + at}}}]\n"
        for at in range(6)
    )
    facts = (
        "license: mit\nlanguage: [en, ru]\npipeline_tag: text-classification\nlibrary_name: transformers\n"
        f"datasets: [bench/data-0]\ntags: [made-up, bench{number}]\nmodel-index:\n- name: model-{number}\n  results:\n"
    )
    return f"---\n{facts}{results}---\n# Model {number}\n" + "".join(SECTION.format(number=part) for part in range(10))


def publish(api: HfApi, name: str, kind: str, files: dict[str, bytes]) -> None:
    """One repository in one commit."""
    from huggingface_hub import CommitOperationAdd

    api.create_repo(name, repo_type=kind, exist_ok=True)
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    api.create_commit(name, operations, commit_message="Publish", repo_type=kind)


def last_page(hub: Served) -> str:
    """The address of the last page of all models, by the cursors of pages of a thousand."""
    connection, cursor = http.client.HTTPConnection(hub.address, timeout=300), None
    path = "/api/models?limit=1000&sort=createdAt"
    while True:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        found = re.search(r'<[^>]*?(/api/[^>]*)>; rel="next"', answer.headers.get("Link", ""))
        if not found:
            return f"/models?sort=createdAt&cursor={cursor}" if cursor else "/models?sort=createdAt"
        path = found[1]
        cursor = re.search(r"cursor=([^&]+)", path)[1]  # type: ignore[index]


def kinds(hub: Served, random_: random.Random) -> dict[str, Callable[[], str]]:
    """Kind of page → an address of it, for each visit anew."""
    search = draws(random_)["three filters, a word, a sort"]
    models, datasets = cycle(range(REAL_MODELS)), cycle(range(REAL_DATASETS))
    tasks, last = cycle([task for task in hub_models.TASKS if task in ABOUT]), last_page(hub)

    def filtered() -> str:
        return search().replace("/api/models", "/models").replace("&limit=30", "")

    plain = cycle(json.loads(hub.get("/api/models?limit=200", http.client.HTTPConnection(hub.address, timeout=300))))

    return {
        "all models": lambda: "/models",
        "all models, the last page": lambda: last,
        "three filters and a word": filtered,
        "a filter with all its values": lambda: "/models?show=dataset",
        "a model, its card long": lambda: f"/{OWNER}/model-{next(models)}",
        "a model without a card": lambda: f"/{next(plain)['id']}",
        "a data set": lambda: f"/datasets/{OWNER}/data-{next(datasets)}",
        "a model's files": lambda: f"/{OWNER}/model-{next(models)}/tree/main",
        "the start page": lambda: "/",
        "an owner of many models": lambda: f"/owner{random_.randrange(20)}",
        "a task": lambda: f"/tasks/{next(tasks)}",
    }


def visit(hub: Served, draw: Callable[[], str], visits: int) -> Visits:
    """Ask for pages one after another; the first five are not counted."""
    connection = http.client.HTTPConnection(hub.address, timeout=300)
    times, largest, plain, busy = [], 0, 0, hub.busy()
    paths = [draw() for _ in range(visits + 5)]
    for number, path in enumerate(paths):
        if number == 5:
            busy = hub.busy()
        begin = time.perf_counter()
        connection.request("GET", path, headers={"Accept-Encoding": "gzip", "Accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
        if number >= 5:
            times.append((time.perf_counter() - begin) * 1000)
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {body[:300]!r}")
        largest = max(largest, len(body))
    for path in paths[:5]:
        connection.request("GET", path)
        plain = max(plain, len(connection.getresponse().read()))
    connection.close()
    return Visits(times, largest, plain, (hub.busy() - busy) * 1000 / visits)


def row(name: str, one: Visits) -> str:
    """A line of the table."""
    sizes = f"{one.largest / 1000:.1f} | {one.plain / 1000:.1f}"
    return f"| {name} | {one.p50:.1f} | {one.p95:.1f} | {one.busy:.1f} | {sizes} |"


def main() -> None:
    """Measure, and print both tables: one to read, one for the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=100_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--visits", type=int, default=100)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    disable_progress_bars()
    data = options.data or CACHE / f"hub-pages-{options.models}"
    if not (data / "hub.sqlite3").exists():
        print(f"Making {options.models:,} models in {data} …", file=sys.stderr)
        draft = data.with_name(f"{data.name}.draft.{os.getpid()}")
        hub_models.make(draft, options.models)
        draft.rename(data)
    load = os.getloadavg()[0]
    hub = Served(data)
    try:
        fill(hub, data)
        found: dict[str, Visits] = {}
        for name, draw in kinds(hub, random.Random(1)).items():
            found[name] = visit(hub, draw, options.visits)
            print(row(name, found[name]), file=sys.stderr)
    finally:
        hub.stop()
    lines = [
        f"Pages of a Hub with {options.models:,} models, {os.cpu_count()} cores, load {load:.1f}, {options.visits} "
        "visits of each kind.",
        "",
        "| page | p50 ms | p95 ms | server CPU ms | kB sent | kB plain |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [row(name, one) for name, one in found.items()]
    slowest, heaviest = max(found, key=lambda name: found[name].p50), max(found, key=lambda name: found[name].largest)
    rows = [
        Row(f"Hub: {name} ({options.models:,} models), half of the answers within", f"{found[name].p50:.0f} ms", "",
            None, f"≤ {MILLISECONDS:.0f} ms", found[name].p50 <= MILLISECONDS)
        for name in dict.fromkeys(("all models", "three filters and a word", "a model, its card long", slowest))
    ]  # fmt: skip
    rows += [
        Row(f"Hub: the heaviest page ({heaviest}), as sent", f"{found[heaviest].largest / 1000:.0f} kB", "", None,
            f"≤ {BYTES // 1000} kB", found[heaviest].largest <= BYTES),
    ]  # fmt: skip
    text = "\n".join([*lines, "", table(rows)])
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
