"""Questions on tables: the reference's answers from the same files, and a model that learned to answer."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import transformers

import samovar
from samovar.errors import InputError, InputTypeError, TaskError

TEXT = (
    "how many what are the is sum of towns years people prices teas tea price year town all ? , . [EMPTY] tula omsk "
    "perm kazan pskov green black white red oolong few 1 2 3 4 5 6 7 8 9 0 ##0 ##1 ##2 ##3 ##4 ##5 ##6 ##7 ##8 ##9 "
    "which in table"
)
TOWNS = {"town": ["Tula", "Omsk", "Perm", "Kazan"], "year": ["1146", "1716", "1723", "1005"],
         "people": ["460", "1100", "1000", "1300"]}  # fmt: skip
QUERIES = ["How many towns?", "Which year is Tula?", "what are the people in Perm", "towns"]
NAMES = {0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"}
SIZES = {
    "vocab_size": 70, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 256, "max_num_rows": 16, "max_num_columns": 8,
    "type_vocab_sizes": [3, 16, 20, 2, 32, 32, 10],
}  # fmt: skip


def tokenizer(folder: Path) -> Any:
    """A vocabulary of the words above."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *TEXT.split()]))
    assert len(tokens) <= SIZES["vocab_size"]
    (folder / "vocab.txt").write_text("\n".join(tokens), "utf-8")
    return samovar.TapasTokenizer(str(folder / "vocab.txt"))


def checkpoint(folder: Path, seed: int, **config: Any) -> Path:
    """A random model whose choices differ from question to question."""
    tokenizer(folder).save_pretrained(folder)
    torch.manual_seed(seed)
    options = {"aggregation_labels": NAMES, "num_aggregation_labels": 4, "no_aggregation_label_index": 0} | config
    model = transformers.TapasForQuestionAnswering(transformers.TapasConfig(**SIZES, **options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("sequential", [False, True])
@pytest.mark.parametrize("config", [{}, {"num_aggregation_labels": 0, "aggregation_labels": None}])
def test_answers_equal_the_references(config: dict[str, Any], sequential: bool, tmp_path: Path) -> None:
    seen = set()
    for seed in range(4):
        folder = checkpoint(tmp_path / str(seed), seed, **config)
        theirs = transformers.pipeline(
            "table-question-answering", model=transformers.TapasForQuestionAnswering.from_pretrained(folder),
            tokenizer=transformers.TapasTokenizer.from_pretrained(folder),
        )  # fmt: skip
        ours = samovar.pipeline("table-question-answering", str(folder), device="cpu")
        assert samovar.pipeline(model=str(folder), device="cpu").task == "table-question-answering"
        expected = theirs(TOWNS, QUERIES, sequential=sequential)
        assert ours(TOWNS, QUERIES, sequential=sequential) == expected
        assert ours(table=TOWNS, query=QUERIES[0]) == theirs(table=TOWNS, query=QUERIES[0])
        seen |= {str(answer["coordinates"]) for answer in expected}
    assert len(seen) > 2


def test_every_way_to_ask_gives_one_answer(tmp_path: Path) -> None:
    ask = samovar.pipeline("table-question-answering", str(checkpoint(tmp_path, 1)), device="cpu")
    one = ask(TOWNS, QUERIES[1])
    given = {"table": TOWNS, "query": QUERIES[1]}
    rows = pd.DataFrame(TOWNS).to_dict("records")
    assert ask(given) == one
    assert ask([given, given]) == [one, one]
    assert list(ask(given for _ in range(2))) == [one, one]
    assert ask(table=pd.DataFrame(TOWNS), query=QUERIES[1]) == one
    assert ask(table=rows, query=QUERIES[1]) == one
    assert ask({"table": TOWNS, "query": QUERIES}) == [ask(TOWNS, query) for query in QUERIES]
    assert ask(TOWNS, QUERIES, sequential=True)[0] == ask(TOWNS, QUERIES[0])
    mixed = [{"table": TOWNS, "query": QUERIES}, {"table": {"tea": ["green"]}, "query": "which tea ?"}]
    assert ask(mixed) == [ask(value) for value in mixed]


def test_long_tables_are_cut_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = checkpoint(tmp_path, 0)
    ask = samovar.pipeline("table-question-answering", str(folder), device="cpu")
    many = {"town": ["Tula"] * 40, "year": ["1146"] * 40}
    with caplog.at_level(logging.WARNING):
        answer = ask(many, "How many towns?")
        ask(many, "towns")
    assert all(row < 19 for row, _ in answer["coordinates"])
    assert [record.getMessage().split(", of")[0] for record in caplog.records] == ["A table has 40 rows"]
    ask.warned = False
    ask.tokenizer.model_max_length = ask.limit = 30
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        answer = ask(TOWNS | {"more": ["few all the prices"] * 4}, "How many?")
    assert set(answer) == {"answer", "coordinates", "cells", "aggregator"}
    with pytest.raises(InputError, match="truncation"):
        ask(TOWNS | {"more": ["few all the prices"] * 4}, "How many?", truncation=False)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ({"table": TOWNS}, InputTypeError, "'table'"),
        ({"tabel": TOWNS, "query": "q"}, InputTypeError, "tabel"),
        (None, InputTypeError, "No table"),
        ("text", InputTypeError, "str"),
        ({"table": TOWNS, "query": " "}, InputError, "empty"),
        ({"table": TOWNS, "query": []}, InputError, "empty"),
        ({"table": TOWNS, "query": 3}, InputTypeError, "query"),
        ({"table": {"a": []}, "query": "q"}, InputError, "no rows"),
        ({"table": {"a": ["1"], "b": []}, "query": "q"}, InputError, "different numbers"),
        ({"table": {f"c{index}": ["1"] for index in range(16)}, "query": "q"}, InputError, "16 columns"),
    ],
)
def test_bad_input_gets_a_clear_error(value: Any, kind: type[Exception], words: str, tmp_path: Path) -> None:
    ask = samovar.pipeline("table-question-answering", str(checkpoint(tmp_path, 0)), device="cpu")
    with pytest.raises(kind, match=words):
        ask(value)
    with pytest.raises(InputError, match="sequential"):
        ask(TOWNS, "q", sequentail=True)


def test_another_model_is_refused(tmp_path: Path) -> None:
    model = samovar.TapasForSequenceClassification(samovar.TapasConfig(**SIZES))
    model.save_pretrained(tmp_path)
    tokenizer(tmp_path).save_pretrained(tmp_path)
    with pytest.raises(TaskError, match="TapasForSequenceClassification"):
        samovar.pipeline("table-question-answering", str(tmp_path), device="cpu")
    with pytest.raises(TaskError, match="question-answering"):
        samovar.pipeline("question-answering", str(checkpoint(tmp_path / "table", 0)), device="cpu")


@pytest.mark.slow
def test_the_command_line_reads_tables(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", 1)
    lines = [{"table": TOWNS, "query": QUERIES[0]}, {"table": {"a": ["1"], "b": []}, "query": "q"}]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    command = ["run", "table-question-answering", "-m", str(folder), "-f", str(tmp_path / "asked.jsonl")]
    done = subprocess.run(
        [sys.executable, "-m", "samovar.cli", *command, "--device", "cpu"], capture_output=True, text=True, check=False
    )
    first, second = map(json.loads, done.stdout.splitlines())
    ask = samovar.pipeline("table-question-answering", str(folder), device="cpu")
    assert first["result"]["answer"] == ask(TOWNS, QUERIES[0])["answer"]
    assert "different numbers" in second["error"]
    assert done.returncode == 1


def lesson(generator: torch.Generator) -> tuple[dict[str, list[str]], str, list[tuple[int, int]], int]:
    """A table, a question, the cells of its answer and the operation."""

    def some(values: list[str], count: int) -> list[str]:
        return [values[i] for i in torch.randperm(len(values), generator=generator)[:count].tolist()]

    count = int(torch.randint(2, 5, (1,), generator=generator))
    columns = {
        "tea": some(["green", "black", "white", "red", "oolong"], count),
        "price": some([str(value) for value in range(10, 100, 7)], count),
        "year": some([str(value) for value in range(1700, 2000, 13)], count),
    }
    names = some(list(columns), 3)
    name = names[int(torch.randint(3, (1,), generator=generator))]
    kind = int(torch.randint(3, (1,), generator=generator))
    words = {0: f"which {name} are in the table ?", 1: f"what is the sum of all {name} ?", 2: f"how many {name} ?"}
    cells = [(row, names.index(name)) for row in range(count)]
    return {key: columns[key] for key in names}, words[kind], cells, (0, 1, 3)[kind]


@pytest.mark.slow
def test_a_model_that_learned_answers_new_tables(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator, cut = torch.Generator().manual_seed(0), tokenizer(tmp_path)
    config = samovar.TapasConfig(
        **SIZES | {"hidden_size": 64, "num_attention_heads": 4}, num_aggregation_labels=4, aggregation_labels=NAMES,
        no_aggregation_label_index=0,
        initializer_range=0.1, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    model = samovar.TapasForQuestionAnswering(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=300)
    for _ in range(300):
        lessons = [lesson(generator) for _ in range(16)]
        rows = [cut(table, [query], [cells], [[]]) for table, query, cells, _ in lessons]
        batch = cut.pad({name: [row[name][0] for row in rows] for name in rows[0]}, return_tensors="pt")
        loss = model(**batch, aggregation_labels=torch.tensor([operation for *_, operation in lessons])).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    ask = samovar.pipeline("table-question-answering", model, tokenizer=cut, device="cpu")
    right = 0
    for table, query, cells, operation in [lesson(generator) for _ in range(40)]:
        answer = ask(table, query)
        texts = [list(table.values())[column][row] for row, column in cells]
        prefix = "" if operation == 0 else f"{NAMES[operation]} > "
        right += answer["answer"] == prefix + ", ".join(texts)
    assert right >= 36, right  # Guessing gets 4 or 5.
