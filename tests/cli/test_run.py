"""`samovar run`: what comes out is what the pipeline says, line by line, whatever the lines are."""

from __future__ import annotations

import argparse
import csv
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Command, started
from PIL import Image

from assets import snippets
from samovar import pipeline
from samovar.cli import main
from samovar.cli.run import add_options, loaded

TEXTS = [text for _, text in snippets("movies")[:60]]


def objects(text: str) -> list[dict[str, Any]]:
    """The lines of JSON."""
    return [json.loads(line) for line in text.splitlines()]


def same(found: Any, expected: Any) -> bool:
    """Equal, but for the last digits, which depend on the batch."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == (pytest.approx(expected, abs=1e-4) if isinstance(expected, float) else expected)


def results(done: subprocess.CompletedProcess[str]) -> list[Any]:
    """The results of a run without errors, in order."""
    assert done.returncode == 0, done.stderr
    found = objects(done.stdout)
    assert [one["line"] for one in found] == list(range(1, len(found) + 1))
    return [one["result"] for one in found]


# Where inputs come from -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_texts_as_arguments(command: Command, classifier: Path) -> None:
    done = command("run", "sentiment-analysis", "-m", classifier, *TEXTS[:2], "--option", "top_k=2", "--echo")
    expected = pipeline("text-classification", model=str(classifier))(TEXTS[:2], top_k=2)
    assert same(results(done), expected)
    assert [one["input"] for one in objects(done.stdout)] == TEXTS[:2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["txt", "jsonl", "csv", "tsv", "stdin", "stdin csv"])
def test_the_same_lines_in_every_form(kind: str, command: Command, classifier: Path, tmp_path: Path) -> None:
    texts = ["", *TEXTS, "Самовар, 茶 🫖", 'quotes "and", commas']
    expected = pipeline("text-classification", model=str(classifier))(texts)
    path = tmp_path / f"texts.{kind.split()[-1]}"
    if kind in ("txt", "stdin"):
        path.write_bytes("\r\n".join(texts).encode("utf-8-sig" if kind == "txt" else "utf-8"))
    elif kind == "jsonl":
        half = len(texts) // 2
        lines = [*texts[:half], *({"id": 7, "text": text} for text in texts[half:])]
        path.write_text("\n".join(map(json.dumps, lines)) + "\n", "utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, delimiter="\t" if kind == "tsv" else ",")
            rows.writerows([("id", "words"), *enumerate(texts)])
    if kind == "stdin":
        done = command("run", "text-classification", "-m", classifier, "-", input=path.read_text("utf-8"))
    elif kind == "stdin csv":
        more = ("--format", "csv", "--column", "words")
        done = command("run", "text-classification", "-m", classifier, *more, input=path.read_text("utf-8"))
    else:
        column = ("--column", "words") if kind in ("csv", "tsv") else ()
        done = command("run", "text-classification", "-m", classifier, "--file", path, *column)
    assert done.returncode == 0, done.stderr
    assert same([one["result"] for one in objects(done.stdout)], expected)
    if "csv" in kind or kind == "tsv":
        assert objects(done.stdout)[0]["line"] == 2, "the line of the file, which begins with the columns' names"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv", "argument"])
def test_tasks_that_read_several_fields(kind: str, command: Command, reader: Path, tmp_path: Path) -> None:
    rows = [{"question": f"What is {number}?", "context": text} for number, text in enumerate(TEXTS[:5])]
    expected = pipeline("question-answering", model=str(reader))(rows)
    if kind == "argument":
        done = command("run", "question-answering", "-m", reader, *map(json.dumps, rows))
    else:
        path = tmp_path / f"asked.{kind}"
        with path.open("w", encoding="utf-8", newline="") as file:
            if kind == "jsonl":
                file.writelines(json.dumps(row) + "\n" for row in rows)
            else:
                table = csv.DictWriter(file, ["question", "context"])
                table.writeheader()
                table.writerows(rows)
        done = command("run", "question-answering", "-m", reader, "-f", path)
    assert done.returncode == 0, done.stderr
    assert same([one["result"] for one in objects(done.stdout)], expected)


def test_pairs_of_texts(command: Command, classifier: Path, tmp_path: Path) -> None:
    rows = [{"text": TEXTS[0], "text_pair": TEXTS[1], "id": 1}, {"text": TEXTS[2], "text_pair": TEXTS[3], "id": 2}]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    classify = pipeline("text-classification", model=str(classifier))
    expected = classify([{"text": row["text"], "text_pair": row["text_pair"]} for row in rows])
    assert same(results(command("run", "text-classification", "-m", classifier, "-f", path)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_labels_of_each_line(kind: str, command: Command, classifier: Path, tmp_path: Path) -> None:
    asked = [(text, "warm, cold" if number < 4 else "old, new, odd") for number, text in enumerate(TEXTS[:7])]
    path = tmp_path / f"asked.{kind}"
    with path.open("w", encoding="utf-8", newline="") as file:
        if kind == "jsonl":
            rows = [{"words": text, "candidate_labels": labels.split(", ")} for text, labels in asked]
            file.writelines(json.dumps(row) + "\n" for row in [*rows, {"words": "tea", "candidate_labels": []}])
        else:
            csv.writer(file).writerows([("words", "candidate_labels"), *asked, ("tea", "")])
    done = command("run", "zero-shot-classification", "-m", classifier, "-f", path)
    assert done.returncode == 1
    classify = pipeline("zero-shot-classification", model=str(classifier))
    expected = [classify(text, candidate_labels=labels) for text, labels in asked]
    *found, bad = objects(done.stdout)
    assert same([one["result"] for one in found], expected)
    assert "candidate_labels is empty" in bad["error"]


@pytest.mark.parametrize("how", ["arguments", "list", "folder"])
def test_images(how: str, command: Command, eye: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.jpg"):
        Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(folder / name)
    paths = sorted(map(str, folder.iterdir()))
    (folder / "notes.md").write_text("No image.")
    expected = pipeline("image-classification", model=str(eye))(paths)
    listed = tmp_path / "photos.txt"
    listed.write_text("\n".join(paths))
    given = {"arguments": paths, "list": ["--file", listed], "folder": ["--file", folder]}[how]
    assert same(results(command("run", "image-classification", "-m", eye, *given)), expected)


def test_states_are_lists_of_numbers(command: Command, classifier: Path) -> None:
    done = command("run", "feature-extraction", "-m", classifier, "tea", "--option", "return_tensors=true")
    states = np.array(results(done))
    expected = pipeline("feature-extraction", model=str(classifier))("tea")
    assert np.allclose(states[0], expected, atol=1e-5)


# Bad lines --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_bad_lines_are_reported_and_the_others_go_on(command: Command, classifier: Path, tmp_path: Path) -> None:
    good = [TEXTS[number % len(TEXTS)] for number in range(700)]
    lines: list[bytes] = [json.dumps(text).encode() for text in good]
    bad = {
        1: (b"{not json", "not JSON"),
        40: (b"17", "Text expected, got int (17)"),
        41: (b'"caf\xe9"', "not UTF-8: byte 5 is 0xe9"),
        350: (b"null", "Text expected, got NoneType"),
        500: (b'{"a": "x", "b": "y"}', "Which column holds the text? There are: a, b."),
        700: (b"[1]", "list"),
    }
    for number, (line, _) in bad.items():
        lines[number - 1] = line
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    done = command("run", "text-classification", "-m", classifier, "--file", path)
    assert done.returncode == 1
    assert "6 of 700 inputs could not be used" in done.stderr
    found = objects(done.stdout)
    assert [one["line"] for one in found] == list(range(1, 701))
    expected = pipeline("text-classification", model=str(classifier))(good)
    for number, (one, result) in enumerate(zip(found, expected, strict=True), 1):
        if number in bad:
            assert bad[number][1] in one["error"]
            assert "Input " not in one["error"]
            assert "result" not in one
        else:
            assert same(one["result"], result)


def test_bad_rows_and_images(command: Command, classifier: Path, eye: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_bytes(b'text,id\ngood,1\nshort\n"two\nlines",2\nlong,3,4\ncaf\xe9,5\n')
    done = command("run", "text-classification", "-m", classifier, "-f", path)
    assert done.returncode == 1
    found = {one["line"]: one.get("error", "fine") for one in objects(done.stdout)}
    assert found == {
        2: "fine",
        3: "The row has 1 cells, the table 2 columns.",
        5: "fine",
        6: "The row has 3 cells, the table 2 columns.",
        7: "The row is not UTF-8.",
    }
    image = tmp_path / "photo.png"
    Image.new("RGB", (16, 16), "red").save(image)
    (tmp_path / "broken.png").write_bytes(image.read_bytes()[:40])
    given = [tmp_path / "broken.png", image, tmp_path / "missing.png", image]
    done = command("run", "image-classification", "-m", eye, *given)
    assert done.returncode == 1
    assert ["result" in one for one in objects(done.stdout)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["text-clasification", "-m", "{model}", "tea"], "Did you mean 'text-classification'"),
        (["text-classification", "-m", "{model}/nothing", "tea"], "There is no folder"),
        (["text-classification", "-m", "{model}", "tea", "-f", "x.txt"], "both as arguments and with --file"),
        (["text-classification", "-m", "{model}", "-f", "{folder}/text.txt"], "Did you mean 'texts.txt'"),
        (["text-classification", "-m", "{model}", "-f", "{folder}"], "is a folder"),
        (["text-classification", "-m", "{model}", "-f", "{folder}/table.csv"], "Which column holds the text"),
        (["text-classification", "-m", "{model}", "-f", "{folder}/table.csv", "--column", "word"], "mean 'words'"),
        (["text-classification", "-m", "{model}", "-f", "{folder}/empty.csv"], "The table is empty"),
        (["text-classification", "-m", "{model}", "tea", "--option", "topk"], "is no NAME=VALUE"),
        (["text-classification", "-m", "{model}", "tea", "--option", "top_j=1"], "has no argument 'top_j'"),
        (["text-classification", "-m", "{model}", "tea", "--batch-size", "0"], "must be a positive int"),
        (["text-classification", "-m", "{model}", "tea", "--token-budget", "0"], "must be at least 1"),
        (["text-classification", "-m", "{model}", "tea", "--device", "cup"], "Unknown device 'cup'"),
        (["text-classification", "-m", "{model}", "tea", "--dtype", "float3"], "Unknown dtype 'float3'"),
        (["text-classification", "-m", "{model}", "tea", "-o", "{folder}"], "is a folder"),
        (["text-classification", "-m", "{model}", "tea", "-o", "{folder}/no/out"], "does not exist"),
        (["text-classification", "-m", "{model}", "-f", "{folder}/texts.txt", "-o", "{folder}/texts.txt"], "is read"),
        (["fill-mask", "-m", "{model}", "tea"], "no trained head for 'fill-mask'"),
    ],
)
def test_what_cannot_be_run(
    given: list[str], words: str, classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "texts.txt").write_text("tea\n")
    (tmp_path / "table.csv").write_text("words,id\ntea,1\n")
    (tmp_path / "empty.csv").write_text("")
    assert main(["run", *(one.format(model=classifier, folder=tmp_path) for one in given)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.out == ""
    assert (tmp_path / "texts.txt").read_text() == "tea\n"


# As a part of other programs --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_answers_come_before_the_input_ends(classifier: Path) -> None:
    with started("run", "text-classification", "-m", classifier, "-") as program:
        for number in (1, 2):
            program.stdin.write(b"tea is good\n")
            program.stdin.flush()
            assert json.loads(program.stdout.readline())["line"] == number
        program.stdin.close()
        assert program.stdout.read() == b""
        assert program.wait(60) == 0


@pytest.mark.slow
def test_a_closed_pipe_ends_it_quietly(classifier: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("tea is good\n" * 20_000)
    with started("run", "text-classification", "-m", classifier, "-f", path, stdin=subprocess.DEVNULL) as program:
        assert json.loads(program.stdout.readline())["line"] == 1
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(60) == 141


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(classifier: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with started("run", "text-classification", "-m", classifier, "-", "-o", out) as program:
        program.stdin.write(b"tea is good\n" * 5)
        program.stdin.flush()
        while not out.exists() or out.read_bytes().count(b"\n") < 5:
            assert program.poll() is None
        program.send_signal(signal.SIGINT)
        assert program.wait(60) == 130
        assert b"Traceback" not in program.stderr.read()
    assert [one["line"] for one in objects(out.read_text("utf-8"))] == [1, 2, 3, 4, 5]


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True])
def test_the_bar_shows_on_a_terminal_only(quiet: bool, classifier: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    flag = ("--quiet",) if quiet else ()
    given = ("run", "text-classification", "-m", classifier, "-", *flag)
    with started(*given, stderr=theirs) as program:
        os.close(theirs)
        for _ in range(4):
            program.stdin.write(b"tea\n")
            program.stdin.flush()
            program.stdout.readline()
            time.sleep(0.8)  # The bar waits until the work has proven long.
        program.stdin.close()
        assert program.wait(60) == 0
    said = b""
    try:
        while block := os.read(ours, 4096):
            said += block
    except OSError:  # A terminal whose other end is closed has no more to say.
        pass
    os.close(ours)
    assert (b"inputs" in said) is not quiet


def peak(path: Path, model: Path) -> int:
    """Peak memory in KiB of a run over a file."""
    program = (
        "import sys; from samovar.cli import main; status = main(sys.argv[1:])\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr)\n"
        "sys.exit(status)"
    )
    more = ("--option", "max_length=8", "--output", os.devnull, "--quiet")
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "text-classification", "-m", str(model), "-f", str(path), *more],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stderr.split()[-2])


@pytest.mark.slow
def test_a_long_file_takes_no_more_memory(classifier: Path, tmp_path: Path) -> None:
    # Long for the memory, short for the tokenizer, to which it is one unknown word.
    line = "tea" * 1500 + "\n"
    for name, count in (("short", 500), ("long", 5_000)):
        with (tmp_path / name).open("w") as file:
            file.writelines(line for _ in range(count))
    size = (tmp_path / "long").stat().st_size / 1024
    assert peak(tmp_path / "long", classifier) - peak(tmp_path / "short", classifier) < size / 3


@pytest.mark.slow
def test_batches_as_asked(command: Command, classifier: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS[:20]), "utf-8")
    expected = pipeline("text-classification", model=str(classifier), dtype="bfloat16")(TEXTS[:20])
    out = tmp_path / "out.jsonl"
    given = ("run", "text-classification", "-m", classifier, "-f", path, "-o", out, "--device", "cpu")
    for more in (("--batch-size", 1), ("--token-budget", 64), ()):
        done = command(*given, *more, "--dtype", "bfloat16")
        assert done.returncode == 0, done.stderr
        found = [one["result"] for one in objects(out.read_text("utf-8"))]
        assert [one["label"] for one in found] == [one["label"] for one in expected]
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in expected], abs=0.03)


def test_the_budget_reaches_the_pipeline(classifier: Path) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser)
    options = parser.parse_intermixed_args(
        ["text-classification", "-m", str(classifier), "--token-budget", "64", "tea"]
    )
    limits = loaded(options).limits(3)
    assert (limits.budget, limits.rows) == (64, 3)
