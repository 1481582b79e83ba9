"""`samovar train`: each task from a file to a folder that `pipeline` loads; and what it says to bad files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from assets import minilm_folder, snippets
from samovar import (
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    BertConfig,
    GPT2Config,
    ViTConfig,
    ViTImageProcessor,
    pipeline,
)
from samovar.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*fork.*")

SIZES = {
    "initializer_range": 0.1,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
COLOURS = {"red": (200, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 200)}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with the real vocabulary."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(BertConfig(vocab_size=len(tokenizer), **SIZES)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decoder")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=64)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("writer")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=64,
        decoder_ffn_dim=64, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64,
        init_std=0.1, dropout=0.0, pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id, decoder_start_token_id=tokenizer.sep_token_id,
    )  # fmt: skip
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eye")
    torch.manual_seed(0)
    AutoModelForImageClassification.from_config(
        ViTConfig(image_size=16, patch_size=8, **SIZES), dtype=torch.float32
    ).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def run(task: str, model: Path, data: Path, out: Path, *more: Any) -> int:
    fixed = [
        "--epochs",
        4,
        "--lr",
        3e-3,
        "--batch-size",
        8,
        "--max-length",
        48,
        "--eval-share",
        0.25,
        "--cpu",
        "--quiet",
    ]
    given = ["train", task, "--model", model, "--data", data, "--out", out, *fixed, *more]
    return main(list(map(str, given)))


def reviews(count: int = 64) -> pd.DataFrame:
    chosen = [(mean, text) for mean, text in snippets("movies") if abs(mean) > 1.5]
    good = [text for mean, text in chosen if mean > 0][: count // 2]
    bad = [text for mean, text in chosen if mean < 0][: count // 2]
    rows = [(text[:20] + " good good", "good") for text in good] + [(text[:20] + " bad bad", "bad") for text in bad]
    return pd.DataFrame(rows, columns=["text", "label"])


def written(frame: pd.DataFrame, path: Path) -> Path:
    {
        ".csv": lambda: frame.to_csv(path, index=False),
        ".tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        ".jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        ".parquet": lambda: frame.to_parquet(path),
    }[path.suffix]()
    return path


def found(out: Path) -> dict[str, float]:
    return json.loads((out / "eval_results.json").read_text("utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_one_class(encoder: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(reviews(), tmp_path / f"films{kind}")
    assert run("sentiment-analysis", encoder, data, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "text → label (single label classification; 2 classes: bad, good)" in said
    assert "48 rows to learn from, 16 held out" in said
    assert f'pipeline("text-classification", model="{tmp_path / "out"}")' in said
    assert found(tmp_path / "out")["eval_accuracy"] > 0.8
    answer = pipeline("text-classification", model=str(tmp_path / "out"))(["so good", "so bad"])
    assert [one["label"] for one in answer] == ["good", "bad"]


@pytest.mark.slow
def test_numbers(encoder: Path, tmp_path: Path) -> None:
    frame = reviews().assign(label=lambda rows: (rows["label"] == "good") * 1.5 - 0.75)
    data = written(frame, tmp_path / "films.csv")
    assert run("text-classification", encoder, data, tmp_path / "out") == 0
    metrics = found(tmp_path / "out")
    assert metrics["eval_mse"] == pytest.approx(metrics["eval_loss"], rel=1e-4)
    assert metrics["eval_mse"] < 0.5
    assert json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))["problem_type"] == "regression"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["list", "separated"])
def test_several_classes(encoder: Path, form: str, tmp_path: Path) -> None:
    frame = reviews()
    classes = [
        [one, "long"] if len(text) > 29 else [one] for text, one in zip(frame["text"], frame["label"], strict=True)
    ]
    frame["label"] = classes if form == "list" else [" ; ".join(row) for row in classes]
    data = written(frame, tmp_path / ("films.jsonl" if form == "list" else "films.csv"))
    more = () if form == "list" else ("--label-separator", ";")
    assert run("text-classification", encoder, data, tmp_path / "out", *more) == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert config["problem_type"] == "multi_label_classification"
    assert sorted(config["label2id"]) == ["bad", "good", "long"]
    assert found(tmp_path / "out")["eval_f1"] > 0.5


@pytest.mark.slow
def test_pairs_and_columns_of_other_names(encoder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"a": f"tea {one}", "b": f"coffee {one if same else one + 1}", "same": int(same)}
        for one, same in zip(range(40), rng.random(40) < 0.5, strict=True)
    ]
    data = written(pd.DataFrame(rows), tmp_path / "pairs.csv")
    columns = ("--text-column", "a", "--pair-column", "b", "--label-column", "same", "--steps", 2)
    assert run("text-classification", encoder, data, tmp_path / "out", *columns) == 0
    assert found(tmp_path / "out").keys() >= {"eval_accuracy", "eval_f1"}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["lists", "texts"])
def test_tags(encoder: Path, form: str, tmp_path: Path) -> None:
    towns = ["Riga", "Paris", "Oslo", "Tula"]
    rows = []
    for one in range(48):
        words = ["we", "drank", "tea", "in", towns[one % 4], "today"]
        tags = ["O", "O", "O", "O", "B-TOWN", "O"]
        rows.append((words, tags) if form == "lists" else (" ".join(words), " ".join(tags)))
    data = written(pd.DataFrame(rows, columns=["tokens", "ner_tags"]), tmp_path / "towns.jsonl")
    assert run("ner", encoder, data, tmp_path / "out") == 0
    assert found(tmp_path / "out")["eval_f1"] > 0.9
    (entity,) = pipeline("ner", model=str(tmp_path / "out"), aggregation_strategy="simple")(
        "we drank tea in Riga today"
    )
    assert (entity["entity_group"], entity["word"].lower()) == ("TOWN", "riga")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["squad", "text"])
def test_answers(encoder: Path, form: str, tmp_path: Path) -> None:
    rows = []
    for one in range(48):
        town = ["Riga", "Paris", "Oslo", "Tula"][one % 4]
        context = "Long ago. " * (one % 3 * 8) + f"The best tea is drunk in {town} they say."
        answer: Any = {"text": [town], "answer_start": [context.index(town)]} if form == "squad" else town
        rows.append({"question": "Where?", "context": context, "answers": answer})
    data = written(pd.DataFrame(rows), tmp_path / "towns.jsonl")
    assert run("question-answering", encoder, data, tmp_path / "out", "--epochs", 12) == 0
    assert found(tmp_path / "out")["eval_exact_window"] > 0.8
    reader = pipeline("question-answering", model=str(tmp_path / "out"))
    answer = reader(question="Where?", context="The best tea is drunk in Oslo they say.")
    assert answer["answer"] == "Oslo"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "kind"), [("fill-mask", ".txt"), ("causal-lm", ".csv")])
def test_language(task: str, kind: str, encoder: Path, decoder: Path, tmp_path: Path) -> None:
    texts = ["the samovar boils and the tea is poured"] * 40
    data = tmp_path / f"texts{kind}"
    data.write_text("\n".join(texts) if kind == ".txt" else "\n".join(["text", *texts]), "utf-8")
    model = encoder if task == "fill-mask" else decoder
    assert run(task, model, data, tmp_path / "out", "--block-size", 16, "--epochs", 20) == 0
    metrics = found(tmp_path / "out")
    assert metrics["eval_perplexity"] == pytest.approx(np.exp(metrics["eval_loss"]))
    assert metrics["eval_perplexity"] < 2000 if task == "fill-mask" else metrics["eval_perplexity"] < 1000
    if task == "fill-mask":
        assert pipeline("fill-mask", model=str(tmp_path / "out"))("the samovar [MASK] and")[0]["token_str"]


def rewriting(task: str, columns: tuple[str, str], epochs: int, writer: Path, tmp_path: Path) -> dict[str, float]:
    """Train a model that writes a word for a town; what it measured."""
    towns = {"Riga": "north", "Paris": "west", "Oslo": "snow", "Tula": "east"}
    rows = [(town, towns[town]) for _ in range(24) for town in towns]
    data = written(pd.DataFrame(rows, columns=columns), tmp_path / "towns.csv")
    more = (
        "--epochs", epochs, "--lr", 1e-2, "--source-column", columns[0], "--target-column", columns[1],
        "--max-length", 16,
    )  # fmt: skip
    assert run(task, writer, data, tmp_path / "out", *more) == 0
    return found(tmp_path / "out")


@pytest.mark.slow
def test_summaries(writer: Path, tmp_path: Path) -> None:
    metrics = rewriting("summarization", ("document", "summary"), 2, writer, tmp_path)
    log = pd.read_csv(tmp_path / "out" / "report" / "log.csv")
    assert metrics["eval_loss"] < log["loss"].dropna().iloc[0] / 1.5
    assert AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").config.is_encoder_decoder


@pytest.mark.slow
def test_translations(writer: Path, tmp_path: Path) -> None:
    assert rewriting("translation", ("en", "ru"), 40, writer, tmp_path)["eval_chrf"] > 90
    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    source = tokenizer("Oslo", return_tensors="pt", return_token_type_ids=False)
    ids = model.generate(**source, max_new_tokens=10)
    assert tokenizer.decode(ids[0], skip_special_tokens=True) == "snow"


@pytest.mark.slow
def test_images(eye: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for one in range(12):
            pixels = np.clip(np.array(colour) + rng.integers(-20, 20, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{one}.png")
    assert run("image-classification", eye, tmp_path / "photos", tmp_path / "out") == 0
    assert found(tmp_path / "out")["eval_accuracy"] == 1
    classify = pipeline("image-classification", model=str(tmp_path / "out"))
    assert classify(str(tmp_path / "photos" / "blue" / "0.png"))[0]["label"] == "blue"
    (tmp_path / "photos" / "red" / "0.png").write_bytes(b"tea")
    assert run("image-classification", eye, tmp_path / "photos", tmp_path / "other") == 1


@pytest.mark.slow
def test_a_file_of_its_own_to_measure_on_and_going_on(encoder: Path, tmp_path: Path) -> None:
    data = written(reviews(), tmp_path / "films.csv")
    held_out = written(reviews(24).sample(frac=1, random_state=0), tmp_path / "held_out.csv")
    assert run("text-classification", encoder, data, tmp_path / "out", "--eval", held_out, "--epochs", 1) == 0
    assert run("text-classification", encoder, data, tmp_path / "out", "--eval", held_out, "--resume") == 0
    assert found(tmp_path / "out")["eval_accuracy"] > 0.8


# What it says ------------------------------------------------------------------------------------------------------


def bad_files(folder: Path) -> dict[str, tuple[str, Any, str]]:
    """Task, data, words of the error."""

    def table(name: str, **columns: list[Any]) -> Path:
        return written(pd.DataFrame(columns), folder / f"{name}.jsonl")

    empty = folder / "empty.jsonl"
    empty.write_text("", "utf-8")
    broken = folder / "broken.jsonl"
    broken.write_text('{"text": "tea"\n{{', "utf-8")
    other = folder / "other.docx"
    other.write_text("tea", "utf-8")
    (folder / "flat").mkdir()
    (folder / "hollow" / "a").mkdir(parents=True)
    (folder / "hollow" / "b").mkdir()
    two, four = ["tea", "milk"], ["tea", "milk", "jam", "rusk"]
    return {
        "task": ("text-clasification", empty, "Did you mean 'text-classification'"),
        "no file": ("text-classification", folder / "nothing.csv", "There is no file"),
        "kind": ("text-classification", other, "of the kind .docx are not read"),
        "empty": ("text-classification", empty, "empty.jsonl"),
        "broken": ("text-classification", broken, "cannot be read"),
        "columns": ("text-classification", table("c", words=two, label=[0, 1]), "Which column is the text?"),
        "one row": ("text-classification", table("o", text=["tea"], label=[0]), "One row cannot be divided"),
        "one class": ("text-classification", table("k", text=four, label=["a"] * 4), "nothing to tell apart"),
        "tags": ("ner", table("t", tokens=[["a", "b"]] * 4, tags=[["O", "O"]] * 3 + [["O"]]), "2 words and 1 tags"),
        "answer": (
            "question-answering",
            table("q", question=["?"] * 4, context=["tea"] * 4, answers=["tea", "milk", "tea", "tea"]),
            "the answer 'milk' does not stand",
        ),
        "short": ("fill-mask", table("s", text=["", "", "", ""]), "too short"),
        "no folder": ("image-classification", folder / "nothing", "There is no folder"),
        "flat": ("image-classification", folder / "flat", "holds 0 folders"),
        "hollow": ("image-classification", folder / "hollow", "No image in a, b"),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["task", "no file", "kind", "empty", "broken", "columns", "one row", "one class", "tags", "answer", "short",
     "no folder", "flat", "hollow"],
)  # fmt: skip
def test_bad_files(name: str, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, data, words = bad_files(tmp_path)[name]
    assert run(task, encoder, data, tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") or "\nerror: " in said
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "config.json").exists()


def test_columns_that_there_are_not(encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(reviews(), tmp_path / "films.csv")
    assert run("text-classification", encoder, data, tmp_path / "out", "--label-column", "lable") == 1
    assert "There is no column 'lable'.\n  → Did you mean 'label'?" in capsys.readouterr().err
    unknown = written(reviews(8).assign(label="so-so"), tmp_path / "held_out.csv")
    assert run("text-classification", encoder, data, tmp_path / "out", "--eval", unknown) == 1
    assert "Held-out row 0 has the label 'so-so'" in capsys.readouterr().err


def test_help_is_quick_and_complete() -> None:
    program = (
        "import sys; from samovar.cli import main\ntry: main(sys.argv[1:])\nfinally: print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "train", "--help"], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.endswith("False\n")
    assert "samovar train text-classification" in done.stdout
    assert main([]) == 0
    assert main(["--version"]) == 0
