"""Perplexity and BERTScore against the libraries that the field takes them from."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from assets import minilm_folder, snippets
from samovar import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from samovar.evaluate import MetricError, load

TEXTS = [text for _, text in snippets("movies")[:24]]
OTHERS = [" ".join(text.split()[1:]) for text in TEXTS]


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GPT-2 with random weights that are far from flat, over MiniLM's tokens."""
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    tokenizer.bos_token = tokenizer.cls_token
    config = AutoConfig.for_model(
        "gpt2", n_embd=32, n_layer=2, n_head=2, n_positions=64, vocab_size=len(tokenizer), initializer_range=0.4,
        bos_token_id=tokenizer.cls_token_id,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("start", [True, False])
def test_perplexity_is_that_of_single_texts_in_the_reference(language_model: Path, start: bool) -> None:
    from transformers import AutoModelForCausalLM as Reference

    found = load("perplexity").compute(
        predictions=TEXTS, model_id=str(language_model), add_start_token=start, batch_size=5
    )
    model = Reference.from_pretrained(language_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(language_model)
    expected = []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"][: 63 if start else 64]
        row = torch.tensor([[tokenizer.cls_token_id, *ids] if start else ids])
        with torch.no_grad():
            expected.append(math.exp(model(row, labels=row).loss))
    np.testing.assert_allclose(found["perplexities"], expected, rtol=1e-4)
    assert found["mean_perplexity"] == pytest.approx(np.mean(found["perplexities"]))
    assert max(expected) > 1.5 * min(expected)


def test_perplexity_that_cannot_be(language_model: Path) -> None:
    with pytest.raises(MetricError, match="perplexity has no model"):
        load("perplexity").compute(predictions=["a"])
    with pytest.raises(MetricError, match=r"predictions\[1\] has no token to predict: ''"):
        load("perplexity").compute(predictions=["tea", ""], model_id=str(language_model))
    with pytest.raises(MetricError, match=r"predictions\[0\] has no token to predict: 'tea'"):
        load("perplexity").compute(predictions=["tea"], model_id=str(language_model), add_start_token=False)
    cut = load("perplexity").compute(predictions=["tea " * 500], model_id=str(language_model))
    assert math.isfinite(cut["mean_perplexity"])


@pytest.mark.slow
@pytest.mark.parametrize("idf", [False, True])
@pytest.mark.filterwarnings("ignore")
def test_bertscore_equals_the_library(idf: bool) -> None:
    from bert_score import score

    folder = str(minilm_folder())
    found = load("bertscore").compute(
        predictions=OTHERS, references=TEXTS, model_type=folder, num_layers=5, idf=idf, batch_size=7
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = score(OTHERS, TEXTS, model_type=folder, num_layers=5, idf=idf, device="cpu")
    for name, values in zip(("precision", "recall", "f1"), expected, strict=True):
        np.testing.assert_allclose(found[name], values.numpy(), rtol=0, atol=1e-5)
    assert found["hashcode"].endswith("_L5_idf_samovar" if idf else "_L5_no-idf_samovar")


@pytest.mark.slow
def test_bertscore_takes_the_best_reference_and_empty_texts() -> None:
    folder = str(minilm_folder())
    both = load("bertscore").compute(
        predictions=["hot tea", ""], references=[["a car", "hot tea"], ["hot tea"]], model_type=folder
    )
    assert both["f1"] == [pytest.approx(1, abs=1e-5), 0]
    with pytest.raises(MetricError, match="bertscore has no model"):
        load("bertscore").compute(predictions=["a"], references=["a"])
    with pytest.raises(MetricError, match="num_layers=9, but the model has 6"):
        load("bertscore").compute(predictions=["a"], references=["a"], model_type=folder, num_layers=9)
