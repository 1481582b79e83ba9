"""Drafts change how many calls are made, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toy_generators import ENDS, VOCABULARY, pair

import samovar
from samovar.errors import ConfigError, InputError
from samovar.generation.speculative import PromptLookup

PROMPT = torch.tensor([[20, 30, 40, 8, 20, 30]])
STRATEGIES: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.4, "no_repeat_ngram_size": 3},
    {"eos_token_id": ENDS},
    {"min_new_tokens": 20, "eos_token_id": ENDS},
    {"do_sample": True, "seed": 5},
    {"do_sample": True, "seed": 6, "top_k": 0, "temperature": 1.4},
]


def small_model() -> Any:
    """A model that often agrees with the toy: the same, with a little noise."""
    model = samovar.GPT2LMHeadModel(pair()[1].config).eval()
    model.load_state_dict(pair()[1].state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return model


def calls_of(model: Any, run: Any) -> tuple[Any, int]:
    """What `run` returns and how often it called the model."""
    calls: list[int] = []
    handle = model.register_forward_hook(lambda *arguments: calls.append(1))
    try:
        return run(), len(calls)
    finally:
        handle.remove()


@pytest.mark.slow
@pytest.mark.parametrize("options", STRATEGIES)
@pytest.mark.parametrize("draft", ["lookup", "model", "itself"])
def test_the_text_is_the_one_without_a_draft(draft: str, options: dict[str, Any]) -> None:
    model = pair()[1]
    extra: dict[str, Any] = {
        "lookup": {"prompt_lookup_num_tokens": 4},
        "model": {"assistant_model": small_model(), "num_assistant_tokens": 4, "assistant_confidence_threshold": 0.0},
        "itself": {"assistant_model": model, "num_assistant_tokens_schedule": "heuristic"},
    }[draft]
    plain = model.generate(PROMPT, max_new_tokens=30, **options)
    assert torch.equal(model.generate(PROMPT, max_new_tokens=30, **options, **extra), plain)


@pytest.mark.parametrize("sampled", [{}, {"do_sample": True, "seed": 5}])
def test_a_draft_that_is_right_saves_calls(sampled: dict[str, Any]) -> None:
    model, assistant = pair()[1], small_model()
    options = {"max_new_tokens": 30, "eos_token_id": None, "num_assistant_tokens": 5, **sampled}
    plain, without = calls_of(model, lambda: model.generate(PROMPT, **options))
    drafted, with_draft = calls_of(
        model,
        lambda: model.generate(PROMPT, assistant_model=assistant, assistant_confidence_threshold=0.0, **options),
    )
    assert torch.equal(plain, drafted)
    assert without == 30
    assert with_draft < 20


def test_scores_and_stream_are_those_without_a_draft() -> None:
    class Tokens:
        cancelled = False

        def __init__(self) -> None:
            self.seen: list[int] = []

        def put(self, value: torch.Tensor) -> None:
            self.seen += value.flatten().tolist()

        def end(self) -> None: ...

    model, streams = pair()[1], [Tokens(), Tokens()]
    asked = {"max_new_tokens": 12, "return_dict_in_generate": True, "output_scores": True, "output_logits": True}
    plain = model.generate(PROMPT, streamer=streams[0], **asked)
    drafted = model.generate(PROMPT, streamer=streams[1], prompt_lookup_num_tokens=3, **asked)
    for name in ("scores", "logits"):
        torch.testing.assert_close(torch.stack(plain[name]), torch.stack(drafted[name]), atol=1e-4, rtol=1e-4)
    assert streams[0].seen == streams[1].seen == plain.sequences[0].tolist()


def test_lookup_prefers_long_and_late_matches() -> None:
    lookup = PromptLookup(3, 2)
    text = torch.tensor([[1, 2, 9, 9, 7, 2, 8, 8, 1, 2, 6, 5, 4, 1, 2]])
    assert lookup.propose(text, 10).tolist() == [[6, 5, 4]]
    assert lookup.propose(text, 2).tolist() == [[6, 5]]
    assert lookup.propose(torch.tensor([[5, 6, 7]]), 10).tolist() == [[]]
    assert lookup.propose(text, 0).tolist() == [[]]


def test_a_draft_model_with_a_shorter_window_helps_as_far_as_it_reaches() -> None:
    model = pair()[1]
    config = samovar.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=VOCABULARY, n_positions=12)
    options = {"max_new_tokens": 25, "eos_token_id": None}
    drafted = model.generate(PROMPT, assistant_model=samovar.GPT2LMHeadModel(config).eval(), **options)
    assert torch.equal(drafted, model.generate(PROMPT, **options))


def test_drafts_that_do_not_fit_are_refused() -> None:
    model = pair()[1]
    with pytest.raises(InputError, match="one text"):
        model.generate(PROMPT.repeat(2, 1), prompt_lookup_num_tokens=3)
    with pytest.raises(ConfigError, match="beams are several"):
        model.generate(PROMPT, prompt_lookup_num_tokens=3, num_beams=2)
    config = samovar.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=VOCABULARY + 4)
    with pytest.raises(ConfigError, match="same tokenizer"):
        model.generate(PROMPT, assistant_model=samovar.GPT2LMHeadModel(config))
    with pytest.raises(ConfigError, match="Attentions"):
        model.generate(PROMPT, prompt_lookup_num_tokens=3, return_dict_in_generate=True, output_attentions=True)
