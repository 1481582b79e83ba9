"""Continuous batching: every text is the one that `generate` writes alone, whatever comes and goes beside it."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
import torch

import samovar
from samovar.errors import ConfigError, InputError, InputTypeError
from samovar.generation.pages import Pages
from samovar.generation.requests import RequestStatus

SIZES: dict[str, Any] = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = SIZES | {"num_key_value_heads": 2, "intermediate_size": 48, "pad_token_id": 0, "eos_token_id": None}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
KINDS: dict[str, Any] = {
    "gpt2": samovar.GPT2Config(**SIZES, max_position_embeddings=200, eos_token_id=None),
    "opt": samovar.OPTConfig(
        **SIZES, ffn_dim=48, word_embed_proj_dim=16, max_position_embeddings=200, eos_token_id=None
    ),
    "llama": samovar.LlamaConfig(**GROUPED),
    "llama, one head of keys": samovar.LlamaConfig(**GROUPED | {"num_key_value_heads": 1}),
    "mistral": samovar.MistralConfig(**GROUPED, sliding_window=9),
    "qwen3": samovar.Qwen3Config(**GROUPED, head_dim=12),
    "gemma2": samovar.Gemma2Config(**GROUPED, head_dim=8, sliding_window=7),
    "gemma3": samovar.Gemma3TextConfig(
        **GROUPED, head_dim=8, sliding_window=7, layer_types=["sliding_attention", "full_attention"]
    ),
    "phi3": samovar.Phi3Config(**GROUPED),
    "mixtral": samovar.MixtralConfig(**GROUPED, **EXPERTS),
    "gpt_neox": samovar.GPTNeoXConfig(**SIZES, intermediate_size=48, eos_token_id=None),
    "bloom": samovar.BloomConfig(**SIZES, eos_token_id=None),
    "falcon": samovar.FalconConfig(**SIZES, alibi=True, multi_query=True, eos_token_id=None),
}
SETTINGS = {
    "plain": {},
    "small blocks, few texts": {"block_size": 4, "max_batch_size": 3},
    "small steps": {"block_size": 8, "max_batch_tokens": 7},
    "short of memory": {"block_size": 4, "num_blocks": 28},
    "nothing shared": {"allow_block_sharing": False, "block_size": 4},
}


def model_of(kind: str, scale: float = 0.2) -> Any:
    torch.manual_seed(0)
    model = samovar.AutoModelForCausalLM.from_config(KINDS[kind]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * scale)
    return model


def asked(count: int = 12, seed: int = 0, common: int = 0) -> tuple[list[list[int]], list[int]]:
    """Prompts, of which half begin alike, and how many tokens each asks for."""
    draw = random.Random(seed)
    beginning = [draw.randrange(5, 99) for _ in range(common)]
    prompts = [
        (beginning if index % 2 else []) + [draw.randrange(5, 99) for _ in range(draw.randint(1, 50))]
        for index in range(count)
    ]
    return prompts, [draw.randint(1, 40) for _ in prompts]


def alone(model: Any, prompt: list[int], count: int, **options: Any) -> list[int]:
    return model.generate(torch.tensor([prompt]), max_new_tokens=count, **options)[0, len(prompt) :].tolist()


def combinations() -> list[Any]:
    """Each kind in two of the settings, and in all of them those that differ most in what they keep."""
    pairs = [
        (kind, setting)
        for place, kind in enumerate(KINDS) for index, setting in enumerate(SETTINGS)
        if kind in ("gpt2", "llama", "gemma3") or (index - place) % len(SETTINGS) in (0, 2)
    ]  # fmt: skip
    return [
        pytest.param(*pair, id="-".join(pair), marks=[] if pair[0] == "gpt2" else pytest.mark.slow) for pair in pairs
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "setting"), combinations())
def test_each_text_is_the_one_written_alone(kind: str, setting: str) -> None:
    model = model_of(kind)
    prompts, counts = asked(common=21)
    settings = samovar.ContinuousBatchingConfig(**SETTINGS[setting])
    outputs = model.generate_batch(prompts, max_new_tokens=counts, continuous_batching_config=settings)
    assert [output.prompt_ids for output in outputs.values()] == prompts
    for prompt, count, output in zip(prompts, counts, outputs.values(), strict=True):
        assert output.status == RequestStatus.FINISHED
        assert output.error is None
        assert output.generated_tokens == alone(model, prompt, count, do_sample=False)


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    {"do_sample": True, "seed": 5, "temperature": 1.5, "top_k": 20}, {"repetition_penalty": 1.7},
    {"do_sample": True, "seed": 1, "top_p": 0.8, "min_p": 0.02}, {"no_repeat_ngram_size": 2}, {"min_new_tokens": 12},
    {"bad_words_ids": [[7], [8, 9]]}, {"suppress_tokens": [3, 4, 5]},
])  # fmt: skip
def test_rules_and_draws_are_those_of_generate(options: dict[str, Any]) -> None:
    model = model_of("llama")
    prompts, _ = asked()
    ends = list(range(0, 99, 9))
    outputs = model.generate_batch(prompts, max_new_tokens=20, eos_token_id=ends, **options)
    for prompt, output in zip(prompts, outputs.values(), strict=True):
        assert output.generated_tokens == alone(model, prompt, 20, eos_token_id=ends, pad_token_id=0, **options)
    assert len({len(output.generated_tokens) for output in outputs.values()}) > 1


def test_equal_prompts_get_samples_of_their_own() -> None:
    model, prompt = model_of("llama"), [7, 8, 9]
    options = {"do_sample": True, "seed": 3, "temperature": 3.0, "max_new_tokens": 12}
    outputs = model.generate_batch([prompt] * 3, **options)
    several = model.generate(torch.tensor([prompt]), num_return_sequences=3, **options)[:, 3:].tolist()
    assert [output.generated_tokens for output in outputs.values()] == several
    assert several[0] != several[1]


def tokens_read(model: Any) -> list[int]:
    """How many tokens each call of the model reads, from now on."""
    seen: list[int] = []
    model.backbone.embeddings.register_forward_hook(lambda module, given, out: seen.append(out.shape[1]))
    return seen


def test_a_beginning_that_is_known_is_not_read_again() -> None:
    model = model_of("llama")
    beginning = list(range(10, 80))
    prompts = [[*beginning, index] for index in (81, 82, 83)]
    settings = samovar.ContinuousBatchingConfig(block_size=8, max_batch_size=1)
    seen = tokens_read(model)
    outputs = model.generate_batch(prompts, max_new_tokens=3, continuous_batching_config=settings)
    # 71 tokens, and two more that were written; then 64 of them are known.
    assert seen == [71, 1, 1, 7, 1, 1, 7, 1, 1]
    for prompt, output in zip(prompts, outputs.values(), strict=True):
        assert output.generated_tokens == alone(model, prompt, 3)


def test_a_talk_goes_on_from_what_was_written() -> None:
    model = model_of("mistral")
    settings = samovar.ContinuousBatchingConfig(block_size=4)
    seen = tokens_read(model)
    with model.continuous_batching_context_manager(continuous_batching_config=settings) as manager:
        first = manager.get_result(manager.add_request(list(range(5, 30)), max_new_tokens=10))
        talk = [*first.prompt_ids, *first.generated_tokens, 40, 41]
        second = manager.get_result(manager.add_request(talk, max_new_tokens=5))
    assert seen[10] == len(talk) - 32
    assert second.generated_tokens == alone(model, talk, 5)


def test_the_last_one_waits_when_memory_is_short() -> None:
    model = model_of("gpt2")
    prompts = [[index] * 10 for index in range(5, 11)]
    settings = samovar.ContinuousBatchingConfig(block_size=4, num_blocks=16, allow_block_sharing=False)
    seen = tokens_read(model)
    outputs = model.generate_batch(prompts, max_new_tokens=30, continuous_batching_config=settings)
    # Some prompts were read again with what had been written after them.
    assert sum(seen) > sum(len(prompt) + 29 for prompt in prompts)
    for prompt, output in zip(prompts, outputs.values(), strict=True):
        assert output.generated_tokens == alone(model, prompt, 30)


def test_log_probabilities_and_times_are_recorded() -> None:
    model = model_of("llama")
    prompts, counts = asked(4)
    settings = samovar.ContinuousBatchingConfig(return_logprobs=True)
    outputs = model.generate_batch(
        prompts, max_new_tokens=counts, continuous_batching_config=settings, record_timestamps=True
    )
    for prompt, count, output in zip(prompts, counts, outputs.values(), strict=True):
        ids = torch.tensor([[*prompt, *output.generated_tokens]])
        with torch.no_grad():
            logits = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        expected = logits.gather(-1, ids[0, len(prompt) :, None])[:, 0]
        torch.testing.assert_close(torch.tensor(output.logprobs), expected, atol=1e-4, rtol=1e-4)
        assert len(output.timestamps) == count
        assert output.created_time <= output.lifespan[0] <= output.timestamps[0] <= output.lifespan[1]
        assert output.timestamps == sorted(output.timestamps)


class Letters:
    """A tokenizer whose tokens are letters."""

    def decode(self, ids: Any, **options: Any) -> str:
        return "".join(chr(97 + int(index) % 26) for index in ids)

    def batch_decode(self, rows: Any, **options: Any) -> list[str]:
        return [self.decode(row) for row in rows]


def test_a_text_ends_at_a_string_or_by_the_users_rule() -> None:
    model, prompt = model_of("llama"), [7, 8, 9]
    free = alone(model, prompt, 30)
    stop = Letters().decode(free[4:6])
    outputs = model.generate_batch([prompt], max_new_tokens=30, stop_strings=stop, tokenizer=Letters())
    expected = alone(model, prompt, 30, stop_strings=stop, tokenizer=Letters())
    assert outputs["req_0"].generated_tokens == expected
    assert len(expected) <= 6

    def only_even(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores.masked_fill(torch.arange(scores.shape[-1]) % 2 == 1, -torch.inf)

    outputs = model.generate_batch([prompt], max_new_tokens=8, logits_processor=[only_even])
    assert all(token % 2 == 0 for token in outputs["req_0"].generated_tokens)


@pytest.mark.slow
def test_requests_of_several_threads_are_answered() -> None:
    model = model_of("llama")
    prompts, counts = asked(16, seed=3)
    found: dict[int, list[int]] = {}
    with model.continuous_batching_context_manager(eos_token_id=-1) as manager:

        def ask(index: int) -> None:
            name = manager.add_request(prompts[index], request_id=f"mine {index}", max_new_tokens=counts[index])
            found[index] = manager.get_result(name, timeout=60).generated_tokens

        threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(prompts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert manager.is_running()
        assert manager.get_result(timeout=1) is None
    assert not manager.is_running()
    for index, (prompt, count) in enumerate(zip(prompts, counts, strict=True)):
        assert found[index] == alone(model, prompt, count)


def test_texts_stream_and_are_cancelled() -> None:
    model = model_of("gpt2")
    with model.continuous_batching_context_manager() as manager:
        name = manager.add_request([5, 6, 7], max_new_tokens=6, streaming=True)
        pieces = [list(output.generated_tokens) for output in manager.request_id_iter(name)]
        assert pieces == [alone(model, [5, 6, 7], count) for count in range(1, 7)]
        endless = manager.add_request([9, 9], max_new_tokens=190, streaming=True)
        assert manager.get_result(endless).status == RequestStatus.DECODING
        manager.cancel_request(endless)
        last = list(manager.request_id_iter(endless))[-1]
        assert last.status == RequestStatus.FAILED
        assert "cancelled" in last.error
        assert 0 < len(last.generated_tokens) < 190
        names = manager.add_requests([[5], [6], [7]], max_new_tokens=3)
        assert {output.request_id for output in manager} == set(names)
    with pytest.raises(InputError, match="stopped"):
        manager.add_request([5])
    with pytest.raises(InputError, match="started"):
        manager.start()


def test_open_requests_are_finished_when_it_stops() -> None:
    model = model_of("gpt2")
    manager = model.init_continuous_batching()
    names = manager.add_requests([[5], [6]], max_new_tokens=20)
    manager.start()
    manager.stop()
    assert [len(manager.get_result(name).generated_tokens) for name in names] == [20, 20]


def test_numbers_that_are_none_fail_their_request_or_all() -> None:
    model = model_of("llama")

    def nothing(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores - torch.inf if ids[0, 0] == 7 else scores

    outputs = model.generate_batch([[7, 8], [8, 9]], max_new_tokens=4, logits_processor=[nothing])
    assert [output.status for output in outputs.values()] == [RequestStatus.FAILED, RequestStatus.FINISHED]
    assert "no finite value" in outputs["req_0"].error

    def broken(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of order")

    with model.continuous_batching_context_manager(logits_processor=[broken]) as manager:
        result = manager.get_result(manager.add_request([5, 6]))
        assert result.status == RequestStatus.FAILED
        assert "out of order" in result.error
        manager.thread.join()
        with pytest.raises(InputError, match="stopped"):
            manager.add_request([5])


def test_what_cannot_share_a_batch_is_refused() -> None:
    model = model_of("llama")
    for options in ({"num_beams": 2}, {"num_return_sequences": 2, "do_sample": True}, {"prompt_lookup_num_tokens": 3}):
        with pytest.raises(ConfigError, match="Continuous batching"):
            model.generate_batch([[5]], **options)
    xlnet = samovar.XLNetLMHeadModel(samovar.XLNetConfig(vocab_size=99, d_model=32, n_layer=1, n_head=2, d_inner=32))
    with pytest.raises(ConfigError, match="pages"):
        xlnet.generate_batch([[5]])
    t5 = samovar.T5ForConditionalGeneration(samovar.T5Config(vocab_size=50, d_model=32, d_kv=8, d_ff=48, num_layers=1))
    with pytest.raises(ConfigError, match="pages"):
        t5.generate_batch([[5]])
    dynamic = samovar.LlamaConfig(**GROUPED, rope_parameters={"rope_type": "dynamic", "factor": 2.0})
    with pytest.raises(InputError, match="angles"):
        samovar.LlamaForCausalLM(dynamic).generate_batch([[5] * 2040], max_new_tokens=20)
    for values in ({"block_size": 0}, {"num_blocks": -1}, {"max_batch_size": 2.5}, {"max_memory_percent": 0}):
        with pytest.raises(ConfigError):
            samovar.ContinuousBatchingConfig(**values)


FEW = samovar.ContinuousBatchingConfig(num_blocks=1)


@pytest.mark.parametrize(
    ("prompts", "options", "kind", "words"),
    [
        ([[5], []], {}, InputError, "Prompt 1: The prompt is empty"),
        (["text"], {}, InputTypeError, "Prompt 0: A prompt must be a list of ids"),
        ([[5, 99]], {}, InputError, "The id 99"),
        ([[5, -1]], {}, InputError, "The id -1"),
        ([[5] * 250], {}, InputError, "250 tokens"),
        ([[5], [6]], {"max_new_tokens": [1]}, InputError, "2 prompts came with 1"),
        ([[5]], {"max_new_token": 3}, InputError, "max_new_token"),
        (
            [[5] * 20],
            {"continuous_batching_config": samovar.ContinuousBatchingConfig(num_blocks=1)},
            InputError,
            "blocks",
        ),
    ],
)
def test_bad_requests_are_refused(prompts: Any, options: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        model_of("gpt2").generate_batch(prompts, **{"max_new_tokens": 20} | options)


def test_a_name_belongs_to_one_request() -> None:
    manager = model_of("gpt2").init_continuous_batching()
    manager.add_request([5], request_id="a")
    with pytest.raises(InputError, match="'a'"):
        manager.add_request([6], request_id="a")


def test_blocks_are_handed_out_lowest_first_and_kept_while_there_are_others() -> None:
    pages = Pages(4, 2)
    first, second = pages.take(), pages.take()
    assert (first, second) == (0, 1)
    number = pages.remember(first, 0, [5, 6])
    assert pages.known([5, 6, 7]) == [(number, 0)]
    assert pages.known([5, 6]) == []  # the last token is read again, as its logits are wanted
    pages.drop(first)
    pages.drop(second)
    assert pages.left == 4
    assert [pages.take() for _ in range(3)] == [1, 2, 3]
    assert pages.known([5, 6, 7]) == [(number, 0)]
    assert pages.take() == 0
    assert pages.known([5, 6, 7]) == []
    assert pages.take() is None
