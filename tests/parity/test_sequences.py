"""Encoder–decoders equal the reference's: logits, states, loss and gradients, written texts, files both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from cases import SEQUENCES
from transformers.models.auto import modeling_auto

import samovar
from samovar.errors import InputError

OPTIONS: list[dict[str, Any]] = [{}, {"scale_embedding": True}, {"activation_function": "relu", "num_hidden_layers": 1}]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def pair(model_type: str, folder: Path, **options: Any) -> tuple[Any, Any]:
    """The reference's model with random weights, and ours of its files."""
    name, sizes = SEQUENCES[model_type]
    torch.manual_seed(0)
    theirs = getattr(transformers, name)(transformers.AutoConfig.for_model(model_type, **(sizes | options))).eval()
    if hasattr(theirs, "final_logits_bias"):
        theirs.final_logits_bias.normal_()
    theirs.save_pretrained(folder)
    return theirs, samovar.AutoModelForSeq2SeqLM.from_pretrained(folder)


def batch() -> dict[str, torch.Tensor]:
    """Sources of 9 and 6 tokens, targets of 7 and 5."""
    numbers = torch.Generator().manual_seed(1)
    ids, labels = torch.randint(3, 61, (3, 9), generator=numbers), torch.randint(3, 61, (3, 7), generator=numbers)
    mask = torch.ones_like(ids)
    mask[1, 6:], ids[1, 6:], labels[2, 5:] = 0, 1, -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("model_type", SEQUENCES)
def test_outputs_loss_and_gradients(model_type: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = pair(model_type, tmp_path, attn_implementation="eager", **options)
    wanted = theirs(**batch(), output_hidden_states=True, output_attentions=True)
    found = ours(**batch(), output_hidden_states=True, output_attentions=True)
    assert set(found) == set(wanted) - {"past_key_values"}
    torch.testing.assert_close(found.loss, wanted.loss, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.logits, wanted.logits, atol=1e-5, rtol=1e-5)
    for name in ("encoder_hidden_states", "decoder_hidden_states", "cross_attentions", "decoder_attentions"):
        assert len(found[name]) == len(wanted[name])
        for one, other in zip(found[name], wanted[name], strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    wanted.loss.backward()
    found.loss.backward()
    shared = theirs.get_input_embeddings().weight.grad
    torch.testing.assert_close(ours.get_input_embeddings().weight.grad, shared, atol=1e-5, rtol=1e-4)
    # Positions that are computed are frozen weights of the reference's.
    computed = [p.numel() for name, p in theirs.named_parameters() if "positions" in name and not p.requires_grad]
    assert ours.num_parameters() == theirs.num_parameters() - sum(computed)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"num_beams": 4, "length_penalty": 0.2, "min_length": 6}])
@pytest.mark.parametrize("model_type", SEQUENCES)
def test_written_texts(model_type: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = pair(model_type, tmp_path)
    source = {name: value for name, value in batch().items() if name != "labels"}
    wanted = theirs.generate(**source, max_new_tokens=20, **options)
    assert torch.equal(ours.generate(**source, max_new_tokens=20, **options), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", SEQUENCES)
def test_files_go_both_ways(model_type: str, tmp_path: Path) -> None:
    theirs, ours = pair(model_type, tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    again = type(theirs).from_pretrained(tmp_path / "ours")
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert type(ours).__name__ == type(theirs).__name__
    table = type(ours).name_table()
    assert table is not None
    base = samovar.AutoModel.from_pretrained(tmp_path / "theirs")
    reference = transformers.AutoModel.from_pretrained(tmp_path / "theirs")
    source = {name: value for name, value in batch().items() if name != "labels"}
    source["decoder_input_ids"] = batch()["labels"].clamp(min=1)
    torch.testing.assert_close(base(**source)[0], reference(**source)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model_type", SEQUENCES)
def test_pieces_of_the_call(model_type: str, tmp_path: Path) -> None:
    _, ours = pair(model_type, tmp_path)
    whole = ours(**batch())
    source = {name: value for name, value in batch().items() if name != "labels"}
    encoded = ours.get_encoder()(**source)
    read = ours.prepare_decoder_input_ids_from_labels(batch()["labels"])
    again = ours(attention_mask=source["attention_mask"], encoder_outputs=encoded, decoder_input_ids=read)
    torch.testing.assert_close(again.logits, whole.logits)
    with pytest.raises(InputError, match="nothing to read"):
        ours(encoder_outputs=encoded)
    ours.train()
    ours.gradient_checkpointing_enable()
    torch.manual_seed(3)
    ours(**batch()).loss.backward()
    kept = ours.get_input_embeddings().weight.grad.clone()
    ours.zero_grad()
    ours.gradient_checkpointing_disable()
    torch.manual_seed(3)
    ours(**batch()).loss.backward()
    torch.testing.assert_close(kept, ours.get_input_embeddings().weight.grad)


def test_several_end_tokens_and_none() -> None:
    config = samovar.BartConfig(**SEQUENCES["bart"][1], num_labels=3)
    model = samovar.BartForSequenceClassification(config).eval()
    ids = batch()["input_ids"]
    with pytest.raises(InputError, match="no end token"):
        model(ids)
    ids[:, 4], ids[:, 8] = 2, 2
    assert model(ids).logits.shape == (3, 3)
    with pytest.raises(InputError, match="Without ids"):
        model(inputs_embeds=torch.randn(3, 9, 32), decoder_inputs_embeds=torch.randn(3, 9, 32))


HEADS = [
    (model_type, auto)
    for model_type, (_, sizes) in SEQUENCES.items()
    for auto, table in (
        ("AutoModelForSequenceClassification", modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES),
        ("AutoModelForQuestionAnswering", modeling_auto.MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES),
        ("AutoModelForTokenClassification", modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES),
        ("AutoModelForCausalLM", modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    )
    if model_type in table
]


@pytest.mark.parametrize(("model_type", "auto"), HEADS)
def test_other_heads(model_type: str, auto: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **SEQUENCES[model_type][1], num_labels=3)
    if "Question" in auto:
        config.num_labels = 2
    theirs = getattr(transformers, auto).from_config(config, attn_implementation="eager").eval()
    for parameter in theirs.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1 * parameter.requires_grad)
    # The reference counts a decoder's caches by the encoder's blocks.
    theirs.config.use_cache = "Causal" not in auto and "Token" not in auto
    theirs.save_pretrained(tmp_path / "theirs")
    ours = getattr(samovar, auto).from_pretrained(tmp_path / "theirs")
    assert type(ours).__name__ == type(theirs).__name__
    inputs = {name: one for name, one in batch().items() if name != "labels"}
    inputs["input_ids"][inputs["attention_mask"] == 0] = config.pad_token_id
    inputs["input_ids"][torch.arange(3), torch.tensor([8, 5, 8])] = config.eos_token_id
    rows = torch.arange(3)
    labels = {"labels": rows}
    if "Question" in auto:
        labels = {"start_positions": rows, "end_positions": rows + 2}
    elif "Token" in auto:
        labels = {"labels": inputs["input_ids"] % 3}
    elif "Causal" in auto:
        labels = {"labels": inputs["input_ids"]}
    real = inputs["attention_mask"].bool()
    for given in (inputs, inputs | labels):
        wanted, found = theirs(**given), ours(**given)
        assert [key for key in found if key != "past_key_values"] == [key for key in wanted if key != "past_key_values"]
        for key in ("loss", "logits", "start_logits", "end_logits"):
            if key in wanted:
                one, other = wanted[key], found[key]
                if one.shape[:2] == real.shape:
                    one, other = one[real], other[real]
                torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)
    found.loss.backward()
    wanted.loss.backward()
    words = theirs.get_input_embeddings().weight.grad
    torch.testing.assert_close(ours.get_input_embeddings().weight.grad, words, atol=1e-5, rtol=1e-4)
    ours.save_pretrained(tmp_path / "ours")
    again = type(theirs).from_pretrained(tmp_path / "ours")
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    if "Causal" in auto:
        ids = inputs["input_ids"][:1, :4]
        wanted = theirs.generate(ids, max_new_tokens=8, use_cache=False)
        assert torch.equal(ours.generate(ids, max_new_tokens=8, use_cache=True), wanted)


def test_t5s_encoder_alone(tmp_path: Path) -> None:
    pair("t5", tmp_path)
    encoder = samovar.T5EncoderModel.from_pretrained(tmp_path)
    reference = transformers.T5EncoderModel.from_pretrained(tmp_path)
    source = {name: one for name, one in batch().items() if name != "labels"}
    torch.testing.assert_close(encoder(**source)[0], reference(**source)[0], atol=1e-5, rtol=1e-5)
    encoder.save_pretrained(tmp_path / "encoder")
    again = transformers.T5EncoderModel.from_pretrained(tmp_path / "encoder")
    assert torch.equal(again(**source)[0], reference(**source)[0])


def test_t5_with_words_of_its_own_for_what_it_writes(tmp_path: Path) -> None:
    """Files of T5 1.1 hold both; the loss and the way back show that they stay apart."""
    config = samovar.T5Config(**SEQUENCES["t5"][1] | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False})
    torch.manual_seed(0)
    model = samovar.T5ForConditionalGeneration(config).eval()
    model.save_pretrained(tmp_path)
    again = samovar.T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert not torch.equal(again.get_input_embeddings().weight, again.get_output_embeddings().weight)
    assert torch.equal(again(**batch()).logits, model(**batch()).logits)
    assert model.head.scale == 1.0


@pytest.mark.slow
def test_marian_with_a_vocabulary_for_each_side(tmp_path: Path) -> None:
    apart = {"decoder_vocab_size": 83, "share_encoder_decoder_embeddings": False, "tie_word_embeddings": False}
    theirs, ours = pair("marian", tmp_path / "theirs", **apart)
    wanted, found = (model(**batch(), output_hidden_states=True) for model in (theirs, ours))
    assert found.logits.shape[-1] == 83
    torch.testing.assert_close(found.logits, wanted.logits, atol=1e-5, rtol=1e-5)
    source = {name: value for name, value in batch().items() if name != "labels"}
    for options in ({}, {"num_beams": 3}):
        expected = theirs.generate(**source, max_new_tokens=20, **options)
        assert torch.equal(ours.generate(**source, max_new_tokens=20, **options), expected)
    ours.save_pretrained(tmp_path / "ours")
    again = type(theirs).from_pretrained(tmp_path / "ours")
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
