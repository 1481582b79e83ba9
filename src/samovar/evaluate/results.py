"""The values of a metric: a dictionary that knows how to become JSON, a file, or a part of a model card."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from samovar.evaluate.columns import MetricError, plain


class Results(dict[str, Any]):
    """Name → value. Arrays stay arrays here, and become lists in JSON."""

    def to_json(self, path: str | Path | None = None) -> str:
        """JSON text, also written to `path` if one is given (beside, then renamed)."""
        text = json.dumps(plain(self), indent=2, ensure_ascii=False) + "\n"
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

        Values that are no numbers (matrices, lists) are left out. Raises `MetricError` if none is left.
        """
        from huggingface_hub import EvalResult, ModelCardData

        scores = {key: value for key, value in plain(self).items() if isinstance(value, int | float)}
        if not scores:
            raise MetricError("None of these results is a number.", "Choose an average, or one class, first.")
        results = [
            EvalResult(
                task_type=task_type,
                dataset_type=dataset_type or dataset_name,
                dataset_name=dataset_name,
                dataset_split=dataset_split,
                dataset_config=dataset_config,
                metric_type=key,
                metric_value=value,
            )
            for key, value in scores.items()
        ]
        return str(ModelCardData(model_name=model_name, eval_results=results).to_yaml())


def save(path_or_file: str | Path, **data: Any) -> Path:
    """Write results as JSON with the time, as `result-<time>.json` where a folder is given, and return the path."""
    now = datetime.datetime.now()
    path = Path(path_or_file)
    if path.is_dir() or not path.suffix:
        path = path / f"result-{now:%Y_%m_%d-%H_%M_%S}.json"
    Results(data, _timestamp=now.isoformat()).to_json(path)
    return path
