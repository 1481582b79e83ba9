"""What a newcomer writes: a table through `Trainer`, and a plain PyTorch loop, on real weights and real snippets."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import datasets
import learner
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from assets import minilm_folder, snippets
from samovar import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainingArguments,
    get_scheduler,
    pipeline,
)
from samovar.errors import InputError
from samovar.evaluate import load

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def table(count: int) -> pd.DataFrame:
    chosen = snippets("movies")[:count]
    return pd.DataFrame({"text": [text[:80] for _, text in chosen], "label": [int(mean > 0) for mean, _ in chosen]})


@pytest.mark.slow
def test_a_table_a_trainer_and_a_folder(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    data = datasets.Dataset.from_pandas(table(72), preserve_index=False)
    data = data.map(lambda rows: tokenizer(rows["text"], padding="max_length", truncation=True), batched=True)
    model = AutoModelForSequenceClassification.from_pretrained(minilm_folder(), num_labels=2)
    metric = load("accuracy")

    def compute_metrics(found: EvalPrediction) -> dict[str, Any]:
        logits, labels = found
        return metric.compute(predictions=np.argmax(logits, axis=-1), references=labels)

    args = TrainingArguments(
        output_dir=str(tmp_path), evaluation_strategy="epoch", per_device_train_batch_size=6,
        per_device_eval_batch_size=6, num_train_epochs=5, report_to="none", learning_rate=1e-4, logging_steps=12,
        use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model=model, args=args, train_dataset=data, eval_dataset=data, compute_metrics=compute_metrics)
    trainer.train()
    losses = learner.losses(trainer)
    assert losses[-1] < losses[0] / 2
    scores = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    assert len(scores) == 5
    assert scores[-1] > 0.9
    trainer.save_model(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    classify = pipeline("text-classification", model=str(tmp_path / "model"))
    found = [int(one["label"].removeprefix("LABEL_")) for one in classify(list(data["text"]))]
    assert np.mean(np.array(found) == data["label"]) > 0.9


@pytest.mark.slow
def test_the_native_loop() -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    data = datasets.Dataset.from_pandas(table(32), preserve_index=False)
    data = data.map(lambda rows: tokenizer(rows["text"], padding="max_length", truncation=True, max_length=24),
                    batched=True)  # fmt: skip
    data = data.remove_columns(["text"]).rename_column("label", "labels")
    data.set_format("torch")
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(minilm_folder(), num_labels=2)
    loader = DataLoader(data, shuffle=True, batch_size=8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4)
    steps = 3 * len(loader)
    scheduler = get_scheduler("linear", optimizer=optimizer, num_warmup_steps=0, num_training_steps=steps)
    losses = []
    model.train()
    for _ in range(3):
        for batch in loader:
            outputs = model(**batch)
            outputs.loss.backward()
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
            losses.append(float(outputs.loss.detach()))
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.1
    assert scheduler.get_last_lr() == [0.0]


def test_models_behave_as_modules() -> None:
    model = learner.model().eval()
    batch = learner.pad(learner.rows(4))
    wanted = model(**batch).logits
    twin = copy.deepcopy(model)
    seen: list[tuple[int, ...]] = []
    handle = twin.register_forward_hook(lambda module, args, output: seen.append(tuple(output.logits.shape)))
    torch.testing.assert_close(twin(**batch).logits, wanted)
    handle.remove()
    twin(**batch)
    assert seen == [(4, 2)]
    with torch.no_grad():
        next(twin.parameters()).zero_()
    torch.testing.assert_close(model(**batch).logits, wanted)
    half = copy.deepcopy(model).half()
    assert half(**batch).logits.dtype == torch.float16
    torch.testing.assert_close(half(**batch).logits.float(), wanted, atol=2e-2, rtol=2e-2)


@pytest.mark.filterwarnings("ignore")
def test_models_train_in_torch_s_own_wrapper(tmp_path: Path) -> None:
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model, plain = learner.model(**still), learner.model(**still)
    batch = learner.pad(learner.rows(4))
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        torch.nn.parallel.DistributedDataParallel(model)(**batch).loss.backward()
    finally:
        torch.distributed.destroy_process_group()
    plain(**batch).loss.backward()
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_models_compile_and_train_so() -> None:
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_hidden_layers": 1}
    model = learner.model(**still)
    batch = learner.pad(learner.rows(4))
    plain = copy.deepcopy(model)
    # Forward and backward graphs are made; kernels for them would take a C++ compiler most of a minute.
    torch.compile(model, backend="aot_eager")(**batch).loss.backward()
    plain(**batch).loss.backward()
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-3)


class Echo(torch.nn.Module):
    """A model that writes its input again, as far as it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        found = {"logits": torch.nn.functional.one_hot(input_ids, 40).float() * self.scale}
        return found if labels is None else {"loss": (self.scale - 2) ** 2, **found}

    def generate(self, input_ids: torch.Tensor, max_length: int = 4, num_beams: int = 1) -> torch.Tensor:
        return input_ids[:, :max_length] + (num_beams > 1)


def test_predictions_that_are_generated(tmp_path: Path) -> None:
    data = [{"input_ids": [1, 2, 3, 4, 5, 6], "labels": [1, 2]}, {"input_ids": [3] * 6, "labels": [3, 3]}]
    args = Seq2SeqTrainingArguments(
        str(tmp_path), predict_with_generate=True, generation_max_length=3, use_cpu=True, disable_tqdm=True
    )
    seen: dict[str, Any] = {}

    def compute_metrics(found: EvalPrediction) -> dict[str, float]:
        seen.update(ids=np.array(found.predictions), labels=np.array(found.label_ids))
        return {"same": float((found.predictions[:, :2] == found.label_ids[:, :2]).mean())}

    trainer = Seq2SeqTrainer(Echo(), args, eval_dataset=data, train_dataset=data, compute_metrics=compute_metrics)
    metrics = trainer.evaluate()
    assert metrics["eval_same"] == 1
    assert metrics["eval_loss"] == 1
    assert seen["ids"].tolist() == [[1, 2, 3], [3, 3, 3]]
    assert seen["labels"].tolist() == [[1, 2, -100], [3, 3, -100]]
    output = trainer.predict(data, max_length=5, num_beams=2)
    assert output.predictions.tolist() == [[2, 3, 4, 5, 6], [4] * 5]
    args.predict_with_generate, trainer.compute_metrics = False, None
    assert trainer.predict(data).predictions.shape == (2, 6, 40)


def test_models_that_do_not_generate(tmp_path: Path) -> None:
    args = Seq2SeqTrainingArguments(str(tmp_path), predict_with_generate=True, use_cpu=True, disable_tqdm=True)
    trainer = Seq2SeqTrainer(learner.model(), args, data_collator=learner.pad)
    with pytest.raises(InputError, match="does not generate"):
        trainer.predict(learner.rows(4))


def test_a_tokenizer_pads(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    trainer = Trainer(learner.model(), learner.arguments(tmp_path), processing_class=tokenizer)
    assert isinstance(trainer.data_collator, DataCollatorWithPadding)
    with pytest.raises(InputError, match="either model or model_init"):
        Trainer(args=learner.arguments(tmp_path))


def test_each_training_begins_with_a_new_model(tmp_path: Path) -> None:
    trainer = learner.trainer(tmp_path, model_init=learner.model)
    trainer.train()
    first, losses = trainer.model, learner.losses(trainer)
    trainer.train()
    assert trainer.model is not first
    assert learner.losses(trainer) == losses
