"""Speculative decoding: a cheap draft of several tokens, which the model checks in one call.

The result is the one without a draft, sampled or not. A sample of this library is a function of the model's scores and
of one random number per step (see `draws`), so a drafted token is right exactly if it is what the model would have
drawn at that step with that number; the draft only decides how many steps one call covers (Daliri et al. 2025 call
such sampling drafter-invariant; Leviathan et al. 2023 accept tokens that only follow the same distribution). A draft
model draws with the same numbers, so that it often draws the same tokens.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import torch
from torch import Tensor

from samovar.errors import ConfigError, InputError
from samovar.generation.config import GenerationConfig
from samovar.generation.draws import Draws, pick
from samovar.generation.lengths import window
from samovar.generation.processors import LogitsProcessorList
from samovar.generation.prompt import Prompt
from samovar.generation.record import Record, nothing_allowed
from samovar.generation.sampling import Ending
from samovar.generation.steps import Steps
from samovar.generation.stopping import StoppingCriteriaList
from samovar.generation.streamers import BaseStreamer
from samovar.generation.text import Texts


class Draft(Protocol):
    """What proposes tokens."""

    def propose(self, ids: Tensor, longest: int) -> Tensor:
        """At most `longest` tokens (1, count) that may follow the text (1, length); none is a fine answer."""

    def learn(self, proposed: int, accepted: int) -> None:
        """Hear how many of the proposed tokens were right."""


class PromptLookup:
    """Proposes what followed the same last tokens earlier in the text (Saxena 2023): free, and good at quotations.

    Longer matches are tried before shorter ones, and later ones before earlier ones.
    """

    def __init__(self, count: int, longest_match: int) -> None:
        self.count = count
        self.longest_match = longest_match

    def propose(self, ids: Tensor, longest: int) -> Tensor:
        """The tokens after the match."""
        text = ids[0].tolist()
        for size in range(min(self.longest_match, len(text) - 1), 0, -1):
            tail = text[-size:]
            for start in range(len(text) - size - 1, -1, -1):
                if text[start : start + size] == tail:
                    found = text[start + size : start + size + min(self.count, longest)]
                    return ids.new_tensor([found])
        return ids[:, :0]

    def learn(self, proposed: int, accepted: int) -> None:
        """Nothing to learn."""


class DraftModel:
    """A smaller model of the same vocabulary, that writes a few tokens by the same rules and the same random numbers.

    It stops early where it is not sure (`assistant_confidence_threshold`, by its own probability of its token). With
    the schedule "heuristic" the number of tokens rises by 2 after a draft that was right throughout, else falls by 1;
    "heuristic_transient" is the same, as no state outlives a call here.
    """

    def __init__(
        self,
        steps: Steps,
        processors: LogitsProcessorList,
        config: GenerationConfig,
        draws: Draws | None,
        prompt: int,
    ) -> None:
        self.steps, self.processors, self.draws, self.prompt = steps, processors, draws, prompt
        self.limit = window(steps.model)[0]
        self.count = config.num_assistant_tokens
        self.adapts = config.num_assistant_tokens_schedule != "constant"
        self.threshold = config.assistant_confidence_threshold

    def propose(self, ids: Tensor, longest: int) -> Tensor:
        """The draft model's own continuation."""
        if self.limit is not None:
            longest = min(longest, self.limit - ids.shape[1])
        if longest <= 0:
            return ids[:, :0]
        # It may have read tokens that were refused; what it reads again is at least one token, for its scores.
        self.steps.crop(ids.shape[1] - 1)
        texts = Texts(ids, ids.shape[1] + longest, 0)
        for _ in range(min(self.count, longest)):
            scores = self.processors(texts.ids, self.steps(texts.ids).logits[:, -1].float())
            token = choose(scores, self.draws, texts.length - self.prompt)
            texts.append(token)
            if self.threshold and float(scores.softmax(-1)[0, token]) < self.threshold:
                break
        return texts.ids[:, ids.shape[1] :]

    def learn(self, proposed: int, accepted: int) -> None:
        """Propose more after a draft that was right, less after another."""
        if self.adapts:
            self.count = self.count + 2 if accepted == proposed else max(1, self.count - 1)


def choose(scores: Tensor, draws: Draws | None, step: int) -> Tensor:
    """The token of one step, (rows)."""
    return scores.argmax(-1) if draws is None else pick(scores, draws.uniform(step))


def draft_for(
    model: Any,
    assistant: Any,
    prompt: Prompt,
    config: GenerationConfig,
    processors: LogitsProcessorList,
    draws: Draws | None,
) -> Draft:
    """The draft that the options ask for. Raises `InputError` or `ConfigError` where it does not fit the model."""
    if len(prompt.ids) > 1:
        raise InputError(f"A draft continues one text, got {len(prompt.ids)}.", "Generate one at a time.")
    if assistant is None:
        return PromptLookup(config.prompt_lookup_num_tokens, config.max_matching_ngram_size)
    theirs, ours = (getattr(one.config, "vocab_size", None) for one in (assistant, model))
    if theirs != ours:
        raise ConfigError(
            f"The draft model has {theirs} tokens, the model {ours}.", "Use a draft model with the same tokenizer."
        )
    own = prompt
    if prompt.encoder_outputs is not None:
        if prompt.encoder_ids is None:
            raise InputError("A draft model has to read the encoder's text itself.", "Give input_ids.")
        outputs = assistant.get_encoder()(
            input_ids=prompt.encoder_ids, attention_mask=prompt.encoder_mask, return_dict=True
        )
        own = dataclasses.replace(prompt, encoder_outputs=outputs)
    quiet = GenerationConfig(use_cache=config.use_cache)
    return DraftModel(Steps(assistant, own, quiet), processors, config, draws, prompt.ids.shape[1])


def write_drafted(
    steps: Steps,
    draft: Draft,
    ids: Tensor,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    config: GenerationConfig,
    draws: Draws | None,
    streamer: BaseStreamer | None,
) -> Any:
    """Continue one text (1, length). Returns ids or an output object, equal to what `sampling.write` returns."""
    if config.return_dict_in_generate and (config.output_attentions or config.output_hidden_states):
        raise ConfigError(
            "Attentions and hidden states come per call of the model, and a draft makes calls of many tokens.",
            "Leave output_attentions and output_hidden_states out, or the draft.",
        )
    ending, record = Ending(criteria, config, 1, ids.device), Record(config, steps)
    texts = Texts(ids, ending.longest, 0)
    prompt, over = ids.shape[1], False
    while not over:
        start = texts.length
        # The model always adds a token of its own.
        drafted = draft.propose(texts.ids, steps.drafted(start, ending.longest - start - 1))
        count = drafted.shape[1]
        output = steps(torch.cat([texts.ids, drafted], dim=1), keep=count + 1)
        logits = output.logits[:, -count - 1 :].float()
        del output
        accepted = 0
        for position in range(count + 1):
            scores = processors(texts.ids, logits[:, position])
            record.add(logits[:, position], scores)
            if not bool(scores.amax() > -torch.inf):
                raise nothing_allowed()
            token = choose(scores, draws, texts.length - prompt)
            texts.append(token)
            if streamer is not None:
                streamer.put(token.cpu())
            over = ending.reached(texts.ids, record.so_far) or (streamer is not None and streamer.cancelled)
            if over or position == count or int(token) != int(drafted[0, position]):
                break
            accepted += 1
        draft.learn(count, accepted)
        # The last token has not been read, whatever was drafted in its place.
        steps.crop(texts.length - 1)
    return record.finish(texts.ids)
