"""Tables as ids beside the reference's tokenizer: every input of the model, on hard cells, numbers and dates."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import transformers
from transformers.models.tapas import tokenization_tapas
from vocabularies import TEXTS, write_wordpiece

import samovar
from samovar.errors import InputError, InputTypeError
from samovar.text import quantities
from samovar.text.table_cells import Table

CELLS = [
    "1990", "may 12", "hello world", "unaffordable", "", "?", "12.5%", "$3,000", "family tokens", "Привет",
    "january 1990", "3rd", "-5", "first", "a", "n/a", "世界", "1,200", "--", "[SEP]", "nan", "12.05.1990",
]  # fmt: skip
QUANTITIES = [
    *CELLS, "1990s", "jan", "twelve", "1,20", "+.5", "1990-05", "1990-05-12", "05-12-1990", "february", "29", "31",
    "0", "00", "sept", "september", "monday,", "mon,", "the", "infinity", "inf", "1e5", "x2", "2x", "3.", "a_b", "5_6",
    "june,", "12,", "2017", "1699", "٣", "3:4", "12/5/1990", "sunday", "th", "_1_", "1-2-1800", "²",
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """The reference's tokenizer and ours, of one vocabulary."""
    folder = write_wordpiece(tmp_path_factory.mktemp("tapas"))
    words = (folder / "vocab.txt").read_text("utf-8").split("\n")
    (folder / "vocab.txt").write_text("\n".join([words[0], "[EMPTY]", *words[1:]]), "utf-8")
    return transformers.TapasTokenizer(str(folder / "vocab.txt")), samovar.TapasTokenizer(str(folder / "vocab.txt"))


def drawn(seed: int) -> tuple[pd.DataFrame, list[str], list[list[tuple[int, int]]]]:
    """A table, questions on it and the cells of their answers."""
    draw = random.Random(seed)
    columns, rows = draw.randint(1, 5), draw.randint(1, 12)
    frame = pd.DataFrame({f"col {index} {draw.choice(CELLS)}": draw.choices(CELLS, k=rows) for index in range(columns)})
    questions = [" ".join(draw.choices(QUANTITIES, k=4)) for _ in range(draw.randint(1, 3))]
    return frame, questions, [[(draw.randrange(rows), draw.randrange(columns))] for _ in questions]


def outcome(tokenizer: Any, *arguments: Any, **options: Any) -> Any:
    """The inputs as text, so that NaN equals NaN; None where the tokenizer refuses."""
    try:
        return {name: str(value) for name, value in tokenizer(*arguments, **options).items()}
    except (ValueError, InputError):
        return None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_tables_equal_the_references(seed: int, tokenizers: tuple[Any, Any]) -> None:
    theirs, ours = tokenizers
    frame, questions, cells = drawn(seed)
    answers = {"answer_coordinates": cells, "answer_text": [["x"]] * len(questions)}
    for options in (
        {}, {"padding": True}, {"padding": True, "pad_to_multiple_of": 16, "padding_side": "left"},
        {"truncation": True, "max_length": 20 + 3 * seed},
        {"truncation": True, "max_length": 250, "padding": "max_length"}, {"padding": True, **answers},
        {"truncation": "drop_rows_to_fit", "max_length": 90, "return_special_tokens_mask": True},
    ):  # fmt: skip
        expected = outcome(theirs, frame, list(questions), **options)
        assert outcome(ours, frame, list(questions), **options) == expected, options
    assert outcome(ours, frame, questions[0]) == outcome(theirs, frame, questions[0])
    # Without special tokens the reference's types are two longer than its ids.
    bare = ours(frame, questions[0], add_special_tokens=False)
    assert bare["input_ids"] == theirs(frame, questions[0], add_special_tokens=False)["input_ids"]
    assert len(bare["token_type_ids"]) == len(bare["attention_mask"]) == len(bare["input_ids"])
    together = ours(frame.to_dict("list"), questions, padding=True, return_tensors="pt")
    expected = theirs(frame, list(questions), padding=True, return_tensors="pt")
    assert all(torch.equal(together[name], value) for name, value in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("setting", [
    {"cell_trim_length": 1}, {"cell_trim_length": 3}, {"strip_column_names": True}, {"max_row_id": 5},
    {"max_column_id": 3}, {"min_question_length": 6}, {"max_question_length": 6}, {"do_lower_case": False},
])  # fmt: skip
def test_settings_mean_what_they_mean_to_the_reference(setting: dict[str, Any], tmp_path: Path) -> None:
    vocabulary = str(write_wordpiece(tmp_path) / "vocab.txt")
    theirs = transformers.TapasTokenizer(vocabulary, **setting)
    ours = samovar.TapasTokenizer(vocabulary, **setting)
    for seed in range(8):
        frame, questions, _ = drawn(seed)
        for options in ({}, {"truncation": True, "max_length": 60}):
            expected = outcome(theirs, frame, list(questions), **options)
            assert outcome(ours, frame, list(questions), **options) == expected


def test_cells_and_questions_are_cut_into_the_same_pieces(tokenizers: tuple[Any, Any]) -> None:
    theirs, ours = tokenizers
    for text in [*TEXTS, *CELLS, "EMPTY", "[EMPTY]", "_", "a b?"]:
        assert ours.tokenize(text) == theirs.tokenize(text), text


@pytest.mark.slow
def test_quantities_equal_the_references() -> None:
    draw = random.Random(0)
    for _ in range(5000):
        text = " ".join(draw.choices(QUANTITIES, k=draw.randint(1, 6)))
        spans = tokenization_tapas.parse_text(tokenization_tapas.normalize_for_match(text))
        values = [value for span in spans for value in span.values]
        expected = [
            (one.date.year, one.date.month, one.date.day) if one.date is not None else one.float_value for one in values
        ]
        assert quantities.quantities(quantities.plain(text)) == expected, text


def test_saved_files_serve_both(tokenizers: tuple[Any, Any], tmp_path: Path) -> None:
    _, ours = tokenizers
    ours.save_pretrained(tmp_path)
    frame, questions, _ = drawn(3)
    expected = outcome(ours, frame, questions)
    assert outcome(samovar.AutoTokenizer.from_pretrained(tmp_path), frame, questions) == expected
    assert outcome(transformers.TapasTokenizer.from_pretrained(tmp_path), frame, list(questions)) == expected
    kept = samovar.TapasTokenizer.from_pretrained(tmp_path, cell_trim_length=2)
    kept.save_pretrained(tmp_path / "again")
    assert samovar.AutoTokenizer.from_pretrained(tmp_path / "again").option("cell_trim_length") == 2


def test_predictions_equal_the_references(tokenizers: tuple[Any, Any]) -> None:
    theirs, ours = tokenizers
    frame, questions, _ = drawn(11)
    data = ours(frame, questions, padding=True, return_tensors="pt")
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(data["input_ids"].shape, generator=generator) * 50
    operations = torch.randn(len(questions), 4, generator=generator)
    for threshold in (0.2, 0.5):
        expected = theirs.convert_logits_to_predictions(data, logits.clone(), operations, threshold)
        assert ours.convert_logits_to_predictions(data, logits, operations, threshold) == expected
        expected = theirs.convert_logits_to_predictions(data, logits.clone(), cell_classification_threshold=threshold)
        assert ours.convert_logits_to_predictions(data, logits, None, threshold) == expected


def test_answers_are_found_by_their_text(tokenizers: tuple[Any, Any], tmp_path: Path) -> None:
    tokenizers[1].save_pretrained(tmp_path)
    ours = samovar.TapasTokenizer.from_pretrained(tmp_path, update_answer_coordinates=True)
    encoded = ours({"a": ["hello world", "12"], "b": ["x world y", "3"]}, ["q"], answer_text=[["world y", "12", "no"]])
    kinds = [
        (token, kind[2], kind[1])
        for token, kind, label in zip(
            ours.convert_ids_to_tokens(encoded["input_ids"][0]), encoded["token_type_ids"][0], encoded["labels"][0],
            strict=True,
        )
        if label
    ]  # fmt: skip
    assert kinds == [("world", 1, 2), ("y", 1, 2), ("1", 2, 1), ("##2", 2, 1)]


def test_tables_of_every_kind_are_one() -> None:
    rows = [{"town": "Tula", "year": 1146}, {"town": "Omsk", "year": None}]
    expected = Table(["town", "year"], [["Tula", "1146"], ["Omsk", ""]])
    assert Table.of(rows) == expected
    assert Table.of({"town": ["Tula", "Omsk"], "year": [1146, float("nan")]}) == expected
    assert Table.of(pd.DataFrame({"town": ["Tula", "Omsk"], "year": ["1146", pd.NA]})) == expected
    assert Table.of(pd.DataFrame([[1, 2]], index=["x"])) == Table(["0", "1"], [["1", "2"]])


@pytest.mark.parametrize(
    ("table", "kind", "words"),
    [
        ({"a": ["1", "2"], "b": ["1"]}, InputError, "'a': 2, 'b': 1"),
        ({"a": "text"}, InputTypeError, "Column 'a'"),
        ({}, InputError, "no columns"),
        (["a", "b"], InputTypeError, "list"),
        ("a", InputTypeError, "str"),
        (None, InputTypeError, "NoneType"),
    ],
)
def test_what_is_no_table_is_refused(table: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        Table.of(table)


def test_bad_questions_and_answers_are_refused(tokenizers: tuple[Any, Any]) -> None:
    _, ours = tokenizers
    table = {"a": ["1", "2"]}
    with pytest.raises(InputTypeError, match="queries"):
        ours(table)
    with pytest.raises(InputTypeError, match="queries"):
        ours(table, [1])
    with pytest.raises(InputError, match="truncation"):
        ours(table, "q", truncation="longest_first")
    with pytest.raises(InputError, match="cell \\(7, 0\\)"):
        ours(table, ["q"], answer_coordinates=[[(7, 0)]])
    with pytest.raises(InputError, match="2 questions"):
        ours(table, ["q", "r"], answer_coordinates=[[(0, 0)]])
    with pytest.raises(InputError, match="max_length=3"):
        ours(table, "q", max_length=3)
    with pytest.raises(InputError, match="600 columns"):
        ours({f"c{index}": ["1"] for index in range(600)}, "q")
    with pytest.raises(InputError, match="600 rows"):
        ours({"a": ["1"] * 600}, "q")
