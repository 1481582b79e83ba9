"""The widget of a model, without a browser: examples of cards, forms as requests, answers as HTML, and why not."""

from __future__ import annotations

import base64
import html
import io
import json
import re

import asked_models
import httpx
import pytest
from PIL import Image

from samovar.server.errors import BadRequestError, HubError
from samovar.server.inference.contract import CONTRACTS, read_call
from samovar.server.inference.inputs import File
from samovar.server.inference.media import answered, given, plain, wav
from samovar.server.inference.pool import written
from samovar.server.web.answers import shown
from samovar.server.web.asking import FIELDS, body_for, columns_of, conversation, example_of, kind_of, usual, with_cells
from samovar.server.web.languages import languages


def png(width: int = 40, height: int = 20) -> bytes:
    """A picture."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "entry", "values"),
    [
        ("text", {"text": "a film"}, {"text": "a film"}),
        ("question", {"question": "who?", "context": "the cat", "text": "who?"},
         {"question": "who?", "context": "the cat"}),
        ("table", {"question": "how many?", "table": {"a": [1, 2], "b": ["x, y", "z"]}},
         {"question": "how many?", "table": 'a,b\n1,"x, y"\n2,z\n'}),
        ("labels", {"text": "tea", "candidate_labels": ["food", "sport"]}, {"text": "tea", "labels": "food, sport"}),
        ("pair", {"source_sentence": "a", "sentences": ["b", "c"]}, {"text": "a", "sentences": "b\nc"}),
        ("choices", {"text": "a", "choices": ["b", "c"]}, {"text": "a", "sentences": "b\nc"}),
        ("image", {"src": "https://elsewhere.example/a/m/resolve/main/pictures/cat.png?download=true"},
         {"file": "pictures/cat.png"}),
        ("image-labels", {"src": "./cat.png", "candidate_labels": "cat, dog"},
         {"file": "cat.png", "labels": "cat, dog"}),
        ("image-question", {"src": "cat.png", "text": "how many?"}, {"file": "cat.png", "question": "how many?"}),
        ("audio", {"src": "sound.wav"}, {"file": "sound.wav"}),
        ("chat", {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"},
                               {"role": "user", "content": "tea?"}, {"role": "assistant", "content": "yes"}]},
         {"text": "tea?"}),
        # What does not fit the form, or lies elsewhere, is no example.
        ("question", {"text": "who?"}, None),
        ("image", {"src": "https://elsewhere.example/cat.png"}, None),
        ("image", {"src": "no_such.png"}, None),
        ("image", {"text": "a cat"}, None),
        ("table", {"question": "how many?"}, None),
        ("chat", {"messages": [{"role": "assistant", "content": "yes"}]}, None),
    ],
)  # fmt: skip
def test_examples_of_cards_fill_the_form(kind, entry, values):
    files = {"cat.png", "pictures/cat.png", "sound.wav"}
    found = example_of({**entry, "output": [{"label": "x", "score": 1.0}]}, kind, "a/m", files)
    if values is None:
        assert found is None
        return
    assert found is not None
    assert found.values.items() >= values.items()
    assert found.title
    assert found.output
    if kind == "chat":
        assert conversation(found.values) == entry["messages"][:2]


@pytest.mark.parametrize("task", sorted(CONTRACTS))
def test_each_form_makes_a_request_that_the_contract_reads(task):
    """What stands in the form of a model without examples, and a file where one is asked for, is a whole request."""
    kind = kind_of(task)
    values = usual(task, kind, "<mask>")
    body = body_for(task, kind, values, png())
    call = read_call(task, body)
    sent = json.loads(json.dumps(written(call.inputs)))
    received = given(sent)
    if any(field.type == "image" for field in FIELDS[kind]):
        picture = received["image"] if isinstance(received, dict) else received
        assert picture.size == (40, 20)
    elif any(field.type == "audio" for field in FIELDS[kind]):
        assert received == png()
    else:
        assert received == call.inputs
    required = next((field for field in FIELDS[kind] if field.required), None)
    assert required is not None
    file = None if required.type in ("image", "audio") else png()
    with pytest.raises(BadRequestError, match=r"There is no|empty"):
        body_for(task, kind, {**values, required.name: " "}, file)


def test_every_text_of_the_forms_is_translated():
    for language in languages().values():
        if language.code != "en":
            for fields in FIELDS.values():
                for field in fields:
                    assert field.label in language.texts


def test_tables_grow_and_are_trimmed():
    cells = {"cell_0_0": "city", "cell_0_1": "dogs", "cell_1_0": "tula", "cell_1_1": "3", "question": "how many?"}
    assert with_cells(cells) == {"question": "how many?", "table": "city,dogs\ntula,3\n"}
    assert with_cells({**cells, "grow": "row"})["table"] == "city,dogs\ntula,3\n,\n"
    assert with_cells({**cells, "grow": "column"})["table"] == "city,dogs,\ntula,3,\n"
    assert columns_of("city,dogs,\ntula,3,\n,,\n") == {"city": ["tula"], "dogs": ["3"]}
    for table in ("", "city,dogs\n", "city,\ntula,3\n", "city,city\ntula,3\n"):
        with pytest.raises(BadRequestError):
            columns_of(table)
    far = with_cells({f"cell_{10**9}_{10**9}": "x"})["table"]
    assert len(far) < 2000


def test_answers_are_drawn_and_escaped():
    mask = base64.b64encode(png()).decode()
    evil = "<script>alert(1)</script>"
    box = {"xmin": 1, "ymin": 2, "xmax": 30, "ymax": 15}
    for task, answer, values, marks in (
        ("object-detection", [{"label": evil, "score": 0.9, "box": box}], {}, ("<rect", "<meter")),
        ("image-segmentation", [{"label": evil, "score": None, "mask": mask}], {}, ("<mask id", "key k0")),
        ("depth-estimation", {"predicted_depth": [[1.0]], "depth": mask}, {}, ("<img",)),
        ("image-to-image", {"file": mask}, {}, ("data:image/png",)),
        ("text-to-audio", {"file": mask}, {}, ("<audio",)),
        ("automatic-speech-recognition", {"text": evil}, {}, ("written",)),
        ("zero-shot-object-detection", [{"label": evil, "score": 0.9, "box": box}], {}, ("<rect",)),
        ("visual-question-answering", [{"answer": evil, "score": 0.9}], {}, ("<meter",)),
        ("image-to-text", [{"generated_text": evil}], {}, ("written",)),
        ("token-classification", [{"entity_group": evil, "score": 0.9, "word": "x", "start": 0, "end": 3}],
         {"text": evil}, ("<mark",)),
        ("table-question-answering", {"answer": evil, "coordinates": [[0, 0]], "cells": [evil]},
         {"table": f"a\n{evil}\n"}, ("<td><mark>",)),
        ("text-classification", [[{"label": evil, "score": float("nan")}]], {}, ("<meter",)),
    ):  # fmt: skip
        found = str(shown(task, answer, values, png()))
        assert "<script" not in found, task
        for mark in marks:
            assert mark in found, task
    with pytest.raises(ValueError, match=r"base64|character|padding"):
        shown("image-to-image", {"file": '"><script>'}, {})


@pytest.mark.slow
def test_files_of_workers():
    assert Image.open(io.BytesIO(base64.b64decode(plain(Image.new("L", (3, 2)))))).size == (3, 2)
    sound = answered({"audio": [[0.0, 0.5, -2.0]], "sampling_rate": 8000})
    assert base64.b64decode(sound["file"])[:4] == b"RIFF" == wav([0.0], 8000)[:4]
    with pytest.raises(Exception, match="no picture"):
        given(written(File("image", b"no picture")))
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    with pytest.raises(Exception, match=r"pixels|no picture"):
        given(written(File("image", bomb.getvalue())))


@pytest.fixture(scope="module")
def filled(hub, tmp_path_factory):
    """A Hub with a chat, a model for tables and one for pictures; and models that cannot be tried."""
    cards = {
        "chat": "", "table-question-answering": "",
        "image-classification": "widget:\n- src: pictures/cat.png\n  example_title: A cat\n",
    }  # fmt: skip
    for task, widget in cards.items():
        folder = asked_models.save(task, tmp_path_factory.mktemp(task))
        card = (folder / "README.md").read_text()
        (folder / "README.md").write_text(card.replace("pipeline_tag", f"{widget}pipeline_tag"))
        (folder / "pictures").mkdir()
        (folder / "pictures/cat.png").write_bytes(png())
        hub.alice.create_repo(f"alice/{task}")
        hub.alice.upload_folder(repo_id=f"alice/{task}", folder_path=folder)
    output = "widget:\n- text: hello\n  example_title: Hello\n  output:\n    text: a <b>song</b>\n"
    for name, card in (
        ("no-task", "license: mit\n"), ("no-pipeline", "pipeline_tag: text-to-3d\n"),
        ("no-weights", f"pipeline_tag: text-generation\n{output}"),
    ):  # fmt: skip
        hub.alice.create_repo(f"alice/{name}")
        for path, text in (("README.md", f"---\n{card}---\n# Tea\n"), ("notes.txt", "none")):
            hub.alice.upload_file(path_or_fileobj=text.encode(), path_in_repo=path, repo_id=f"alice/{name}")
    return hub


def submit(hub, name: str, **more) -> str:
    """What the page shows when its form is sent."""
    answer = httpx.post(f"{hub.url}/alice/{name}/try", headers={"Origin": hub.url}, timeout=60, **more)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.slow
def test_models_that_cannot_be_tried_say_why(filled):
    for name, why in (
        ("no-task", "names no task"), ("no-pipeline", "No pipeline of this Hub runs models for text-to-3d"),
        ("no-weights", "no weights here"),
    ):  # fmt: skip
        page = httpx.get(f"{filled.url}/alice/{name}").text
        assert why in page, name
        assert "data-try" not in page
    assert "a &lt;b&gt;song&lt;/b&gt;" in html.unescape(page).replace("\\u003c", "&lt;").replace("\\u003e", "&gt;")
    russian = httpx.get(f"{filled.url}/alice/no-weights", headers={"Accept-Language": "ru"}).text
    assert "нет весов" in russian


@pytest.mark.slow
def test_a_conversation_grows_without_scripts(filled):
    fields = {"messages": "[]", "text": "the <i>cat</i>"}
    for turns in (1, 2):
        page = submit(filled, "chat", data=fields)
        assert page.count('<li class="user">') == page.count('<li class="assistant">') == turns
        said = json.loads(html.unescape(re.search(r'name="messages" value="([^"]*)"', page)[1]))
        assert [one["role"] for one in said] == ["user", "assistant"] * turns
        fields = {"messages": json.dumps(said), "text": "and the dog"}
    assert "<i>cat" not in page
    assert "empty" in submit(filled, "chat", data={"messages": "[]", "text": " "})
    assert '<li class="user">' not in submit(filled, "chat", data={"messages": "[", "text": " "})


@pytest.mark.slow
def test_tables_and_pictures_without_scripts(filled):
    cells = {
        "cell_0_0": "city",
        "cell_0_1": "dogs",
        "cell_1_0": "moscow",
        "cell_1_1": "12",
        "question": "how many dogs",
    }
    larger = submit(filled, "table-question-answering", data={**cells, "grow": "row"})
    assert 'name="cell_2_1"' in larger
    assert 'name="cell_3_0"' not in larger
    assert 'value="moscow"' in larger
    assert "<td>moscow</td>" in submit(filled, "table-question-answering", data=cells).replace("<mark>", "").replace(
        "</mark>", ""
    )
    page = httpx.get(f"{filled.url}/alice/image-classification?example=0").text
    assert "/alice/image-classification/resolve/main/pictures/cat.png" in page
    chosen = submit(filled, "image-classification", data={"file": "pictures/cat.png"})
    sent = submit(filled, "image-classification", files={"image": ("cat.png", png())})
    assert re.findall(r"<b>[\d.]+</b>", chosen) == re.findall(r"<b>[\d.]+</b>", sent) != []
    for wrong in ("../README.md", "no_such.png", "README.md"):
        assert 'class="warning"' in submit(filled, "image-classification", data={"file": wrong})
    state = httpx.get(f"{filled.url}/alice/image-classification/try").json()
    assert state["state"] == "ready"
    assert httpx.get(f"{filled.url}/alice/no-such/try").status_code == 404


def test_errors_of_the_form_are_the_hubs_own():
    with pytest.raises(HubError):
        read_call("text-to-3d", {"inputs": "x"})
