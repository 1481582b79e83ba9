"""What a page shows above a column: how its values are spread. Kinds and keys are those of the dataset viewer's API."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

BINS = 10
# A text with few different values is a label.
FEW, SHARE, MOST_LABELS = 10, 0.2, 1000
MOST_SHOWN = 200


def describe(path: Path, features: list[dict[str, Any]]) -> dict[str, Any]:
    """Statistics of all columns of a Parquet file, one column in memory at a time."""
    file = pq.ParquetFile(path)
    found = []
    for feature in features:
        column = file.read(columns=[feature["name"]]).column(0)
        kind, values = of_column(column, feature["type"])
        if kind:
            found.append({"column_name": feature["name"], "column_type": kind, "column_statistics": values})
    return {"num_examples": file.metadata.num_rows, "statistics": found, "partial": False}


def of_column(column: pa.ChunkedArray, type_: Any) -> tuple[str, dict[str, Any]]:
    """(kind, statistics); no kind for what has none."""
    nothing = {"nan_count": column.null_count, "nan_proportion": share(column.null_count, len(column))}
    name = type_.get("_type") if isinstance(type_, dict) else None
    if name == "ClassLabel":
        names = type_.get("names", [])
        counts = counted(column)
        frequencies = {str(names[key]) if 0 <= key < len(names) else str(key): n for key, n in counts.items()}
        return "class_label", nothing | {"n_unique": len(counts), "frequencies": frequencies}
    if name in ("Image", "Audio"):
        return "", {}
    if pa.types.is_boolean(column.type):
        return "bool", nothing | {"frequencies": {str(key): n for key, n in counted(column).items()}}
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        kind = "int" if pa.types.is_integer(column.type) else "float"
        return kind, nothing | numeric(column.drop_null().to_numpy(), kind == "int")
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        different = pc.count_distinct(column).as_py()
        if different <= FEW or (different < MOST_LABELS and different <= SHARE * len(column)):
            return "string_label", nothing | {"n_unique": different, "frequencies": counted(column)}
        return "string_text", nothing | numeric(pc.utf8_length(column.drop_null()).to_numpy(), True)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return "list", nothing | numeric(pc.list_value_length(column.drop_null()).to_numpy(), True)
    return "", {}


def counted(column: pa.ChunkedArray) -> dict[Any, int]:
    """Value → how often, the most frequent first."""
    pairs = [(one["values"], one["counts"]) for one in pc.value_counts(column.drop_null()).to_pylist()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))[:MOST_SHOWN])


def numeric(values: np.ndarray, whole: bool) -> dict[str, Any]:
    """Extremes, mean, median, spread and histogram of numbers."""
    values = values[np.isfinite(values)] if not whole else values
    if not len(values):
        empty = dict.fromkeys(("min", "max", "mean", "median", "std"))
        return {**empty, "histogram": {"hist": [], "bin_edges": []}}
    least, most = values.min(), values.max()
    if whole:
        # Whole numbers get bins of a whole width, so that none holds more numbers than another.
        first, last = int(least), int(most)
        width = max(1, math.ceil((last - first + 1) / BINS))
        edges = [*range(first, last + 1, width), last]
        hist = np.bincount((values.astype(np.int64) - first) // width, minlength=len(edges) - 1).tolist()
    else:
        counts, borders = np.histogram(values, BINS if most > least else 1)
        hist, edges = counts.tolist(), borders.tolist()
    convert = int if whole else float
    return {
        "min": convert(least), "max": convert(most), "mean": round(float(values.mean()), 5),
        "median": round(float(np.median(values)), 5),
        "std": round(float(values.std(ddof=1)), 5) if len(values) > 1 else 0.0,
        "histogram": {"hist": hist, "bin_edges": edges},
    }  # fmt: skip


def share(part: int, whole: int) -> float:
    """A proportion with five digits."""
    return round(part / whole, 5) if whole else 0.0
