"""The program that converts a folder of data files to Parquet, with features, sizes and statistics beside it.

`python -m samovar.server.viewer.convert SOURCE TARGET`. `datasets` finds configurations, splits and types; what it
reads is data alone: it runs no code of a repository. TARGET is written beside and renamed when it is whole:
`info.json`, `CONFIG/SPLIT/0000.parquet`, `CONFIG/SPLIT/statistics.json`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

MEMORY = 4 * 2**30
MOST_ROWS = 5_000_000
LARGEST = 5 * 2**30


def place(target: Path, config: str, split: str) -> Path:
    """The folder of a split. Names come from a repository: nothing in them leads anywhere."""
    return target / ("c-" + quote(config, safe="")) / ("s-" + quote(split, safe=""))


def convert(source: Path, target: Path) -> None:
    """Convert all configurations. Raises what `datasets` raises for files that are no data."""
    import datasets  # type: ignore[import-untyped]

    datasets.disable_progress_bars()
    datasets.Audio.encode_example = encoded_sound
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    info: dict[str, Any] = {}
    try:
        for config in datasets.get_dataset_config_names(str(source)):
            found = datasets.load_dataset(str(source), config, cache_dir=str(draft / "cache"))
            info[config] = {"splits": {}, "features": {}}
            for split, data in found.items():
                info[config]["features"] = listed(data.features)
                info[config]["splits"][split] = write(data, place(draft, config, split))
        shutil.rmtree(draft / "cache", ignore_errors=True)
        draft.mkdir(parents=True, exist_ok=True)
        original = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
        (draft / "info.json").write_text(json.dumps({"configs": info, "original": original}))
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def encoded_sound(self: Any, value: Any) -> dict[str, Any]:
    """A sound's file as a cell. That of `datasets` imports PyTorch and FFmpeg first, which only decoding needs."""
    if isinstance(value, str | Path):
        return {"bytes": None, "path": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value, "path": None}
    if value.get("bytes") is None and value.get("path") is None:
        raise ValueError("A sound is neither a file nor the bytes of one.")
    return {"bytes": value.get("bytes"), "path": value.get("path")}


def listed(features: Any) -> list[dict[str, Any]]:
    """The columns with their types, as the viewer's clients read them."""
    return [
        {"feature_idx": at, "name": name, "type": type_} for at, (name, type_) in enumerate(features.to_dict().items())
    ]


def write(data: Any, folder: Path) -> dict[str, Any]:
    """One split as a Parquet file, pictures and sounds inside it; its sizes. A very large one is cut."""
    from datasets.table import embed_table_storage  # type: ignore[import-untyped]

    from samovar.server.viewer.statistics import describe

    folder.mkdir(parents=True)
    whole = data.num_rows
    partial = whole > MOST_ROWS or (data.dataset_size or 0) > LARGEST
    if partial:
        data = data.select(range(min(whole, MOST_ROWS)))
    if any(kind in str(data.features) for kind in ("Image", "Audio")):
        form = data.format
        data = data.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100).with_format(**form)
    path = folder / "0000.parquet"
    data.to_parquet(str(path))
    (folder / "statistics.json").write_text(json.dumps(describe(path, listed(data.features))))
    return {
        "num_rows": data.num_rows, "num_examples": data.num_rows, "num_columns": len(data.features), "partial": partial,
        "num_bytes_parquet_files": path.stat().st_size, "num_bytes": int(data.data.nbytes),
    }  # fmt: skip


def main() -> int:
    """Convert; a refusal is one line of JSON on standard output."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    source, target = map(Path, sys.argv[1:3])
    try:
        convert(source, target)
    except Exception as error:
        cause = error
        while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
            cause = cause.__cause__
        said = " ".join(str(cause).replace(str(source), "").split())[:500]
        print(json.dumps({"error": said or type(cause).__name__}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
