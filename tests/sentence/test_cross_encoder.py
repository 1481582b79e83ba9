"""`CrossEncoder` against the field's library, with small random classifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from assets import minilm_folder
from samovar import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, CrossEncoder
from samovar.errors import InputError, InputTypeError, NumericError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

PAIRS = [("How hot is tea?", f"Tea is {degrees} degrees hot. " * (degrees % 9)) for degrees in range(20)]
PAIRS += [("", ""), ("Самовар?", "Кипит. " * 300)]


def checkpoint(folder: Path, labels: int) -> Path:
    torch.manual_seed(labels)
    config = AutoConfig.for_model(
        "bert", hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, vocab_size=30522,
        num_labels=labels, initializer_range=0.3,
    )  # fmt: skip
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm_folder()).save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("labels", [1, 3])
def test_scores_equal_the_reference(tmp_path: Path, labels: int) -> None:
    from sentence_transformers import CrossEncoder as Reference

    folder = checkpoint(tmp_path, labels)
    mine, theirs = CrossEncoder(folder, device="cpu"), Reference(str(folder), device="cpu")
    assert mine.max_length == theirs.max_length
    for options in ({}, {"activation_fn": nn.Tanh()}, {"batch_size": 3}):
        a, b = mine.predict(PAIRS, **options), theirs.predict(PAIRS, **options)
        assert (type(a), a.dtype, a.shape) == (type(b), b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
    for one in (mine.predict(PAIRS[3]), mine.predict(list(PAIRS[3]))):
        np.testing.assert_allclose(one, theirs.predict(PAIRS[3]), rtol=0, atol=1e-5)
    tensors = mine.predict(PAIRS, convert_to_tensor=True)
    torch.testing.assert_close(tensors, theirs.predict(PAIRS, convert_to_tensor=True), rtol=0, atol=1e-5)
    listed = mine.predict(PAIRS, convert_to_numpy=False)
    assert isinstance(listed, list)
    torch.testing.assert_close(torch.stack(listed), tensors, rtol=0, atol=1e-6)
    if labels > 1:
        shares = mine.predict(PAIRS, apply_softmax=True)
        np.testing.assert_allclose(shares, theirs.predict(PAIRS, apply_softmax=True), rtol=0, atol=1e-5)
    assert mine.predict([]).shape == ((0,) if labels == 1 else (0, 3))


@pytest.mark.slow
def test_ranking_equals_the_reference(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder as Reference

    folder = checkpoint(tmp_path, 1)
    mine, theirs = CrossEncoder(folder, device="cpu"), Reference(str(folder), device="cpu")
    documents = [text for _, text in PAIRS[:9]]
    for options in ({}, {"top_k": 3}, {"return_documents": True}):
        a, b = mine.rank("How hot is tea?", documents, **options), theirs.rank("How hot is tea?", documents, **options)
        assert [hit["corpus_id"] for hit in a] == [hit["corpus_id"] for hit in b]
        assert a[0].keys() == b[0].keys()
        np.testing.assert_allclose([hit["score"] for hit in a], [hit["score"] for hit in b], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_the_activation_travels_both_ways(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder as Reference

    folder = checkpoint(tmp_path / "plain", 1)
    CrossEncoder(folder, activation_fn=nn.Identity(), device="cpu").save(tmp_path / "ours")
    theirs = Reference(str(tmp_path / "ours"), device="cpu")
    assert isinstance(theirs.activation_fn, nn.Identity)
    again = CrossEncoder(tmp_path / "ours", device="cpu")
    np.testing.assert_allclose(again.predict(PAIRS), theirs.predict(PAIRS), rtol=0, atol=1e-5)
    Reference(str(folder), device="cpu", activation_fn=nn.Tanh()).save(str(tmp_path / "theirs"))
    assert isinstance(CrossEncoder(tmp_path / "theirs", device="cpu").activation_fn, nn.Tanh)


def test_a_plain_encoder_gets_a_new_head() -> None:
    assert CrossEncoder(minilm_folder(), device="cpu").num_labels == 1
    assert CrossEncoder(minilm_folder(), num_labels=4, device="cpu").predict(PAIRS[:2]).shape == (2, 4)


@pytest.mark.slow
@pytest.mark.parametrize("given", [["alone"], [("a", "b"), ("a",)], [("a", 5)], [None]])
def test_what_is_no_pair(tmp_path: Path, given: Any) -> None:
    with pytest.raises(InputTypeError, match="A pair of texts expected"):
        CrossEncoder(checkpoint(tmp_path, 1), device="cpu").predict(given)


def test_what_gives_no_order_and_no_number(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 scores a pair: no order"):
        CrossEncoder(checkpoint(tmp_path / "3", 3), device="cpu").rank("a", ["b"])
    broken = CrossEncoder(checkpoint(tmp_path / "1", 1), device="cpu")
    with torch.no_grad():
        broken.model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(NumericError, match="scores are not finite"):
        broken.predict(PAIRS[:2])
