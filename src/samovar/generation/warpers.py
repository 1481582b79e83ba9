"""Processors that reshape a distribution before sampling: temperature, and cuts of its unlikely tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from samovar.errors import ConfigError
from samovar.generation.processors import LogitsProcessor


def in_range(name: str, value: float, holds: bool, expected: str) -> None:
    """Raise `ConfigError` unless `holds`."""
    if not holds:
        raise ConfigError(f"{name} must be {expected}, got {value!r}.", "Change it, or leave it out.")


class TemperatureLogitsWarper(LogitsProcessor):
    """Scores divided by `temperature`: below 1 likely tokens gain, above 1 unlikely ones do."""

    by_itself = True

    def __init__(self, temperature: float) -> None:
        in_range("temperature", temperature, temperature > 0, "above 0 (do_sample=False is the limit towards 0)")
        self.temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores / self.temperature


class Cut(LogitsProcessor):
    """Base of processors that give unlikely tokens the score `filter_value`, but keep `min_tokens_to_keep` of them."""

    def __init__(self, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        in_range("min_tokens_to_keep", min_tokens_to_keep, min_tokens_to_keep >= 1, "1 or more")
        self.filter_value = filter_value
        self.min_tokens_to_keep = min_tokens_to_keep

    def best(self, scores: Tensor) -> Tensor:
        """The lowest score among the `min_tokens_to_keep` best, (rows, 1)."""
        return scores.topk(min(self.min_tokens_to_keep, scores.shape[-1]))[0][..., -1:]


class TopKLogitsWarper(Cut):
    """The `top_k` best tokens (Fan et al. 2018)."""

    def __init__(self, top_k: int, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        in_range("top_k", top_k, isinstance(top_k, int) and top_k > 0, "a whole number above 0")
        self.top_k = max(top_k, min_tokens_to_keep)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        last = scores.topk(min(self.top_k, scores.shape[-1]))[0][..., -1:]
        return scores.masked_fill(scores < last, self.filter_value)


class TopPLogitsWarper(Cut):
    """The fewest best tokens that together have the probability `top_p` (Holtzman et al. 2020)."""

    def __init__(self, top_p: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        in_range("top_p", top_p, 0 <= top_p <= 1, "from 0 to 1")
        self.top_p = float(top_p)

    # How many of the best tokens are looked at before all are sorted, and up to which mass that is exact enough.
    head, sure = 256, 0.999

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        # The look costs a question to the device, which is free on a processor only.
        if scores.device.type == "cpu" and scores.shape[-1] > 8 * self.head and self.top_p <= self.sure:
            best, order = scores.topk(self.head)
            likely = (best - scores.logsumexp(-1, keepdim=True)).exp()
            before = likely.cumsum(-1) - likely
            if bool((before[..., -1] >= self.top_p).all()) and self.min_tokens_to_keep < self.head:
                kept = before < self.top_p
                kept[..., : self.min_tokens_to_keep] = True
                chosen = torch.where(kept, best, self.filter_value)
                return torch.full_like(scores, self.filter_value).scatter_(-1, order, chosen)
        # From the unlikely end, so that small probabilities are added up before large ones.
        ascending, order = scores.sort(dim=-1)
        removed = ascending.softmax(-1).cumsum(-1) <= 1 - self.top_p
        removed[..., -self.min_tokens_to_keep :] = False
        return scores.masked_fill(removed.scatter(-1, order, removed), self.filter_value)


class MinPLogitsWarper(Cut):
    """Tokens at least `min_p` times as likely as the best one (Nguyen et al. 2024)."""

    def __init__(self, min_p: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        in_range("min_p", min_p, 0 <= min_p <= 1, "from 0 to 1")
        self.min_p = min_p

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        probabilities = scores.softmax(-1)
        removed = probabilities < self.min_p * probabilities.amax(-1, keepdim=True)
        kept = probabilities.topk(min(self.min_tokens_to_keep, scores.shape[-1])).indices
        return scores.masked_fill(removed.scatter(-1, kept, False), self.filter_value)


class TopHLogitsWarper(LogitsProcessor):
    """The best tokens whose summed entropy stays below `top_h` of the whole, among the 100 best (Potraghloo 2025)."""

    candidates = 100

    def __init__(self, top_h: float, filter_value: float = -torch.inf) -> None:
        in_range("top_h", top_h, 0 < top_h <= 1, "above 0, up to 1")
        self.top_h = top_h
        self.filter_value = filter_value

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        best, order = scores.topk(min(self.candidates, scores.shape[-1]))
        log_probabilities = best.log_softmax(-1)
        terms = (-log_probabilities.exp() * log_probabilities).nan_to_num(0.0)
        entropy = terms.cumsum(-1)
        kept = entropy <= self.top_h * entropy[..., -1:]
        kept[..., 0] = True
        mask = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order, kept)
        return scores.masked_fill(~mask, self.filter_value)


class TypicalLogitsWarper(Cut):
    """Tokens whose surprise is nearest to the expected one, up to the probability `mass` (Meister et al. 2023)."""

    def __init__(self, mass: float = 0.9, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        in_range("typical_p", mass, 0 < mass < 1, "above 0 and below 1")
        self.mass = float(mass)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        surprise = -scores.log_softmax(-1)
        entropy = (surprise * (-surprise).exp()).nansum(-1, keepdim=True)
        distance, order = (surprise - entropy).abs().sort(-1)
        mass = scores.gather(-1, order).softmax(-1).cumsum(-1)
        last = (mass < self.mass).sum(-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        removed = distance > distance.gather(-1, last)
        removed[..., : self.min_tokens_to_keep] = False
        return scores.masked_fill(removed.scatter(-1, order, removed), self.filter_value)


class EpsilonLogitsWarper(Cut):
    """Tokens with a probability of at least `epsilon` (Hewitt et al. 2022)."""

    def __init__(self, epsilon: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        in_range("epsilon_cutoff", epsilon, 0 < epsilon < 1, "above 0 and below 1")
        self.epsilon = float(epsilon)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        removed = (scores.softmax(-1) < self.epsilon) & (scores < self.best(scores))
        return scores.masked_fill(removed, self.filter_value)


class EtaLogitsWarper(Cut):
    """Tokens above a probability that falls with the entropy: min(ε, √ε · exp(-entropy)) (Hewitt et al. 2022)."""

    def __init__(
        self, epsilon: float, filter_value: float = -torch.inf, min_tokens_to_keep: int = 1, device: str = "cpu"
    ) -> None:
        super().__init__(filter_value, min_tokens_to_keep)
        in_range("eta_cutoff", epsilon, 0 < epsilon < 1, "above 0 and below 1")
        self.epsilon = float(epsilon)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        log_probabilities = scores.log_softmax(-1)
        probabilities = log_probabilities.exp()
        entropy = -(probabilities * log_probabilities).nansum(-1, keepdim=True)
        eta = ((-entropy).exp() * self.epsilon**0.5).clamp(max=self.epsilon)
        removed = (probabilities < eta) & (scores < self.best(scores))
        return scores.masked_fill(removed, self.filter_value)


class LogitNormalization(LogitsProcessor):
    """Scores as log-probabilities that sum up to one again."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.log_softmax(-1)


class InfNanRemoveLogitsProcessor(LogitsProcessor):
    """Infinite scores become the largest finite ones, and what is no number becomes 0."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.nan_to_num(nan=0.0)
