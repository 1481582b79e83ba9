"""Text architectures away from their default settings, where a file of the reference must still mean the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

import samovar
from samovar.errors import ConfigError, InputError

BERT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}
DISTILBERT: dict[str, Any] = {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37}
GPT2: dict[str, Any] = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40}
GPT2 |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
UNTIED: dict[str, Any] = {"tie_word_embeddings": False}
ALBERT_GROUPS: dict[str, Any] = {**BERT, "num_hidden_layers": 7, "num_hidden_groups": 3, "embedding_size": 32}

VARIATIONS = [
    ("BertForPreTraining", {**BERT, **UNTIED}),
    ("RobertaForMaskedLM", {**BERT, **UNTIED}),
    ("XLMRobertaForCausalLM", {**BERT, **UNTIED, "is_decoder": True}),
    ("DistilBertForMaskedLM", {**DISTILBERT, **UNTIED}),
    ("ElectraForMaskedLM", {**BERT, **UNTIED, "embedding_size": 16}),
    ("AlbertForPreTraining", {**BERT, **UNTIED, "embedding_size": 16}),
    ("MPNetForMaskedLM", {**BERT, **UNTIED}),
    ("GPT2LMHeadModel", {**GPT2, **UNTIED}),
    ("BertLMHeadModel", {**BERT, "is_decoder": True}),
    ("ElectraForCausalLM", {**BERT, "embedding_size": 32, "is_decoder": True}),
    ("ElectraForMultipleChoice", {**BERT, "summary_activation": "tanh"}),
    ("AlbertModel", ALBERT_GROUPS),
    ("MPNetModel", {**BERT, "pad_token_id": 0}),
    ("GPT2Model", {**GPT2, "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True}),
    ("GPT2ForSequenceClassification", {**GPT2, "n_inner": 37}),
]


def saved_reference(name: str, sizes: dict[str, Any], folder: Path) -> Any:
    """The reference's model with every weight random, biases and norms too, and its files in `folder`."""
    kind = getattr(transformers, name)
    model = kind(kind.config_class(**sizes)).eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.2)
    model.tie_weights()
    model.save_pretrained(folder)
    return model


def padded(name: str, side: str) -> dict[str, Tensor]:
    """Two texts of 9 and 5 tokens, padded on one side."""
    pad = 1 if name.startswith(("Roberta", "XLMRoberta", "MPNet")) else 0
    ids, mask = torch.randint(5, 99, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    gap = slice(5, None) if side == "right" else slice(0, 4)
    ids[1, gap], mask[1, gap] = pad, 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    return {key: value[:, None].repeat(1, 3, 1) for key, value in inputs.items()} if "Choice" in name else inputs


@pytest.mark.slow
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(("name", "sizes"), VARIATIONS, ids=lambda value: value if isinstance(value, str) else "")
def test_outputs_and_files_equal_the_references(name: str, sizes: dict[str, Any], side: str, tmp_path: Path) -> None:
    theirs = saved_reference(name, sizes, tmp_path / "theirs")
    ours = getattr(samovar, name).from_pretrained(tmp_path / "theirs")
    inputs = padded(name, side)
    with torch.no_grad():
        expected, got = theirs(**inputs)[0], ours(**inputs)[0]
    if got.ndim == 3:
        expected, got = (tensor * inputs["attention_mask"][..., None] for tensor in (expected, got))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    ours.save_pretrained(tmp_path / "ours")
    before, after = (load_file(tmp_path / who / "model.safetensors") for who in ("theirs", "ours"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_an_untied_file_that_holds_the_last_bias_once_uses_it_without_sharing_it(tmp_path: Path) -> None:
    theirs = saved_reference("RobertaForMaskedLM", {**BERT, **UNTIED}, tmp_path)
    with torch.no_grad():
        theirs.lm_head.decoder.bias.copy_(theirs.lm_head.bias)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["lm_head.decoder.bias"]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours = samovar.RobertaForMaskedLM.from_pretrained(tmp_path)
    ids = torch.randint(5, 99, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, atol=1e-4, rtol=0)
        ours.head.decoder.bias.zero_()
    assert ours.head.bias.abs().sum() > 0


@pytest.mark.parametrize("length", [1, 9, 64, 65, 129, 300])
def test_mpnet_counts_distances_as_the_reference_does(length: int) -> None:
    theirs = transformers.MPNetModel(transformers.MPNetConfig(**BERT)).encoder
    ours: Any = samovar.MPNetModel(samovar.MPNetConfig(**BERT)).relative_bias
    with torch.no_grad():
        ours.weight.copy_(theirs.relative_attention_bias.weight)
    expected = theirs.compute_position_bias(torch.zeros(1, length, 32))
    assert torch.equal(ours(length, torch.device("cpu")), expected)


def test_gpt2_computes_scores_in_float32_when_the_file_asks_for_it() -> None:
    model: Any = samovar.GPT2Model(samovar.GPT2Config(**GPT2, reorder_and_upcast_attn=True)).half().eval()
    attention = model.layers[0].self_attn
    # Scores near 90,000 are above what half precision can hold, which ends at 65,504.
    query = torch.full((1, 4, 3, 8), 178.0, dtype=torch.float16)
    mixed, weights = attention.mix(query, query, query, None, True)
    assert mixed.dtype == weights.dtype == torch.float16
    torch.testing.assert_close(weights[0, 0, 2], torch.full((3,), 1 / 3, dtype=torch.float16))


def test_gpt2_classifies_vectors_given_in_place_of_ids_by_their_last_position(tmp_path: Path) -> None:
    theirs = saved_reference("GPT2ForSequenceClassification", GPT2, tmp_path)
    ours = samovar.GPT2ForSequenceClassification.from_pretrained(tmp_path)
    vectors = torch.randn(3, 7, 32)
    with torch.no_grad():
        expected, got = theirs(inputs_embeds=vectors).logits, ours(inputs_embeds=vectors).logits
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_gpt2_without_a_padding_token_refuses_a_batch() -> None:
    model = samovar.GPT2ForSequenceClassification(samovar.GPT2Config(**{**GPT2, "pad_token_id": None})).eval()
    assert model(torch.ones(1, 5, dtype=torch.long)).logits.shape == (1, 2)
    with pytest.raises(InputError, match="2 sequences were given to a model without a padding token"):
        model(torch.ones(2, 5, dtype=torch.long))


@pytest.mark.parametrize(("given", "rate"), [({}, 0.1), ({"classifier_dropout": 0.4}, 0.4)])
def test_gpt2_takes_the_dropout_of_its_token_classifier_from_the_file(given: dict[str, float], rate: float) -> None:
    head: Any = samovar.GPT2ForTokenClassification(samovar.GPT2Config(**GPT2, **given)).head
    assert head.dropout.p == rate


def test_electra_takes_the_dropout_of_its_summary_from_the_file() -> None:
    config = samovar.ElectraConfig(**BERT, summary_last_dropout=0.3, hidden_dropout_prob=0.2)
    head: Any = samovar.ElectraForMultipleChoice(config).head
    assert head.dropout.p == 0.3


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("columns", [(), (1,)])
def test_regression_loss_equals_the_references(rows: int, columns: tuple[int, ...], tmp_path: Path) -> None:
    theirs = saved_reference("RobertaForSequenceClassification", {**BERT, "num_labels": 1}, tmp_path)
    ours = samovar.RobertaForSequenceClassification.from_pretrained(tmp_path)
    ids, labels = torch.randint(5, 99, (rows, 6)), torch.randn(rows, *columns)
    torch.testing.assert_close(ours(ids, labels=labels).loss, theirs(ids, labels=labels).loss, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("kind", "own", "stray"), [
    ("BertConfig", "hidden_size", "embedding_size"),
    ("MPNetConfig", "hidden_size", "embedding_size"),
    ("DistilBertConfig", "hidden_dim", "intermediate_size"),
])  # fmt: skip
@pytest.mark.parametrize("first", [True, False])
def test_a_key_under_another_name_does_not_override_the_checkpoints_own(
    kind: str, own: str, stray: str, first: bool
) -> None:
    values = {own: 64, stray: 16} if first else {stray: 16, own: 64}
    assert getattr(getattr(samovar, kind).from_dict(values), own) == 64


def test_mpnet_refuses_a_number_of_buckets_that_no_program_counts() -> None:
    with pytest.raises(ConfigError, match="relative_attention_num_buckets=64"):
        samovar.MPNetModel(samovar.MPNetConfig(**BERT, relative_attention_num_buckets=64))
