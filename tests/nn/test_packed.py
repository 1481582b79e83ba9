"""Weights laid out for few rows: the same numbers, only where it is worth it, and nothing left behind."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import samovar
from samovar.nn import packed as layout
from samovar.nn.packed import STEPS, FewRows, current, free_memory, packed_for_few_rows

SIZES: dict[str, Any] = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS: dict[str, samovar.Config] = {
    "gpt2": samovar.GPT2Config(**SIZES),
    "llama": samovar.LlamaConfig(**SIZES, num_key_value_heads=2, intermediate_size=48),
    "qwen3": samovar.Qwen3Config(**SIZES, num_key_value_heads=2, intermediate_size=48, head_dim=8),
}


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    return samovar.AutoModelForCausalLM.from_config(KINDS[kind]).eval()


def text_of(rows: int, length: int) -> torch.Tensor:
    return torch.randint(1, 50, (rows, length), generator=torch.Generator().manual_seed(2))


def replaced(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The layers, by owner and name, in whose place something else computes."""
    return [
        (one, name) for one in model.modules() for name, value in one.__dict__.items() if isinstance(value, FewRows)
    ]


@pytest.mark.parametrize("large", [0, layout.LARGE])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_the_same(kind: str, large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LARGE", large)  # 0: small weights take MKL's layout too
    model = model_of(kind)
    with torch.no_grad():
        for rows, length in ((1, 1), (2, 1), (5, 1), (3, 9), (1, 70)):
            ids = text_of(rows, length)
            plain = model(ids, use_cache=False).logits
            with packed_for_few_rows(model, 4, STEPS) as done:
                assert done
                # Attention and its output, the layers of the MLP, in two blocks, and the projection to the words.
                assert len(replaced(model)) == 2 * (2 + (2 if kind == "gpt2" else 3)) + 1
                torch.testing.assert_close(model(ids, use_cache=False).logits, plain, atol=1e-5, rtol=1e-5)
            assert not replaced(model)


def test_one_row_copies_nothing() -> None:
    model, ids, others = model_of("gpt2"), text_of(1, 9), len(layout.known)
    with torch.no_grad():
        plain = model(ids, use_cache=False).logits
        with packed_for_few_rows(model, 1, 1) as done:
            assert done
            # The projections of queries, keys and values do not lie side by side in a model made anew.
            assert len(replaced(model)) == 2 * 6 + 1
            cache = model(ids[:, :8]).past_key_values
            last = model(ids[:, 8:], past_key_values=cache).logits
    assert len(layout.known) == others
    assert not replaced(model)
    torch.testing.assert_close(last, plain[:, 8:], atol=1e-5, rtol=1e-5)


def test_projections_side_by_side_are_one_product(tmp_path: Path) -> None:
    model_of("gpt2").save_pretrained(tmp_path)
    model, ids = samovar.GPT2LMHeadModel.from_pretrained(tmp_path), text_of(1, 5)
    with torch.no_grad():
        plain = model(ids).logits
        with packed_for_few_rows(model, 1, 1):
            assert all(layer.self_attn.joined is not None for layer in model.base_model.layers)
            torch.testing.assert_close(model(ids).logits, plain, atol=1e-5, rtol=1e-5)
            cache = model(ids[:, :4]).past_key_values
            last = model(ids[:, 4:], past_key_values=cache).logits
    torch.testing.assert_close(last, plain[:, 4:], atol=1e-5, rtol=1e-5)


def test_a_copy_for_more_rows_serves_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LARGE", 0)
    model = model_of("llama")
    layer = model.base_model.layers[0].mlp.up_proj
    with torch.no_grad():
        copies = []
        for rows in (2, 8, 9, 3):
            with packed_for_few_rows(model, rows, STEPS):
                copies.append(current([layer], rows))
    assert copies[0] is copies[1]
    assert copies[1] is not copies[2]
    assert copies[2] is copies[3]


def test_changed_weights_are_laid_out_anew() -> None:
    model, ids = model_of("gpt2"), text_of(4, 3)
    with torch.no_grad():
        with packed_for_few_rows(model, 4, STEPS):
            before = model(ids).logits
        model.base_model.layers[0].mlp.up_proj.weight.mul_(2)
        model.base_model.layers[1].self_attn.v_proj.bias.add_(1)
        plain = model(ids).logits
        with packed_for_few_rows(model, 4, STEPS):
            after = model(ids).logits
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, plain, atol=1e-5, rtol=1e-5)


def test_copies_live_as_long_as_their_weights() -> None:
    model = model_of("gpt2")
    others = len(layout.known)
    with torch.no_grad(), packed_for_few_rows(model, 4, STEPS):
        pass
    assert len(layout.known) > others
    layer = model.base_model.layers[0].mlp.up_proj
    copy = current([layer], 4)
    with torch.no_grad(), packed_for_few_rows(model, 4, 1) as done:
        assert done  # copies that are there serve short texts too
        assert current([layer], 4) is copy
    del model, layer, copy
    assert len(layout.known) == others


def test_where_it_is_not_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("llama")
    with packed_for_few_rows(model, 4, STEPS) as done:
        assert not done  # gradients are on
    with torch.no_grad():
        with packed_for_few_rows(model, 4, STEPS - 1) as done:
            assert not done
        with torch.autocast("cpu", torch.bfloat16), packed_for_few_rows(model, 4, STEPS) as done:
            assert not done
        with packed_for_few_rows(model_of("llama").bfloat16(), 4, STEPS) as done:
            assert not done
        monkeypatch.setattr(layout, "SHARE", 0.0)
        with packed_for_few_rows(model, 4, STEPS) as done:
            assert not done
    assert free_memory() > 1 << 20


def test_hooks_and_other_forwards_stay() -> None:
    model, ids, seen = model_of("llama"), text_of(4, 3), []
    layer = model.base_model.layers[0].mlp.up_proj
    layer.register_forward_hook(lambda module, given, output: seen.append(output))
    with torch.no_grad(), packed_for_few_rows(model, 4, STEPS):
        assert (model.base_model.layers[0].mlp, "up_proj") not in replaced(model)
        assert (model.base_model.layers[1].mlp, "up_proj") in replaced(model)
        model(ids)
    assert len(seen) == 1


def test_an_error_leaves_the_model_as_it_was() -> None:
    model = model_of("gpt2")
    with pytest.raises(RuntimeError, match="stop"), torch.no_grad(), packed_for_few_rows(model, 4, STEPS):
        raise RuntimeError("stop")
    assert not replaced(model)
    pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_are_the_same(beams: int) -> None:
    model, ids = model_of("llama"), text_of(4, 6)
    options = {"max_new_tokens": STEPS, "num_beams": beams, "eos_token_id": None, "pad_token_id": 0}
    wanted = torch.cat([model.generate(row[None], **options) for row in ids])
    assert torch.equal(model.generate(ids, **options), wanted)
    assert not replaced(model)


def test_written_ids_may_be_learned_from() -> None:
    model = model_of("llama").train()
    written = model.generate(text_of(2, 4), max_new_tokens=5, pad_token_id=0)
    assert not written.is_inference()
    model(written, labels=written).loss.backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0
