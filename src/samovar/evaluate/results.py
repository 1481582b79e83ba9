"""The values of a metric: a dictionary that knows how to become JSON, a file, or a part of a model card."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

from samovar.evaluate.columns import plain


class Results(dict[str, Any]):
    """Name → value. Arrays stay arrays here, and become lists in JSON."""

    def to_json(self, path: str | Path | None = None) -> str:
        """JSON text, also written to `path` if one is given (beside, then renamed). NaN and infinity become null."""
        text = json.dumps(finite(plain(self)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        if path is not None:
            from samovar.hub.atomic import write_file

            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_file(path, text)
        return text

    def to_model_card(
        self,
        model_name: str,
        task_type: str,
        dataset_name: str,
        *,
        dataset_type: str | None = None,
        dataset_split: str | None = None,
        dataset_config: str | None = None,
    ) -> str:
        """The YAML block `model-index` of a model card, which model pages show as results (huggingface_hub's form).

        Values that are no finite numbers (matrices, lists, NaN) are left out, and of those with an interval the score
        is taken. Raises `MetricError` if none is left.
        """
        from huggingface_hub import ModelCardData

        from samovar.evaluate.publish import entries

        where = {
            "dataset_name": dataset_name, "dataset_type": dataset_type or dataset_name, "dataset_split": dataset_split,
            "dataset_config": dataset_config,
        }  # fmt: skip
        results = entries(plain(self), task_type, where)
        return str(ModelCardData(model_name=model_name, eval_results=results).to_yaml())

    def push_to_hub(
        self,
        repo_id: str,
        task_type: str,
        dataset_name: str,
        *,
        dataset_type: str | None = None,
        dataset_split: str | None = None,
        dataset_config: str | None = None,
        overwrite: bool = False,
        token: str | bool | None = None,
        create_pr: bool = False,
    ) -> Any:
        """Write all numbers into the model card of a repository, as one commit; see `evaluate.push_to_hub`."""
        from samovar.evaluate.publish import entries, push_results

        where = {
            "dataset_name": dataset_name, "dataset_type": dataset_type or dataset_name, "dataset_split": dataset_split,
            "dataset_config": dataset_config,
        }  # fmt: skip
        found = entries(plain(self), task_type, where)
        return push_results(repo_id, found, overwrite, token, create_pr=create_pr)


def finite(value: Any) -> Any:
    """The same with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save(path_or_file: str | Path, **data: Any) -> Path:
    """Write results as JSON with the time, as `result-<time>.json` where a folder is given, and return the path."""
    now = datetime.datetime.now()
    path = Path(path_or_file)
    if path.is_dir() or not path.suffix:
        path = path / f"result-{now:%Y_%m_%d-%H_%M_%S}.json"
    Results(data, _timestamp=now.isoformat()).to_json(path)
    return path
