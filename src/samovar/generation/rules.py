"""From decoding options to the lists of processors and criteria that carry them out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from samovar.errors import ConfigError
from samovar.generation.config import GenerationConfig
from samovar.generation.constraints import (
    ForcedBOSTokenLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    MinLengthLogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)
from samovar.generation.penalties import (
    EncoderNoRepeatNGramLogitsProcessor,
    EncoderRepetitionPenaltyLogitsProcessor,
    ExponentialDecayLengthPenalty,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
)
from samovar.generation.processors import LogitsProcessorList
from samovar.generation.prompt import Prompt, end_tokens
from samovar.generation.stopping import (
    EosTokenCriteria,
    MaxLengthCriteria,
    MaxTimeCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)
from samovar.generation.warpers import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    InfNanRemoveLogitsProcessor,
    LogitNormalization,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopHLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

logger = logging.getLogger(__name__)


def build_processors(
    config: GenerationConfig,
    prompt: Prompt,
    own: Sequence[Callable[..., Tensor]] | None = None,
    prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]] | None = None,
    guidance: Callable[..., Tensor] | None = None,
) -> LogitsProcessorList:
    """Guidance first, then rules, the user's `own` processors, and the cuts of sampling.

    A processor of the user's replaces one of the same class that the configuration asks for.
    """
    first = [] if guidance is None else [guidance]
    rules = [*first, *repetition_rules(config, prompt), *length_rules(config, prompt, prefix_allowed_tokens_fn)]
    merged = merge(rules, list(own or ()))
    if config.do_sample:
        merged += sampling_cuts(config)
    if config.renormalize_logits:
        merged.append(LogitNormalization())
    return LogitsProcessorList(merged)


def repetition_rules(config: GenerationConfig, prompt: Prompt) -> list[Callable[..., Tensor]]:
    """What looks at tokens that stand in the text or in the encoder's."""
    rules: list[Callable[..., Tensor]] = []
    if config.sequence_bias is not None:
        rules.append(SequenceBiasLogitsProcessor(config.sequence_bias))
    own_mask = prompt.mask if prompt.embeds is None else None
    source, mask = prompt.encoder_ids, prompt.encoder_mask
    encoder_rules = config.encoder_repetition_penalty != 1.0 or config.encoder_no_repeat_ngram_size
    if encoder_rules and source is None:
        if prompt.encoder_outputs is not None:
            raise ConfigError("A rule about the encoder's text was set, but its ids were not given.", "Pass input_ids.")
        source, mask = prompt.ids, own_mask  # of a decoder alone, the prompt is what is read
    if source is not None and mask is not None:
        source = source.masked_fill(mask == 0, -1)  # padding is no part of a text
    if config.encoder_repetition_penalty != 1.0 and source is not None:
        rules.append(EncoderRepetitionPenaltyLogitsProcessor(config.encoder_repetition_penalty, source))
    if config.repetition_penalty != 1.0:
        padding = None if own_mask is None else own_mask.argmax(1)
        rules.append(RepetitionPenaltyLogitsProcessor(config.repetition_penalty, padding))
    if config.no_repeat_ngram_size:
        rules.append(NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size))
    if config.encoder_no_repeat_ngram_size and source is not None:
        rules.append(EncoderNoRepeatNGramLogitsProcessor(config.encoder_no_repeat_ngram_size, source))
    if config.bad_words_ids is not None:
        rules.append(NoBadWordsLogitsProcessor(config.bad_words_ids, end_tokens(config) or None))
    return rules


def length_rules(
    config: GenerationConfig, prompt: Prompt, prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]] | None
) -> list[Callable[..., Tensor]]:
    """What forbids or forces tokens by the length reached."""
    rules: list[Callable[..., Tensor]] = []
    ends, length, device = end_tokens(config), prompt.ids.shape[1], prompt.ids.device
    if ends and config.min_length > length + (config.min_new_tokens or 0):
        rules.append(MinLengthLogitsProcessor(config.min_length, ends, device))
    if ends and config.min_new_tokens:
        rules.append(MinNewTokensLengthLogitsProcessor(length, config.min_new_tokens, ends, device))
    if prefix_allowed_tokens_fn is not None:
        rules.append(PrefixConstrainedLogitsProcessor(prefix_allowed_tokens_fn, config.num_beams))
    if config.forced_bos_token_id is not None:
        rules.append(ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id))
    if config.forced_eos_token_id is not None:
        rules.append(ForcedEOSTokenLogitsProcessor(config.max_length, config.forced_eos_token_id, device))
    if config.remove_invalid_values:
        rules.append(InfNanRemoveLogitsProcessor())
    if config.exponential_decay_length_penalty is not None:
        if not ends:
            raise ConfigError("exponential_decay_length_penalty needs an end token.", "Set eos_token_id.")
        rules.append(ExponentialDecayLengthPenalty(config.exponential_decay_length_penalty, ends, length))
    if config.suppress_tokens is not None:
        rules.append(SuppressTokensLogitsProcessor(config.suppress_tokens, device))
    if config.begin_suppress_tokens is not None:
        forced = length == 1 and config.forced_bos_token_id is not None
        rules.append(SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens, length + forced, device))
    return rules


def sampling_cuts(config: GenerationConfig) -> list[Callable[..., Tensor]]:
    """Temperature, then the cuts, in the order in which the field's programs apply them."""
    # Beams need a token beside the end tokens to go on with.
    kept = max(2, len(end_tokens(config)) + 1) if config.num_beams > 1 else 1
    cuts: list[Callable[..., Tensor]] = []
    if config.temperature != 1.0:
        cuts.append(TemperatureLogitsWarper(config.temperature))
    if config.top_h is not None:
        cuts.append(TopHLogitsWarper(config.top_h))
    if config.top_k:
        cuts.append(TopKLogitsWarper(config.top_k, min_tokens_to_keep=kept))
    if config.top_p < 1.0:
        cuts.append(TopPLogitsWarper(config.top_p, min_tokens_to_keep=kept))
    if config.min_p is not None:
        cuts.append(MinPLogitsWarper(config.min_p, min_tokens_to_keep=kept))
    if config.typical_p < 1.0:
        cuts.append(TypicalLogitsWarper(config.typical_p, min_tokens_to_keep=kept))
    if config.epsilon_cutoff:
        cuts.append(EpsilonLogitsWarper(config.epsilon_cutoff, min_tokens_to_keep=kept))
    if config.eta_cutoff:
        cuts.append(EtaLogitsWarper(config.eta_cutoff, min_tokens_to_keep=kept))
    return cuts


def build_criteria(
    config: GenerationConfig, own: Sequence[Callable[..., Any]] | None, tokenizer: Any
) -> StoppingCriteriaList:
    """The criteria that the options ask for, then the user's own. Raises `ConfigError` without a needed tokenizer."""
    criteria: list[Callable[..., Any]] = [MaxLengthCriteria(config.max_length)]
    if config.max_time is not None:
        criteria.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise ConfigError(
                "stop_strings are text, and generate has no tokenizer to read it.",
                "Pass tokenizer=tokenizer to generate.",
            )
        criteria.append(StopStringCriteria(tokenizer, config.stop_strings))
    ends = end_tokens(config)
    if ends:
        criteria.append(EosTokenCriteria(torch.tensor(ends)))
    return StoppingCriteriaList(merge(criteria, list(own or ())))


def merge(asked: list[Callable[..., Any]], own: list[Callable[..., Any]]) -> list[Callable[..., Any]]:
    """The rules asked for, in which one of the user's replaces one of its class, then the rest of the user's."""
    merged: list[Callable[..., Any]] = []
    for rule in asked:
        replacement = next((one for one in own if type(one) is type(rule)), None)
        if replacement is not None:
            logger.info("The given %s replaces the one that the options ask for.", type(rule).__name__)
        merged.append(rule if replacement is None else replacement)
    return merged + [one for one in own if not any(one is other for other in merged)]
