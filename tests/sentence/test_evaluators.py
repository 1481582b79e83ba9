"""Evaluators: the numbers, names and tables of the field's library on the same embeddings."""

from __future__ import annotations

import csv
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assets import minilm_folder, snippets
from samovar import SentenceTransformer
from samovar.errors import InputError, InputTypeError, NumericError, SaveError
from samovar.sentence import evaluators, models
from samovar.sentence.evaluators import retrieval
from samovar.sentence.evaluators.base import add_row
from samovar.sentence.fit import InputExample
from samovar.sentence.similarity import cos_sim, dot_score

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

ROWS = [(rating, text[:60]) for rating, text in snippets("movies")[:60]]
FIRST, SECOND = [text for _, text in ROWS[::2]], [text for _, text in ROWS[1::2]]
SCORES = [8 - abs(a[0] - b[0]) for a, b in zip(ROWS[::2], ROWS[1::2], strict=True)]
CORPUS = {f"d{index}": text for index, (_, text) in enumerate(ROWS)}
QUERIES = {f"q{index}": " ".join(text.split()[:4]) for index, (_, text) in enumerate(ROWS[:12])}
RELEVANT = {f"q{index}": {f"d{index}", f"d{index + 20}", f"d{(index * 7) % 60}"} for index in range(11)}


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The first layers of the real weights: what is compared are evaluators on one and the same model."""
    from sentence_transformers import SentenceTransformer as Reference

    model = Reference(str(minilm_folder()), device="cpu")
    model[0].auto_model.encoder.layer = model[0].auto_model.encoder.layer[:2]
    return model


@pytest.fixture(scope="module")
def ours() -> SentenceTransformer:
    return SentenceTransformer(minilm_folder(), device="cpu")


@pytest.fixture(scope="module")
def reference() -> Any:
    from sentence_transformers.sentence_transformer import evaluation

    return evaluation


def tables(folder: Path) -> dict[str, list[list[str]]]:
    """The tables in a folder: names, headers, and numbers rounded to what two runs share."""
    found = {}
    for path in sorted(folder.glob("*.csv")):
        header, *rows = csv.reader(path.read_text("utf-8").splitlines())
        found[path.name] = [header, *([f"{float(value):.4f}" for value in row] for row in rows)]
    return found


def assert_same(kind: str, model: Any, reference: Any, folder: Path, *arguments: Any, **options: Any) -> None:
    mine = getattr(evaluators, kind)(*arguments, **options)
    library = getattr(reference, kind)(*arguments, **options)
    for epoch, steps in ((0, 10), (0, -1)):
        given = mine(model, str(folder / "mine"), epoch, steps)
        wanted = library(model, str(folder / "theirs"), epoch, steps)
        assert given == pytest.approx(wanted, abs=1e-5)
        assert all(type(value) is float for value in given.values())
        assert mine.primary_metric == library.primary_metric
        assert mine.primary_metric in given
        assert mine.greater_is_better == library.greater_is_better
    assert tables(folder / "mine") == tables(folder / "theirs")
    assert len(next(iter(tables(folder / "mine").values()))) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"name": "dev", "batch_size": 7, "truncate_dim": 50},
        {"main_similarity": "manhattan"},
        {"similarity_fn_names": ["cosine", "euclidean", "manhattan", "dot"]},
        {"precision": "int8"},
        {"precision": "uint8", "main_similarity": "dot"},
        {"precision": "binary", "name": "bits"},
        {"precision": "ubinary", "similarity_fn_names": ["cosine", "manhattan"]},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.*calibrat.*")
def test_similarity_of_the_reference(theirs: Any, reference: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    assert_same("EmbeddingSimilarityEvaluator", theirs, reference, tmp_path, FIRST, SECOND, SCORES, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"margin": 0.2, "name": "dev"},
        {"similarity_fn_names": ["cosine", "euclidean", "manhattan"], "margin": {"manhattan": 1.0}},
        {"main_similarity_function": "dot", "truncate_dim": 30},
    ],
    ids=str,
)
def test_triplets_of_the_reference(theirs: Any, reference: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    texts = [text for _, text in ROWS]
    assert_same(
        "TripletEvaluator", theirs, reference, tmp_path, texts[:20], texts[20:40], texts[40:], **options
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"name": "dev", "corpus_chunk_size": 13, "truncate_dim": 20, "map_at_k": [1, 5, 100]},
        {"score_functions": {"dot": dot_score, "cos": cos_sim}, "ndcg_at_k": [3, 10], "mrr_at_k": [2, 60]},
        {"main_score_function": "cosine", "accuracy_at_k": [2], "precision_recall_at_k": [4, 200]},
        {"query_prompt": "find: ", "corpus_prompt": "text: "},
    ],
    ids=lambda options: ",".join(options) or "defaults",
)
def test_retrieval_of_the_reference(theirs: Any, reference: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    assert_same("InformationRetrievalEvaluator", theirs, reference, tmp_path, QUERIES, CORPUS, RELEVANT, **options)


@pytest.mark.slow
def test_our_model_measures_as_theirs(ours: SentenceTransformer) -> None:
    from sentence_transformers import SentenceTransformer as Reference

    theirs = Reference(str(minilm_folder()), device="cpu")
    few = {key: CORPUS[key] for key in list(CORPUS)[:25]}
    for evaluator in (
        evaluators.EmbeddingSimilarityEvaluator(FIRST[:12], SECOND[:12], SCORES[:12]),
        evaluators.InformationRetrievalEvaluator(QUERIES, few, RELEVANT),
        evaluators.TripletEvaluator(FIRST[:10], SECOND[:10], SECOND[10:20]),
    ):
        assert ours.evaluate(evaluator) == pytest.approx(evaluator(theirs), abs=1e-4)


@pytest.mark.slow
def test_from_input_examples(ours: SentenceTransformer) -> None:
    pairs = [InputExample(texts=[a, b], label=score) for a, b, score in zip(FIRST, SECOND, SCORES, strict=True)]
    plain = evaluators.EmbeddingSimilarityEvaluator(FIRST, SECOND, SCORES)(ours)
    assert evaluators.EmbeddingSimilarityEvaluator.from_input_examples(pairs)(ours) == pytest.approx(plain)
    triplets = [InputExample(texts=[a, a, b]) for a, b in zip(FIRST, SECOND, strict=True) if a != b]
    assert evaluators.TripletEvaluator.from_input_examples(triplets)(ours) == {"cosine_accuracy": 1.0}


# Ranking -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tied() -> Any:
    """A model of words with small whole numbers: exact scores, most of them shared by many documents."""
    from sentence_transformers import SentenceTransformer as Reference
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    weights = np.random.default_rng(0).integers(-1, 2, (tokenizer.get_vocab_size(), 3)).astype(np.float32)
    return Reference(
        modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], similarity_fn_name="dot", device="cpu"
    )


def words(tied: Any, count: int) -> list[str]:
    found = sorted(
        word for word in tied[0].tokenizer.get_vocab() if word.isascii() and word.isalpha() and len(word) > 3
    )
    return found[:: len(found) // count][:count]


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_ties_rank_by_id_whatever_the_chunks(
    tied: Any, reference: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(retrieval, "SCORES_AT_ONCE", 200)  # Bands of a few queries.
    texts = words(tied, 230)
    order = np.random.default_rng(1).permutation(200)
    corpus = {f"{place:03d}": texts[place] for place in order.tolist()}
    queries = {str(index): text for index, text in enumerate(texts[200:])}
    answers = {query: {f"{(int(query) * 31 + 7 * step) % 200:03d}" for step in range(9)} for query in queries}
    assert_same(
        "InformationRetrievalEvaluator", tied, reference, tmp_path, queries, corpus, answers, corpus_chunk_size=chunk,
        map_at_k=[20], ndcg_at_k=[5, 20],
    )  # fmt: skip


def test_ranking_holds_no_full_matrix(ours: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "SCORES_AT_ONCE", 50)
    shapes: list[tuple[int, ...]] = []

    def score(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        shapes.append((len(a), len(b)))
        return cos_sim(a, b)

    options: dict[str, Any] = {"corpus_chunk_size": 25, "score_functions": {"s": score}}
    bounded = evaluators.InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, **options)(ours)
    assert set(shapes) == {(2, 25), (1, 25), (5, 10), (1, 10)}
    monkeypatch.undo()
    whole = evaluators.InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, score_functions={"s": cos_sim})(ours)
    assert bounded == pytest.approx(whole)


@pytest.mark.slow
def test_predictions_are_written(ours: SentenceTransformer, tmp_path: Path) -> None:
    evaluator = evaluators.InformationRetrievalEvaluator(
        QUERIES, CORPUS, RELEVANT, map_at_k=[10], write_predictions=True, name="dev"
    )
    evaluator(ours, tmp_path)
    path = tmp_path / "Information-Retrieval_evaluation_dev_predictions_cosine.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["query_id"] for line in lines] == list(RELEVANT)
    wanted = ours.similarity(ours.encode(lines[3]["query"]), ours.encode(list(CORPUS.values())))[0]
    scores = [hit["score"] for hit in lines[3]["results"]]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx(wanted.topk(10).values.tolist(), abs=1e-5)
    assert lines[3]["results"][0]["corpus_id"] == list(CORPUS)[int(wanted.argmax())]


# Tables and bad input ----------------------------------------------------------------------------------------------


def test_tables_of_other_columns_stand_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.csv"
    add_row(path, {"epoch": 0, "a": 1.5})
    add_row(path, {"epoch": 0, "b": 2.5})
    add_row(path, {"epoch": 1, "a": 3.5})
    add_row(path, {"epoch": 1, "b": 4.5})
    assert path.read_text("utf-8") == "epoch,a\n0,1.5\n1,3.5\n"
    assert path.with_name("results_2.csv").read_text("utf-8") == "epoch,b\n0,2.5\n1,4.5\n"
    with pytest.raises(SaveError, match="cannot be written"):
        add_row(path / "below" / "results.csv", {"epoch": 0})


def test_no_table_without_a_folder_or_when_not_wanted(ours: SentenceTransformer, tmp_path: Path) -> None:
    evaluators.EmbeddingSimilarityEvaluator(FIRST, SECOND, SCORES, write_csv=False)(ours, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_tells_nothing_apart_has_no_correlation(theirs: Any) -> None:
    model = SentenceTransformer(
        modules=[models.StaticEmbedding(theirs.tokenizer, embedding_weights=np.ones((30522, 4), np.float32))],
        device="cpu",
    )
    assert model.encode("text").tolist() == [1, 1, 1, 1]
    evaluator = evaluators.EmbeddingSimilarityEvaluator(FIRST, SECOND, SCORES, main_similarity="dot")
    assert np.isnan(list(evaluator(model).values())).all()


def test_evaluators_travel_to_other_processes(ours: SentenceTransformer) -> None:
    evaluator = evaluators.EmbeddingSimilarityEvaluator(FIRST, SECOND, SCORES)
    assert pickle.loads(pickle.dumps(evaluator))(ours) == pytest.approx(evaluator(ours))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        ((FIRST, SECOND[:-1], SCORES), {}, InputError, "30 sentences1, 29 sentences2, 30 scores"),
        (([], [], []), {}, InputError, "0 sentences1"),
        ((FIRST, SECOND, ["high"] * 30), {}, InputTypeError, "no numbers"),
        ((FIRST, SECOND, [*SCORES[:29], float("nan")]), {}, InputError, r"Scores \[29\]"),
        ((FIRST, SECOND, [2.0] * 30), {}, InputError, "All 30 scores are 2"),
        ((FIRST, SECOND, SCORES), {"main_similarity": "cosin"}, InputError, "'cosine'"),
        ((FIRST, SECOND, SCORES), {"precision": "int4"}, InputError, "int4"),
        ((FIRST, SECOND, SCORES), {"batch_size": 0}, InputError, "batch_size"),
    ],
)
def test_bad_similarity_input(
    arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        evaluators.EmbeddingSimilarityEvaluator(*arguments, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"relevant_docs": {}}, "12 queries, of which 0 have answers"),
        ({"corpus": {}}, "in 0 documents"),
        ({"ndcg_at_k": []}, "at least one for NDCG"),
        ({"map_at_k": [0]}, "above 0"),
        ({"corpus_chunk_size": 0}, "corpus_chunk_size"),
        ({"main_score_function": "dots"}, "'dot'"),
        ({"main_score_function": "dot", "score_functions": {"cos": cos_sim}}, "There are: cos"),
    ],
)
def test_bad_retrieval_input(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        evaluators.InformationRetrievalEvaluator(
            **{"queries": QUERIES, "corpus": CORPUS, "relevant_docs": RELEVANT, **options}
        )


def test_bad_margins() -> None:
    with pytest.raises(InputError, match="'cosine'"):
        evaluators.TripletEvaluator(FIRST, FIRST, FIRST, margin={"cosin": 1.0})


def test_answers_outside_the_corpus_count_as_not_found(
    ours: SentenceTransformer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        evaluator = evaluators.InformationRetrievalEvaluator({"q": FIRST[0]}, {"d": FIRST[0]}, {"q": {"d", "lost"}})
    assert "1 relevant documents, such as 'lost'" in caplog.text
    assert evaluator(ours)["cosine_recall@10"] == 0.5


def test_scores_that_are_no_numbers(ours: SentenceTransformer) -> None:
    evaluator = evaluators.InformationRetrievalEvaluator(
        QUERIES, CORPUS, RELEVANT, score_functions={"bad": lambda a, b: cos_sim(a, b) * torch.nan}
    )
    with pytest.raises(NumericError, match="NaN"):
        evaluator(ours)
