"""`encode` on the real MiniLM weights: the embeddings of the field's library, for every option that both have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assets import minilm_folder, snippets
from samovar import SentenceTransformer
from samovar.errors import InputError, InputTypeError, NumericError
from samovar.sentence import models

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

TEXTS = [text for _, text in snippets("movies")[:20]] + [
    "", "Самовар кипит на столе.", "茶壶在桌子上。", "👩‍👩‍👧 family", "one\ttwo\nthree", "word " * 400,
]  # fmt: skip


@pytest.fixture(scope="module")
def ours() -> SentenceTransformer:
    return SentenceTransformer(minilm_folder(), device="cpu", prompts={"search": "search for: "})


@pytest.fixture(scope="module")
def theirs() -> Any:
    from sentence_transformers import SentenceTransformer as Reference

    return Reference(str(minilm_folder()), device="cpu", prompts={"search": "search for: "})


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_size": 5},
        {"normalize_embeddings": True, "truncate_dim": 64},
        {"truncate_dim": 100},
        {"prompt": "query: "},
        {"prompt_name": "search"},
        {"convert_to_tensor": True},
        {"convert_to_numpy": False},
        {"show_progress_bar": False, "device": "cpu"},
    ],
    ids=str,
)
def test_equal_to_the_reference(ours: SentenceTransformer, theirs: Any, options: dict[str, Any]) -> None:
    mine, reference = ours.encode(TEXTS, **options), theirs.encode(TEXTS, **options)
    assert type(mine) is type(reference)
    assert len(mine) == len(reference) == len(TEXTS)
    for row, other in zip(mine, reference, strict=True):
        assert row.dtype == other.dtype
        np.testing.assert_allclose(np.asarray(row), np.asarray(other), rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_precisions(ours: SentenceTransformer, theirs: Any, precision: str) -> None:
    mine, reference = ours.encode(TEXTS, precision=precision), theirs.encode(TEXTS, precision=precision)
    assert (mine.dtype, mine.shape) == (reference.dtype, reference.shape)
    # A value on the edge of a step may fall to either side of it by rounding.
    if precision.endswith("binary"):
        assert (np.unpackbits(mine.view(np.uint8)) != np.unpackbits(reference.view(np.uint8))).mean() < 1e-3
    else:
        apart = np.abs(mine.astype(int) - reference.astype(int))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3


def test_one_text_is_one_row(ours: SentenceTransformer, theirs: Any) -> None:
    for options in ({}, {"convert_to_tensor": True}, {"convert_to_numpy": False}, {"precision": "ubinary"}):
        mine, reference = ours.encode("A samovar boils.", **options), theirs.encode("A samovar boils.", **options)
        assert type(mine) is type(reference)
        assert mine.shape == reference.shape
        np.testing.assert_allclose(np.asarray(mine), np.asarray(reference), rtol=0, atol=1e-5)


def test_tokens_and_features(ours: SentenceTransformer, theirs: Any) -> None:
    for mine, reference in zip(
        ours.encode(TEXTS[:9], output_value="token_embeddings"),
        theirs.encode(TEXTS[:9], output_value="token_embeddings"),
        strict=True,
    ):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine, reference, rtol=0, atol=1e-5)
    features = ours.encode(TEXTS[:3], output_value=None)
    assert {"input_ids", "attention_mask", "token_embeddings", "sentence_embedding"} <= set(features[0])
    assert features[1]["sentence_embedding"].shape == (384,)


@pytest.mark.slow
def test_query_and_document_prompts(theirs: Any) -> None:
    prompts = {"query": "query: ", "passage": "passage: "}
    model = SentenceTransformer(minilm_folder(), prompts=prompts, device="cpu")
    for kind, name in (("encode_query", "query"), ("encode_document", "passage")):
        expected = theirs.encode([prompts[name] + text for text in TEXTS[:5]])
        np.testing.assert_allclose(getattr(model, kind)(TEXTS[:5]), expected, rtol=0, atol=1e-5)
    usual = SentenceTransformer(minilm_folder(), prompts=prompts, default_prompt_name="query", device="cpu")
    np.testing.assert_allclose(usual.encode(TEXTS[:5]), model.encode_query(TEXTS[:5]), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["cls", "mean", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"])
@pytest.mark.parametrize("include_prompt", [True, False])
def test_pooling(theirs: Any, mode: str, include_prompt: bool) -> None:
    from sentence_transformers import SentenceTransformer as Reference
    from sentence_transformers.sentence_transformer.modules import Pooling

    reference = Reference(modules=[theirs[0], Pooling(384, mode, include_prompt=include_prompt)], device="cpu")
    mine = SentenceTransformer(
        modules=[models.Transformer(minilm_folder()), models.Pooling(384, mode, include_prompt)], device="cpu"
    )
    mine.max_seq_length = 256
    texts = TEXTS[:6] + TEXTS[-6:]
    np.testing.assert_allclose(
        mine.encode(texts, prompt="search for: "), reference.encode(texts, prompt="search for: "), rtol=0, atol=2e-5
    )


def test_pooling_of_padding_on_either_side() -> None:
    tokens = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    right = {"token_embeddings": tokens, "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])}
    rolled = torch.stack([tokens[0].roll(1, 0), tokens[1]])
    left = {"token_embeddings": rolled, "attention_mask": torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])}
    for mode in ("cls", "mean", "max", "mean_sqrt_len_tokens", "lasttoken"):
        pooling = models.Pooling(3, mode)
        a, b = (pooling(dict(features))["sentence_embedding"] for features in (right, left))
        torch.testing.assert_close(a, b)
    both = models.Pooling(3, ["mean", "max"])
    assert both(dict(right))["sentence_embedding"].shape == (2, both.get_sentence_embedding_dimension()) == (2, 6)


def test_inputs_of_other_kinds(ours: SentenceTransformer) -> None:
    pandas = pytest.importorskip("pandas")
    expected = ours.encode(TEXTS[:4])
    for given in (np.array(TEXTS[:4]), pandas.Series(TEXTS[:4]), tuple(TEXTS[:4]), (text for text in TEXTS[:4])):
        np.testing.assert_allclose(ours.encode(given), expected, rtol=0, atol=1e-6)
    assert ours.encode([]).shape == (0, 384)
    assert ours.encode([], convert_to_tensor=True).shape == (0, 384)
    table = pandas.DataFrame(expected, index=TEXTS[:4])
    assert table.shape == (4, 384)


@pytest.mark.slow
def test_a_hundred_thousand_words_are_cut(ours: SentenceTransformer, theirs: Any) -> None:
    text = "samovar kettle " * 50_000
    np.testing.assert_allclose(ours.encode(text), theirs.encode(text), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["good", 5], "Input 1: Text expected, got int"),
        (["good", None], "Input 1: Text expected, got NoneType"),
        (["good", b"bad"], "Input 1: Text expected, got bytes"),
        (7, "Text expected, got int"),
        (b"bytes", "Text expected, got bytes"),
    ],
)
def test_what_is_no_text(ours: SentenceTransformer, given: Any, words: str) -> None:
    with pytest.raises(InputTypeError, match=words):
        ours.encode(given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "int4"}, "no precision 'int4'"),
        ({"output_value": "tokens"}, "no output 'tokens'"),
        ({"prompt_name": "serach"}, "Did you mean 'search'"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"truncate_dim": -1}, "truncate_dim must be"),
    ],
)
def test_options_that_there_are_not(ours: SentenceTransformer, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ours.encode("text", **options)


def test_weights_that_are_not_finite_are_told() -> None:
    model = SentenceTransformer(minilm_folder(), device="cpu")
    with torch.no_grad():
        model[0].auto_model.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(NumericError, match="embedding are not finite"):
        model.encode(["one", "two"])


def test_truncation_inside_a_block(ours: SentenceTransformer) -> None:
    with ours.truncate_sentence_embeddings(16):
        assert ours.encode(TEXTS[:2]).shape == (2, 16)
        assert ours.get_sentence_embedding_dimension() == 16
    assert ours.encode(TEXTS[:2]).shape == (2, 384)


@pytest.mark.slow
def test_half_precision_stays_close(ours: SentenceTransformer) -> None:
    half = SentenceTransformer(minilm_folder(), device="cpu", model_kwargs={"dtype": "bfloat16"})
    mine, full = half.encode(TEXTS[:20]), ours.encode(TEXTS[:20])
    assert mine.dtype == np.float32
    assert (mine * full).sum(1).min() > 0.99


@pytest.mark.slow
def test_several_processes_give_the_same(ours: SentenceTransformer) -> None:
    with ours.start_multi_process_pool(["cpu", "cpu"]) as pool:
        for options in ({}, {"precision": "ubinary"}, {"convert_to_tensor": True}):
            mine = ours.encode(TEXTS, pool=pool, chunk_size=20, **options)
            np.testing.assert_allclose(np.asarray(mine), np.asarray(ours.encode(TEXTS, **options)), rtol=0, atol=1e-5)
        with pytest.raises(InputTypeError, match="Text expected"):
            ours.encode(["text", 3], pool=pool)


def test_folders_without_a_list_of_modules_are_mean_pooled(ours: SentenceTransformer, tmp_path: Path) -> None:
    ours[0].auto_model.save_pretrained(tmp_path)
    ours[0].tokenizer.save_pretrained(tmp_path)
    plain = SentenceTransformer(tmp_path, device="cpu")
    assert [type(module).__name__ for module in plain] == ["Transformer", "Pooling"]
    mine = plain.encode(TEXTS[:5], normalize_embeddings=True)
    np.testing.assert_allclose(mine, ours.encode(TEXTS[:5]), rtol=0, atol=1e-5)
