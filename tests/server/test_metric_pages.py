"""Pages of the evaluation metrics: each renders, values typed into the forms give what `samovar.evaluate` gives, and
whatever is typed, a person is told what is wrong with it."""

from __future__ import annotations

import json
import re
import time
import warnings

import httpx
import pytest

import samovar.evaluate
from samovar.evaluate.classification import MetricWarning
from samovar.evaluate.spec import all_metrics
from samovar.server.errors import BadRequestError, GatewayTimeoutError, UnprocessableError
from samovar.server.inference.library import Library
from samovar.server.settings import read_settings
from samovar.server.web.languages import languages
from samovar.server.web.metrics import KINDS, value
from samovar.server.web.typed import HINTS, column, text_of

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """The process that computes, without a Hub around it."""
    made = Library(read_settings(data=tmp_path_factory.mktemp("library")))
    yield made
    made.close()


def computed(library: Library, name: str, config: str = "", **fields: str):
    """What the form gives for these fields."""
    return value(library, library.described().metrics[name], config, fields)["result"]


def test_every_metric_is_described(library):
    described = library.described().metrics
    assert set(described) == set(all_metrics())
    russian = languages()["ru"].texts
    for name, spec in described.items():
        assert spec["kind"] in KINDS, f"samovar.server.web.metrics.KINDS names the kind of {name} for people"
        assert KINDS[spec["kind"]] in russian
        assert {one["holds"] for columns in spec["columns"].values() for one in columns} <= set(HINTS)
        assert spec["values"] or spec["model"], f"the example of {name} is not read"
    assert all(hint in russian for hint in HINTS.values())


@pytest.mark.slow
def test_every_page_renders_and_browsers_alone_get_pages(hub):
    with httpx.Client(base_url=hub.url, headers=HTML, timeout=60) as browser:
        index = browser.get("/metrics").text
        for name in all_metrics():
            assert f'href="/metrics/{name}"' in index
            page = browser.get(f"/metrics/{name}")
            assert page.status_code == 200, name
            assert f"<h1>{name}</h1>" in page.text
            assert "samovar.evaluate" in page.text
        assert browser.get("/metrics/no_such").status_code == 404
        found = browser.get("/metrics?search=harmonic mean").text
        assert 'href="/metrics/f1"' in found
        assert 'href="/metrics/wer"' not in found
        assert "model of your choice" in browser.get("/metrics/perplexity").text
        chosen = browser.get("/metrics/super_glue?config=record").text
        assert re.search(r"<option selected>record</option>", chosen)
        russian = browser.get("/metrics/f1", headers={"Accept-Language": "ru"}).text
        assert "Посчитать" in russian
    assert httpx.get(f"{hub.url}/metrics").headers["content-type"].startswith("text/plain")


@pytest.mark.slow
def test_forms_compute_without_scripts(hub):
    fields = {"predictions": "yes\nno\nyes", "references": "yes\nno\nno", "option_average": "macro"}
    with httpx.Client(base_url=hub.url, headers={**HTML, "Origin": hub.url}, timeout=60) as browser:
        page = browser.post("/metrics/f1", data=fields).text
        wanted = samovar.evaluate.load("f1").compute(
            predictions=["yes", "no", "yes"], references=["yes", "no", "no"], average="macro"
        )
        assert f"{wanted['f1']:.6g}" in page
        assert ">yes\nno\nyes</textarea>" in page
        never = browser.post("/metrics/precision", data={"predictions": "0\n0", "references": "0\n1"}).text
        assert "divides by zero" in never  # What the metric warns of is said.
        part = browser.post("/metrics/f1", data=fields, headers={"X-Part": "answer"}).text
        assert "<html" not in part
        assert json.loads(re.search(r"<code>(.*?)</code>", part, re.DOTALL)[1].replace("&#34;", '"')) == wanted
        wrong = browser.post("/metrics/f1", data={"predictions": "<b>1</b>", "references": "1\n2"})
        assert wrong.status_code == 200
        assert 'class="warning"' in wrong.text
        assert "<b>1</b>" not in wrong.text
    assert (
        httpx.post(f"{hub.url}/metrics/f1", data=fields, headers={"Origin": "https://evil.example"}).status_code == 403
    )


# Metrics whose examples need nothing that is not part of this package.
SPREAD = [name for name, spec in all_metrics().items() if not spec.function.__module__.endswith(".models")
          and name != "meteor"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", SPREAD)
def test_an_example_typed_gives_the_librarys_value(library, name):
    spec = library.described().metrics[name]
    given = dict(spec["values"])
    config = given.pop("config", "")
    fields = {one["name"]: text_of(given.pop(one["name"]), one["holds"]) for one in spec["columns"][config]}
    options = {f"option_{key}": json.dumps(one) if isinstance(one, list) else str(one) for key, one in given.items()}
    found = computed(library, name, config, **fields, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MetricWarning)
        wanted = samovar.evaluate.load(name, config or None).compute(
            **{key: one for key, one in spec["values"].items() if key != "config"}
        )
    assert set(found) == set(wanted)
    for key, one in wanted.items():
        plain = one.tolist() if hasattr(one, "tolist") else one
        assert found[key] == (pytest.approx(plain, nan_ok=True) if isinstance(plain, float) else plain), key


@pytest.mark.parametrize(
    ("text", "holds", "rows"),
    [
        ("1\n0\n1\n", "labels", [1, 0, 1]),
        ("1, 0, 1", "labels", [1, 0, 1]),
        ("[1, 0]", "labels", [1, 0]),
        ("1 0\n0 1", "labels", [[1, 0], [0, 1]]),
        ("[1, 0]\n[0, 1]", "labels", [[1, 0], [0, 1]]),
        ("cat\n\ndog", "labels", ["cat", "dog"]),
        ("0.5\n-1e3", "numbers", [0.5, -1000.0]),
        ("a cat\n\n3", "texts", ["a cat", "", "3"]),
        ("[sic] a cat", "texts", ["[sic] a cat"]),
        ('["a", "b\\nc"]', "texts", ["a", "b\nc"]),
        ('a\n["b", "c"]', "text lists", ["a", ["b", "c"]]),
        ("B-PER O\nO", "tags", [["B-PER", "O"], ["O"]]),
        ("a, b\n1 2", "items", [["a", "b"], [1, 2]]),
        ('[{"id": "1"}]', "records", [{"id": "1"}]),
    ],
)
def test_rows_as_people_type_them(text, holds, rows):
    assert column("x", text, holds) == rows


def test_hostile_values_get_a_clear_message(library):
    for fields, said in (
        ({"predictions": "", "references": "1"}, "predictions: this is empty"),
        ({"predictions": "1\n2", "references": "1"}, "unequal lengths"),
        ({"predictions": "nan\n1", "references": "1\n1"}, "not finite"),
        ({"predictions": "1e999\n1", "references": "1\n1"}, "not finite"),
        ({"predictions": "9" * 5000, "references": "1"}, "."),
        ({"predictions": "9" * 400, "references": "1"}, "."),
        ({"predictions": "[1, [2, 3]]", "references": "[1, 2]"}, "unequal lengths"),
        ({"predictions": "cat\n1", "references": "1\n1"}, "strings or numbers"),
        ({"predictions": "0.5\n1", "references": "1\n1"}, "a score, not a class"),
        ({"predictions": "[1, 0", "references": "1\n0"}, "no list in JSON"),
        ({"predictions": "[" * 100_000, "references": "1"}, "JSON|nested"),
        ({"predictions": "1\n" * 20_000, "references": "1"}, "20,000 rows"),
        ({"predictions": "1" * 300_000, "references": "1"}, "too long"),
        ({"predictions": "1\n0", "references": "1\n0", "option_average": "no such"}, "average"),
        ({"predictions": "1\n0", "references": "1\n0", "option_labels": "[1"}, "JSON"),
        ({"predictions": '[{"a": 1}]', "references": "[1]"}, "."),
    ):
        with pytest.raises((BadRequestError, UnprocessableError), match=said) as raised:
            computed(library, "f1", **fields)
        assert len(raised.value.message) < 1000
    with pytest.raises(UnprocessableError, match="needs a model"):
        computed(library, "perplexity", predictions="a")
    with pytest.raises(UnprocessableError, match="configuration"):
        computed(library, "glue", "nonsense", predictions="1", references="1")
    # None of it has ended the process or changed what it computes next.
    assert computed(library, "f1", predictions="1\n0", references="1\n0") == {"f1": 1.0}


@pytest.mark.slow
def test_whoever_computes_too_long_is_stopped_alone(tmp_path):
    """A pattern that backtracks for ever; the next visitor gets an answer from a new process."""
    library = Library(read_settings(data=tmp_path), longest=20.0)
    try:
        assert computed(library, "exact_match", predictions="a", references="a") == {"exact_match": 1.0}
        library.longest, process = 0.5, library.process
        with pytest.raises(GatewayTimeoutError, match=r"0\.5 seconds"):
            computed(
                library, "exact_match", predictions="a" * 60 + "!", references="a",
                option_regexes_to_ignore='["(a+)+$"]',
            )  # fmt: skip
        assert process.poll() is not None
        library.longest = 20.0
        assert computed(library, "exact_match", predictions="a", references="b") == {"exact_match": 0.0}
        # An idle process is ended, and its memory is free.
        library.used = time.monotonic() - 10_000
        library.rest_now()
        assert library.process is None
        # Who only reads lets a new one import what computes; the Hub need not wait for it to end.
        library.warm_up("accuracy", "", {"predictions": [1], "references": [1]}, {})
        end = time.monotonic() + 60
        while not library.warm:
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        library.close()
