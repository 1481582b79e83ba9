"""`SentenceTransformerTrainer`: the weights that a plain loop over the same batches gives; and what `Trainer` adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from assets import minilm_folder, snippets
from samovar import SentenceTransformer, TrainingArguments
from samovar.errors import InputError, WeightsError
from samovar.sentence import SentenceTransformerTrainer, losses, models
from samovar.sentence.evaluators import EmbeddingSimilarityEvaluator

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

RATED = [(rating, text[:70]) for rating, text in snippets("movies")[:96]]
ROWS = [
    {"one": a[1], "other": b[1], "score": 1 - abs(a[0] - b[0]) / 8}
    for a, b in zip(RATED[::2], RATED[1::2], strict=True)
]


def small() -> SentenceTransformer:
    from tokenizers import Tokenizer

    torch.manual_seed(5)
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    table = models.StaticEmbedding(tokenizer, embedding_weights=torch.randn(30522, 16))
    return SentenceTransformer(modules=[table, models.Dense(16, 8), models.Dropout(0.2)], device="cpu")


def arguments(folder: Path, **options: Any) -> TrainingArguments:
    values = {"per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-2, "use_cpu": True,
              "disable_tqdm": True, "save_strategy": "no", "logging_steps": 1}  # fmt: skip
    return TrainingArguments(str(folder), **(values | options))


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_a_plain_loop_gives_the_same(tmp_path: Path) -> None:
    model = small()
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path, max_grad_norm=0), ROWS)
    batches = trainer.get_train_dataloader()
    orders = []
    for epoch in range(2):
        batches.sampler.begin(epoch)
        orders.append(batches.sampler.order())
    trainer.train()
    plain = small()
    loss = losses.CosineSimilarityLoss(plain)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / 12)
    torch.manual_seed(42)
    plain.train()
    for order in orders:
        for start in range(0, 48, 8):
            chosen = [ROWS[row] for row in order[start : start + 8]]
            columns = [plain.tokenize([row[name] for row in chosen]) for name in ("one", "other")]
            loss(columns, torch.tensor([row["score"] for row in chosen])).backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.slow
def test_evaluators_rank_models_and_runs_go_on(tmp_path: Path) -> None:
    evaluator = EmbeddingSimilarityEvaluator(
        [row["one"] for row in ROWS], [row["other"] for row in ROWS], [row["score"] for row in ROWS], name="films"
    )
    best = {
        "eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True,
        "metric_for_best_model": "films_spearman_cosine", "num_train_epochs": 3,
    }  # fmt: skip
    model = small()
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path / "a", **best), ROWS, evaluator=evaluator)
    trainer.train()
    scores = [one["eval_films_spearman_cosine"] for one in trainer.state.log_history if "eval_runtime" not in one
              and "eval_films_spearman_cosine" in one]  # fmt: skip
    assert trainer.state.best_metric == max(scores)
    assert len(set(scores)) == 3
    assert evaluator(model)["films_spearman_cosine"] == pytest.approx(trainer.state.best_metric, abs=1e-6)
    assert SentenceTransformer(trainer.state.best_model_checkpoint, device="cpu").encode("tea").shape == (8,)
    again = SentenceTransformerTrainer(
        small(), arguments(tmp_path / "a", **best), ROWS, ROWS[:8], losses.CosineSimilarityLoss(model), evaluator
    )
    again.loss = losses.CosineSimilarityLoss(again.model)
    again.train(resume_from_checkpoint=tmp_path / "a" / "checkpoint-6")
    assert same(weights(again.model), weights(model))
    assert [entry for entry in again.state.log_history if "eval_loss" in entry]
    with pytest.raises(WeightsError, match="does not fit"):
        SentenceTransformer(modules=list(small())[:2], device="cpu").load_saved_weights(minilm_folder())


def test_rows_without_labels_and_losses_with_parameters(tmp_path: Path) -> None:
    model = small()
    rows = [{"anchor": row["one"], "positive": row["other"]} for row in ROWS]
    loss = losses.MultipleNegativesRankingLoss(model)
    trainer = SentenceTransformerTrainer(model, arguments(tmp_path), rows, loss=loss)
    trainer.train()
    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert sum(found[-6:]) < sum(found[:6])


@pytest.mark.parametrize(
    ("rows", "words"),
    [([("a", "b")] * 4, "Rows are dictionaries"), ([{"a": 1, "label": 0.5}] * 4, "No column of a, label holds texts")],
)
def test_rows_that_do_not_fit(rows: list[Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        SentenceTransformerTrainer(small(), arguments(tmp_path), rows).train()
    with pytest.raises(InputError, match="no eval_dataset"):
        SentenceTransformerTrainer(small(), arguments(tmp_path, eval_strategy="epoch"), ROWS)
