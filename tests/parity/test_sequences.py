"""Encoder–decoders equal the reference's: logits, states, loss and gradients, written texts, files both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from cases import SEQUENCES

import samovar
from samovar.errors import InputError

OPTIONS: list[dict[str, Any]] = [{}, {"scale_embedding": True}, {"activation_function": "relu", "num_hidden_layers": 1}]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def pair(model_type: str, folder: Path, **options: Any) -> tuple[Any, Any]:
    """The reference's model with random weights, and ours of its files."""
    name, sizes = SEQUENCES[model_type]
    torch.manual_seed(0)
    theirs = getattr(transformers, name)(transformers.AutoConfig.for_model(model_type, **(sizes | options))).eval()
    for buffer in theirs.buffers():
        if buffer.is_floating_point():
            buffer.normal_()
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
    assert ours.num_parameters() == theirs.num_parameters()


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"num_beams": 4, "length_penalty": 0.2, "min_length": 6}])
@pytest.mark.parametrize("model_type", SEQUENCES)
def test_written_texts(model_type: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = pair(model_type, tmp_path)
    source = {name: value for name, value in batch().items() if name != "labels"}
    wanted = theirs.generate(**source, max_new_tokens=20, **options)
    assert torch.equal(ours.generate(**source, max_new_tokens=20, **options), wanted)


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
