"""The configuration of a W&B sweep, drawn from on this machine: its methods grid and random, all its distributions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

from samovar.errors import InputError, did_you_mean

DISTRIBUTIONS = (
    "constant", "categorical", "categorical_w_probabilities", "int_uniform", "uniform", "q_uniform", "log_uniform",
    "log_uniform_values", "q_log_uniform", "q_log_uniform_values", "inv_log_uniform", "inv_log_uniform_values",
    "normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta",
)  # fmt: skip
METHODS = ("random", "grid")


def drawn(config: Mapping[str, Any], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """At most `count` sets of values; of a grid no more than there are. Raises `InputError` for what has no values."""
    method = config.get("method", "random")
    parameters = config.get("parameters")
    if method == "bayes":
        raise InputError(
            "The method bayes runs on the server of W&B, which a search here does without.",
            'Use method "random" or "grid", or backend="optuna", whose default is model-based.',
        )
    if method not in METHODS:
        hint = did_you_mean(str(method), METHODS)
        raise InputError(f"The sweep's method {method!r} is not known.", f"{hint} All: {', '.join(METHODS)}.".strip())
    if not isinstance(parameters, Mapping) or not parameters:
        raise InputError("The sweep has no parameters.", 'Such as {"learning_rate": {"min": 1e-5, "max": 1e-3}}.')
    if method == "grid":
        lists = [choices(name, one) for name, one in parameters.items()]
        for _, found in zip(range(count), product(*lists), strict=False):
            yield dict(zip(parameters, found, strict=True))
        return
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield {name: draw(name, one, generator) for name, one in parameters.items()}


def distribution(name: str, parameter: Mapping[str, Any]) -> str:
    """A parameter's distribution, by the sweep format's rules where it is not named."""
    if "distribution" in parameter:
        found = str(parameter["distribution"])
        if found not in DISTRIBUTIONS:
            hint = did_you_mean(found, DISTRIBUTIONS)
            raise InputError(f"{name}: the distribution {found!r} is not known.", hint or ", ".join(DISTRIBUTIONS))
        return found
    if "value" in parameter:
        return "constant"
    if "values" in parameter:
        return "categorical_w_probabilities" if "probabilities" in parameter else "categorical"
    if "min" in parameter and "max" in parameter:
        whole = isinstance(parameter["min"], int) and isinstance(parameter["max"], int)
        return "int_uniform" if whole else "uniform"
    raise InputError(f"{name}: {dict(parameter)} says no values.", "Give value, values, or min and max.")


def choices(name: str, parameter: Mapping[str, Any]) -> list[Any]:
    """All values of a parameter of a grid."""
    kind = distribution(name, parameter)
    if kind == "constant":
        return [parameter["value"]]
    if kind.startswith("categorical"):
        return list(parameter["values"])
    if kind == "int_uniform":
        return list(range(parameter["min"], parameter["max"] + 1))
    if kind == "q_uniform":
        step = parameter.get("q", 1)
        steps = math.floor((parameter["max"] - parameter["min"]) / step + 1e-9)
        return [parameter["min"] + step * place for place in range(steps + 1)]
    raise InputError(f"{name}: {kind} has no end of values, a grid needs them one by one.", 'Use "values".')


def draw(name: str, parameter: Mapping[str, Any], generator: np.random.Generator) -> Any:
    """One value. Raises `InputError` where a bound is missing."""
    kind = distribution(name, parameter)
    try:
        if kind == "constant":
            return parameter["value"]
        if kind.startswith("categorical"):
            values = list(parameter["values"])
            shares = np.asarray(parameter.get("probabilities", [1] * len(values)), dtype=float)
            return values[int(generator.choice(len(values), p=shares / shares.sum()))]
        if kind == "int_uniform":
            return int(generator.integers(parameter["min"], parameter["max"] + 1))
        found = continuous(kind.removeprefix("q_"), parameter, generator)
    except KeyError as error:
        raise InputError(f"{name}: {kind} needs {error}.", f"It is given {', '.join(parameter)}.") from error
    if not kind.startswith("q_"):
        return found
    step = parameter.get("q", 1)
    value = round(found / step) * step
    return min(max(value, parameter["min"]), parameter["max"]) if kind == "q_uniform" else value


def continuous(kind: str, parameter: Mapping[str, Any], generator: np.random.Generator) -> float:
    """A real number; the bounds of log_uniform are exponents of e, those of log_uniform_values the values' own."""
    if kind == "uniform":
        return float(generator.uniform(parameter["min"], parameter["max"]))
    if kind == "log_uniform":
        return math.exp(generator.uniform(parameter["min"], parameter["max"]))
    if kind == "log_uniform_values":
        return math.exp(generator.uniform(math.log(parameter["min"]), math.log(parameter["max"])))
    if kind == "inv_log_uniform":
        return math.exp(-generator.uniform(parameter["min"], parameter["max"]))
    if kind == "inv_log_uniform_values":
        # Dense near the upper end: what is left to it is drawn on the log scale.
        low, high = parameter["min"], parameter["max"]
        return low + high - math.exp(generator.uniform(math.log(low), math.log(high)))
    if kind == "normal":
        return float(generator.normal(parameter.get("mu", 0.0), parameter.get("sigma", 1.0)))
    if kind == "log_normal":
        return math.exp(generator.normal(parameter.get("mu", 0.0), parameter.get("sigma", 1.0)))
    return float(generator.beta(parameter.get("a", 1.0), parameter.get("b", 1.0)))
