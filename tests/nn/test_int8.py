"""Int8 weights: nearly the same numbers from a quarter of the bytes, saved and loaded as they are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import samovar
from samovar.errors import ConfigError, InputError
from samovar.nn.int8 import FEW_ROWS, Int8Linear, Int8Row
from samovar.nn.packed import packed_for_few_rows

SIZES: dict[str, Any] = {"vocab_size": 256, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS: dict[str, samovar.Config] = {
    "gpt2": samovar.GPT2Config(**SIZES),
    "llama": samovar.LlamaConfig(**SIZES, num_key_value_heads=2, intermediate_size=96),
    "phi3": samovar.Phi3Config(**SIZES, num_key_value_heads=2, intermediate_size=96, pad_token_id=0),
}
TEXT = Path(samovar.__file__).read_bytes() + Path(__file__).read_bytes()


def saved(kind: str, folder: Path) -> Path:
    torch.manual_seed(0)
    samovar.AutoModelForCausalLM.from_config(KINDS[kind]).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("rows", [1, 3, FEW_ROWS, FEW_ROWS + 1, 300])
@pytest.mark.parametrize("bias", [False, True])
def test_a_layer_is_near_its_float(rows: int, bias: bool) -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(128, 48, bias=bias), torch.randn(rows, 128)
    wanted, found = layer(x), Int8Linear.of(layer)(x)
    assert found.dtype == torch.float32
    assert (found - wanted).norm() / wanted.norm() < 0.02
    assert Int8Linear.of(layer)(x[None].bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("kind", KINDS)
def test_files_hold_the_whole_numbers_and_load_again(kind: str, tmp_path: Path) -> None:
    plain = samovar.AutoModelForCausalLM.from_pretrained(saved(kind, tmp_path / "float"))
    model = samovar.AutoModelForCausalLM.from_pretrained(tmp_path / "float", quantization="int8")
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted, found = plain(ids).logits, model(ids).logits
    assert (found - wanted).norm() / wanted.norm() < 0.03
    model.save_pretrained(tmp_path / "int8")
    tensors = load_file(tmp_path / "int8" / "model.safetensors")
    kinds = [one.dtype for one in tensors.values() if one.ndim == 2]
    # All matrices but the words, and the positions of GPT-2.
    assert kinds.count(torch.float32) == (2 if kind == "gpt2" else 1)
    again = samovar.AutoModelForCausalLM.from_pretrained(tmp_path / "int8")
    options = {"max_new_tokens": 12, "eos_token_id": None, "pad_token_id": 0}
    with torch.no_grad():
        assert torch.equal(again(ids).logits, found)
    assert torch.equal(again.generate(ids, **options), model.generate(ids, **options))
    inside = [module for module in again.modules() if isinstance(module, Int8Linear)]
    assert len(inside) == sum(type(module) is nn.Linear for module in plain.modules())
    floats = sum(module.weight.nbytes for module in plain.modules() if type(module) is nn.Linear)
    assert sum(module.weight.nbytes + module.scale.nbytes for module in inside) < 0.32 * floats


@pytest.mark.parametrize("kind", KINDS)
def test_one_text_takes_one_product_for_three_projections(kind: str, tmp_path: Path) -> None:
    folder = saved(kind, tmp_path)
    made = samovar.AutoModelForCausalLM.from_pretrained(folder, quantization="int8")
    made.save_pretrained(tmp_path / "int8")
    ids = torch.randint(0, 256, (1, 9), generator=torch.Generator().manual_seed(1))
    for model in (made, samovar.AutoModelForCausalLM.from_pretrained(tmp_path / "int8")):
        with torch.inference_mode():
            plain = model(ids, use_cache=False).logits[:, -1]
            with packed_for_few_rows(model, 1, 1) as done:
                assert done
                replaced = [one for part in model.modules() for one in part.__dict__.values() if type(one) is Int8Row]
                # Attention's three and its output, the layers of the MLP, in two blocks, and the words.
                assert len(replaced) == 2 * (2 + (2 if kind == "gpt2" else 3)) + 1
                assert all(one.weight is not None for one in replaced)
                cache = model(ids[:, :8]).past_key_values
                found = model(ids[:, 8:], past_key_values=cache).logits[:, -1]
            torch.testing.assert_close(found, plain, atol=2e-2, rtol=2e-2)
            assert (found - plain).norm() / plain.norm() < 0.01
            with packed_for_few_rows(model, 2, 1) as done:
                assert not done  # more rows go as they did


@pytest.mark.slow
def test_perplexity_of_a_trained_model_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = torch.tensor(list(TEXT))
    model = samovar.GPT2LMHeadModel(samovar.GPT2Config(**SIZES, n_positions=128))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        starts = torch.randint(0, len(data) - 65, (16,))
        ids = torch.stack([data[start : start + 64] for start in starts])
        optimizer.zero_grad()
        model(ids, labels=ids).loss.backward()
        optimizer.step()
    held = data[: len(data) // 64 * 64].view(-1, 64)[::5]
    model.eval()
    with torch.no_grad():
        before = math.exp(model(held, labels=held).loss)
        logits = model(held).logits
        samovar.quantize(model)
        after = math.exp(model(held, labels=held).loss)
        same = (model(held).logits.argmax(-1) == logits.argmax(-1)).float().mean()
    print(f"perplexity {before:.3f} in float32, {after:.3f} in int8; {same:.1%} of best tokens the same")
    assert before < 15
    assert abs(after / before - 1) < 0.01
    assert same > 0.97


def test_sequences_and_encoders(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"vocab_size": 61, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32}
    config = samovar.BartConfig(**sizes, decoder_ffn_dim=32, encoder_attention_heads=4, decoder_attention_heads=4)
    samovar.BartForConditionalGeneration(config).save_pretrained(tmp_path / "bart")
    model = samovar.BartForConditionalGeneration.from_pretrained(tmp_path / "bart", quantization="int8")
    ids = torch.randint(3, 61, (2, 7))
    written = model.generate(ids, max_new_tokens=5)
    model.save_pretrained(tmp_path / "int8")
    again = samovar.BartForConditionalGeneration.from_pretrained(tmp_path / "int8")
    assert torch.equal(again.generate(ids, max_new_tokens=5), written)


def test_errors(tmp_path: Path) -> None:
    folder = saved("gpt2", tmp_path / "float")
    with pytest.raises(ConfigError, match="Unknown quantization 'int4'"):
        samovar.AutoModelForCausalLM.from_pretrained(folder, quantization="int4")
    model = samovar.AutoModelForCausalLM.from_pretrained(folder, quantization="int8")
    with pytest.raises(InputError, match="quantised already"):
        samovar.quantize(model)
    with pytest.raises(InputError, match="vocabulary of an int8 model is fixed"):
        model.resize_token_embeddings(300)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(ConfigError, match="quantised by 'gptq'"):
        samovar.AutoModelForCausalLM.from_pretrained(folder)
    layer = nn.Linear(16, 16)
    layer.weight.data[3, 4] = torch.nan
    with pytest.raises(InputError, match="not a finite number"):
        Int8Linear.of(layer)
