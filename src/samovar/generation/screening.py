"""The next word by a coarse look at all words and a close look at few: the same word, from a third of the bytes.

For one text, a step takes what reading the weights takes, and of a small model a third of them project to the words.
A copy of these in int8 gives every logit within a known distance, by Cauchy and Schwarz,

    |h·w − ĥ·ŵ|  ≤  ‖h‖ ‖w − ŵ‖ + ‖h − ĥ‖ ‖ŵ‖

so that only words whose highest possible logit reaches the k-th highest certain one are computed from their weights.
The others are given the highest that theirs can be: when a computed word comes out best, or k of them stay after a
cut to the k best, no other could have. When one of the others does, which rules that forbid words can bring about,
all logits are computed. Such screens are known from search by inner products (Shrivastava & Li 2014 and what followed);
a bound in place of a guess makes this one exact.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from samovar.generation.config import GenerationConfig
from samovar.generation.processors import LogitsProcessor, LogitsProcessorList
from samovar.generation.warpers import TopKLogitsWarper
from samovar.nn.packed import SHARE, free_memory, plain
from samovar.nn.whole_product import ERROR, WholeProduct, available
from samovar.tasks.heads import LMHead

# Smaller projections are not worth the further steps.
LARGE = 1 << 22
# A copy takes what it saves in so many steps.
STEPS = 64
# Words that are computed beyond those that are chosen from, as rules may forbid the best ones.
MORE = 4
# A cut to more words than this leaves too little to save.
MOST = 256
# Of the steps so far and so many more, a quarter may look again at all words; beyond that steps do so at once.
FIRST = 32
# Rows of weights that are made int8 at once, so that the steps of it stay in a core's cache.
ROWS = 256

# The weight of a projection → its coarse copy.
known: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
# Threads that share a model look whether a head has a screen, and put theirs there, one at a time.
putting = threading.Lock()


class Coarse(NamedTuple):
    """The words' weights in int8, a scale for each word, and how far a logit is off by at most for ‖h‖ = 1."""

    version: tuple[int, int]
    product: WholeProduct
    distance: Tensor  # (words)


class Screen:
    """In place of a head's linear layer while one text is written; other threads' texts get all logits."""

    def __init__(self, head: LMHead, coarse: Coarse, count: int) -> None:
        self.head, self.coarse, self.count = head, coarse, count
        self.layer: nn.Linear = head._modules["decoder"]  # type: ignore[assignment]
        self.whole = head.__dict__.get("decoder", self.layer)  # what computes all logits
        self.near: Tensor | None = None  # the words that were computed; None: all were
        self.given: tuple[Any, ...] = ()
        self.thread = threading.get_ident()
        self.off = False
        self.calls, self.missed = 0, 0

    def forward(self, *given: Any) -> Tensor:
        """The head's logits, whose decoder is this screen; what it was given is kept in case that is not enough."""
        if threading.get_ident() == self.thread:
            self.given = given
        return type(self.head).forward(self.head, *given)

    def __call__(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, words): exact where a logit may be among the highest, else the highest it can be."""
        if threading.get_ident() != self.thread:
            return self.whole(x)
        self.near = None
        self.calls += not self.off
        if (
            self.off
            or 4 * self.missed > self.calls + FIRST
            or x.numel() != self.layer.in_features
            or x.dtype != torch.float32
            or torch.is_grad_enabled()
        ):
            return self.whole(x)
        row = x.reshape(1, -1)
        logits = self.coarse.product(row)[0]
        if self.layer.bias is not None:
            logits += self.layer.bias
        reach = self.coarse.distance * torch.linalg.vector_norm(row)
        lowest, highest = logits - reach, logits.add_(reach)
        offsets = self.head.offsets()
        compared = (lowest, highest) if offsets is None else (lowest + offsets, highest + offsets)
        near = (compared[1] >= compared[0].topk(self.count).values[-1]).nonzero()[:, 0]
        if not self.count <= len(near) <= len(highest) // 8:
            return self.whole(x)  # not a number, or no saving
        weight, bias = self.layer.weight[near], self.layer.bias
        highest[near] = torch.mv(weight, row[0]) if bias is None else torch.addmv(bias[near], weight, row[0])
        self.near = near
        return highest.view(*x.shape[:-1], -1)

    def covers(self, scores: Tensor, tokens: Tensor | None) -> bool:
        """Whether what was chosen, or all that can be drawn of `scores` (1, words), was computed from the weights."""
        if self.near is None:
            return True
        if tokens is not None:
            return bool((self.near == tokens).any())
        left = scores[0] > -torch.inf
        left[self.near] = False
        return not bool(left.any())

    def all_logits(self) -> Tensor:
        """The head's logits for what it was given last, all of them computed."""
        self.off = True
        self.missed += 1
        try:
            return type(self.head).forward(self.head, *self.given)
        finally:
            self.off = False


@contextmanager
def screened(
    model: Any, rows: int, steps: int, processors: LogitsProcessorList, config: GenerationConfig
) -> Iterator[Screen | None]:
    """Within it the model's logits are those of a `Screen`, where that saves time and changes no choice."""
    head: Any = getattr(model, "head", None)
    count = needed(processors, config)
    usual = rows == 1 and count and not torch.is_grad_enabled() and available()
    ours = isinstance(head, LMHead) and type(head).__module__.startswith("samovar.")
    seen = not isinstance(model, nn.Module) or not ours or watched(model) or watched(head)
    layer = head._modules["decoder"] if usual and not seen else None
    coarse = copy_of(layer, steps) if isinstance(layer, nn.Linear) and plain(layer) else None
    screen = None
    if coarse is not None:
        with putting:
            if not watched(head):
                screen = Screen(head, coarse, min(count, len(coarse.distance)))
                head.__dict__.update(decoder=screen, forward=screen.forward)
    try:
        yield screen
    finally:
        if screen is not None:
            with putting:
                del head.__dict__["forward"]
                if head.__dict__.get("decoder") is screen:  # not what another thread has put there since
                    del head.__dict__["decoder"]


def watched(module: nn.Module) -> bool:
    """Whether somebody else sees, or makes, what this module gives, and would be shown bounds for logits."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in module.__dict__)


def needed(processors: LogitsProcessorList, config: GenerationConfig) -> int:
    """How many of the highest logits a choice is made of, with a few more; 0 where it depends on all of them."""
    if config.return_dict_in_generate or config.num_beams > 1:
        return 0
    count = 1
    rules = list(processors)
    if config.do_sample:
        cut = next((place for place, one in enumerate(rules) if type(one) is TopKLogitsWarper), None)
        if cut is None:
            return 0
        count, rules = rules[cut].top_k, rules[:cut]  # type: ignore[attr-defined]
    elif any(isinstance(one, TopKLogitsWarper) for one in rules):
        return 0
    if count > MOST or not all(isinstance(one, LogitsProcessor) and one.by_itself for one in rules):
        return 0
    return count + MORE * bool(rules)


def copy_of(layer: nn.Linear, steps: int) -> Coarse | None:
    """The coarse copy of these weights: the one there is, or a new one if so many steps and the memory are worth it."""
    weight = layer.weight.detach()
    version = (weight.data_ptr(), weight._version)
    found: Coarse | None = known.get(layer.weight)
    if found is not None and found.version == version:
        return found
    if steps < STEPS or weight.numel() < LARGE or weight.numel() > SHARE * free_memory():
        return None
    made = coarse_copy(weight, version)
    if made is not None:
        known[layer.weight] = made
    return made


def coarse_copy(weight: Tensor, version: tuple[int, int]) -> Coarse | None:
    """Weights (words, inputs) in int8; None where one is not a finite number."""
    words, inputs = weight.shape
    whole = torch.empty(words, inputs, dtype=torch.int8)
    scale, distance = torch.empty(words), torch.empty(words)
    for first in range(0, words, ROWS):
        rows = slice(first, first + ROWS)
        part = weight[rows]
        unit = torch.linalg.vector_norm(part, torch.inf, -1).clamp_(min=1e-30).div_(127)
        near = (part / unit[:, None]).round_()
        whole[rows] = near
        near.mul_(unit[:, None])
        length = torch.linalg.vector_norm(near, dim=-1)
        scale[rows] = unit
        # ‖h − ĥ‖ is at most √inputs times what one number is off by, and no number is larger than ‖h‖. The rest is
        # what sums in float32 are off by, here and where a word is computed.
        slack = ERROR * inputs**0.5 + 2**-22 * inputs**0.5
        distance[rows] = torch.linalg.vector_norm(near.sub_(part), dim=-1) + slack * length
    if not bool(distance.isfinite().all()):
        return None
    return Coarse(version, WholeProduct(whole, scale), distance)
