"""`fit`: the weights that the field's library arrives at, real snippets that teach, and trainings that go wrong."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from assets import minilm_folder, snippets
from samovar import SentenceTransformer
from samovar.errors import InputError, InputTypeError, NumericError
from samovar.sentence import losses, models
from samovar.sentence.evaluators import EmbeddingSimilarityEvaluator
from samovar.sentence.fit import InputExample, SmartBatching, fit, schedule

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ROWS = [(rating, text[:70]) for rating, text in snippets("movies")[:400]]
EXAMPLES = [
    InputExample(texts=[a[1], b[1]], label=1 - abs(a[0] - b[0]) / 8)
    for a, b in zip(ROWS[::2], ROWS[1::2], strict=True)
]  # fmt: skip


def small() -> SentenceTransformer:
    """A model that trains in milliseconds: a table of random vectors and a linear step."""
    from tokenizers import Tokenizer

    torch.manual_seed(5)
    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    table = models.StaticEmbedding(tokenizer, embedding_weights=torch.randn(30522, 16))
    return SentenceTransformer(modules=[table, models.Dense(16, 8), models.Dropout(0.2)], device="cpu")


def loader(examples: list[InputExample], size: int = 8, shuffle: bool = False) -> Any:
    return DataLoader(examples, batch_size=size, shuffle=shuffle)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], same: bool = True) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first) is same


class Score:
    """An evaluator that gives the numbers it was told."""

    greater_is_better = True

    def __init__(self, *values: float) -> None:
        self.values, self.seen, self.calls = list(values), [], []

    def __call__(self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1) -> float:
        model.eval()
        self.seen.append(weights(model))
        self.calls.append((epoch, steps))
        return self.values[len(self.seen) - 1]


# What it arrives at ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scheduler", ["WarmupLinear", "WarmupCosine", "ConstantLR"])
def test_weights_of_the_reference(scheduler: str) -> None:
    from sentence_transformers import InputExample as Row
    from sentence_transformers import SentenceTransformer as Reference
    from sentence_transformers.sentence_transformer import losses as library

    theirs = Reference(str(minilm_folder()), device="cpu")
    encoder = theirs[0].auto_model
    encoder.encoder.layer = encoder.encoder.layer[:1]
    encoder.embeddings.word_embeddings.requires_grad_(False)
    for module in theirs.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    given = copy.deepcopy(theirs)
    start = weights(given)
    options: dict[str, Any] = {
        "epochs": 2, "scheduler": scheduler, "warmup_steps": 3, "optimizer_params": {"lr": 1e-3}, "weight_decay": 0.3,
        "max_grad_norm": 0.5, "show_progress_bar": False,
    }  # fmt: skip
    rows = EXAMPLES[:22]
    fit(given, [(loader(rows, 6), losses.CosineSimilarityLoss(given))], **options)
    examples = [Row(texts=row.texts, label=row.label) for row in rows]
    theirs.old_fit([(loader(examples, 6), library.CosineSimilarityLoss(theirs))], **options)
    wanted = weights(theirs)
    assert max((start[name] - wanted[name]).abs().max() for name in wanted) > 1e-3
    for name, tensor in weights(given).items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.parametrize("name", ["warmupconstant", "WarmupLinear", "WarmupCosine", "warmupcosinewithhardrestarts"])
def test_learning_rates_of_the_reference(name: str) -> None:
    from sentence_transformers import SentenceTransformer as Reference

    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    for warmup, total in ((4, 20), (0, 7), (30, 20)):
        rate = Reference._get_scheduler(optimizer, scheduler=name, warmup_steps=warmup, t_total=total)
        share = schedule(name, warmup, total)
        assert [share(step) for step in range(total)] == pytest.approx([rate.lr_lambdas[0](s) for s in range(total)])


@pytest.mark.slow
def test_real_snippets_teach_the_real_weights(tmp_path: Path) -> None:
    """Pairs of film reviews, alike when their ratings are: their correlation rises."""
    model = SentenceTransformer(minilm_folder(), device="cpu")
    pairs = list(zip(ROWS[::2], ROWS[1::2], strict=True))[:64]
    train = [InputExample(texts=[a[1][:40], b[1][:40]], label=float((a[0] > 0) == (b[0] > 0))) for a, b in pairs]
    evaluator = EmbeddingSimilarityEvaluator.from_input_examples(train, batch_size=32, name="films")
    before = evaluator(model)["films_spearman_cosine"]
    torch.manual_seed(1)
    model.train()
    scores: list[float] = []
    fit(
        model, [(loader(train, 16, shuffle=True), losses.CosineSimilarityLoss(model))], evaluator, epochs=2,
        warmup_steps=2, optimizer_params={"lr": 3e-4}, output_path=str(tmp_path / "best"), show_progress_bar=False,
        callback=lambda score, epoch, steps: scores.append(score),
    )  # fmt: skip
    assert max(scores) > before + 0.2
    assert not model.training
    best = SentenceTransformer(tmp_path / "best", device="cpu")
    assert evaluator(best)["films_spearman_cosine"] == pytest.approx(max(scores), abs=1e-6)
    table = (tmp_path / "best" / "eval" / "similarity_evaluation_films_results.csv").read_text("utf-8")
    assert [line.split(",")[:2] for line in table.splitlines()[1:]] == [["0", "-1"], ["1", "-1"]]


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        lambda model: losses.MultipleNegativesRankingLoss(model),
        lambda model: losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=4),
        lambda model: losses.MatryoshkaLoss(model, losses.TripletLoss(model, triplet_margin=0.5), [8, 4]),
        lambda model: losses.ContrastiveLoss(model),
    ],
    ids=["ranking", "cached", "matryoshka", "contrastive"],
)
def test_each_loss_falls(build: Callable[[SentenceTransformer], nn.Module]) -> None:
    model = small()
    loss = build(model)
    texts = [text for _, text in ROWS]
    count = 2 if isinstance(loss, losses.ContrastiveLoss) else 3
    rows = [InputExample(texts=[texts[i], texts[i].lower()[:30], texts[i + 100]][:count], label=1) for i in range(40)]
    batch = SmartBatching(model.tokenize)(rows)
    with torch.no_grad():
        before = loss(batch.features, batch.labels).item()
    fit(model, [(loader(rows), loss)], epochs=4, warmup_steps=0, optimizer_params={"lr": 0.01}, show_progress_bar=False)
    with torch.no_grad():
        assert loss(batch.features, batch.labels).item() < 0.8 * before


# The loop ----------------------------------------------------------------------------------------------------------


def trained(seed: int, **options: Any) -> dict[str, torch.Tensor]:
    model = small()
    loss = losses.CosineSimilarityLoss(model)
    torch.manual_seed(seed)
    options = {"epochs": 2, "warmup_steps": 1, "optimizer_params": {"lr": 0.01}, "show_progress_bar": False} | options
    fit(model, [(loader(EXAMPLES[:40], shuffle=True), loss)], **options)
    return weights(model)


def test_the_seed_decides_and_evaluating_does_not_matter() -> None:
    first = trained(3)
    assert_weights(first, trained(3))
    assert_weights(first, trained(4), same=False)
    evaluator = EmbeddingSimilarityEvaluator.from_input_examples(EXAMPLES[40:60])
    assert_weights(first, trained(3, evaluator=evaluator, evaluation_steps=2))


def test_evaluations_callbacks_and_the_best_model(tmp_path: Path) -> None:
    evaluator = Score(0.1, 0.7, float("nan"), 0.3)
    told: list[tuple[float, int, int]] = []
    last = trained(
        3, evaluator=evaluator, evaluation_steps=3, output_path=tmp_path / "best", callback=lambda *a: told.append(a)
    )
    assert evaluator.calls == [(0, 3), (0, -1), (1, 3), (1, -1)]
    assert [call[1:] for call in told] == evaluator.calls
    assert [call[0] for call in told[:2]] == [0.1, 0.7]
    assert_weights(weights(SentenceTransformer(tmp_path / "best", device="cpu")), evaluator.seen[1])
    assert_weights(last, evaluator.seen[3])
    assert_weights(last, evaluator.seen[1], same=False)


def test_less_can_be_better(tmp_path: Path) -> None:
    evaluator = Score(0.4, 0.2, 0.3)
    evaluator.greater_is_better = False
    trained(3, epochs=3, evaluator=evaluator, output_path=tmp_path)
    assert_weights(weights(SentenceTransformer(tmp_path, device="cpu")), evaluator.seen[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{}, {"evaluator": Score(0.9, 0.1), "save_best_model": False}, {"evaluator": Score(*[np.nan] * 2)}]
)
def test_the_last_model_is_saved_where_there_is_no_best(tmp_path: Path, options: dict[str, Any]) -> None:
    last = trained(3, output_path=tmp_path / "out", **options)
    assert_weights(weights(SentenceTransformer(tmp_path / "out", device="cpu")), last)


def test_objectives_take_turns_and_share_one_optimizer() -> None:
    model = small()
    seen: list[tuple[str, int]] = []

    class Told(losses.CosineSimilarityLoss):
        def compute_loss_from_embeddings(self, embeddings: Any, labels: Any) -> torch.Tensor:
            seen.append((self.label, len(labels)))
            return super().compute_loss_from_embeddings(embeddings, labels)

    one, two = Told(model), Told(model)
    one.label, two.label = "one", "two"
    fit(
        model, [(loader(EXAMPLES[:12], 4), one), (loader(EXAMPLES[:10], 5), two)], epochs=2, warmup_steps=0,
        show_progress_bar=False,
    )  # fmt: skip
    assert seen == [("one", 4), ("two", 5)] * 4  # The shorter loader has two batches; the longer goes on where it was.


def test_loaders_are_given_back_as_they_were(capfd: pytest.CaptureFixture[str]) -> None:
    model = small()
    mine = loader(EXAMPLES[:16])
    before = mine.collate_fn
    fit(model, [(mine, losses.CosineSimilarityLoss(model))], warmup_steps=0)
    assert mine.collate_fn is before
    assert all(parameter.grad is None for parameter in model.parameters())
    said = capfd.readouterr().err
    assert "Epoch 1/1" in said
    assert "loss=" in said


def test_more_rounds_than_batches_start_the_loader_anew() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            yield from EXAMPLES[:6]

    model = small()
    evaluator = Score(1.0)
    stream = DataLoader(Stream(), batch_size=4)
    options: dict[str, Any] = {"warmup_steps": 0, "show_progress_bar": False}
    fit(model, [(stream, losses.CosineSimilarityLoss(model))], evaluator, steps_per_epoch=5, **options)
    assert evaluator.calls == [(0, -1)]
    with pytest.raises(InputError, match="how many batches"):
        fit(model, [(stream, losses.CosineSimilarityLoss(model))], **options)


def test_half_precision_trains_too() -> None:
    full, half = trained(3), trained(3, use_amp=True)
    assert_weights(full, half, same=False)
    for name, tensor in full.items():
        torch.testing.assert_close(half[name], tensor, rtol=0, atol=0.05)


def test_biases_do_not_shrink_and_frozen_parameters_stay() -> None:
    model = small()
    model[0].requires_grad_(False)
    with torch.no_grad():
        model[1].linear.bias.fill_(2.0)
    start = weights(model)
    nothing = losses.CosineSimilarityLoss(model, nn.HuberLoss(delta=1e-12))
    fit(
        model, [(loader(EXAMPLES[:8]), nothing)], warmup_steps=0, optimizer_class=torch.optim.SGD,
        optimizer_params={"lr": 0.5}, weight_decay=0.5, show_progress_bar=False,
    )  # fmt: skip
    torch.testing.assert_close(model[1].linear.weight, start["1.linear.weight"] * 0.75)
    torch.testing.assert_close(model[1].linear.bias, start["1.linear.bias"])
    assert torch.equal(model[0].embedding.weight, start["0.embedding.weight"])


def test_a_warm_up_longer_than_the_training_is_said(caplog: pytest.LogCaptureFixture) -> None:
    trained(3, warmup_steps=10_000)
    assert "rises for 10000 steps, but there are only 10" in caplog.text


# What goes wrong ---------------------------------------------------------------------------------------------------


def test_nan_names_the_batch_and_leaves_the_best_model(tmp_path: Path) -> None:
    model = small()
    examples = [copy.copy(example) for example in EXAMPLES[:24]]
    evaluator = Score(0.5, 0.6)

    def poison(score: float, epoch: int, steps: int) -> None:
        examples[17].label = float("nan")

    mine = loader(examples)
    with pytest.raises(NumericError) as caught:
        fit(
            model, [(mine, losses.CosineSimilarityLoss(model))], evaluator, epochs=3, warmup_steps=0,
            output_path=tmp_path, callback=poison, optimizer_params={"lr": 0.01}, show_progress_bar=False,
        )  # fmt: skip
    said = str(caught.value)
    assert "epoch 1, step 2 (CosineSimilarityLoss)" in said
    assert examples[16].texts[0] in said
    assert "rows [1]" in said
    assert all(tensor.isfinite().all() for tensor in weights(model).values())
    assert_weights(weights(SentenceTransformer(tmp_path, device="cpu")), evaluator.seen[0])
    assert not model.training
    assert mine.collate_fn is not None
    assert not isinstance(mine.collate_fn, SmartBatching)


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights() -> None:
    class Steep(nn.Module):
        """A finite loss with an endless slope."""

        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, features: Any, labels: Any) -> torch.Tensor:
            return (self.model(dict(features[0]))["sentence_embedding"] * 0).abs().sqrt().sum()

    model = small()
    before = weights(model)
    with pytest.raises(NumericError, match=r"gradient nan at epoch 0, step 0 \(Steep\)"):
        fit(model, [(loader(EXAMPLES[:8]), Steep(model))], warmup_steps=0, show_progress_bar=False)
    assert_weights(weights(model), before)


@pytest.mark.slow
def test_a_killed_training_leaves_the_best_model(tmp_path: Path) -> None:
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r}); sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from test_fit import *

evaluator = Score(0.5, 0.4)
def end(score, epoch, steps):
    if epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
print(len(trained(3, evaluator=evaluator, output_path={str(tmp_path / "best")!r}, callback=end)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    evaluator = Score(0.5, 0.4)
    trained(3, evaluator=evaluator)
    assert_weights(weights(SentenceTransformer(tmp_path / "best", device="cpu")), evaluator.seen[0])


def run(model: Any, objectives: Any, **options: Any) -> None:
    fit(model, objectives, **{"show_progress_bar": False, "warmup_steps": 0} | options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("examples", "error", "said"),
    [
        ([InputExample(texts=["a", 5], label=1)], InputTypeError, "lists of strings"),
        ([InputExample(texts="ab", label=1)], InputTypeError, "lists of strings"),
        ([InputExample(label=1)], InputTypeError, "lists of strings"),
        (["a", "b"], InputTypeError, "got 'a'"),
        ([InputExample(texts=["a", "b"]), InputExample(texts=["a"])], InputError, "have 2, 1 texts"),
        ([InputExample(texts=["a"], label=1)], InputError, "takes 2 texts per example, got 1"),
        ([InputExample(texts=["a", "b"], label="alike")], InputTypeError, "'alike'"),
        ([InputExample(texts=["a", "b"], label=None)], InputTypeError, "None"),
        ([], InputError, "no batch"),
    ],
)
def test_bad_examples(examples: list[Any], error: type[Exception], said: str) -> None:
    model = small()
    with pytest.raises(error, match=said):
        run(model, [(DataLoader(examples, batch_size=4), losses.CosineSimilarityLoss(model))])


def test_bad_settings() -> None:
    model = small()
    good = [(loader(EXAMPLES[:8]), losses.CosineSimilarityLoss(model))]
    with pytest.raises(InputError, match="'warmuplinear'"):
        run(model, good, scheduler="WarmupLineer")
    with pytest.raises(InputError, match="epochs"):
        run(model, good, epochs=0)
    for objectives in ([], None, [EXAMPLES], [(EXAMPLES, good[0][1])], good[0]):
        with pytest.raises(InputTypeError, match="list of \\(DataLoader, loss\\)"):
            run(model, objectives)
    model.requires_grad_(False)
    with pytest.raises(InputError, match="No parameter"):
        run(model, good)


def test_labels_keep_their_kind() -> None:
    def labels(*values: Any) -> torch.Tensor:
        return SmartBatching(small().tokenize)([InputExample(texts=["a"], label=value) for value in values]).labels

    assert labels(1, 0).dtype == torch.int64
    assert labels(1, 0.5).tolist() == [1.0, 0.5]
    assert labels(0.5, 0.25).dtype == torch.float32
    assert labels(np.float32([1, 2]), np.float32([3, 4])).shape == (2, 2)
    assert labels(torch.tensor(0.5), torch.tensor(1.0)).tolist() == [0.5, 1.0]
