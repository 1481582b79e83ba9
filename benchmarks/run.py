"""All benchmarks, side by side with the reference library in one run: a table, a JSON file and a plot.

python benchmarks/run.py [--only text_classification …] [--out docs/bench]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from measure import Row

BENCHMARKS = [
    "size",
    "imports",
    "loading",
    "text_classification",
    "question_answering",
    "image_classification",
    "embeddings",
    "training",
    "generation",
    "serving",
    "export",
]


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | ours | reference or limit | ratio | target | holds |", "|---|---:|---:|---:|---:|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.0f}" if row.ratio >= 100 else f"{row.ratio:.2f}"
        holds = {True: "yes", False: "no", None: ""}[row.holds]
        lines.append(f"| {row.name} | {row.ours} | {row.peer} | {ratio} | {row.target} | {holds} |")
    return "\n".join(lines)


def plot(rows: list[Row], path: Path) -> None:
    """The ratios against the reference as bars; 1 is equal."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    speed = [row for row in rows if "reference" in row.name and row.ratio and not row.name.startswith("  ")]
    names = [row.name.strip() for row in speed]
    gains = [1 / row.ratio if "÷ reference" in row.name else row.ratio for row in speed if row.ratio]
    names = [name.split(":")[0] if "load" not in name else name.replace(": time ÷ reference", "") for name in names]
    names = [f"{name}\n{row.name.split(':')[-1].split('÷')[0].strip()}" for name, row in zip(names, speed, strict=True)]
    figure, axes = plt.subplots(figsize=(8, 0.7 * len(speed) + 1))
    bars = axes.barh(names, gains, color="#b5532a")
    axes.bar_label(bars, labels=[f" {gain:.1f} ×" for gain in gains])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("times faster than the reference library, one run, 2 cores (1 = equal)")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> int:
    """Run what was asked for; exit status 0 also when a target is missed, since machines differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=BENCHMARKS)
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for table, JSON and plot")
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.only:
        start = time.perf_counter()
        print(f"{name} …", end=" ", flush=True)
        rows += importlib.import_module(name).run()
        print(f"{time.perf_counter() - start:.0f} s", flush=True)
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores\n\n{table(rows)}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench.md").write_text(table(rows) + "\n", "utf-8")
    (options.out / "bench.json").write_text(json.dumps([row.as_dict() for row in rows], indent=1), "utf-8")
    if any("reference" in row.name for row in rows):
        plot(rows, options.out / "bench.png")
    missed = [row.name.strip() for row in rows if row.holds is False]
    print(f"{len(missed)} target(s) missed: {'; '.join(missed)}" if missed else "All targets hold.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
