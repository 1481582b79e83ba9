"""Windows: chunks give the numbers and gradients of all pairs, at linear cost, and traces serve all lengths."""

from __future__ import annotations

import pytest
import torch

import samovar
from samovar.errors import ConfigError, InputError
from samovar.nn.windowed import GLOBAL, HIDDEN, Sight, WindowedAttention

SIZES = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 37, "max_position_embeddings": 200, "attention_window": [4, 8], "sep_token_id": 2}


@pytest.mark.parametrize("length", [13, 24, 25, 61])
@pytest.mark.parametrize("everywhere", [(), ((0, 0),), ((0, 0), (0, 7), (1, 3), (2, 12))])
def test_chunks_equal_all_pairs(length: int, everywhere: tuple[tuple[int, int], ...]) -> None:
    torch.manual_seed(0)
    attention = WindowedAttention(32, 4)
    x = torch.randn(3, length, 32, requires_grad=True)
    kinds = torch.ones(3, length, dtype=torch.long)
    kinds[1, 10:] = HIDDEN
    for row, place in everywhere:
        kinds[row, place] = GLOBAL
    sight = Sight.of(kinds, 4, traced=False)
    real = (kinds != HIDDEN)[..., None]
    outputs, gradients = [], []
    for probabilities in (False, True):  # the second computes all pairs
        out, _ = attention(x, probabilities=probabilities, sight=sight)
        (gradient,) = torch.autograd.grad((out * real).square().sum(), x)
        outputs.append(out)
        gradients.append(gradient)
    torch.testing.assert_close(outputs[0] * real, outputs[1] * real, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(gradients[0] * real, gradients[1] * real, atol=1e-5, rtol=1e-4)


def test_memory_of_a_long_text_is_linear() -> None:
    attention = WindowedAttention(32, 4).eval()
    sight = Sight.of(torch.ones(1, 4096, dtype=torch.long), 8, traced=False)
    with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profile:
        attention(torch.randn(1, 4096, 32), sight=sight)
    largest = max(event.self_cpu_memory_usage for event in profile.key_averages())
    assert largest < 4096 * 4096  # Scores of all pairs alone would take 16 bytes for each.


def test_a_trace_has_global_tokens_of_any_number() -> None:
    torch.manual_seed(0)
    model = samovar.LongformerModel(samovar.LongformerConfig(**SIZES)).eval()
    ids = torch.randint(5, 90, (2, 20))
    chosen = torch.zeros_like(ids)
    program = torch.export.export(model, (ids, torch.ones_like(ids), chosen)).module()
    for row, place in ((0, 0), (1, 5), (0, 11)):
        chosen[row, place] = 1
    with torch.no_grad():
        traced = program(ids, torch.ones_like(ids), chosen).last_hidden_state
        torch.testing.assert_close(traced, model(ids, None, chosen)[0], atol=1e-5, rtol=1e-4)


def test_a_question_without_separator_is_refused() -> None:
    model = samovar.LongformerForQuestionAnswering(samovar.LongformerConfig(**SIZES)).eval()
    with pytest.raises(InputError, match="separator"):
        model(torch.randint(5, 90, (1, 9)))


@pytest.mark.parametrize("window", [3, 0, [4], [4, 5]])
def test_odd_windows_are_refused(window: object) -> None:
    with pytest.raises(ConfigError, match="even width"):
        samovar.LongformerModel(samovar.LongformerConfig(**{**SIZES, "attention_window": window}))
