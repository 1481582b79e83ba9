"""Caches: reading in pieces equals reading at once, whatever is forgotten, reordered, copied or padded in between."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import samovar
from samovar.errors import InputError, InputTypeError
from samovar.nn.cache import ROOM, Cache, EncoderDecoderCache, LayerCache

SIZES: dict[str, Any] = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
KINDS: dict[str, samovar.Config] = {
    "gpt2": samovar.GPT2Config(**SIZES, max_position_embeddings=400),
    "llama": samovar.LlamaConfig(**SIZES, num_key_value_heads=2, intermediate_size=48, pad_token_id=0),
    "mistral": samovar.MistralConfig(
        **SIZES, num_key_value_heads=2, intermediate_size=48, sliding_window=7, pad_token_id=0
    ),
    "gemma2": samovar.Gemma2Config(**SIZES, num_key_value_heads=2, intermediate_size=48, head_dim=8, sliding_window=5),
    "bloom": samovar.BloomConfig(**SIZES),
}


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    model = samovar.AutoModelForCausalLM.from_config(KINDS[kind]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def text_of(rows: int = 3, length: int = 20) -> torch.Tensor:
    return torch.randint(1, 50, (rows, length), generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def _no_gradients() -> Any:
    with torch.no_grad():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [[20], [12, 1, 1, 1, 5], [1] * 20, [3, 9, 8]], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_equal_the_whole(kind: str, pieces: list[int]) -> None:
    model, ids = model_of(kind), text_of()
    whole = model(ids, use_cache=False).logits
    cache, found = model.new_cache(), []
    for piece in ids.split(pieces, dim=1):
        out = model(piece, past_key_values=cache)
        assert out.past_key_values is cache
        found.append(out.logits)
    torch.testing.assert_close(torch.cat(found, 1), whole, atol=1e-5, rtol=1e-5)
    assert cache.get_seq_length() == 20


@pytest.mark.parametrize("kind", KINDS)
def test_the_mask_may_cover_all_or_the_new_tokens(kind: str) -> None:
    model, ids = model_of(kind), text_of()
    mask = torch.ones_like(ids)
    mask[1, :4] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    whole = model(ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
    for all_of_it in (True, False):
        cache, found = model.new_cache(), []
        for start, end in ((0, 6), (6, 7), (7, 20)):
            given = mask[:, 0 if all_of_it else start : end]
            found.append(model(ids[:, start:end], given, position_ids=positions[:, start:end], past_key_values=cache))
        logits = torch.cat([one.logits for one in found], 1)
        torch.testing.assert_close(logits[mask.bool()], whole[mask.bool()], atol=1e-5, rtol=1e-5)
    # Without a mask the new tokens are real.
    cache = model(ids[:, :6], mask[:, :6], position_ids=positions[:, :6]).past_key_values
    rest = model(ids[:, 6:], position_ids=positions[:, 6:], past_key_values=cache).logits
    torch.testing.assert_close(rest, whole[:, 6:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_forgetting_reordering_and_copying(kind: str) -> None:
    model, ids = model_of(kind), text_of()
    other = text_of(3, 40)[:, 20:]
    cache = model(ids[:, :10]).past_key_values
    for token in ids[:, 10:16].split(1, dim=1):
        model(token, past_key_values=cache)
    cache.crop(10)
    model(other[:, :2], past_key_values=cache)
    cache.crop(-1)
    found = model(other[:, 1:5], past_key_values=cache).logits
    whole = model(torch.cat([ids[:, :10], other[:, :5]], 1), use_cache=False).logits
    torch.testing.assert_close(found, whole[:, 11:], atol=1e-5, rtol=1e-5)

    cache = model(ids[:, :10]).past_key_values
    twin = cache.copy()
    rows = torch.tensor([2, 0, 0, 1])
    cache.reorder(rows)
    found = model(ids[rows][:, 10:], past_key_values=cache).logits
    alone = model(other, past_key_values=twin).logits
    torch.testing.assert_close(found, model(ids[rows], use_cache=False).logits[:, 10:], atol=1e-5, rtol=1e-5)
    whole = model(torch.cat([ids[:, :10], other], 1), use_cache=False).logits[:, 10:]
    torch.testing.assert_close(alone, whole, atol=1e-5, rtol=1e-5)
    cache.reorder(torch.tensor([3]))
    assert cache[0][0].shape[0] == 1


def test_one_beginning_serves_several_texts() -> None:
    model, ids = model_of("llama"), text_of(1, 12)
    read = model(ids).past_key_values
    texts = [text_of(1, 30)[:, 12:20], text_of(1, 40)[:, 25:33]]
    for text in texts:
        branch = read.copy()
        whole = model(torch.cat([ids, text], 1), use_cache=False).logits[:, 12:]
        pieces = [model(token, past_key_values=branch).logits for token in text.split(1, dim=1)]
        torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-5, rtol=1e-5)
    assert read.get_seq_length() == 12


def test_a_step_writes_one_column_and_moves_nothing() -> None:
    model, ids = model_of("llama"), text_of(2, 8)
    cache = model(ids).past_key_values
    model(ids[:, :1], past_key_values=cache)
    places = [layer.keys.data_ptr() for layer in cache.layers]
    for _ in range(ROOM - 1):
        model(ids[:, :1], past_key_values=cache)
    assert [layer.keys.data_ptr() for layer in cache.layers] == places
    assert cache.layers[0].keys.shape[2] == 8 + 1 + ROOM
    limited = model.new_cache(12)
    model(ids, past_key_values=limited)
    model(ids[:, :1], past_key_values=limited)
    assert limited.nbytes() == 2 * 2 * 2 * 2 * 12 * 8 * 4  # keys and values, layers, rows, heads, tokens, channels


def test_a_window_bounds_the_memory_and_how_far_a_text_goes_back() -> None:
    model, ids = model_of("mistral"), text_of(1, 300)
    cache = model.new_cache()
    found = [model(token, past_key_values=cache).logits for token in ids.split(1, dim=1)]
    torch.testing.assert_close(torch.cat(found, 1), model(ids, use_cache=False).logits, atol=1e-5, rtol=1e-5)
    assert cache.get_seq_length() == 300
    assert max(layer.keys.shape[2] for layer in cache.layers) <= 7 + 2 * ROOM + 1
    cache.crop(290)
    again = model(ids[:, 290:], past_key_values=cache).logits
    torch.testing.assert_close(again, torch.cat(found[290:], 1), atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="window of 7 tokens cannot go back"):
        cache.crop(20)


def test_gradients_flow_through_a_cache() -> None:
    model, ids = model_of("llama"), text_of(2, 9)
    words = model.get_input_embeddings().weight
    with torch.enable_grad():
        cache = model(ids[:, :5], use_cache=True).past_key_values
        model(ids[:, 5:], past_key_values=cache).logits.sum().backward()
        pieces = words.grad.clone()
        words.grad = None
        model(ids, use_cache=False).logits[:, 5:].sum().backward()
    torch.testing.assert_close(pieces, words.grad, atol=1e-4, rtol=1e-4)


def test_what_is_returned_by_default() -> None:
    model, ids = model_of("llama"), text_of()
    assert isinstance(model(ids).past_key_values, Cache)
    assert "past_key_values" not in model(ids, use_cache=False)
    assert "past_key_values" not in model.train()(ids)
    model.eval()
    model.config.use_cache = False
    try:
        assert "past_key_values" not in model(ids)
    finally:
        model.config.use_cache = True
    last = model(ids, logits_to_keep=1).logits
    torch.testing.assert_close(last, model(ids).logits[:, -1:])


def test_wrong_caches_are_refused() -> None:
    model, ids = model_of("gpt2"), text_of()
    with pytest.raises(InputTypeError, match="past_key_values must be a cache, got tuple"):
        model(ids, past_key_values=((1, 2),))
    cache = model(ids).past_key_values
    with pytest.raises(InputError, match="The cache holds 3 texts, 2 were given"):
        model(ids[:2, :1], past_key_values=cache)
    with pytest.raises(InputError, match="attention_mask covers 7 tokens; the cache holds 20 and 2 are given"):
        model(ids[:, :2], torch.ones(3, 7), past_key_values=cache)


def test_sources_are_read_once() -> None:
    torch.manual_seed(0)
    config = samovar.BartConfig(
        vocab_size=50, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=32, decoder_ffn_dim=32,
    )  # fmt: skip
    model = samovar.BartForConditionalGeneration(config).eval()
    source, target = text_of(3, 9), text_of(3, 6)
    whole = model(source, decoder_input_ids=target, use_cache=False)
    cache, found = model.new_cache(), []
    for token in target.split([2, 1, 3], dim=1):
        encoded = whole.encoder_last_hidden_state if not found else torch.full((3, 9, 32), torch.nan)
        out = model(encoder_outputs=(encoded,), decoder_input_ids=token, past_key_values=cache)
        found.append(out.logits)
    torch.testing.assert_close(torch.cat(found, 1), whole.logits, atol=1e-5, rtol=1e-5)
    assert isinstance(cache, EncoderDecoderCache)
    before = [layer.keys for layer in cache.sources]
    cache.reorder(torch.tensor([1, 0, 2]), same_source=True)
    assert all(one is layer.keys for one, layer in zip(before, cache.sources, strict=True))
    cache.reorder(torch.tensor([2, 0]))
    assert torch.equal(cache.sources[0].keys, before[0][[2, 0]])
    with pytest.raises(InputTypeError, match="holds no source"):
        model(source, decoder_input_ids=target, past_key_values=Cache())


def test_a_layer_alone() -> None:
    layer = LayerCache(limit=5)
    one = torch.randn(2, 3, 4, 8)
    assert layer.update(one, one)[0] is one
    keys, values = layer.update(one[:, :, :1], -one[:, :, :1])
    assert keys.shape == (2, 3, 5, 8)
    assert torch.equal(keys[:, :, 4], one[:, :, 0])
    assert torch.equal(values[:, :, 4], -one[:, :, 0])
    assert layer.held == 5
