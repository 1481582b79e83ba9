"""The kinds of rotary position: how fast each pair of channels turns, and how it slows down for longer texts.

Settings are those of a `config.json`: `rope_parameters` (a mapping, or one per kind of layer), or the older keys
`rope_theta`, `rope_scaling` and `partial_rotary_factor`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from samovar.config import Config
from samovar.errors import ConfigError, did_you_mean

Settings = Mapping[str, Any]
# Names of older files, and of layers whose turns are not scaled.
OLD_NAMES = {"su": "longrope", None: "default"}
NESTED = ("full_attention", "sliding_attention")


def rope_settings(
    config: Config, layer_kind: str = "full_attention", theta: float = 10_000.0, given: Settings | None = None
) -> dict[str, Any]:
    """What a configuration says about one kind of layer, with nothing left to be looked up elsewhere.

    `theta` is the architecture's own base where the file says none; `given` stands for what the file says.
    Raises `ConfigError` for an unknown kind or a setting that is missing.
    """
    found = given or getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if any(name in found for name in NESTED):
        found = found.get(layer_kind) or {}
    settings = dict(found)
    kind = settings.get("rope_type", settings.get("type"))
    settings["rope_type"] = OLD_NAMES.get(kind, kind)
    settings.setdefault("rope_theta", getattr(config, "rope_theta", None) or theta)
    settings.setdefault("partial_rotary_factor", getattr(config, "partial_rotary_factor", None) or 1.0)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    settings["dim"] = int(head_dim * settings["partial_rotary_factor"])
    settings["longest"] = config.max_position_embeddings
    before = getattr(config, "original_max_position_embeddings", None)
    settings["original"] = before or settings.get("original_max_position_embeddings") or settings["longest"]
    if settings["rope_type"] not in ROPE_KINDS:
        hint = did_you_mean(str(settings["rope_type"]), ROPE_KINDS) or f"Known: {', '.join(ROPE_KINDS)}."
        raise ConfigError(f"Unknown rope_type {settings['rope_type']!r}.", hint)
    missing = [name for name in NEEDED.get(settings["rope_type"], ()) if settings.get(name) is None]
    if missing:
        raise ConfigError(
            f"rope_type {settings['rope_type']!r} needs {', '.join(missing)}.", "Add it to rope_parameters."
        )
    return settings


def turns(settings: Settings, theta: float | None = None) -> Tensor:
    """Radians per position of each pair of channels, (dim / 2,) (Su et al. 2021, equation 15)."""
    dim = settings["dim"]
    exponents = torch.arange(0, dim, 2, dtype=torch.int64).float() / dim
    return 1.0 / ((settings["rope_theta"] if theta is None else theta) ** exponents)


def default(settings: Settings, length: int) -> tuple[Tensor, float]:
    """The turns as they are."""
    return turns(settings), 1.0


def linear(settings: Settings, length: int) -> tuple[Tensor, float]:
    """Positions divided by a factor (Chen et al. 2023, position interpolation)."""
    return turns(settings) / settings["factor"], 1.0


def dynamic(settings: Settings, length: int) -> tuple[Tensor, float]:
    """The base grows with texts longer than those of training (NTK-aware; Peng et al. 2023, section 3.1)."""
    dim, factor, longest = settings["dim"], settings["factor"], settings["longest"]
    stretch = factor * max(length, longest) / longest - (factor - 1)
    return turns(settings, settings["rope_theta"] * stretch ** (dim / (dim - 2))), 1.0


def yarn(settings: Settings, length: int) -> tuple[Tensor, float]:
    """Fast pairs turn as before, slow ones slower, with a ramp between (Peng et al. 2023, YaRN, section 3.2)."""
    factor = settings.get("factor") or settings["longest"] / settings["original"]
    dim, base = settings["dim"], settings["rope_theta"]

    def channel(rotations: float) -> float:
        # The pair that turns this often over the original length.
        return dim * math.log(settings["original"] / (rotations * 2 * math.pi)) / (2 * math.log(base))

    first, last = channel(settings.get("beta_fast") or 32), channel(settings.get("beta_slow") or 1)
    if settings.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, dim - 1)
    if first == last:
        last += 0.001
    ramp = ((torch.arange(dim // 2).float() - first) / (last - first)).clamp(0, 1)
    plain = turns(settings)
    return plain / factor * ramp + plain * (1 - ramp), yarn_scale(settings, factor)


def yarn_scale(settings: Settings, factor: float) -> float:
    """What queries and keys are multiplied by, so that attention does not flatten (Peng et al. 2023, section 3.4)."""
    if settings.get("attention_factor") is not None:
        return float(settings["attention_factor"])

    def scale(weight: float) -> float:
        return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0

    above, below = settings.get("mscale"), settings.get("mscale_all_dim")
    return scale(above) / scale(below) if above and below else scale(1.0)


def llama3(settings: Settings, length: int) -> tuple[Tensor, float]:
    """Slow pairs are divided by a factor, fast ones kept, and those between are mixed (Llama 3.1, 2024)."""
    low, high = settings["low_freq_factor"], settings["high_freq_factor"]
    plain = turns(settings)
    waves = settings["original"] * plain / (2 * math.pi)  # whole turns over the original length
    share = ((waves - low) / (high - low)).clamp(0, 1)
    return (1 - share) * plain / settings["factor"] + share * plain, 1.0


def longrope(settings: Settings, length: int) -> tuple[Tensor, float]:
    """A factor found by search for each pair, one set for short texts and one for long (Ding et al. 2024)."""
    original = settings["original"]
    factors = torch.tensor(settings["long_factor" if length > original else "short_factor"])
    if len(factors) != settings["dim"] // 2:
        raise ConfigError(
            f"longrope has {len(factors)} factors for {settings['dim'] // 2} pairs of channels.",
            "Correct short_factor and long_factor in rope_parameters.",
        )
    factor, scale = settings.get("factor") or settings["longest"] / original, settings.get("attention_factor")
    if scale is None:
        scale = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    return turns(settings) / factors, float(scale)


ROPE_KINDS: dict[str, Callable[[Settings, int], tuple[Tensor, float]]] = {
    "default": default,
    "linear": linear,
    "dynamic": dynamic,
    "yarn": yarn,
    "llama3": llama3,
    "longrope": longrope,
}
NEEDED = {
    "linear": ("factor",),
    "dynamic": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor"),
}
# Kinds whose turns depend on how long a text is.
BY_LENGTH = frozenset({"dynamic", "longrope"})
