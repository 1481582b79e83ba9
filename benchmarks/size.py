"""Lines per architecture: a family at most 150, a variant at most 30, documentation included."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

from measure import Row

from samovar.registry import ARCHITECTURES


def lines_of(model_type: str) -> tuple[int, bool]:
    """Lines of an architecture, and whether it is a variant: one of several in a file that are not its first."""
    module_name, _, backbone = ARCHITECTURES[model_type].partition(":")
    module = importlib.import_module(module_name)
    source = Path(str(module.__file__)).read_text("utf-8")
    owners = [target.partition(":")[2] for target in ARCHITECTURES.values() if target.startswith(module_name + ":")]
    stems = {owner.removesuffix("Model") for owner in owners}
    counts = dict.fromkeys(stems, 0)
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            for stem in sorted(stems, key=len, reverse=True):
                if node.name.startswith(stem):
                    counts[stem] += (node.end_lineno or 0) - node.lineno + 1
                    break
    mine = backbone.removesuffix("Model")
    first = min(stems, key=lambda stem: source.index(f"class {stem}"))
    if mine != first:
        return counts[mine], True
    return len(source.splitlines()) - sum(count for stem, count in counts.items() if stem != mine), False


def run() -> list[Row]:
    """One row per architecture."""
    rows = []
    for model_type in sorted(ARCHITECTURES):
        lines, variant = lines_of(model_type)
        limit = 30 if variant else 150
        kind = "variant" if variant else "family"
        rows.append(Row(f"lines: {model_type} ({kind})", str(lines), "—", lines, f"≤ {limit}", lines <= limit))
    return rows
