"""`samovar run … --about FILE`: questions alone, about a text or a table that is named once."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from driving import Command

from samovar import pipeline

sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))
from test_table_question_answering import QUERIES, TOWNS, checkpoint

STORY = "Самовар стоит на столе.\nAnna said that the tea was ready, and so it was."


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_questions_about_a_text(command: Command, reader: Path, tmp_path: Path) -> None:
    (tmp_path / "story.txt").write_text(STORY, "utf-8")
    questions = ["Who said it?", "Где самовар?"]
    ask = pipeline("question-answering", model=str(reader))
    expected = ask([{"question": question, "context": STORY} for question in questions])
    given = ("run", "question-answering", "-m", reader, "--about", tmp_path / "story.txt")
    (tmp_path / "questions.txt").write_text("\n".join(questions), "utf-8")
    for more in (questions, ["--file", tmp_path / "questions.txt"]):
        done = command(*given, *more)
        assert done.returncode == 0, done.stderr
        found = [one["result"] for one in lines(done.stdout)]
        assert [one["answer"] for one in found] == [one["answer"] for one in expected]
    piped = command(*given, "-", input="\n".join(questions))
    assert piped.stdout == done.stdout


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_questions_about_a_table(ending: str, command: Command, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", 1)
    rows = [list(TOWNS), *zip(*TOWNS.values(), strict=True)]
    path = tmp_path / f"towns.{ending}"
    path.write_text("\r\n".join(("," if ending == "csv" else "\t").join(row) for row in rows) + "\r\n", "utf-8-sig")
    done = command("run", "table-question-answering", "-m", folder, "--about", path, *QUERIES)
    assert done.returncode == 0, done.stderr
    expected = pipeline("table-question-answering", str(folder), device="cpu")(TOWNS, QUERIES)
    assert [one["result"]["answer"] for one in lines(done.stdout)] == [one["answer"] for one in expected]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name", "content", "message"),
    [
        ("text-classification", "a.csv", "a\n1\n", "asks no questions about a file"),
        ("table-question-answering", "a.csv", "a,b\n1\n", "row 2 has 1 cells, the table 2 columns"),
        ("table-question-answering", "a.csv", "a,a\n1,2\n", "have the same name"),
        ("table-question-answering", "a.csv", "a,b\n", "is no table with rows"),
        ("question-answering", "none.txt", None, "cannot be read: No such file"),
        ("question-answering", "a.txt", b"\xff\xfe\x00", "it is not UTF-8"),
    ],
)
def test_what_cannot_be_asked(
    task: str, name: str, content: str | bytes | None, message: str, command: Command, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    done = command("run", task, "-m", tmp_path, "--about", tmp_path / name, "What?")
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == ""


def test_a_question_without_what_it_asks_about(command: Command, reader: Path) -> None:
    done = command("run", "question-answering", "-m", reader, "Who said it?")
    assert done.returncode == 1
    assert "several fields: see --help, or --about" in lines(done.stdout)[0]["error"]
