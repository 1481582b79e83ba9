"""Losses: values and gradients of the field's library on the real MiniLM weights, and the cached one's bounds."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from assets import minilm_folder, snippets
from samovar import SentenceTransformer
from samovar.errors import InputError, InputTypeError
from samovar.sentence import losses, models
from samovar.sentence.losses.cached import mini_batches
from samovar.sentence.similarity import dot_score

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ROWS = 5
TEXTS = [text[: 20 + 9 * index] for index, (_, text) in enumerate(snippets("movies")[: 3 * ROWS])]
COLUMNS = [TEXTS[start::3] for start in range(3)]
SCORES = torch.tensor([0.9, 0.1, 0.5, 1.0, 0.0])
ALIKE = torch.tensor([1, 0, 0, 1, 0])


@pytest.fixture(scope="module")
def theirs() -> Any:
    from sentence_transformers import SentenceTransformer as Reference

    model = Reference(str(minilm_folder()), device="cpu").eval()
    # What lies between the first and the last layer doubles the time and adds no case: gradients cross it anyhow.
    encoder = model[0].auto_model.requires_grad_(False)
    for part in (encoder.embeddings.LayerNorm, encoder.encoder.layer[0], encoder.encoder.layer[-1]):
        part.requires_grad_(True)
    return model


@pytest.fixture(scope="module")
def ours() -> SentenceTransformer:
    return SentenceTransformer(minilm_folder(), device="cpu")


@pytest.fixture(scope="module")
def reference() -> Any:
    from sentence_transformers.sentence_transformer import losses as library

    return library


def columns(model: Any, count: int) -> list[dict[str, Any]]:
    return [dict(model.tokenize(column)) for column in COLUMNS[:count]]


def value_and_gradients(model: nn.Module, run: Callable[[], Tensor]) -> tuple[float, dict[str, Tensor]]:
    model.zero_grad()
    loss = run()
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert gradients
    return loss.item(), gradients


def assert_same(first: tuple[float, dict[str, Tensor]], second: tuple[float, dict[str, Tensor]]) -> None:
    assert first[0] == pytest.approx(second[0], rel=1e-5, abs=1e-6)
    assert first[1].keys() == second[1].keys()
    scale = max(float(gradient.abs().max()) for gradient in second[1].values())
    assert scale > 1e-4  # A loss without slope would make any two gradients equal.
    for name, gradient in first[1].items():
        torch.testing.assert_close(gradient, second[1][name], rtol=1e-4, atol=1e-5 * scale, msg=name)


def make(library: Any, kind: str, model: Any) -> Any:
    """The same loss from either library."""
    build: dict[str, Callable[[], Any]] = {
        "cosine": lambda: library.CosineSimilarityLoss(model),
        "cosine-l1": lambda: library.CosineSimilarityLoss(model, nn.L1Loss(), nn.Sigmoid()),
        "contrastive": lambda: library.ContrastiveLoss(model),
        "contrastive-sum": lambda: library.ContrastiveLoss(model, library.SiameseDistanceMetric.EUCLIDEAN, 1.5, False),
        "contrastive-manhattan": lambda: library.ContrastiveLoss(
            model, library.SiameseDistanceMetric.MANHATTAN, margin=30.0
        ),
        "triplet": lambda: library.TripletLoss(model),
        "triplet-cosine": lambda: library.TripletLoss(model, library.TripletDistanceMetric.COSINE, 0.5),
        "triplet-manhattan": lambda: library.TripletLoss(model, library.TripletDistanceMetric.MANHATTAN, 1.0),
        "ranking": lambda: library.MultipleNegativesRankingLoss(model),
        "ranking-dot": lambda: library.MultipleNegativesRankingLoss(model, 3.0, dot_score),
        "cached": lambda: library.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2),
    }
    return build[kind]()


KINDS = [
    ("cosine", 2, SCORES), ("cosine-l1", 2, SCORES), ("contrastive", 2, ALIKE), ("contrastive-sum", 2, ALIKE),
    ("contrastive-manhattan", 2, ALIKE), ("triplet", 3, None), ("triplet-cosine", 3, None),
    ("triplet-manhattan", 3, None), ("ranking", 2, None), ("ranking", 3, None), ("ranking-dot", 3, None),
    ("cached", 2, None), ("cached", 3, None),
]  # fmt: skip
WRAPPED = [kind for kind in KINDS if kind[0] in ("cosine", "contrastive", "triplet-cosine", "ranking", "cached")]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count", "labels"), KINDS, ids=lambda value: str(value)[:20])
def test_values_and_gradients_of_the_reference(
    theirs: Any, reference: Any, kind: str, count: int, labels: Tensor | None
) -> None:
    features = columns(theirs, count)
    given = value_and_gradients(theirs, lambda: make(losses, kind, theirs)(features, labels))
    wanted = value_and_gradients(theirs, lambda: make(reference, kind, theirs)(columns(theirs, count), labels))
    assert_same(given, wanted)
    assert [set(column) for column in features] == [set(column) for column in columns(theirs, count)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count", "labels"), WRAPPED, ids=lambda value: str(value)[:20])
def test_matryoshka_of_the_reference(theirs: Any, reference: Any, kind: str, count: int, labels: Tensor | None) -> None:
    dims, weights = [64, 384, 17], [0.5, 1.0, 2.0]

    def run(library: Any) -> Callable[[], Tensor]:
        wrapped = library.MatryoshkaLoss(theirs, make(library, kind, theirs), dims, weights)
        return lambda: wrapped(columns(theirs, count), labels)

    assert_same(value_and_gradients(theirs, run(losses)), value_and_gradients(theirs, run(reference)))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "count", "labels"), WRAPPED, ids=lambda value: str(value)[:20])
def test_our_model_gives_the_loss_of_theirs(
    ours: SentenceTransformer, theirs: Any, reference: Any, kind: str, count: int, labels: Tensor | None
) -> None:
    with torch.no_grad():
        given = make(losses, kind, ours)(columns(ours, count), labels)
        wanted = make(reference, kind, theirs)(columns(theirs, count), labels)
    torch.testing.assert_close(given, wanted, rtol=1e-5, atol=1e-5)


def test_matryoshka_draws_as_many_sizes_as_asked_and_the_seed_decides() -> None:
    model = Given()
    inside = losses.CosineSimilarityLoss(model)
    features = [{"sentence_embedding": torch.randn(ROWS, 128)} for _ in range(2)]
    each = {dim: losses.MatryoshkaLoss(model, inside, [dim])(features, SCORES).item() for dim in (8, 32, 128)}
    loss = losses.MatryoshkaLoss(model, inside, list(each), n_dims_per_step=1)
    torch.manual_seed(0)
    drawn = [loss(features, SCORES).item() for _ in range(20)]
    torch.manual_seed(0)
    assert drawn == [loss(features, SCORES).item() for _ in range(20)]
    assert set(drawn) == set(each.values())


# The cached loss ---------------------------------------------------------------------------------------------------


class Watch(nn.Module):
    """A step that remembers the sizes of what came by, and whether it is still in memory."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear, self.sizes, self.seen = nn.Linear(size, size), [], []
        self.dropout = nn.Dropout(0.3)

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        hidden = self.linear(features["token_embeddings"])
        self.sizes.append(tuple(hidden.shape[:2]))
        self.seen.append(weakref.ref(hidden))
        features["token_embeddings"] = self.dropout(torch.sin(hidden))
        return features

    def alive(self) -> int:
        gc.collect()
        return sum(reference() is not None for reference in self.seen)


@pytest.fixture
def watched(ours: SentenceTransformer) -> Iterator[tuple[SentenceTransformer, Watch]]:
    encoder = ours[0]
    watch = Watch(384)
    model = SentenceTransformer(modules=[encoder, watch, models.Pooling(384)], device="cpu")
    encoder.requires_grad_(False)
    model.train()
    encoder.eval()  # Only the watched step draws random numbers, so a test can draw them in the same order.
    yield model, watch
    encoder.requires_grad_(True)


@pytest.mark.slow
def test_cached_embeds_mini_batches_without_keeping_or_padding_them(
    watched: tuple[SentenceTransformer, Watch],
) -> None:
    model, watch = watched
    features = [model.tokenize(TEXTS), model.tokenize(list(reversed(TEXTS)))]
    width = features[0]["input_ids"].shape[1]
    loss = losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=4)(features, None)
    assert watch.alive() == 0
    assert [rows for rows, _ in watch.sizes] == [4, 4, 4, 3] * 2
    assert max(length for _, length in watch.sizes) == width
    assert sum(rows * length for rows, length in watch.sizes) < 0.75 * 2 * len(TEXTS) * width
    loss.backward()
    assert len(watch.sizes) == 16  # Every mini-batch ran twice.

    watch.seen.clear()
    kept = losses.MultipleNegativesRankingLoss(model)(features, None)
    assert watch.alive() == 2
    assert kept.requires_grad


@pytest.mark.slow
@pytest.mark.parametrize("wrapped", [False, True])
def test_cached_replays_dropout(watched: tuple[SentenceTransformer, Watch], wrapped: bool) -> None:
    """The gradients are those of one graph over mini-batches that drew the same masks."""
    model, _ = watched
    features = [model.tokenize(TEXTS[:7]), model.tokenize(TEXTS[7:14])]

    def outer(loss: Any) -> Any:
        return losses.MatryoshkaLoss(model, loss, [384, 40], [1.0, 0.3]) if wrapped else loss

    def in_one_graph() -> Tensor:
        torch.manual_seed(3)
        embeddings = []
        for column in features:
            order, parts = mini_batches(column, 3)
            assert order is not None
            embeddings.append(torch.cat([model(dict(part))["sentence_embedding"] for part in parts])[order.argsort()])
        return outer(losses.MultipleNegativesRankingLoss(model)).compute_loss_from_embeddings(embeddings, None)

    def cached() -> Tensor:
        torch.manual_seed(3)
        loss = outer(losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=3))(features, None)
        torch.rand(9)  # What is drawn between the passes must not matter.
        return loss

    assert_same(value_and_gradients(model, cached), value_and_gradients(model, in_one_graph))
    unlike = value_and_gradients(model, lambda: outer(losses.MultipleNegativesRankingLoss(model))(features, None))
    assert unlike[0] != pytest.approx(cached().item(), rel=1e-4)  # The masks do change the loss.


def test_cached_leaves_the_random_state_as_the_forward_pass_left_it(
    watched: tuple[SentenceTransformer, Watch],
) -> None:
    model, _ = watched
    features = [model.tokenize(TEXTS[:4]), model.tokenize(TEXTS[4:8])]
    loss = losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=3)(features, None)
    before = torch.get_rng_state()
    loss.backward()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.slow
def test_cached_scores_in_bands(theirs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samovar.sentence.losses.cached.SCORES_AT_ONCE", 2 * 10)
    shapes: list[tuple[int, ...]] = []

    def score(a: Tensor, b: Tensor) -> Tensor:
        shapes.append((len(a), len(b)))
        return dot_score(a, b)

    loss = losses.CachedMultipleNegativesRankingLoss(theirs, 5.0, score, mini_batch_size=4)
    given = value_and_gradients(theirs, lambda: loss(columns(theirs, 3), None))
    assert sorted(shapes) == [(1, 10)] * 2 + [(2, 10)] * 4
    plain = losses.MultipleNegativesRankingLoss(theirs, 5.0, dot_score)
    assert_same(given, value_and_gradients(theirs, lambda: plain(columns(theirs, 3), None)))


def test_cached_takes_features_without_a_batch_axis() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    model = SentenceTransformer(modules=[models.StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu")
    features = [model.tokenize(TEXTS[:4]), model.tokenize(TEXTS[4:8])]
    cached = losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=2)
    plain = losses.MultipleNegativesRankingLoss(model)
    assert_same(
        value_and_gradients(model, lambda: cached(features, None)),
        value_and_gradients(model, lambda: plain(features, None)),
    )


@pytest.mark.slow
def test_cached_scales_with_what_comes_after_it(theirs: Any) -> None:
    loss = losses.CachedMultipleNegativesRankingLoss(theirs, mini_batch_size=2)
    once = value_and_gradients(theirs, lambda: loss(columns(theirs, 2), None))
    half = value_and_gradients(theirs, lambda: loss(columns(theirs, 2), None) / 2)
    assert_same((2 * half[0], {name: 2 * gradient for name, gradient in half[1].items()}), once)


# Bad input ---------------------------------------------------------------------------------------------------------


class Given(nn.Module):
    """Embeddings that the features hold."""

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        return features


def given(*rows: int) -> list[dict[str, Any]]:
    return [{"sentence_embedding": torch.randn(count, 8, requires_grad=True)} for count in rows]


@pytest.mark.parametrize(
    ("kind", "rows", "labels", "said"),
    [
        ("CosineSimilarityLoss", (3,), torch.ones(3), "takes 2 texts per example, got 1"),
        ("CosineSimilarityLoss", (3, 3, 3), torch.ones(3), "takes 2 texts per example, got 3"),
        ("CosineSimilarityLoss", (3, 3), None, "needs labels, got none"),
        ("CosineSimilarityLoss", (3, 3), torch.ones(2), "label for each of 3 examples"),
        ("CosineSimilarityLoss", (3, 3), torch.tensor([0.0, 4.5, 1.0]), "A label is 4.5"),
        ("ContrastiveLoss", (3, 3), None, "needs labels"),
        ("ContrastiveLoss", (3, 3), torch.tensor([0, 2, 1]), r"labels in 0 … 1, got 0 … 2"),
        ("TripletLoss", (3, 3), None, "takes 3 texts per example, got 2"),
        ("MultipleNegativesRankingLoss", (3,), None, "takes 2 or more texts per example, got 1"),
        ("MultipleNegativesRankingLoss", (3, 2), None, "columns have 3, 2 texts"),
        ("CachedMultipleNegativesRankingLoss", (), None, "got 0"),
    ],
)
def test_bad_batches(kind: str, rows: tuple[int, ...], labels: Tensor | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        getattr(losses, kind)(Given())(given(*rows), labels)


def test_labels_that_rounding_took_past_one_are_taken() -> None:
    loss = losses.CosineSimilarityLoss(Given())(given(2, 2), torch.tensor([1.0000001, -1.0000001]))
    assert loss.isfinite()


def test_equal_texts_have_finite_gradients() -> None:
    row = torch.ones(2, 4, requires_grad=True)
    for metric in losses.TripletDistanceMetric:
        loss = losses.TripletLoss(Given(), metric).compute_loss_from_embeddings([row, row, row])
        loss.backward()
        assert row.grad is not None
        assert row.grad.isfinite().all()


def test_bad_settings(ours: SentenceTransformer) -> None:
    inside, small = losses.CosineSimilarityLoss(ours), Given()
    with pytest.raises(InputError, match="385"):
        losses.MatryoshkaLoss(ours, inside, [385, 64])
    with pytest.raises(InputError, match="0"):
        losses.MatryoshkaLoss(ours, inside, [64, 0])
    with pytest.raises(InputError, match="2 sizes and 1 weights"):
        losses.MatryoshkaLoss(ours, inside, [64, 32], [1.0])
    with pytest.raises(InputError, match="n_dims_per_step"):
        losses.MatryoshkaLoss(ours, inside, [64, 32], n_dims_per_step=0)
    with pytest.raises(InputError, match="another model"):
        losses.MatryoshkaLoss(Given(), inside, [64, 32])
    with pytest.raises(InputTypeError, match="MSELoss"):
        losses.MatryoshkaLoss(ours, nn.MSELoss(), [64, 32])
    with pytest.raises(InputError, match="embeddings of 8 numbers"):
        losses.MatryoshkaLoss(small, losses.CosineSimilarityLoss(small), [64])(given(2, 2), torch.ones(2))
    with pytest.raises(InputError, match="scale"):
        losses.MultipleNegativesRankingLoss(ours, scale=0)
    with pytest.raises(InputError, match="mini_batch_size"):
        losses.CachedMultipleNegativesRankingLoss(ours, mini_batch_size=0)
