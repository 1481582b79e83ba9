"""Beam search and beam sampling: the best texts found by keeping several unfinished ones per prompt.

Each step scores every token after every beam and keeps the best `candidates` of them per prompt, more than there are
beams, so that enough remain if many of them end a text. A finished text is ranked by its summed log-probability
divided by (new tokens) ** length_penalty (Wu et al. 2016 use a related form). A prompt is done when no running beam
can overtake the worst text of a full list, or with `early_stopping=True` as soon as the list is full.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from samovar.errors import InputError
from samovar.generation.config import GenerationConfig
from samovar.generation.draws import Draws
from samovar.generation.processors import LogitsProcessorList
from samovar.generation.prompt import end_tokens
from samovar.generation.record import Record, nothing_allowed
from samovar.generation.steps import Steps
from samovar.generation.stopping import StoppingCriteriaList

# A score below every real one that still can be added to.
NEVER = -1e9


@dataclasses.dataclass
class Finished:
    """The best finished texts per prompt, best first; all tensors are (prompts, beams, …)."""

    ids: Tensor
    origins: Tensor  # from which row of scores each new token came, -1 after the end
    scores: Tensor
    filled: Tensor
    fill: int  # what stands after the end

    def merge(self, ids: Tensor, origins: Tensor, scores: Tensor, filled: Tensor) -> None:
        """Take in new texts (prompts, candidates, …), one token longer than those here, keeping the best."""
        self.ids, self.origins = F.pad(self.ids, (0, 1), value=self.fill), F.pad(self.origins, (0, 1), value=-1)
        every = torch.cat([self.scores, scores], 1)
        self.scores, order = every.topk(self.scores.shape[1])
        self.ids = taken(torch.cat([self.ids, ids], 1), order)
        self.origins = taken(torch.cat([self.origins, origins], 1), order)
        self.filled = taken(torch.cat([self.filled, filled], 1), order)


def taken(tensor: Tensor, order: Tensor) -> Tensor:
    """Entries of the second dimension, by indices (prompts, count)."""
    return tensor.take_along_dim(order.reshape(*order.shape, *[1] * (tensor.ndim - 2)), 1)


class BeamSearch:
    """The state of one search. `ids` (prompts · beams, length): each prompt `beams` times."""

    def __init__(
        self,
        steps: Steps,
        ids: Tensor,
        processors: LogitsProcessorList,
        criteria: StoppingCriteriaList,
        config: GenerationConfig,
        draws: Draws | None,
    ) -> None:
        self.steps, self.processors, self.criteria, self.config, self.draws = steps, processors, criteria, config, draws
        self.record = Record(config, steps)
        self.beams = config.num_beams
        self.prompts, self.prompt = len(ids) // self.beams, ids.shape[1]
        self.longest = config.max_length
        self.candidates = max(2, 1 + len(end_tokens(config))) * self.beams
        self.penalty = config.length_penalty
        shape = (self.prompts, self.beams)
        ends = end_tokens(config)
        fill = config.pad_token_id if config.pad_token_id is not None else ends[0] if ends else 0
        self.ids = ids.view(*shape, -1)
        self.length = self.prompt
        # Only the first of the equal beams counts in the first step.
        self.scores = torch.full(shape, NEVER, device=ids.device)
        self.scores[:, 0] = 0
        self.origins = self.ids[:, :, :0]
        self.finished = Finished(self.ids, self.origins, torch.full_like(self.scores, NEVER), self.scores > 0, fill)
        self.open = torch.ones(self.prompts, 1, dtype=torch.bool, device=ids.device)

    def run(self) -> Any:
        """Search to the end. Returns ids or an output object."""
        while not self.step():
            pass
        count = self.config.num_return_sequences
        best = self.finished
        origins = best.origins[:, :count].flatten(0, 1)
        written = int((origins >= 0).sum(1).max())
        ids = best.ids[:, :count].flatten(0, 1)[:, : self.prompt + written]
        scores = best.scores[:, :count].flatten() if self.record.keeps_scores else None
        return self.record.finish(ids, sequences_scores=scores, beam_indices=origins[:, :written])

    def step(self) -> bool:
        """One token further; True when the search is over."""
        totals = self.extended()
        scores, ids, origins, parents = self.best(totals)
        done = self.criteria(ids.flatten(0, 1), self.record.so_far)
        done = done.view(self.prompts, self.candidates)
        self.finish(scores, ids, origins, done)
        running = scores + done * NEVER
        self.scores, order = running.topk(self.beams)
        self.ids, self.origins = taken(ids, order), taken(origins, order)
        self.length += 1
        self.update_open()
        flags = [self.open.any(), done.all(), self.finished.filled.all(), ~(totals.amax(1) > -torch.inf).all()]
        open_, all_done, filled, broken = torch.stack(flags).tolist()
        if broken:
            raise nothing_allowed()
        if not open_ or all_done or (filled and self.config.early_stopping is True):
            return True
        self.steps.reorder(taken(parents, order).flatten(), same_source=True)
        return False

    def extended(self) -> Tensor:
        """The summed log-probabilities of every token after every beam, (prompts, beams · vocabulary)."""
        rows = self.ids.flatten(0, 1)
        output = self.steps(rows)
        logits = output.logits[:, -1].float()
        self.record.add_layers(output)
        scores = self.processors(rows, logits.log_softmax(-1))
        self.record.add(logits, scores)
        self.vocabulary = scores.shape[-1]
        if self.candidates > self.beams * self.vocabulary:
            raise InputError(
                f"{self.candidates} candidates are needed for num_beams={self.beams}; "
                f"a vocabulary of {self.vocabulary} tokens has no more than {self.beams * self.vocabulary}.",
                "Use fewer end tokens.",
            )
        return (scores.view(self.prompts, self.beams, -1) + self.scores[:, :, None]).flatten(1)

    def best(self, totals: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The candidates: their scores, ids, origins, and the rows that they continue."""
        if self.draws is None:
            scores, chosen = totals.topk(self.candidates)
        else:
            # The best of scores with Gumbel noise are a sample without replacement.
            chosen = (totals.log_softmax(-1) + self.draws.gumbel(totals.shape[1:])).topk(self.candidates)[1]
            scores = totals.gather(1, chosen)
        beam = chosen // self.vocabulary
        parents = beam + torch.arange(self.prompts, device=beam.device)[:, None] * self.beams
        ids = torch.cat([taken(self.ids, beam), (chosen % self.vocabulary)[:, :, None]], dim=2)
        origins = torch.cat([taken(self.origins, beam), parents[:, :, None]], dim=2)
        return scores, ids, origins, parents

    def finish(self, scores: Tensor, ids: Tensor, origins: Tensor, done: Tensor) -> None:
        """Take finished candidates into the lists; those beyond the best `beams` only stand by to run on."""
        ends = done.clone()
        ends[:, self.beams :] = False
        accepting = self.open
        if self.config.early_stopping is True:
            accepting = accepting & ~self.finished.filled.all(1, keepdim=True)
        ranked = scores / (self.length + 1 - self.prompt) ** self.penalty
        ranked = ranked + (~accepting) * NEVER + (~ends) * NEVER
        self.finished.merge(ids, origins, ranked, ends)

    def update_open(self) -> None:
        """Close prompts whose best running beam cannot overtake the worst finished text.

        With `early_stopping=False` a beam is ranked as if it ended now; with "never" and a penalty that favours long
        texts, as if it went on to the longest length at no cost.
        """
        hopeful = self.config.early_stopping == "never" and self.penalty > 0
        length = (self.longest if hopeful else self.length) - self.prompt
        hope = self.scores[:, :1] / length**self.penalty
        worst = torch.where(self.finished.filled, self.finished.scores.amin(1, keepdim=True), NEVER)
        self.open = self.open & (hope > worst).any(1, keepdim=True)
