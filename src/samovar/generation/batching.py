"""A batch that never ends: every step admits requests, writes a token of each, and lets finished ones go.

::

    waiting ─▶ admit ─▶ [tokens of a step: one of each text, pieces of new prompts] ─▶ model ─▶ choose ─▶ finished
                 ▲            a cache in pages (`nn.paged`)                                      │
                 └──────────── memory is short: the last one admitted waits again ◀──────────────┘

Orca (Yu et al. 2022) schedules by the step, vLLM (Kwon et al. 2023) keeps the cache in pages.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from samovar.generation.draws import pick
from samovar.generation.pages import ROOT, Pages
from samovar.generation.record import nothing_allowed
from samovar.generation.requests import ContinuousBatchingConfig, Request, RequestStatus
from samovar.generation.sampling import best_of
from samovar.nn.paged import PagedCache, Piece, Shared, Step
from samovar.tasks.outputs import BaseModelOutput

CPU_TOKENS, ACCELERATOR_TOKENS = 512, 8192


class Batch:
    """The texts that are being written, and those that wait."""

    def __init__(self, model: object, cache: PagedCache, settings: ContinuousBatchingConfig) -> None:
        self.model, self.cache, self.settings = model, cache, settings
        self.device: torch.device = model.device  # type: ignore[attr-defined]
        self.pages = Pages(cache.count, cache.block)
        self.waiting: deque[Request] = deque()
        self.active: list[Request] = []  # in the order of their admission
        size = settings.max_batch_size
        self.budget = settings.max_batch_tokens or (CPU_TOKENS if self.device.type == "cpu" else ACCELERATOR_TOKENS)
        self.slots = list(range(size))[::-1]  # free ones
        self.owner = np.full(cache.count, size, dtype=np.int64)
        self.starts = np.zeros(cache.count, dtype=np.int64)
        self.readers: dict[int, list[int]] = {}  # block → the slots that read it, where there are several
        self.used = 0  # one more than the highest block in use

    # Requests -----------------------------------------------------------------------------------------------------

    def add(self, request: Request) -> None:
        """Let a request wait for its turn."""
        self.waiting.append(request)

    def admit(self) -> None:
        """Take up requests while there are slots, and blocks for their prompts and one more for each text."""
        while self.waiting and self.slots:
            request = self.waiting[0]
            common = self.pages.known(request.tokens) if self.settings.allow_block_sharing else []
            needed = -(-len(request.tokens) // self.pages.size) - len(common)
            resting = sum(self.pages.holders[block] == 0 for _, block in common)
            if self.active and needed + len(self.active) > self.pages.left - resting:
                return
            self.waiting.popleft()
            request.slot, request.status = self.slots.pop(), RequestStatus.PREFILLING
            request.began = request.began if request.began >= 0 else time.perf_counter()
            for number, block in common:
                self.pages.hold(block)
                self.join(request, block)
                request.numbers.append(number)
            request.read = len(common) * self.pages.size
            self.active.append(request)

    def join(self, request: Request, block: int) -> None:
        """Let a text read a block, behind those that it reads."""
        self.starts[block] = len(request.blocks) * self.pages.size
        request.blocks.append(block)
        self.used = max(self.used, block + 1)
        nobody = self.settings.max_batch_size
        if self.pages.holders[block] == 1:
            self.owner[block] = request.slot
            return
        if block not in self.readers:
            self.readers[block] = [int(self.owner[block])]
            self.owner[block] = nobody
        self.readers[block].append(request.slot)

    def leave(self, request: Request) -> None:
        """Give back the slot and the blocks of a text."""
        nobody = self.settings.max_batch_size
        for block in request.blocks:
            readers = self.readers.get(block)
            if readers is None:
                self.owner[block] = nobody
            else:
                readers.remove(request.slot)
                if len(readers) == 1:
                    self.owner[block] = readers[0]
                    del self.readers[block]
            self.pages.drop(block)
        self.slots.append(request.slot)
        self.active.remove(request)
        request.slot, request.read, request.blocks, request.numbers = -1, 0, [], []
        while self.used and self.pages.holders[self.used - 1] == 0:
            self.used -= 1

    def finish(self, request: Request, error: str | None = None) -> None:
        """End a request, well or not."""
        request.status = RequestStatus.FINISHED if error is None else RequestStatus.FAILED
        request.error, request.ended = error, time.perf_counter()
        if request.slot >= 0:
            self.leave(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    # A step -------------------------------------------------------------------------------------------------------

    def step(self) -> list[Request]:
        """Write a token of each text whose prompt is read. Returns the requests that have a new token or ended."""
        self.admit()
        if not self.active:
            return []
        taken = self.taken()
        ids, places, step, last = self.row(taken)
        ready = [request for request, count in taken if request.read + count == len(request.tokens)]
        logits = self.call(ids, places, step, last) if ready else self.call(ids, places, step, last[:0])
        for request, count in taken:
            self.have_read(request, count)
        return self.choose(ready, logits)

    def taken(self) -> list[tuple[Request, int]]:
        """Which texts read how many tokens: one each, then pieces of prompts as the budget allows."""
        writing = [one for one in self.active if one.read and one.read == len(one.tokens) - 1]
        chosen: list[tuple[Request, int]] = []
        for request in writing:
            if request.slot >= 0 and self.room(request, 1):
                chosen.append((request, 1))
        left = self.budget - len(chosen)
        for request in [one for one in self.active if one not in writing]:
            count = min(len(request.tokens) - request.read, left)
            if count > 0 and request.slot >= 0 and self.room(request, count):
                chosen.append((request, count))
                left -= count
        # Another's need for room may have sent one back to wait.
        return [(request, count) for request, count in chosen if request.slot >= 0]

    def room(self, request: Request, count: int) -> bool:
        """Blocks for this many more tokens; when there are none left, the last one admitted has to wait again."""
        while len(request.blocks) * self.pages.size < request.read + count:
            block = self.pages.take()
            if block is not None:
                self.join(request, block)
                continue
            last = self.active[-1]
            self.leave(last)
            last.status = RequestStatus.PENDING
            self.waiting.appendleft(last)
            if last is request:
                return False
        return True

    def row(self, taken: list[tuple[Request, int]]) -> tuple[Tensor, Tensor, Step, Tensor]:
        """The tokens of a step in one row, their places, what they read, and the columns of each text's last token."""
        size, nobody = self.pages.size, self.settings.max_batch_size
        alone = [(request, count) for request, count in taken if count == 1 and request.read]
        prompts = [(request, count) for request, count in taken if count > 1 or not request.read]
        ids: list[int] = []
        places: list[int] = []
        blocks: list[int] = []
        last: list[int] = []
        at = np.full(nobody + 1, -1, dtype=np.int64)
        for request, count in [*alone, *prompts]:
            span = range(request.read, request.read + count)
            ids += request.tokens[span.start : span.stop]
            places += span
            blocks += [request.blocks[place // size] for place in span]
            last.append(len(ids) - 1)
        for request, _ in alone:
            at[request.slot] = request.read
        pieces, column = [], len(alone)
        for request, count in prompts:
            before = self.tensor(request.blocks[: -(-request.read // size)])
            pieces.append(Piece(column, column + count, request.read, before))
            column += count
        row = self.tensor(places)
        step = Step(
            self.tensor(blocks), row % size, self.tensor([request.slot for request, _ in alone]), self.tensor(at),
            self.tensor(self.owner[: self.used]), self.tensor(self.starts[: self.used]),
            self.shared({request.slot for request, _ in alone}), pieces,
        )  # fmt: skip
        order = {id(request): column for (request, _), column in zip([*alone, *prompts], last, strict=True)}
        ready = [order[id(request)] for request, count in taken if request.read + count == len(request.tokens)]
        return self.tensor(ids)[None], row[None], step, self.tensor(ready)

    def shared(self, writing: set[int]) -> list[Shared]:
        """Blocks that several texts read, those of the same texts together."""
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for block, readers in self.readers.items():
            slots = tuple(sorted(slot for slot in readers if slot in writing))
            if slots:
                groups[slots].append(block)
        return [
            Shared(self.tensor(blocks), self.tensor(self.starts[blocks]), self.tensor(slots))
            for slots, blocks in groups.items()
        ]

    def tensor(self, values: object) -> Tensor:
        """Whole numbers on the model's device; a copy, as what they come from changes."""
        return torch.from_numpy(np.array(values, dtype=np.int64)).to(self.device)

    def call(self, ids: Tensor, places: Tensor, step: Step, last: Tensor) -> Tensor:
        """Logits (texts, vocabulary) of the tokens in these columns."""
        model = self.model
        self.cache.begin(step)
        out = model.backbone(  # type: ignore[attr-defined]
            input_ids=ids, position_ids=places, past_key_values=self.cache, use_cache=True, return_dict=True
        )
        states = out.last_hidden_state[:, last]
        return model.head(BaseModelOutput(last_hidden_state=states), None)[0].float()  # type: ignore[attr-defined]

    def have_read(self, request: Request, count: int) -> None:
        """Note what is in the cache now, and remember full blocks by their content."""
        size = self.pages.size
        request.read += count
        while self.settings.allow_block_sharing and (len(request.numbers) + 1) * size <= request.read:
            index = len(request.numbers)
            before = request.numbers[-1] if request.numbers else ROOT
            content = request.tokens[index * size : (index + 1) * size]
            request.numbers.append(self.pages.remember(request.blocks[index], before, content))

    def choose(self, ready: list[Request], logits: Tensor) -> list[Request]:
        """Add a token to each of these texts, and end those that are complete."""
        if not ready:
            return []
        scores = logits
        if any(request.processors for request in ready):
            scores = torch.cat([processed(request, row[None]) for request, row in zip(ready, logits, strict=True)])
        best, tokens = best_of(scores)
        drawn = [index for index, request in enumerate(ready) if request.draws is not None]
        for index in drawn:
            request = ready[index]
            uniform = request.draws.uniform(len(request.tokens) - request.prompt)
            tokens[index] = pick(scores[index : index + 1], uniform)[0]
        chances = None
        if self.settings.return_logprobs:
            chances = scores.log_softmax(-1).gather(-1, tokens[:, None])[:, 0].tolist()
        now = time.perf_counter()
        numbers, fine = tokens.tolist(), (best > -torch.inf).tolist()
        for index, request in enumerate(ready):
            if not fine[index]:
                self.finish(request, str(nothing_allowed()))
                continue
            request.status = RequestStatus.DECODING
            request.tokens.append(numbers[index])
            if chances is not None:
                request.logprobs.append(chances[index])
            if request.timestamps is not None:
                request.timestamps.append(now)
            if complete(request):
                self.finish(request)
        return ready

    def fail(self, error: Exception) -> list[Request]:
        """End every request with this error."""
        every = [*self.active, *self.waiting]
        for request in every:
            self.finish(request, f"{type(error).__name__}: {error}")
        return every

    def __iter__(self) -> Iterator[Request]:
        return iter([*self.active, *self.waiting])


def processed(request: Request, logits: Tensor) -> Tensor:
    """Scores (1, vocabulary) by the rules of a request."""
    if not request.processors:
        return logits
    ids = torch.tensor([request.tokens], device=logits.device)
    for processor in request.processors:
        logits = processor(ids, logits)
    return logits


def complete(request: Request) -> bool:
    """Whether a text ends with its last token."""
    if request.tokens[-1] in request.ends or len(request.tokens) >= request.longest:
        return True
    if not request.criteria:
        return False
    ids = torch.tensor([request.tokens])
    return any(bool(torch.as_tensor(criterion(ids, None)).any()) for criterion in request.criteria)
