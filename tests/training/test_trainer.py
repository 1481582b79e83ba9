"""`Trainer` beside the reference's: the same losses and weights, step by step, from the same weights and batches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import learner
import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from torch.utils.data import IterableDataset

from samovar import AutoModelForCausalLM, AutoModelForTokenClassification, GPT2Config
from samovar.errors import InputError
from samovar.training.callbacks import EarlyStoppingCallback, TrainerCallback

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*pin_memory.*")


class InOrder(transformers.Trainer):
    """The reference, fed with the order of ours."""

    order: list[list[int]] = []

    def get_train_dataloader(self) -> Any:
        data, epochs, trainer = self.train_dataset, self.order, self

        class Rows(torch.utils.data.Sampler):
            def __iter__(self) -> Any:
                return iter(epochs[int(trainer.state.epoch or 0)])

            def __len__(self) -> int:
                return len(data)

        return torch.utils.data.DataLoader(
            data, batch_size=self.args.per_device_train_batch_size, sampler=Rows(), collate_fn=self.data_collator
        )


def reference(mine: Any, folder: Path, data: Any, **options: Any) -> transformers.Trainer:
    """The reference's trainer of the same model and arguments, to be run after ours was made and before it runs."""
    mine.model.save_pretrained(folder / "start")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "start")
    values = {
        "per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-3, "logging_steps": 1,
        "save_strategy": "no", "use_cpu": True, "disable_tqdm": True, "report_to": "none",
    }  # fmt: skip
    args = transformers.TrainingArguments(str(folder / "reference"), **(values | options))
    trainer = InOrder(model, args, train_dataset=data, data_collator=learner.pad)
    sampler = mine.get_train_dataloader().sampler
    trainer.order = []
    for epoch in range(3):
        sampler.begin(epoch)
        trainer.order.append(sampler.order())
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1, "warmup_steps": 4, "lr_scheduler_type": "cosine"},
        {"label_smoothing_factor": 0.2},
        {"max_grad_norm": 0.05},
        {"max_steps": 8, "optim": "sgd", "learning_rate": 0.1},
        {"optim": "adamw_torch", "adam_beta1": 0.8, "adam_beta2": 0.9, "adam_epsilon": 1e-4},
    ],
    ids=str,
)
def test_losses_and_weights_of_the_reference(options: dict[str, Any], tmp_path: Path) -> None:
    data = learner.rows(44)
    plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    mine = learner.trainer(tmp_path / "mine", data, model=learner.model(**plain), **options)
    theirs = reference(mine, tmp_path, data, **options)
    assert theirs.train().global_step == mine.train().global_step
    wanted = [entry for entry in theirs.state.log_history if "loss" in entry]
    found = [entry for entry in mine.state.log_history if "loss" in entry]
    for name in ("loss", "learning_rate", "grad_norm", "step", "epoch"):
        assert [entry[name] for entry in found] == pytest.approx([entry[name] for entry in wanted], abs=2e-4), name
    tensors = theirs.model.state_dict()
    mine.save_model(tmp_path / "end")
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "end").state_dict()
    for name, tensor in tensors.items():
        torch.testing.assert_close(again[name], tensor, atol=2e-4, rtol=1e-3)
    assert not learner.same(learner.weights(learner.model(**plain)), learner.weights(mine.model))


def test_groups_of_the_decay_are_the_reference_s(tmp_path: Path) -> None:
    mine = learner.trainer(tmp_path, weight_decay=0.1)
    theirs = reference(mine, tmp_path, learner.rows())
    decays = set(theirs.get_decay_parameter_names(theirs.model))
    sizes = sorted(one.numel() for name, one in theirs.model.named_parameters() if name in decays)
    first, second = mine.create_optimizer().param_groups
    assert (first["weight_decay"], second["weight_decay"]) == (0.1, 0.0)
    assert sum(one.numel() for one in first["params"]) == sum(sizes)
    assert sum(one.numel() for group in (first, second) for one in group["params"]) == mine.model.num_parameters()


# Accumulation -----------------------------------------------------------------------------------------------------


def tagged(count: int = 32) -> list[dict[str, Any]]:
    """Rows whose tokens are labelled, some of them, very unevenly."""
    numbers = np.random.default_rng(3)
    found = []
    for row in learner.rows(count, length=12):
        labels = np.where(numbers.random(12) < numbers.random(), np.array(row["input_ids"]) % 3, -100)
        labels[0] = 1
        found.append({**row, "labels": labels.tolist()})
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tokens", "causal", "rows"])
def test_four_times_two_is_eight(kind: str, tmp_path: Path) -> None:
    results = []
    for steps, size in ((1, 8), (4, 2), (2, 4)):
        torch.manual_seed(0)
        if kind == "causal":
            config = GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=16, resid_pdrop=0.0,
                                attn_pdrop=0.0, embd_pdrop=0.0)  # fmt: skip
            model: Any = AutoModelForCausalLM.from_config(config)
        elif kind == "tokens":
            config = learner.config(num_labels=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
            model = AutoModelForTokenClassification.from_config(config)
        else:
            model = learner.model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        data = learner.rows(32, length=12) if kind == "rows" else tagged()
        trainer = learner.trainer(
            tmp_path, data, model=model.double(), data_collator=None, gradient_accumulation_steps=steps,
            per_device_train_batch_size=size,
        )  # fmt: skip
        trainer.train()
        results.append((learner.losses(trainer), learner.weights(trainer.model)))
    for losses, weights in results[1:]:
        assert losses == pytest.approx(results[0][0], abs=1e-6)
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, results[0][1][name], atol=1e-6, rtol=0)


def test_a_loss_function_gets_the_number_of_labels(tmp_path: Path) -> None:
    seen = []

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: int) -> torch.Tensor:
        seen.append(num_items_in_batch)
        return torch.nn.functional.cross_entropy(outputs["logits"], labels, reduction="sum") / num_items_in_batch

    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    plain = learner.trainer(tmp_path, model=learner.model(**still))
    plain.train()
    mine = learner.trainer(
        tmp_path, model=learner.model(**still), compute_loss_func=loss, gradient_accumulation_steps=4,
        per_device_train_batch_size=2,
    )  # fmt: skip
    mine.train()
    assert set(seen) == {8}
    assert learner.losses(mine) == pytest.approx(learner.losses(plain), abs=1e-5)


# Padding ----------------------------------------------------------------------------------------------------------


def test_dead_padding_is_cut_and_changes_nothing(tmp_path: Path) -> None:
    widths = []

    class Watch(TrainerCallback):
        def on_init_end(self, *args: Any, model: Any, **kwargs: Any) -> None:
            model.register_forward_pre_hook(
                lambda module, args, kwargs: widths.append(kwargs["input_ids"].shape[1]), with_kwargs=True
            )

    long = learner.trainer(tmp_path, learner.rows(length=32), callbacks=[Watch])
    long.train()
    short = learner.trainer(tmp_path, learner.rows())
    short.train()
    assert max(widths) == max(len(row["input_ids"]) for row in learner.rows())
    assert learner.same(learner.weights(long.model), learner.weights(short.model))


def test_rows_of_like_length_stand_together(tmp_path: Path) -> None:
    trainer = learner.trainer(tmp_path, learner.rows(100), group_by_length=True)
    sizes = [batch["attention_mask"].sum(1).tolist() for batch in trainer.get_train_dataloader()]
    assert sorted(size for batch in sizes for size in batch) == sorted(
        len(row["input_ids"]) for row in learner.rows(100)
    )
    assert np.mean([max(batch) - min(batch) for batch in sizes]) < 2
    assert max(sizes[0]) == 12
    trainer.train()


# Data -------------------------------------------------------------------------------------------------------------


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(learner.rows())


@pytest.mark.slow
@pytest.mark.parametrize("form", ["list", "datasets", "pandas", "torch", "workers"])
def test_data_of_every_kind_trains_alike(form: str, tmp_path: Path) -> None:
    wanted = learner.trainer(tmp_path)
    wanted.train()
    plain = learner.rows()
    data: Any = {
        "list": plain, "workers": plain, "datasets": datasets.Dataset.from_list(plain),
        "pandas": pd.DataFrame(plain), "torch": torch.utils.data.Subset(plain, range(len(plain))),
    }[form]  # fmt: skip
    mine = learner.trainer(tmp_path, data, dataloader_num_workers=2 * (form == "workers"))
    mine.train()
    assert learner.same(learner.weights(mine.model), learner.weights(wanted.model))


def test_streams(tmp_path: Path) -> None:
    for data in (Stream(), datasets.Dataset.from_list(learner.rows()).to_iterable_dataset()):
        trainer = learner.trainer(tmp_path, data, max_steps=8)
        assert trainer.train().global_step == 8  # 6 batches, and 2 of the next round
        first = learner.pad(learner.rows()[:8])
        batch = next(iter(trainer.get_train_dataloader()))
        assert torch.equal(batch["input_ids"], first["input_ids"])
    with pytest.raises(InputError, match="epochs cannot be counted"):
        learner.trainer(tmp_path, Stream()).train()
    once = learner.trainer(tmp_path, iter(learner.rows()), max_steps=8)
    assert once.train().global_step == 6


def test_columns_that_the_model_does_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = [{**row, "text": "tea", "idx": 3} for row in learner.rows(16)]
    with caplog.at_level("INFO", logger="samovar"):
        learner.trainer(tmp_path, data, num_train_epochs=1).train()
    assert [record.message for record in caplog.records if "left out" in record.message] == [
        "Columns that the model does not read are left out: text, idx."
    ]
    with pytest.raises(InputError, match=r"reads none of the columns 'text'.*'input_ids'"):
        learner.trainer(tmp_path, [{"text": "tea", "labels": row % 2} for row in range(8)]).train()
    misnamed = [{"inputs_id": row["input_ids"], "labels": row["labels"]} for row in learner.rows(8)]
    with pytest.raises(InputError, match=r"'inputs_id'.*\n.*input_ids"):
        learner.trainer(tmp_path, misnamed).train()
    unlabelled = [{"input_ids": row["input_ids"], "lables": row["labels"]} for row in learner.rows(8, length=12)]
    with pytest.raises(InputError, match=r"gave no loss.*\n.*'lables' was left out.*labels"):
        learner.trainer(tmp_path, unlabelled, data_collator=None).train()


# Looking ----------------------------------------------------------------------------------------------------------


def accuracy(found: Any) -> dict[str, float]:
    return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}


def test_evaluation_is_the_reference_s(tmp_path: Path) -> None:
    data = learner.rows(30, seed=5)
    mine = learner.trainer(tmp_path / "mine", eval_dataset=data, compute_metrics=accuracy)
    theirs = reference(mine, tmp_path, data)
    theirs.compute_metrics = lambda found: accuracy(found)
    wanted, found = theirs.evaluate(data), mine.evaluate()
    for name in ("eval_loss", "eval_accuracy"):
        assert found[name] == pytest.approx(wanted[name], abs=1e-5)
    assert found.keys() >= {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}
    predicted, expected = mine.predict(data), theirs.predict(data)
    np.testing.assert_allclose(predicted.predictions, expected.predictions, atol=1e-5)
    np.testing.assert_array_equal(predicted.label_ids, expected.label_ids)
    assert predicted.metrics["test_accuracy"] == pytest.approx(expected.metrics["test_accuracy"])
    bare = [{name: row[name] for name in ("input_ids", "attention_mask")} for row in learner.rows(5, length=12)]
    mine.data_collator = learner.Trainer(mine.model, learner.arguments(tmp_path)).data_collator
    output = mine.predict(bare)
    assert output.predictions.shape == (5, 2)
    assert output.label_ids is None
    several = mine.evaluate({"near": learner.rows(8, length=12), "far": learner.rows(9, length=12, seed=1)})
    assert several.keys() >= {"eval_near_accuracy", "eval_far_loss"}


def test_predictions_of_unequal_length_are_filled_up(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = AutoModelForTokenClassification.from_config(learner.config(num_labels=3))
    data = [
        {"input_ids": row["input_ids"], "attention_mask": row["attention_mask"], "labels": row["labels"]}
        for row in learner.rows(20)
    ]

    def collate(rows: list[Any]) -> Any:
        batch = learner.pad(rows)
        return batch | {"labels": torch.where(batch["attention_mask"] > 0, batch["input_ids"] % 3, -100)}

    trainer = learner.trainer(tmp_path, data, model=model, data_collator=collate, per_device_eval_batch_size=3)
    found = trainer.predict(data)
    longest = max(len(row["input_ids"]) for row in data)
    assert found.predictions.shape == (20, longest, 3)
    for row, labels in zip(data, found.label_ids, strict=True):
        size = len(row["input_ids"])
        assert labels[:size].tolist() == [one % 3 for one in row["input_ids"]]
        assert (labels[size:] == -100).all()


FLAT = """
import resource, sys, warnings
import learner, torch

class Wide(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x, labels=None):
        return {"loss": self.scale.sum(), "logits": x[:, None].expand(-1, 25_000) * self.scale}

class Rows:
    def __len__(self): return 8_000
    def __getitem__(self, row): return {"x": float(row), "labels": row % 2}

def compute_metrics(found):
    assert found.predictions.shape == (8_000, 25_000)
    return {"last": float(found.predictions[-1, -1]), "sum": float(found.label_ids.sum())}

trainer = learner.trainer(sys.argv[1], model=Wide(), data_collator=None, compute_metrics=compute_metrics,
                          per_device_eval_batch_size=100)
if len(sys.argv) > 2:
    metrics = trainer.evaluate(Rows())
    assert (metrics["eval_last"], metrics["eval_sum"]) == (7999.0, 4000.0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_evaluation_leaves_memory_flat(tmp_path: Path) -> None:
    """800 MB of logits, of which no more is held than a few batches."""
    environment = os.environ | {"PYTHONPATH": f"{os.environ['PYTHONPATH']}:{Path(__file__).parent}"}

    def peak(*more: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FLAT, str(tmp_path), *more], env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return int(done.stdout.splitlines()[-1])

    assert peak("evaluate") - peak() < 150_000


def test_the_best_model_is_kept_and_stopping_is_early(tmp_path: Path) -> None:
    values = iter([0.5, 0.8, 0.7, 0.6, 0.9])
    trainer = learner.trainer(
        tmp_path, eval_dataset=learner.rows(8), compute_metrics=lambda found: {"score": next(values)},
        callbacks=[EarlyStoppingCallback(2)], num_train_epochs=5, eval_strategy="epoch", save_strategy="epoch",
        load_best_model_at_end=True, metric_for_best_model="score", save_total_limit=1,
    )  # fmt: skip
    output = trainer.train()
    assert output.global_step == 24
    assert trainer.state.best_metric == 0.8
    assert trainer.state.best_global_step == 12
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-12", "checkpoint-24"]
    best = type(trainer.model).from_pretrained(tmp_path / "checkpoint-12")
    assert learner.same(learner.weights(best), learner.weights(trainer.model))


def test_rotation_leaves_the_newest(tmp_path: Path) -> None:
    learner.trainer(tmp_path, save_strategy="steps", save_steps=3, save_total_limit=2).train()
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-12", "checkpoint-9"]
    only = learner.trainer(
        tmp_path / "best", save_strategy="best", metric_for_best_model="loss", eval_strategy="epoch",
        eval_dataset=learner.rows(8), save_total_limit=1,
    )  # fmt: skip
    only.train()
    (kept,) = (tmp_path / "best").glob("checkpoint-*")
    assert kept.name == f"checkpoint-{only.state.best_global_step}"


def test_callbacks_see_each_event_and_decide(tmp_path: Path) -> None:
    events: list[str] = []

    class Recorder(TrainerCallback):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_"):
                events.append(name)
            return super().__getattribute__(name)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_epoch_stop = state.global_step == 2
            control.should_evaluate = state.global_step == 3
            control.should_training_stop = state.global_step == 5

    trainer = learner.trainer(tmp_path, callbacks=[Recorder], eval_dataset=learner.rows(8), logging_strategy="no",
                           gradient_accumulation_steps=2, per_device_train_batch_size=4)  # fmt: skip
    output = trainer.train()
    assert output.global_step == 5
    assert trainer.state.epoch == pytest.approx(1.5)
    assert events.count("on_epoch_begin") == 2
    assert events.count("on_substep_end") == events.count("on_optimizer_step") == 5
    assert events.count("on_evaluate") == events.count("on_prediction_step") == 1
    assert [events[0], events[1], events[-1]] == ["on_init_end", "on_train_begin", "on_train_end"]
    assert isinstance(trainer.pop_callback(Recorder), Recorder)
    assert trainer.pop_callback(Recorder) is None


# Numbers and memory -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"bf16": True}, {"gradient_checkpointing": True}, {"full_determinism": True}])
def test_other_ways_to_the_same(options: dict[str, Any], tmp_path: Path) -> None:
    plain = learner.trainer(tmp_path)
    plain.train()
    try:
        other = learner.trainer(tmp_path, **options)
        other.train()
    finally:
        torch.use_deterministic_algorithms(False)
    exact = "bf16" not in options
    assert learner.losses(other) == pytest.approx(learner.losses(plain), abs=1e-6 if exact else 0.1)
    assert all(one.dtype == torch.float32 for one in other.model.parameters())
    assert learner.same(learner.weights(other.model), learner.weights(plain.model)) == exact


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled(tmp_path: Path) -> None:
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_hidden_layers": 1}
    plain = learner.trainer(tmp_path, learner.rows(length=12), model=learner.model(**still))
    plain.train()
    other = learner.trainer(
        tmp_path, learner.rows(length=12), model=learner.model(**still), torch_compile_backend="aot_eager"
    )
    other.train()
    assert learner.losses(other) == pytest.approx(learner.losses(plain), abs=1e-4)
    other.save_model(tmp_path / "saved")
    assert type(other.model).from_pretrained(tmp_path / "saved").config.hidden_size == 16


@pytest.mark.slow
def test_a_module_of_ones_own(tmp_path: Path) -> None:
    class Line(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(2, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            found = self.layer(x).squeeze(-1)
            return (
                {"loss": ((found - labels) ** 2).mean(), "logits": found} if labels is not None else {"logits": found}
            )

    points = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    data = [{"x": x, "labels": float(x @ torch.tensor([2.0, -1.0]))} for x in points]
    trainer = learner.trainer(tmp_path, data, model=Line(), data_collator=None, num_train_epochs=40, learning_rate=0.05,
                           lr_scheduler_type="constant", save_strategy="epoch", save_total_limit=1)  # fmt: skip
    trainer.train()
    assert trainer.model.layer.weight.detach().flatten().tolist() == pytest.approx([2, -1], abs=0.05)
    fresh = learner.trainer(tmp_path, data, model=Line(), data_collator=None, num_train_epochs=40)
    fresh.train(resume_from_checkpoint=True)
    assert learner.same(learner.weights(fresh.model), learner.weights(trainer.model))
