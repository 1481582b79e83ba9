"""How the benchmarks measure: fresh processes, alternating runs, medians, and the machine's own limits."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

CACHE = Path.home() / ".cache" / "samovar" / "bench"


@dataclass
class Row:
    """One line of the table. `ratio` compares as `target` says, such as "≥ 1.8"; `holds` is None without a target."""

    name: str
    ours: str
    peer: str
    ratio: float | None
    target: str
    holds: bool | None

    def as_dict(self) -> dict[str, Any]:
        """For the report file."""
        return asdict(self)


def at_least(name: str, ours: str, peer: str, ratio: float, target: float) -> Row:
    """A row whose ratio must reach a target."""
    return Row(name, ours, peer, ratio, f"≥ {target:g}", ratio >= target)


def at_most(name: str, ours: str, peer: str, ratio: float, target: float) -> Row:
    """A row whose ratio must stay under a target."""
    return Row(name, ours, peer, ratio, f"≤ {target:g}", ratio <= target)


def seconds(work: Callable[[], object], repeat: int = 3) -> float:
    """The shortest of `repeat` runs: what the machine can do when nothing else disturbs it."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def process_seconds(code: str, repeat: int = 1) -> float:
    """Median wall time of a fresh interpreter that runs `code`."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def process_json(code: str) -> dict[str, Any]:
    """What a fresh interpreter that runs `code` prints as its last line, parsed as JSON."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def alternate(snippets: dict[str, str], repeat: int) -> dict[str, float]:
    """Median seconds of each snippet in a fresh interpreter, taken in turns so that drift hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in snippets}
    for _ in range(repeat):
        for name, code in snippets.items():
            times[name].append(process_seconds(code))
    return {name: statistics.median(values) for name, values in times.items()}


def matmul_rate(hidden: int, intermediate: int, rows: int = 1024, repeat: int = 8) -> float:
    """GFLOP/s of the linear layers of one transformer block at their best, over `rows` rows in float32."""
    import torch
    import torch.nn.functional as F

    shapes = [(hidden, hidden)] * 4 + [(hidden, intermediate), (intermediate, hidden)]
    total_seconds, total_flops = 0.0, 0
    with torch.inference_mode():
        for inputs, outputs in shapes:
            x, weight, bias = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)
            total_seconds += seconds(lambda x=x, weight=weight, bias=bias: F.linear(x, weight, bias), repeat)
            total_flops += 2 * rows * inputs * outputs
    return total_flops / total_seconds / 1e9


def encoder_flops(lengths: list[int], layers: int, hidden: int, intermediate: int) -> float:
    """Floating-point operations of the blocks on real tokens: linear layers, and attention within each text."""
    linear = 2 * (4 * hidden * hidden + 2 * hidden * intermediate)
    return float(sum(layers * (linear * n + 4 * hidden * n * n) for n in lengths))
