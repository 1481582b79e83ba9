"""How far a metric's values would move with other rows: the bootstrap, by scipy."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from samovar.evaluate.columns import MetricError
from samovar.evaluate.results import Results
from samovar.extras import require


def check_bootstrap(level: Any, draws: Any, rows: int) -> None:
    """Raise `MetricError` for options that mean nothing, and for too few rows."""
    if not isinstance(level, float) or not 0 < level < 1:
        raise MetricError(f"confidence_level={level!r}.", "Give a share between 0 and 1, such as 0.95.")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 1:
        raise MetricError(f"n_resamples={draws!r}.", "Give how often to draw the rows, such as 9999.")
    if rows < 2:
        raise MetricError("The bootstrap draws among rows, and there is one.", "Give more rows, or strategy='simple'.")


def bootstrap(
    measure: Callable[[Any], Mapping[str, Any]],
    rows: Any,
    count: int,
    level: float,
    draws: int,
    seed: int | None,
) -> Results:
    """Each number of `measure(rows)` as `score`, `confidence_interval` and `standard_error`.

    The interval is the bias-corrected and accelerated one (Efron, Journal of the American Statistical Association 82,
    1987); percentiles of the draws where that is not defined, and NaN where some draw has no such value. Values that
    are no numbers are left out.
    """
    stats = require("scipy.stats", "The bootstrap")
    # The same draws for every value, so that each needs computing once.
    seed = int(np.random.default_rng().integers(1 << 31)) if seed is None else seed
    computed: dict[bytes, Mapping[str, Any]] = {}

    def value(index: np.ndarray, key: str) -> float:
        drawn = hashlib.blake2b(index.tobytes(), digest_size=16).digest()
        if drawn not in computed:
            computed[drawn] = numbers_of(measure(taken(rows, index)))
        return computed[drawn].get(key, math.nan)

    results = Results()
    with warnings.catch_warnings():
        # Draws often lack a class, which the value of all rows has warned of already; equal draws are handled below.
        warnings.simplefilter("ignore")
        for key, score in numbers_of(measure(rows)).items():
            found = stats.bootstrap(
                (np.arange(count),),
                lambda index, key=key: value(index, key),
                vectorized=False,
                n_resamples=draws,
                confidence_level=level,
                rng=np.random.default_rng(seed),
            )
            low, high = map(float, found.confidence_interval)
            if math.isnan(low) or math.isnan(high):
                ends = [(1 - level) / 2, (1 + level) / 2]
                low, high = map(float, np.quantile(found.bootstrap_distribution, ends))
            error = float(found.standard_error) if draws > 1 else math.nan
            results[key] = {"confidence_interval": (low, high), "standard_error": error, "score": score}
    return results


def numbers_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are numbers."""
    return {key: value for key, value in values.items() if isinstance(value, int | float)}


def taken(rows: Any, index: np.ndarray) -> Any:
    """These rows of a column, or of each column; records are numbered anew, because a draw has some of them twice."""
    if isinstance(rows, Mapping):
        return {name: taken(column, index) for name, column in rows.items()}
    if isinstance(rows, np.ndarray):
        return rows[index]
    chosen = [rows[place] for place in index]
    numbered = chosen and isinstance(chosen[0], dict) and "id" in chosen[0]
    return [row | {"id": str(place)} for place, row in enumerate(chosen)] if numbered else chosen
