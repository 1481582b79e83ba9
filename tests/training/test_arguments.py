"""`TrainingArguments`: the field's names and defaults, older spellings, contradictions."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import transformers

from samovar import Seq2SeqTrainingArguments, TrainingArguments
from samovar.errors import InputError
from samovar.training import arguments


@pytest.fixture(autouse=True)
def forgotten_notes() -> None:
    arguments.note.cache_clear()


def test_defaults_are_the_field_s(tmp_path: Path) -> None:
    mine = TrainingArguments(str(tmp_path))
    theirs = transformers.TrainingArguments(str(tmp_path), use_cpu=True)
    ours_alone = {"warmup_ratio", "group_by_length", "output_dir", "use_cpu", "report_to", "disable_tqdm"}
    ours_alone |= {"dataloader_pin_memory"}  # Switched off by the reference where there is no accelerator.
    for one in dataclasses.fields(mine):
        if one.name not in ours_alone and one.name in theirs.__dict__:
            wanted = getattr(theirs, one.name)
            wanted = getattr(wanted, "value", wanted)
            # Where the field's is not set yet, ours is what it stands for.
            assert getattr(mine, one.name) == wanted or wanted is None, one.name


def test_older_spellings_are_taken_with_one_note(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="samovar"):
        for _ in range(2):
            args = TrainingArguments("out", evaluation_strategy="epoch", no_cuda=True, do_train=True)
    assert (args.eval_strategy, args.use_cpu) == ("epoch", True)
    assert sorted(record.message for record in caplog.records) == [
        "evaluation_strategy is an older spelling: write eval_strategy.",
        "no_cuda is an older spelling: write use_cpu.",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rat": 1.0}, "has no 'learning_rat'.*\n.*learning_rate"),
        ({"eval_strategy": "epochs"}, "eval_strategy='epochs' is not known.*\n.*epoch"),
        ({"lr_scheduler_type": "cosin"}, "'cosin' is not known.*\n.*cosine"),
        ({"optim": "adam"}, "optim='adam' is not known"),
        ({"torch_compile_backend": "inducto"}, "torch_compile_backend='inducto' is not known.*\n.*inductor"),
        ({"torch_compile_mode": "fast"}, "torch_compile_mode='fast' is not known"),
        ({"per_device_train_batch_size": 0}, "must be above 0, got 0"),
        ({"gradient_accumulation_steps": -1}, "must be above 0"),
        ({"bf16": True, "fp16": True}, "exclude each other"),
        ({"load_best_model_at_end": True}, "the best could not be known"),
        ({"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 3, "save_steps": 4}, "no multiple"),
        ({"load_best_model_at_end": True, "eval_strategy": "epoch"}, "the best could not be known"),
    ],
    ids=str,
)
def test_contradictions(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TrainingArguments("out", **options)


def test_what_follows_from_what() -> None:
    args = TrainingArguments("out", eval_strategy="steps", logging_steps=7)
    assert args.eval_steps == 7
    best = TrainingArguments("out", load_best_model_at_end=True, eval_strategy="epoch", save_strategy="epoch")
    assert (best.metric_for_best_model, best.greater_is_better) == ("loss", False)
    assert TrainingArguments("out", metric_for_best_model="f1").greater_is_better is True
    assert TrainingArguments("out", warmup_ratio=0.1).get_warmup_steps(50) == 5
    assert TrainingArguments("out", warmup_steps=0.2).get_warmup_steps(50) == 10
    assert TrainingArguments("out", warmup_steps=3, warmup_ratio=0.5).get_warmup_steps(50) == 3
    assert args.steps_of(0.25, 40) == 10
    assert [TrainingArguments("out", **{name: value}).torch_compile
            for name, value in (("seed", 1), ("torch_compile_backend", "eager"), ("torch_compile_mode", "default"))
            ] == [False, True, True]  # fmt: skip
    assert "secret" not in TrainingArguments("out", hub_token="secret").to_json_string()


def test_sequences() -> None:
    args = Seq2SeqTrainingArguments("out", predict_with_generate=True, sortish_sampler=True, evaluation_strategy="no")
    assert args.predict_with_generate
    assert args.group_by_length
    with pytest.raises(InputError, match="Seq2SeqTrainingArguments has no"):
        Seq2SeqTrainingArguments("out", predict_with_generation=True)
