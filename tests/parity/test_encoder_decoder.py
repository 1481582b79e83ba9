"""Any encoder with any decoder: logits, loss, gradients, written texts and files as the reference's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from cases import CASES, SEQUENCES

import samovar
from samovar.errors import ConfigError, InputError, InputTypeError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

SIZES: dict[str, dict[str, Any]] = {case.model_type: case.sizes for case in CASES if not case.vision}
# The reference counts a decoder's caches by the encoder's blocks.
SIZES |= {name: sizes | {"decoder_layers": 2} for name, (_, sizes) in SEQUENCES.items()}
WIDER = {"hidden_size": 24, "num_hidden_layers": 3}
# Encoder, decoder, and what differs from the decoder's line in `cases.py`.
PAIRS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert to bert": ("bert", "bert", {}),
    "bert to narrower bert": ("bert", "bert", WIDER),
    "distilbert to roberta": ("distilbert", "roberta", {}),
    "roberta to roberta": ("roberta", "roberta", {}),
    "bert to gpt2": ("bert", "gpt2", {}),
    "bert to bart": ("bert", "bart", {"vocab_size": 99}),
    "roberta to gpt2": ("roberta", "gpt2", {"scale_attn_by_inverse_layer_idx": True}),
    "deberta to gpt2": ("deberta-v2", "gpt2", {}),
    "electra to electra": ("electra", "electra", {}),
}
BATCH = {
    "input_ids": torch.randint(5, 90, (3, 9), generator=torch.Generator().manual_seed(1)),
    "attention_mask": (torch.arange(9)[None] < torch.tensor([9, 6, 8])[:, None]).long(),
}
LABELS = torch.randint(5, 90, (3, 7), generator=torch.Generator().manual_seed(2))
LABELS[2, 5:] = -100


# Encoder–decoders have an encoder already; the reference's OPT says a width that its states do not have, and its
# Longformer takes texts of whole windows only.
ENCODERS = sorted(SIZES.keys() - SEQUENCES.keys() - {"opt", "longformer"})
DECODERS = ["bert", "roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", "electra", "gpt2"]
DECODERS += ["bart", "mbart", "marian", "pegasus"]


def pair(
    name: str, folder: Path, encoder: str = "", decoder: str = "", changes: dict[str, Any] | None = None
) -> tuple[Any, Any]:
    """The reference's model with random weights, and ours of its files."""
    if name:
        encoder, decoder, changes = PAIRS[name]
    torch.manual_seed(0)
    configs = [
        transformers.AutoConfig.for_model(encoder, **SIZES[encoder]),
        transformers.AutoConfig.for_model(decoder, **(SIZES[decoder] | (changes or {}))),
    ]
    config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(*configs)
    config.pad_token_id, config.eos_token_id, config.decoder_start_token_id = 3, 2, 1
    theirs = transformers.EncoderDecoderModel(config).eval()
    theirs.set_attn_implementation("eager")
    with torch.no_grad():
        for parameter in theirs.parameters():
            if parameter.requires_grad:  # Positions that are computed are not.
                parameter.copy_(torch.randn_like(parameter) * 0.15 + (parameter == 1))
    theirs.tie_weights()
    theirs.save_pretrained(folder)
    return theirs, samovar.AutoModelForSeq2SeqLM.from_pretrained(folder)


@pytest.mark.parametrize("name", PAIRS)
def test_outputs_loss_and_gradients(name: str, tmp_path: Path) -> None:
    theirs, ours = pair(name, tmp_path)
    assert type(ours) is samovar.EncoderDecoderModel
    wanted = theirs(**BATCH, labels=LABELS, output_hidden_states=True, output_attentions=True)
    found = ours(**BATCH, labels=LABELS, output_hidden_states=True, output_attentions=True)
    assert set(found) == set(wanted) - {"past_key_values"}
    for key in ("loss", "logits"):
        torch.testing.assert_close(found[key], wanted[key], atol=2e-5, rtol=1e-4)
    for key in ("decoder_hidden_states", "cross_attentions", "decoder_attentions"):
        for one, other in zip(found[key], wanted[key], strict=True):
            torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-4)
    wanted.loss.backward()
    found.loss.backward()
    theirs_grad = theirs.get_input_embeddings().weight.grad
    torch.testing.assert_close(ours.get_input_embeddings().weight.grad, theirs_grad, atol=2e-5, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"use_cache": False}], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_written_texts(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = pair(name, tmp_path)
    wanted = theirs.generate(**BATCH, max_new_tokens=12, **options)
    assert torch.equal(ours.generate(**BATCH, max_new_tokens=12, **options), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_files_go_both_ways(name: str, tmp_path: Path) -> None:
    theirs, ours = pair(name, tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    again = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "ours")
    known = again.state_dict()
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(known[key], tensor), key
    assert again.config.decoder.add_cross_attention
    ours.gradient_checkpointing_enable()
    ours.train()(**BATCH, labels=LABELS).loss.backward()
    assert ours.decoder.get_input_embeddings().weight.grad.isfinite().all()


EVERY = [(encoder, "gpt2") for encoder in ENCODERS] + [("bert", decoder) for decoder in DECODERS if decoder != "gpt2"]


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "decoder"), EVERY)
def test_every_encoder_and_every_decoder(encoder: str, decoder: str, tmp_path: Path) -> None:
    theirs, ours = pair("", tmp_path / "theirs", encoder, decoder)
    batch = BATCH | {"input_ids": BATCH["input_ids"] % 60}
    with torch.no_grad():
        wanted, found = (model(**batch, labels=LABELS.clamp(max=60)) for model in (theirs, ours))
    torch.testing.assert_close(found.logits, wanted.logits, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found.loss, wanted.loss, atol=2e-5, rtol=1e-4)
    assert torch.equal(ours.generate(**batch, max_new_tokens=20), theirs.generate(**batch, max_new_tokens=20))
    ours.save_pretrained(tmp_path / "ours")
    known = transformers.EncoderDecoderModel.from_pretrained(tmp_path / "ours").state_dict()
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(known[key], tensor), key


def test_longformer_reads_for_a_decoder(tmp_path: Path) -> None:
    """The reference's takes texts of whole windows without padding; ours pads by itself, to the same answer."""
    theirs, ours = pair("", tmp_path, "longformer", "gpt2")
    ids = torch.randint(5, 90, (2, 8), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, found = (model(input_ids=ids, labels=LABELS[:2]) for model in (theirs, ours))
        torch.testing.assert_close(found.logits, wanted.logits, atol=2e-5, rtol=1e-4)
    assert torch.equal(ours.generate(ids, max_new_tokens=20), theirs.generate(ids, max_new_tokens=20))
    mask = (torch.arange(9)[None] < torch.tensor([9, 7])[:, None]).long()
    longer = torch.cat([ids, ids[:, :1]], dim=1)
    whole = ours.generate(longer, attention_mask=mask, max_new_tokens=20, eos_token_id=None)
    for row, length in enumerate((9, 7)):
        alone = ours.generate(longer[row : row + 1, :length], max_new_tokens=20, eos_token_id=None)
        assert torch.equal(whole[row], alone[0])


def test_two_checkpoints_become_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bert = samovar.BertForMaskedLM(samovar.BertConfig(**SIZES["bert"]))
    bert.save_pretrained(tmp_path / "bert")
    gpt2 = samovar.GPT2LMHeadModel(samovar.GPT2Config(**SIZES["gpt2"]))
    gpt2.save_pretrained(tmp_path / "gpt2")
    model = samovar.EncoderDecoderModel.from_encoder_decoder_pretrained(
        tmp_path / "bert", tmp_path / "gpt2", pad_token_id=0
    )
    model.config.decoder_start_token_id = 1
    assert "start anew" in caplog.text
    assert not model.training
    assert torch.equal(model.encoder.embeddings.word.weight, bert.backbone.embeddings.word.weight)
    assert torch.equal(model.decoder.head.decoder.weight, gpt2.head.decoder.weight)
    assert not model.config.encoder.is_decoder
    model(**BATCH, labels=LABELS).loss.backward()
    assert model.decoder.backbone.layers[0].cross_attn.q_proj.weight.grad.abs().sum() > 0
    model.save_pretrained(tmp_path / "both")
    again = samovar.EncoderDecoderModel.from_pretrained(tmp_path / "both")
    with torch.no_grad():
        torch.testing.assert_close(again(**BATCH, labels=LABELS).logits, model(**BATCH, labels=LABELS).logits)
    whole = samovar.EncoderDecoderModel(encoder=samovar.BertModel(bert.config), decoder=again.decoder)
    assert whole.config.encoder.hidden_size == bert.config.hidden_size


def test_what_cannot_be_joined_is_refused(tmp_path: Path) -> None:
    llama = samovar.LlamaForCausalLM(samovar.LlamaConfig(**SIZES["llama"]))
    llama.save_pretrained(tmp_path / "llama")
    bert = samovar.BertModel(samovar.BertConfig(**SIZES["bert"]))
    bert.save_pretrained(tmp_path / "bert")
    with pytest.raises(ConfigError, match="'llama' cannot be a decoder"):
        samovar.EncoderDecoderModel.from_encoder_decoder_pretrained(tmp_path / "bert", tmp_path / "llama")
    with pytest.raises(ConfigError, match="'t5' has an encoder and a decoder already"):
        samovar.EncoderDecoderModel(samovar.EncoderDecoderConfig(encoder={"model_type": "t5", **SIZES["t5"]}))
    with pytest.raises(InputError, match="no decoder"):
        samovar.EncoderDecoderModel.from_encoder_decoder_pretrained(tmp_path / "bert")
    with pytest.raises(ConfigError, match="Neither a configuration"):
        samovar.EncoderDecoderModel()
    with pytest.raises(ConfigError, match="without is_decoder"):
        samovar.BertModel(samovar.BertConfig(**SIZES["bert"], add_cross_attention=True))
    model = samovar.EncoderDecoderModel(samovar.EncoderDecoderConfig(encoder={"model_type": "bert", **SIZES["bert"]},
        decoder={"model_type": "gpt2", **SIZES["gpt2"], "add_cross_attention": True}))  # fmt: skip
    with pytest.raises(InputError, match="nothing to read"):
        model(**BATCH)
    with pytest.raises(ConfigError, match="decoder_start_token_id is not set"):
        model(**BATCH, labels=LABELS)
    with pytest.raises(InputError, match="vocabularies of their own"):
        model.resize_token_embeddings(7)
    with pytest.raises(ConfigError, match="no attention to an encoder"):
        bert(BATCH["input_ids"], encoder_hidden_states=torch.zeros(3, 9, 32))
    with pytest.raises(InputTypeError, match="holds no source"):
        model.decoder(BATCH["input_ids"], encoder_hidden_states=torch.zeros(3, 9, 32),
                      past_key_values=samovar.DynamicCache())  # fmt: skip
