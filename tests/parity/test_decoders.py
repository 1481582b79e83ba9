"""Decoders of every structure that configurations allow: logits, caches, written texts and files as the reference's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from cases import CASES

import samovar

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

SIZES: dict[str, dict[str, Any]] = {case.model_type: case.sizes for case in CASES}
LONGROPE = {"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.7], "long_factor": [1.5, 2.0, 3.0, 5.0]}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 10}
NEW_FALCON = {"new_decoder_architecture": True, "num_kv_heads": 2, "multi_query": False}

# Name → (architecture, what differs from its line in `cases.py`).
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    name: (name, {}) for name in (
        "gpt2", "llama", "mistral", "qwen2", "qwen3", "phi3", "olmo2", "gemma2", "gemma3_text", "mixtral", "qwen3_moe",
        "gpt_neox", "bloom", "falcon", "opt",
    )
}  # fmt: skip
VARIANTS |= {
    "llama linear": ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 500.0}}),
    "llama yarn": ("llama", {"rope_parameters": YARN}),
    "llama yarn scaled": ("llama", {"rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "mscale": 0.7,
        "mscale_all_dim": 1.2, "beta_fast": 8, "beta_slow": 2, "truncate": False,
    }}),
    "llama 3": ("llama", {"rope_parameters": LLAMA3 | {"original_max_position_embeddings": 16}}),
    "llama, one head of keys": ("llama", {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True}),
    "llama, tied, wide heads": ("llama", {"tie_word_embeddings": True, "head_dim": 12, "hidden_act": "gelu"}),
    "phi3 longrope": ("phi3", {
        "rope_parameters": LONGROPE, "max_position_embeddings": 80, "original_max_position_embeddings": 40,
    }),
    "mistral, all": ("mistral", {"sliding_window": None}),
    "mixtral, window": ("mixtral", {"sliding_window": 6}),
    "gemma3, both ways": ("gemma3_text", {"use_bidirectional_attention": True}),
    "gpt_neox in turn": ("gpt_neox", {"use_parallel_residual": False, "attention_bias": False}),
    "bloom, normed residual": ("bloom", {"apply_residual_connection_post_layernorm": True, "num_attention_heads": 4}),
    "bloom, 6 heads": ("bloom", {"num_attention_heads": 6, "hidden_size": 36}),
    "falcon, each its heads": ("falcon", {"multi_query": False, "bias": True}),
    "falcon in turn": ("falcon", {"parallel_attn": False, "bias": True}),
    "falcon, new": ("falcon", NEW_FALCON),
    "falcon, new, one norm": ("falcon", NEW_FALCON | {"num_ln_in_parallel_attn": 1}),
    "falcon, penalties": ("falcon", {"alibi": True}),
    "opt, post-norm": ("opt", {"do_layer_norm_before": False}),
    "opt, plain": ("opt", {"word_embed_proj_dim": 32, "enable_bias": False, "layer_norm_elementwise_affine": False}),
}  # fmt: skip


def pair(name: str, folder: Path) -> tuple[Any, Any]:
    """The reference's model with random weights, and ours of its files."""
    model_type, changes = VARIANTS[name]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **(SIZES[model_type] | changes))
    # The reference's written-out attention adds Falcon's penalties twice; its fused one adds them once.
    kind = "sdpa" if "penalties" in name else "eager"
    theirs = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=kind).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.15 + (parameter == 1))
    theirs.tie_weights()
    theirs.save_pretrained(folder)
    return theirs, samovar.AutoModelForCausalLM.from_pretrained(folder)


def prompts(lengths: list[int]) -> dict[str, torch.Tensor]:
    """Texts padded on the left."""
    ids = torch.randint(5, 90, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1))
    real = torch.arange(max(lengths))[None] >= max(lengths) - torch.tensor(lengths)[:, None]
    return {"input_ids": torch.where(real, ids, 0), "attention_mask": real.long()}


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_and_files(name: str, tmp_path: Path) -> None:
    theirs, ours = pair(name, tmp_path / "theirs")
    attentions = theirs.config._attn_implementation == "eager"
    for inputs in (prompts([17, 17]), prompts([9, 4, 13])):
        with torch.no_grad():
            wanted = theirs(**inputs, output_hidden_states=True, output_attentions=attentions, use_cache=False)
            found = ours(**inputs, output_hidden_states=True, output_attentions=True, use_cache=False)
            plain = ours(**inputs)
        real = inputs["attention_mask"].bool()
        torch.testing.assert_close(found.logits[real], wanted.logits[real], atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(plain.logits[real], wanted.logits[real], atol=2e-5, rtol=1e-5)
        for one, other in zip(found.hidden_states, wanted.hidden_states, strict=True):
            torch.testing.assert_close(one[real], other[real], atol=2e-5, rtol=1e-5)
        for one, other in zip(found.attentions, wanted.attentions or found.attentions, strict=True):
            torch.testing.assert_close(one.transpose(1, 2)[real], other.transpose(1, 2)[real], atol=2e-5, rtol=1e-5)
    ours.save_pretrained(tmp_path / "ours")
    again = type(theirs).from_pretrained(tmp_path / "ours")
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


@pytest.mark.parametrize("name", [name for name in VARIANTS if "both ways" not in name])
def test_twenty_greedy_tokens_with_and_without_a_cache(name: str, tmp_path: Path) -> None:
    theirs, ours = pair(name, tmp_path)
    options: dict[str, Any] = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    batch = prompts([7, 3, 10])
    wanted = theirs.generate(**batch, **options)
    assert torch.equal(ours.generate(**batch, **options), wanted)
    assert torch.equal(ours.generate(**batch, **options, use_cache=False), wanted)
    for row, length in enumerate((7, 3, 10)):
        alone = ours.generate(batch["input_ids"][row : row + 1, 10 - length :], **options)
        assert torch.equal(alone[0], wanted[row, 10 - length :])


@pytest.mark.parametrize("name", ["mixtral", "qwen3_moe"])
@pytest.mark.parametrize("lengths", [[9, 9], [9, 4]])
def test_routers_and_their_loss(name: str, lengths: list[int], tmp_path: Path) -> None:
    theirs, ours = pair(name, tmp_path)
    batch = prompts(lengths)
    # The first real token is predicted by padding, which the two read differently.
    first = batch["attention_mask"].cumsum(-1) < 2
    batch["labels"] = batch["input_ids"].masked_fill(first, -100)
    wanted, found = (model(**batch, output_router_logits=True) for model in (theirs, ours))
    assert [key for key in found if key != "past_key_values"] == [key for key in wanted if key != "past_key_values"]
    torch.testing.assert_close(found.aux_loss, wanted.aux_loss)
    torch.testing.assert_close(found.loss, wanted.loss)
    real = batch["attention_mask"].flatten().bool()
    for one, other in zip(found.router_logits, wanted.router_logits, strict=True):
        torch.testing.assert_close(one[real], other[real], atol=2e-5, rtol=1e-5)
    wanted.loss.backward()
    found.loss.backward()
    words = theirs.get_input_embeddings().weight.grad
    torch.testing.assert_close(ours.get_input_embeddings().weight.grad, words, atol=1e-5, rtol=1e-4)


def test_dynamic_rotations_grow_with_the_text(tmp_path: Path) -> None:
    """The reference keeps the longest text that it has seen in mind, so each length is asked of a new model."""
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    sizes = SIZES["llama"] | {"rope_parameters": rope, "max_position_embeddings": 8, "eos_token_id": None}
    config = transformers.LlamaConfig(**sizes)
    torch.manual_seed(0)
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    ours = samovar.AutoModelForCausalLM.from_pretrained(tmp_path)
    for length in (20, 6, 9):
        theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path)
        batch = prompts([length, length])
        with torch.no_grad():
            torch.testing.assert_close(ours(**batch).logits, theirs(**batch).logits, atol=1e-5, rtol=1e-5)
        wanted = transformers.LlamaForCausalLM.from_pretrained(tmp_path).generate(**batch, max_new_tokens=10)
        assert torch.equal(ours.generate(**batch, max_new_tokens=10), wanted)


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A Phi-3 whose positions turn otherwise in texts of more than 40 tokens."""
    theirs, ours = pair("phi3 longrope", tmp_path_factory.mktemp("phi3"))
    factors = LONGROPE | {"long_factor": [9.0, 12.0, 20.0, 30.0]}
    for model in (theirs, ours):
        model.config.eos_token_id = model.generation_config.eos_token_id = None
    settings = {"rope_parameters": theirs.config.rope_parameters | factors}
    folder = tmp_path_factory.mktemp("further")
    theirs.config.update(settings)
    theirs.save_pretrained(folder)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    return theirs, samovar.AutoModelForCausalLM.from_pretrained(folder)


ACROSS: list[dict[str, Any]] = [
    {}, {"num_beams": 3}, {"do_sample": True, "seed": 4}, {"num_return_sequences": 2, "do_sample": True, "seed": 4},
    {"guidance_scale": 1.5},
]  # fmt: skip


@pytest.mark.parametrize("options", ACROSS, ids=str)
def test_a_text_that_crosses_the_turning_point_is_read_anew(turning: tuple[Any, Any], options: dict[str, Any]) -> None:
    theirs, ours = turning
    options = {"max_new_tokens": 20, "pad_token_id": 0, **options}
    for length in (33, 40, 41):
        ids = prompts([length])["input_ids"]
        written = ours.generate(ids, **options)
        assert torch.equal(written, ours.generate(ids, **options, use_cache=False))
        if not options.get("do_sample") and "guidance_scale" not in options:
            assert torch.equal(written, theirs.generate(ids, **options))
    # What was cached before is not what the whole text gives: without reading anew the answers would differ.
    ids = prompts([33])["input_ids"]
    cache = ours(ids, use_cache=True).past_key_values
    whole = ours.generate(ids, max_new_tokens=20, pad_token_id=0)
    with torch.no_grad():
        kept = ours(whole[:, 33:], past_key_values=cache).logits[:, -1]
        assert (kept - ours(whole).logits[:, -1]).abs().max() > 0.01


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"do_sample": True, "seed": 4}], ids=str)
def test_each_text_turns_by_its_own_length(turning: tuple[Any, Any], options: dict[str, Any]) -> None:
    ours, lengths = turning[1], [38, 12, 30]
    options = {"max_new_tokens": 24, "pad_token_id": 0, **options}
    batch = prompts(lengths)
    together = ours.generate(**batch, **options)
    for row, length in enumerate(lengths):
        alone = ours.generate(batch["input_ids"][row : row + 1, 38 - length :], **options)
        assert torch.equal(together[row, 38 - length :], alone[0])


def test_drafts_stop_at_the_turning_point(turning: tuple[Any, Any]) -> None:
    ours = turning[1]
    ids = prompts([12])["input_ids"].repeat(1, 3)
    plain = ours.generate(ids, max_new_tokens=24, pad_token_id=0)
    assert torch.equal(ours.generate(ids, max_new_tokens=24, pad_token_id=0, prompt_lookup_num_tokens=7), plain)
    for schedule in ("constant", "heuristic"):
        drafted = ours.generate(
            ids, max_new_tokens=24, pad_token_id=0, assistant_model=ours, num_assistant_tokens_schedule=schedule
        )
        assert torch.equal(drafted, plain)
