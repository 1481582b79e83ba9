"""Processors that make tokens more or less likely by what was written before: repeats, n-grams, sequences, length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from samovar.errors import ConfigError, InputError
from samovar.generation.processors import LogitsProcessor, token_tensor


def checked_penalty(penalty: float) -> float:
    """The penalty. Raises `ConfigError` unless it is above 0."""
    if isinstance(penalty, bool) or not isinstance(penalty, int | float) or penalty <= 0:
        raise ConfigError(f"The penalty must be a number above 0, got {penalty!r}.", "1.0 changes nothing.")
    return float(penalty)


def checked_size(size: int) -> int:
    """The n-gram's size. Raises `ConfigError` unless it is a whole number above 0."""
    if not isinstance(size, int) or size <= 0:
        raise ConfigError(f"The n-gram size must be a whole number above 0, got {size!r}.", "Leave it out for no rule.")
    return size


def penalised(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Scores where those of `seen` (rows, vocabulary) are divided by the penalty, negative ones multiplied."""
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def marked(ids: Tensor, vocabulary: int) -> Tensor:
    """Which tokens are among `ids` (rows, length): (rows, vocabulary). Ids outside mark nothing."""
    seen = torch.zeros(ids.shape[0], vocabulary + 1, dtype=torch.bool, device=ids.device)
    outside = (ids < 0) | (ids > vocabulary)
    return seen.scatter_(1, ids.masked_fill(outside, vocabulary), True)[:, :vocabulary]


class RepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Tokens that stand in the text become less likely (Keskar et al. 2019).

    `prompt_ignore_length` leaves out the first tokens: one number, or one per row (its left padding).
    """

    by_itself = True

    def __init__(self, penalty: float, prompt_ignore_length: int | Tensor | None = None) -> None:
        self.penalty = checked_penalty(penalty)
        if isinstance(prompt_ignore_length, int) and prompt_ignore_length < 0:
            raise ConfigError(f"prompt_ignore_length must be 0 or more, got {prompt_ignore_length}.", "Change it.")
        self.prompt_ignore_length = prompt_ignore_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        ignored = self.prompt_ignore_length
        if isinstance(ignored, int):
            input_ids = input_ids[:, ignored:]
        elif ignored is not None:
            if len(ignored) != len(input_ids):
                raise InputError(
                    f"prompt_ignore_length has {len(ignored)} rows, the text {len(input_ids)}.", "Give one per row."
                )
            positions = torch.arange(input_ids.shape[1], device=input_ids.device)
            padding = positions < ignored.to(input_ids.device)[:, None]
            input_ids = input_ids.masked_fill(padding, scores.shape[-1])
        return penalised(scores, marked(input_ids, scores.shape[-1]), self.penalty)


class PromptRule(LogitsProcessor):
    """Base of processors that look at the encoder's text; its rows are repeated to the number of beams."""

    encoder_input_ids: Tensor

    def prompt(self, rows: int, device: torch.device) -> Tensor:
        """The encoder's ids, one row per row of scores."""
        ids = self.encoder_input_ids.to(device)
        return ids.repeat_interleave(rows // len(ids), dim=0) if rows > len(ids) else ids


class EncoderRepetitionPenaltyLogitsProcessor(PromptRule):
    """Tokens that stand in the encoder's text become more likely, for a `penalty` above 1."""

    by_itself = True

    def __init__(self, penalty: float, encoder_input_ids: Tensor) -> None:
        self.penalty = 1 / checked_penalty(penalty)
        self.encoder_input_ids = encoder_input_ids

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        prompt = self.prompt(len(scores), scores.device)
        return penalised(scores, marked(prompt, scores.shape[-1]), self.penalty)


def repeats(text: Tensor, prefix: Tensor, size: int, vocabulary: int) -> Tensor:
    """Which tokens would end an n-gram of `text` (rows, length) that starts with `prefix` (rows, size - 1)."""
    windows = text.unfold(1, size, 1)
    same = (windows[..., :-1] == prefix[:, None]).all(-1)
    # Windows that do not match mark a column beyond the vocabulary.
    return marked(windows[..., -1].masked_fill(~same, vocabulary), vocabulary)


class NoRepeatNGramLogitsProcessor(LogitsProcessor):
    """No n-gram of this size is written twice (Paulus et al. 2017)."""

    by_itself = True

    def __init__(self, ngram_size: int) -> None:
        self.ngram_size = checked_size(ngram_size)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        length = input_ids.shape[-1]
        if length < self.ngram_size:
            return scores
        prefix = input_ids[:, length + 1 - self.ngram_size :]
        return scores.masked_fill(repeats(input_ids, prefix, self.ngram_size, scores.shape[-1]), -torch.inf)


class EncoderNoRepeatNGramLogitsProcessor(PromptRule):
    """No n-gram of the encoder's text is written."""

    by_itself = True

    def __init__(self, encoder_ngram_size: int, encoder_input_ids: Tensor) -> None:
        self.ngram_size = checked_size(encoder_ngram_size)
        self.encoder_input_ids = encoder_input_ids if encoder_input_ids.ndim == 2 else encoder_input_ids[None]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        length, prompt = input_ids.shape[-1], self.prompt(len(scores), scores.device)
        if length < self.ngram_size - 1 or prompt.shape[-1] < self.ngram_size:
            return scores
        prefix = input_ids[:, length + 1 - self.ngram_size :]
        return scores.masked_fill(repeats(prompt, prefix, self.ngram_size, scores.shape[-1]), -torch.inf)


class SequenceBiasLogitsProcessor(LogitsProcessor):
    """A number added to the score of the token that would complete a sequence.

    `sequence_bias` maps tuples of token ids to numbers, or lists `[ids, number]` pairs, as JSON has to.
    Raises `ConfigError` for an empty sequence, and at the first call for ids outside the vocabulary.
    """

    by_itself = True

    def __init__(self, sequence_bias: Mapping[tuple[int, ...], float] | Sequence[Sequence[Any]]) -> None:
        pairs = sequence_bias.items() if isinstance(sequence_bias, Mapping) else sequence_bias
        try:
            self.sequence_bias = {tuple(int(one) for one in ids): float(bias) for ids, bias in pairs}
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"sequence_bias must map tuples of token ids to numbers, got {sequence_bias!r}.",
                "Write {(12, 7): -2.0} or [[[12, 7], -2.0]].",
            ) from error
        if not self.sequence_bias or any(not ids or min(ids) < 0 for ids in self.sequence_bias):
            raise ConfigError(
                f"sequence_bias must hold sequences of token ids from 0, none of them empty; got {sequence_bias!r}.",
                "Leave the empty ones out.",
            )
        self.groups: list[tuple[Tensor, Tensor, Tensor]] = []

    def prepare(self, scores: Tensor) -> None:
        """Group the sequences by length: what stands before, the last token, the bias."""
        vocabulary = scores.shape[-1]
        outside = sorted({one for ids in self.sequence_bias for one in ids if one >= vocabulary})
        if outside:
            raise ConfigError(
                f"A bias is given for the tokens {outside}, but the vocabulary ends at {vocabulary - 1}.",
                "Use the tokenizer of this checkpoint.",
            )
        for size in sorted({len(ids) for ids in self.sequence_bias}):
            chosen = [(ids, bias) for ids, bias in self.sequence_bias.items() if len(ids) == size]
            ids = torch.tensor([ids for ids, _ in chosen], device=scores.device)
            biases = torch.tensor([bias for _, bias in chosen], device=scores.device, dtype=scores.dtype)
            self.groups.append((ids[:, :-1], ids[:, -1], biases))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not self.groups:
            self.prepare(scores)
        bias = torch.zeros_like(scores)
        for before, last, biases in self.groups:
            size = before.shape[1]
            if size > input_ids.shape[1]:
                continue
            tail = input_ids[:, None, input_ids.shape[1] - size :]
            bias.index_add_(1, last, torch.where((tail == before).all(-1), biases, 0.0))
        return scores + bias


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """These sequences of tokens are never written; the end token by itself stays allowed."""

    by_itself = True

    def __init__(
        self, bad_words_ids: Sequence[Sequence[int]], eos_token_id: int | Sequence[int] | Tensor | None = None
    ) -> None:
        if not isinstance(bad_words_ids, list | tuple) or not bad_words_ids:
            raise ConfigError(f"bad_words_ids must be a list of lists of ids, got {bad_words_ids!r}.", "Leave it out.")
        if any(not isinstance(ids, list | tuple) for ids in bad_words_ids):
            raise ConfigError(
                f"bad_words_ids must hold one list of ids per word, got {bad_words_ids!r}.",
                "Use tokenizer(words, add_special_tokens=False).input_ids.",
            )
        ends = set() if eos_token_id is None else set(token_tensor(eos_token_id).tolist())
        kept = [tuple(ids) for ids in bad_words_ids if not (len(ids) == 1 and ids[0] in ends)]
        self.nothing_left = not kept
        if kept:
            super().__init__(dict.fromkeys(kept, -torch.inf))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores if self.nothing_left else super().__call__(input_ids, scores)


class ExponentialDecayLengthPenalty(LogitsProcessor):
    """The end becomes likelier with every token after a start: |score| · (factor ^ tokens since - 1) is added."""

    def __init__(
        self,
        exponential_decay_length_penalty: tuple[int, float],
        eos_token_id: int | Sequence[int] | Tensor,
        input_ids_seq_length: int,
    ) -> None:
        self.start = exponential_decay_length_penalty[0] + input_ids_seq_length
        self.factor = exponential_decay_length_penalty[1]
        self.tokens = token_tensor(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        since = input_ids.shape[-1] - self.start
        if since <= 0:
            return scores
        self.tokens = self.tokens.to(scores.device)
        ends = scores[:, self.tokens]
        # A forbidden end stays forbidden: inf - inf would be no number.
        gain = (ends.abs() * (self.factor**since - 1)).masked_fill(~ends.isfinite(), 0.0)
        return scores.index_add(1, self.tokens, gain)
