"""Greedy decoding and sampling: one token per text and step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from samovar.errors import InputError
from samovar.generation.config import GenerationConfig
from samovar.generation.draws import Draws, pick
from samovar.generation.processors import LogitsProcessorList
from samovar.generation.record import Record, nothing_allowed
from samovar.generation.screening import screened
from samovar.generation.steps import Steps
from samovar.generation.stopping import MaxLengthCriteria, MaxTimeCriteria, StoppingCriteriaList
from samovar.generation.streamers import BaseStreamer
from samovar.generation.text import Texts

# Scores that are searched at once.
BLOCK = 256


def best_of(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The highest score of each row (rows, vocabulary), and the first token that has it.

    On a CPU a search for the place takes eight times what one for the value takes, so the place is looked for in the
    right block alone.
    """
    words = scores.shape[1]
    blocks, rest = divmod(words, BLOCK)
    if scores.device.type != "cpu" or blocks < BLOCK // 8:
        best, tokens = scores.max(-1)
        return best, tokens
    highest = scores[:, : words - rest].unflatten(-1, (blocks, BLOCK)).amax(-1)
    if rest:
        highest = torch.cat([highest, scores[:, words - rest :].amax(-1, keepdim=True)], dim=-1)
    best, block = highest.max(-1)
    first = block[:, None] * BLOCK
    # Beyond the end the last score stands again, which is never the first of its kind.
    places = (first + torch.arange(BLOCK, device=scores.device)).clamp_(max=words - 1)
    return best, first[:, 0] + scores.gather(-1, places).argmax(-1)


class Ending:
    """Which texts are finished. Asks the device once per step, and not at all where only the length ends texts."""

    def __init__(self, criteria: StoppingCriteriaList, config: GenerationConfig, rows: int, device: Any) -> None:
        self.longest = config.max_length
        own = [one for one in criteria if isinstance(one, MaxLengthCriteria)]
        self.longest = min([self.longest, *(one.max_length for one in own)])
        self.criteria = StoppingCriteriaList(one for one in criteria if one not in own)
        self.finished = torch.zeros(rows, dtype=torch.bool, device=device)
        self.broken = torch.zeros(rows, dtype=torch.bool, device=device)
        self.count = 0  # finished texts, as of the last step
        self.pad = config.pad_token_id
        apart = any(not isinstance(one, MaxTimeCriteria) for one in self.criteria)
        if apart and rows > 1 and self.pad is None:
            raise InputError(
                f"{rows} texts may end at different lengths, and there is no token to fill up the shorter ones.",
                "Set pad_token_id (any id will do, such as the end token's).",
            )

    def padded(self, tokens: Tensor) -> Tensor:
        """The tokens, with the padding token where a text is finished."""
        return tokens if self.pad is None or not self.criteria else tokens.masked_fill(self.finished, self.pad)

    def check(self, best: Tensor) -> None:
        """Note rows whose best score (rows) is none."""
        self.broken |= ~(best > -torch.inf) & ~self.finished

    def reached(self, ids: Tensor, scores: tuple[Tensor, ...] | None) -> bool:
        """Whether all texts are finished. Raises `NumericError` if a step left nothing to choose from."""
        if self.criteria:
            self.finished |= self.criteria(ids, scores)
            self.count, broken = torch.stack([self.finished.sum(), self.broken.any()]).tolist()
            if broken:
                raise nothing_allowed()
            if self.count == len(self.finished):
                return True
        return ids.shape[1] >= self.longest

    def close(self) -> None:
        """Raise `NumericError` if any step left nothing to choose from."""
        if bool(self.broken.any()):
            raise nothing_allowed()


def write(
    steps: Steps,
    ids: Tensor,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
    config: GenerationConfig,
    draws: Draws | None,
    streamer: BaseStreamer | None,
) -> Any:
    """Continue texts (rows, length) by the best token each, or by drawn ones. Returns ids or an output object."""
    ending = Ending(criteria, config, len(ids), ids.device)
    record = Record(config, steps)
    texts = Texts(ids, ending.longest, config.pad_token_id or 0)
    prompt, read = ids.shape[1], len(ids)
    with screened(steps.model, read, ending.longest - prompt, processors, config) as screen:
        while True:
            output = steps(texts.ids)
            logits = output.logits[:, -1].float()
            record.add_layers(output)
            scores = processors(texts.ids, logits)
            del output  # a prompt's logits are large, and only the last are needed
            best, tokens = best_of(scores)
            if screen is not None and not screen.covers(scores, None if draws else tokens):
                scores = processors(texts.ids, screen.all_logits()[:, -1].float())
                best, tokens = best_of(scores)
            record.add(logits, scores)
            ending.check(best)
            if draws is not None:
                tokens = pick(scores, draws.uniform(texts.length - prompt))
            tokens = ending.padded(tokens)
            texts.append(tokens)
            if streamer is not None:
                streamer.put(tokens.cpu())
            if ending.reached(texts.ids, record.so_far) or (streamer is not None and streamer.cancelled):
                break
            # Halving the batch each time copies, all in all, less than one whole cache.
            if not record.wanted and len(ids) - ending.count <= read // 2:
                steps.drop(ending.finished)
                read = len(ids) - ending.count
    ending.close()
    return record.finish(texts.ids)
