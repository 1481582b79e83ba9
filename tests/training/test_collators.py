"""Batches equal those of the reference's collators; masking keeps its shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from assets import minilm_folder, snippets
from samovar import AutoTokenizer
from samovar.errors import InputError
from samovar.training import collators

TEXTS = [text for _, text in snippets("movies")[:8]]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(minilm_folder())


@pytest.fixture(scope="module")
def theirs() -> Any:
    from transformers import AutoTokenizer as Reference

    return Reference.from_pretrained(minilm_folder())


def rows(tokenizer: Any, **more: list[Any]) -> list[dict[str, Any]]:
    columns = dict(tokenizer(TEXTS)) | more
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def same(mine: dict[str, Any], other: Any) -> None:
    assert mine.keys() == dict(other).keys()
    for name, value in mine.items():
        assert value.dtype == other[name].dtype, name
        torch.testing.assert_close(value, other[name], rtol=0, atol=0)


@pytest.mark.parametrize("label", [3, 0.5, True, torch.tensor(2), np.float32(0.25), [1, 0, 1]])
def test_default(label: Any) -> None:
    from transformers import default_data_collator as reference

    name = "label_ids" if isinstance(label, list) else "label"
    given = [{"pixels": np.full((2, 3), i, np.float32), name: label, "text": "left out"} for i in range(3)]
    same(collators.default_data_collator(given), reference(given))


@pytest.mark.parametrize(
    "options", [{}, {"pad_to_multiple_of": 16}, {"padding": "max_length", "max_length": 64}], ids=str
)
def test_padding(tokenizer: Any, theirs: Any, options: dict[str, Any]) -> None:
    import transformers

    given = rows(tokenizer, label=list(range(8)), weight=[0.5] * 8)
    same(
        collators.DataCollatorWithPadding(tokenizer, **options)(given),
        transformers.DataCollatorWithPadding(theirs, **options)(given),
    )
    tags = [[k % 3 for k in range(len(row["input_ids"]))] for row in given]
    labelled = rows(tokenizer, labels=tags)
    same(
        collators.DataCollatorForTokenClassification(tokenizer, **options)(labelled),
        transformers.DataCollatorForTokenClassification(theirs, **options)(labelled),
    )
    if "max_length" not in options:
        targets = rows(tokenizer, labels=[list(range(3 + k)) for k in range(8)])
        same(
            collators.DataCollatorForSeq2Seq(tokenizer, **options)(targets),
            transformers.DataCollatorForSeq2Seq(theirs, **options)(targets),
        )


def test_causal_language_modelling(tokenizer: Any, theirs: Any) -> None:
    import transformers

    same(
        collators.DataCollatorForLanguageModeling(tokenizer, mlm=False)(rows(tokenizer)),
        transformers.DataCollatorForLanguageModeling(theirs, mlm=False)(rows(tokenizer)),
    )


def test_masking_keeps_its_shares(tokenizer: Any) -> None:
    collator = collators.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=1)
    ids = torch.randint(1000, 20000, (200, 500), generator=torch.Generator().manual_seed(0))
    ids[:, 0], ids[:, -1] = tokenizer.cls_token_id, tokenizer.sep_token_id
    hidden, labels = collator.mask_tokens(ids)
    drawn = labels != -100
    assert not drawn[:, 0].any()
    assert not drawn[:, -1].any()
    assert drawn[:, 1:-1].float().mean().item() == pytest.approx(0.3, abs=0.01)
    torch.testing.assert_close(labels[drawn], ids[drawn])
    assert (hidden[~drawn] == ids[~drawn]).all()
    masked = hidden[drawn] == tokenizer.mask_token_id
    kept = hidden[drawn] == ids[drawn]
    assert masked.float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert kept.float().mean().item() == pytest.approx(0.1, abs=0.01)
    again = collators.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=1).mask_tokens(ids)
    torch.testing.assert_close(again[0], hidden)


def test_multiple_choice(tokenizer: Any) -> None:
    given = []
    for number in range(3):
        encoded = tokenizer([TEXTS[0]] * 4, [f"{text} {number}" for text in TEXTS[number : number + 4]])
        given.append({**encoded, "label": number})
    batch = collators.DataCollatorForMultipleChoice(tokenizer)(given)
    longest = max(len(row) for one in given for row in one["input_ids"])
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (3, 4, longest)
    assert batch["labels"].tolist() == [0, 1, 2]
    row = given[2]["input_ids"][1]
    assert batch["input_ids"][2, 1, : len(row)].tolist() == row


def test_dead_padding_is_cut(tokenizer: Any) -> None:
    full = dict(tokenizer(TEXTS, padding="max_length", max_length=300, return_tensors="pt"))
    cut = collators.trimmed(full | {"labels": torch.arange(8)})
    expected = dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))
    for name, value in expected.items():
        torch.testing.assert_close(cut[name], value)
    assert cut["labels"].shape == (8,)
    left = {"input_ids": torch.ones(2, 5), "attention_mask": torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 1, 1]])}
    assert collators.trimmed(left)["input_ids"].shape == (2, 5)
    assert collators.trimmed({"pixels": torch.ones(2, 3)})["pixels"].shape == (2, 3)


def test_rows_that_do_not_fit(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="column 'labels' cannot become one tensor"):
        collators.default_data_collator([{"labels": [1, 2]}, {"labels": [1]}])
    with pytest.raises(InputError, match=r"Row 0 has 2 labels and \d+ tokens"):
        collators.DataCollatorForTokenClassification(tokenizer)(rows(tokenizer, labels=[[0, 1]] * 8))
    with pytest.raises(InputError, match=r"Rows with \[1, 2\] choices"):
        collators.DataCollatorForMultipleChoice(tokenizer)([{"input_ids": [[1]]}, {"input_ids": [[1], [2]]}])
    with pytest.raises(InputError, match="exceeds 1"):
        collators.DataCollatorForLanguageModeling(tokenizer, mask_replace_prob=0.9, random_replace_prob=0.2)
