"""Search, clusters, pairs and similarities: the results of the field's library, and of plain formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from assets import minilm_folder, snippets
from samovar import SentenceTransformer
from samovar.errors import InputError
from samovar.sentence import (
    SimilarityFunction,
    community_detection,
    cos_sim,
    dot_score,
    paraphrase_mining,
    paraphrase_mining_embeddings,
    semantic_search,
    util,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def reference() -> Any:
    from sentence_transformers import util as theirs

    return theirs


def rows(count: int, seed: int = 0, dim: int = 24) -> torch.Tensor:
    """Random rows of any length, gathered around a few directions."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(7, dim, generator=generator)
    chosen = torch.randint(7, (count,), generator=generator)
    return (centres[chosen] + 0.4 * torch.randn(count, dim, generator=generator)) * torch.rand(count, 1) * 3


@pytest.mark.parametrize("name", ["cos_sim", "dot_score"])
@pytest.mark.parametrize("sizes", [{}, {"corpus_chunk_size": 170, "query_chunk_size": 3}])
def test_search_equals_the_reference(name: str, sizes: dict[str, int]) -> None:
    corpus, queries = rows(1500), rows(9, seed=1)
    mine = semantic_search(queries, corpus, top_k=13, score_function=getattr(util, name), **sizes)
    theirs = reference().semantic_search(queries, corpus, top_k=13, score_function=getattr(reference(), name))
    for hits, others in zip(mine, theirs, strict=True):
        assert [hit["corpus_id"] for hit in hits] == [hit["corpus_id"] for hit in others]
        np.testing.assert_allclose([h["score"] for h in hits], [h["score"] for h in others], rtol=0, atol=1e-5)


def test_search_takes_arrays_lists_and_single_queries() -> None:
    corpus, query = rows(50), rows(1, seed=1)[0]
    expected = semantic_search(query, corpus, top_k=3)
    assert len(expected) == 1
    for other in (corpus.numpy(), list(corpus), corpus.tolist()):
        found = semantic_search(query.numpy(), other, top_k=3)
        assert [hit["corpus_id"] for hit in found[0]] == [hit["corpus_id"] for hit in expected[0]]
    assert len(semantic_search(query, corpus[:2], top_k=10)[0]) == 2
    assert semantic_search(query, corpus[:0])[0] == []
    halves = semantic_search(query.half(), corpus.half(), top_k=1, score_function=dot_score)
    assert (
        halves[0][0]["corpus_id"]
        == semantic_search(query, corpus, top_k=1, score_function=dot_score)[0][0]["corpus_id"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"corpus_embeddings": torch.zeros(3, 5)}, "of 24 and of 5 numbers cannot be compared"),
        ({"top_k": 0}, "top_k must be above 0"),
        ({"corpus_chunk_size": 0}, "corpus_chunk_size must be above 0"),
        ({"corpus_embeddings": ["a", "b"]}, "are no numbers"),
        ({"corpus_embeddings": torch.zeros(2, 3, 4)}, r"have shape \(2, 3, 4\)"),
    ],
)
def test_search_that_cannot_be(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        semantic_search(**{"query_embeddings": rows(2), "corpus_embeddings": rows(4), **arguments})


@pytest.mark.parametrize("threshold", [0.6, 0.85])
@pytest.mark.parametrize("least", [2, 15])
def test_communities_equal_the_reference(threshold: float, least: int) -> None:
    embeddings = rows(400)
    mine = community_detection(embeddings, threshold, least, batch_size=64)
    theirs = reference().community_detection(embeddings, threshold=threshold, min_community_size=least)
    assert [len(group) for group in mine] == [len(group) for group in theirs]
    assert {frozenset(group) for group in mine} == {frozenset(group) for group in theirs}
    taken = [row for group in mine for row in group]
    assert len(taken) == len(set(taken))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [{}, {"query_chunk_size": 37, "corpus_chunk_size": 90}])
def test_pairs_equal_the_reference(sizes: dict[str, int]) -> None:
    embeddings = rows(200)
    mine = paraphrase_mining_embeddings(embeddings, top_k=250, max_pairs=60, **sizes)
    theirs = reference().paraphrase_mining_embeddings(embeddings, top_k=199, max_pairs=10**6)[:60]
    assert [pair[1:] for pair in mine] == [sorted(pair[1:]) for pair in theirs]
    np.testing.assert_allclose([pair[0] for pair in mine], [pair[0] for pair in theirs], rtol=0, atol=1e-5)
    assert len(paraphrase_mining_embeddings(embeddings[:1])) == 0


def test_paraphrases_of_real_text() -> None:
    model = SentenceTransformer(minilm_folder(), device="cpu")
    texts = [text for _, text in snippets("products")[:40]] + ["The battery lasts long.", "It has a long battery life."]
    pairs = [pair for pair in paraphrase_mining(model, texts) if {40, 41} & set(pair[1:])]
    assert pairs[0][1:] == [40, 41]
    assert pairs[0][0] > 0.7 > pairs[1][0]


@pytest.mark.parametrize("name", SimilarityFunction.possible_values())
def test_similarities_equal_the_reference(name: str) -> None:
    from sentence_transformers import SimilarityFunction as Theirs

    a, b = rows(8), rows(8, seed=2)
    for mine, theirs in (
        (SimilarityFunction.to_similarity_fn(name), Theirs.to_similarity_fn(name)),
        (SimilarityFunction.to_similarity_pairwise_fn(name), Theirs.to_similarity_pairwise_fn(name)),
    ):
        torch.testing.assert_close(mine(a, b), theirs(a, b), rtol=0, atol=1e-4)
        torch.testing.assert_close(mine(a.numpy(), list(b)), theirs(a, b), rtol=0, atol=1e-4)
    with pytest.raises(InputError, match="8 rows cannot be paired with 3"):
        SimilarityFunction.to_similarity_pairwise_fn(name)(a, b[:3])


def test_rows_of_zeros_have_no_direction() -> None:
    assert cos_sim(torch.zeros(1, 4), torch.ones(1, 4)).item() == 0
    assert semantic_search(torch.ones(4), torch.zeros(2, 4))[0][0]["score"] == 0
