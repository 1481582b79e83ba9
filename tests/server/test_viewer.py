"""The dataset viewer: what it finds in files, rows, words and conditions, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import wave

import httpx
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from samovar.server.errors import UnprocessableError
from samovar.server.viewer.where import condition, order

ROWS = [
    ("a good film", "good", 3, 0.5),
    ("it's bad", "bad", 5, -1.5),
    ("чай готов", "good", 8, 2.5),
    ("bad, bad film", "bad", 13, 4.0),
]


def table(rows: list[tuple]) -> bytes:
    """Rows as CSV."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([("text", "label", "length", "rating"), *rows])
    return out.getvalue().encode()


@pytest.fixture(scope="module")
def data(hub):
    """A Hub with data sets of alice: tables in two splits, lines, pictures, nothing readable, a private one."""
    api = hub.alice
    for name, private in (
        ("tables", False),
        ("lines", False),
        ("pictures", False),
        ("sounds", False),
        ("words", False),
        ("columns", False),
        ("broken", False),
        ("secret-rows", True),
    ):
        api.create_repo(f"alice/{name}", repo_type="dataset", private=private)

    def put(repo: str, path: str, content: bytes) -> None:
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=f"alice/{repo}", repo_type="dataset")

    put("tables", "train.csv", table(ROWS * 60))
    put("tables", "test.csv", table(ROWS[:1]))
    put("lines", "data.jsonl", b"".join(json.dumps({"n": n, "tags": ["x"] * n}).encode() + b"\n" for n in range(5)))
    put("broken", "train.csv", b"")
    put("secret-rows", "train.csv", table(ROWS))
    for label in ("cat", "dog"):
        picture = io.BytesIO()
        Image.fromarray(np.full((8, 12, 3), 200, np.uint8)).save(picture, "PNG")
        put("pictures", f"train/{label}/1.png", picture.getvalue())
        put("sounds", f"train/{label}/1.wav", tone(440 if label == "cat" else 220))
    put("words", "train.txt", "one line\nчай готов\n\nthe last".encode())
    lines = pyarrow.table({"n": [1, 2, 3], "name": ["a", None, "ц"], "pair": [[1.5, 2.5], [], [0.5]]})
    out = io.BytesIO()
    pyarrow.parquet.write_table(lines, out)
    put("columns", "data/train-00000-of-00001.parquet", out.getvalue())
    return hub


def tone(pitch: float) -> bytes:
    """A tenth of a second as WAV, 8,000 samples per second."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.sin(np.arange(800) * pitch * 2 * np.pi / 8000) * 20_000).astype("<i2").tobytes())
    return out.getvalue()


def ask(hub, path: str, status: int = 200, token: str | None = None, **parameters: object) -> dict:
    """An answer of the viewer, once the data set is ready."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for _ in range(10):
        answer = httpx.get(f"{hub.url}/{path}", params=parameters, headers=headers, timeout=60)
        if answer.headers.get("x-error-code") != "ResponseNotReady":
            break
    assert answer.status_code == status, answer.text
    if status == 200 and path != "is-valid":
        assert len(answer.headers["x-revision"]) == 40
    return answer.json()


TABLES = {"dataset": "alice/tables", "config": "default", "split": "train"}


def test_splits_and_sizes(data):
    found = ask(data, "splits", dataset="alice/tables")["splits"]
    assert {(one["config"], one["split"]) for one in found} == {("default", "train"), ("default", "test")}
    sizes = ask(data, "size", dataset="alice/tables")["size"]
    assert sizes["dataset"]["num_rows"] == 241
    assert {one["split"]: one["num_rows"] for one in sizes["splits"]} == {"train": 240, "test": 1}
    assert ask(data, "is-valid", dataset="alice/tables")["search"] is True
    features = ask(data, "info", dataset="alice/tables", config="default")["dataset_info"]["features"]
    assert list(features) == ["text", "label", "length", "rating"]


def test_rows_by_number(data):
    found = ask(data, "rows", **TABLES, offset=238, length=100)
    assert found["num_rows_total"] == 240
    assert [(one["row_idx"], one["row"]["text"]) for one in found["rows"]] == [(238, ROWS[2][0]), (239, ROWS[3][0])]
    assert len(ask(data, "first-rows", **TABLES)["rows"]) == 100
    assert ask(data, "rows", **TABLES, offset=1000)["rows"] == []
    ask(data, "rows", 400, **TABLES, length=101)
    ask(data, "rows", 400, **TABLES, offset=-1)
    ask(data, "rows", 404, **TABLES | {"split": "nosuch"})


def test_search_finds_all_words_and_ranks_by_how_often(data):
    found = ask(data, "search", **TABLES, query="BAD film", length=1)
    assert found["num_rows_total"] == 60
    assert found["rows"][0]["row"]["text"] == "bad, bad film"
    twice = ask(data, "search", **TABLES, query="bad", length=61)["rows"]
    assert [one["row"]["text"] for one in (twice[0], twice[-1])] == ["bad, bad film", "it's bad"]
    assert ask(data, "search", **TABLES, query="готов")["num_rows_total"] == 60
    assert ask(data, "search", **TABLES, query="%_'")["num_rows_total"] == 0


@pytest.mark.parametrize(
    ("where", "keeps"),
    [
        ("\"label\" = 'bad'", lambda row: row[1] == "bad"),
        ("text = 'it''s bad'", lambda row: row[0] == "it's bad"),
        ("length >= 5 AND NOT rating > 3", lambda row: row[2] >= 5 and not row[3] > 3),
        ("(length < 4 OR rating = 4.0) AND label <> 'nosuch'", lambda row: row[2] < 4 or row[3] == 4.0),
        ("rating < -1", lambda row: row[3] < -1),
        ("text LIKE '%film'", lambda row: row[0].endswith("film")),
        ("text IS NULL", lambda row: False),
    ],
)
def test_conditions_keep_what_they_say(data, where, keeps):
    found = ask(data, "filter", **TABLES, where=where, orderby='"length" DESC', length=100)
    expected = sorted((row for row in ROWS * 60 if keeps(row)), key=lambda row: -row[2])
    assert found["num_rows_total"] == len(expected)
    assert [one["row"]["length"] for one in found["rows"]] == [row[2] for row in expected[:100]]


@pytest.mark.parametrize(
    "where",
    [
        "1 = 1; DROP TABLE data", "text = (SELECT 1)", "read_text('/etc/passwd') = 'x'", "nosuch = 1", "text = 'x",
        "text", "text = ", "= 1", "text = 1 = 1", "(" * 100 + "length = 1" + ")" * 100, "length = 1 --",
        "/* x */ length = 1",
        '"text"" = 1', "text = $1", "length = 1 UNION SELECT 1", "__row_idx = 1",
    ],
)  # fmt: skip
def test_conditions_that_are_more_are_refused(data, where):
    assert ask(data, "filter", 422, **TABLES, where=where)["error"]


def test_condition_travels_as_parameters():
    sql, values = condition("text = 'a'' OR 1=1 --' AND n >= 1e3", ["text", "n"])
    assert sql == '((("text" = ?) AND ("n" >= ?)))'
    assert values == ["a' OR 1=1 --", 1000.0]
    assert order('"te""xt" desc', ['te"xt']) == '"te""xt" DESC'
    with pytest.raises(UnprocessableError, match="no column"):
        order("1", ["text"])


def test_statistics_describe_each_column(data):
    found = {one["column_name"]: one for one in ask(data, "statistics", **TABLES)["statistics"]}
    assert {name: one["column_type"] for name, one in found.items()} == {
        "text": "string_label", "label": "string_label", "length": "int", "rating": "float",
    }  # fmt: skip
    assert found["label"]["column_statistics"]["frequencies"] == {"bad": 120, "good": 120}
    length = found["length"]["column_statistics"]
    values = np.array([row[2] for row in ROWS * 60])
    assert (length["min"], length["max"], length["mean"]) == (3, 13, values.mean())
    assert length["std"] == pytest.approx(values.std(ddof=1), abs=1e-4)
    assert sum(length["histogram"]["hist"]) == 240
    assert len(length["histogram"]["bin_edges"]) == len(length["histogram"]["hist"]) + 1


def test_lists_and_lines(data):
    lines = {"dataset": "alice/lines", "config": "default", "split": "train"}
    assert ask(data, "rows", **lines)["rows"][2]["row"] == {"n": 2, "tags": ["x", "x"]}
    kinds = {one["column_name"]: one["column_type"] for one in ask(data, "statistics", **lines)["statistics"]}
    assert kinds == {"n": "int", "tags": "list"}


def test_pictures_have_addresses_that_give_pictures(data):
    pictures = {"dataset": "alice/pictures", "config": "default", "split": "train"}
    first = ask(data, "first-rows", **pictures)["rows"][0]["row"]
    answer = httpx.get(first["image"]["src"])
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (12, 8)
    assert first["label"] in (0, 1)
    page = httpx.get(f"{data.url}/datasets/alice/pictures/viewer/default/train").text
    assert page.count('<img src="/api/datasets/alice/pictures/viewer-media/') == 2


def test_sounds_have_addresses_that_give_sounds(data):
    place = {"dataset": "alice/sounds", "config": "default", "split": "train"}
    rows = ask(data, "first-rows", **place)["rows"]
    assert [one["row"]["label"] for one in rows] == [0, 1]
    for row, pitch in zip(rows, (440, 220), strict=True):
        (source,) = row["row"]["audio"]
        assert source["type"] == "audio/wav"
        answer = httpx.get(source["src"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
        with wave.open(io.BytesIO(answer.content)) as file:
            assert (file.getframerate(), file.getnframes()) == (8000, 800)
        assert answer.content == tone(pitch)
    assert "<audio" in httpx.get(f"{data.url}/datasets/alice/sounds/viewer/default/train").text


def test_lines_of_text_and_columns_of_parquet(data):
    words = ask(data, "rows", dataset="alice/words", config="default", split="train", offset=0, length=9)["rows"]
    assert [one["row"] for one in words] == [
        {"text": text} for text in ("one line", "чай готов", "", "the last")
    ]  # fmt: skip
    columns = ask(data, "rows", dataset="alice/columns", config="default", split="train", offset=0, length=9)
    assert [one["row"] for one in columns["rows"]] == [
        {"n": 1, "name": "a", "pair": [1.5, 2.5]}, {"n": 2, "name": None, "pair": []},
        {"n": 3, "name": "ц", "pair": [0.5]},
    ]  # fmt: skip
    assert [one["name"] for one in columns["features"]] == ["n", "name", "pair"]


def test_parquet_file_is_what_the_rows_are(data):
    files = ask(data, "parquet", dataset="alice/tables")["parquet_files"]
    train = next(one for one in files if one["split"] == "train")
    content = httpx.get(train["url"]).content
    assert len(content) == train["size"]
    assert pyarrow.parquet.read_table(io.BytesIO(content)).num_rows == 240


def test_what_cannot_be_read_says_why(data):
    assert "cannot be shown" in ask(data, "splits", 422, dataset="alice/broken")["error"]
    assert ask(data, "is-valid", dataset="alice/broken")["viewer"] is False
    assert "cannot be shown" in httpx.get(f"{data.url}/datasets/alice/broken/viewer").text


def test_private_rows_are_for_those_who_see_them(data):
    hidden = ask(data, "splits", 401, dataset="alice/secret-rows")
    assert hidden == ask(data, "splits", 401, dataset="alice/absent-rows")
    assert ask(data, "splits", dataset="alice/secret-rows", token=data.alice.token)["splits"]


def test_page_searches_and_filters(data):
    here = f"{data.url}/datasets/alice/tables/viewer/default/train"
    whole = httpx.get(here).text
    assert "240 rows" in whole
    assert "<svg" in whole
    assert "60 rows" in httpx.get(here, params={"search": "bad film"}).text
    assert "120 rows" in httpx.get(here, params={"where": "label = 'bad'"}).text
    assert "cannot be read" in httpx.get(here, params={"where": "label = ="}).text
    assert httpx.get(f"{data.url}/datasets/alice/tables/viewer").headers["location"].endswith("/viewer/default/train")


@pytest.mark.slow
def test_a_conversion_goes_on_after_the_hub_was_killed(tmp_path_factory):
    from running_hub import RunningHub

    hub = RunningHub(tmp_path_factory.mktemp("killed"))
    hub.start()
    hub.alice.create_repo("alice/later", repo_type="dataset")
    hub.alice.upload_file(
        path_or_fileobj=table(ROWS), path_in_repo="train.csv", repo_id="alice/later", repo_type="dataset"
    )
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{hub.url}/splits", params={"dataset": "alice/later"}, timeout=0.3)
    hub.kill()
    url = hub.start()
    try:
        for _ in range(10):
            answer = httpx.get(f"{url}/splits", params={"dataset": "alice/later"}, timeout=60)
            if answer.status_code == 200:
                break
        assert answer.status_code == 200, answer.text
    finally:
        hub.stop()
