"""The model card of a trained model: metadata that model pages read, results, arguments, versions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- training:start -->", "<!-- training:end -->"
TASKS = {
    "sequence-classification": "text-classification",
    "token-classification": "token-classification",
    "question-answering": "question-answering",
    "masked-lm": "fill-mask",
    "causal-lm": "text-generation",
    "seq2seq-lm": "text2text-generation",
    "image-classification": "image-classification",
    "multiple-choice": "multiple-choice",
}
SPEEDS = ("runtime", "samples_per_second", "steps_per_second")


def listed(value: str | Sequence[str] | None) -> list[str]:
    """One or several, as a list."""
    return [value] if isinstance(value, str) else list(value or [])


def model_card(
    trainer: Any,
    *,
    language: str | Sequence[str] | None = None,
    license: str | None = None,
    tags: str | Sequence[str] | None = None,
    model_name: str | None = None,
    finetuned_from: str | None = None,
    tasks: str | Sequence[str] | None = None,
    dataset_tags: str | Sequence[str] | None = None,
    dataset: str | Sequence[str] | None = None,
    dataset_args: str | Sequence[str] | None = None,
    before: str | None = None,
) -> str:
    """The card's text. Of a card that was there (`before`) everything stays but what a training wrote into it."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    model, state = trainer.model, trainer.state
    name = model_name or Path(trainer.args.output_dir).resolve().name
    base = finetuned_from or getattr(model, "name_or_path", None) or None
    found = evaluated(state.log_history, state.best_global_step if trainer.args.load_best_model_at_end else None)
    task = next(iter(listed(tasks)), TASKS.get(getattr(model, "task", "")))
    data_name, data_type = next(iter(listed(dataset)), "held-out rows"), next(iter(listed(dataset_tags)), "custom")
    metrics = {key: value for key, value in found.items() if key not in ("loss", "epoch", "step")}
    results = [
        EvalResult(
            task_type=task or "other", dataset_type=data_type, dataset_name=data_name, metric_type=key,
            metric_value=value, dataset_config=next(iter(listed(dataset_args)), None),
        )
        for key, value in metrics.items()
    ]  # fmt: skip
    card: Any = ModelCard(before) if before else None
    kept = {} if card is None else {k: v for k, v in card.data.to_dict().items() if k != "model-index"}
    # A local path says nothing to others, and is no name of a repository.
    public = base if base and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", base) else None
    all_tags = {*listed(kept.get("tags")), *listed(tags), "samovar", "generated_from_trainer"}
    given = {
        "language": language, "license": license, "library_name": "transformers", "base_model": public,
        "pipeline_tag": task, "tags": sorted(all_tags), "datasets": listed(dataset_tags) or None,
        "metrics": sorted({*listed(kept.get("metrics")), *metrics}) or None,
    }  # fmt: skip
    values = {**kept, **{key: value for key, value in given.items() if value is not None}}
    # Results on other data sets, which somebody else measured, stay.
    others = [one for one in (card.data.eval_results if card else None) or [] if one.dataset_name != data_name]
    results = [*others, *results]
    more: dict[str, Any] = {"model_name": name, "eval_results": results} if results else {}
    data = ModelCardData(**values, **more)
    section = f"{BEGIN}\n{body(trainer, base, found)}\n{END}"
    if card is None:
        text = f"# {name}\n\n{section}\n"
    elif BEGIN in card.text and END in card.text:
        text = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda match: section, card.text, flags=re.S).strip()
    else:
        text = f"{card.text.strip()}\n\n{section}\n"
    return f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n"


def evaluated(history: list[dict[str, Any]], best: int | None) -> dict[str, float]:
    """The values of the evaluation that the saved weights had: the best one's, or the last."""
    entries = [entry for entry in history if "eval_loss" in entry or any(key.startswith("eval_") for key in entry)]
    chosen = [entry for entry in entries if best is None or entry.get("step") == best] or entries
    if not chosen:
        return {}
    values = {key.removeprefix("eval_"): value for key, value in chosen[-1].items() if not key.endswith(SPEEDS)}
    return {key: value for key, value in values.items() if isinstance(value, int | float)}


def body(trainer: Any, base: str | None, found: dict[str, float]) -> str:
    """What a training says about itself."""
    from samovar.training.report import environment

    model, args, state = trainer.model, trainer.args, trainer.state
    origin = f"fine-tuned from `{Path(base).name if Path(base).is_absolute() else base}`" if base else "trained anew"
    lines = [f"`{type(model).__name__}`, {origin}, {state.global_step:,} steps ({state.epoch:g} epochs)."]
    if found:
        lines += ["", "## Results", "", "| measure | value |", "|---|---:|"]
        lines += [f"| {key} | {value:.4f} |" for key, value in found.items() if key not in ("epoch", "step")]
    lines += ["", "## Training", "", "| argument | value |", "|---|---|"]
    shown = (
        "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "optim",
        "lr_scheduler_type", "weight_decay", "label_smoothing_factor", "max_grad_norm", "mixed_precision", "seed",
    )  # fmt: skip
    lines += [f"| {key} | {getattr(args, key)} |" for key in shown]
    rows = [entry for entry in state.log_history if "eval_loss" in entry]
    if rows:
        keys = [key for key in rows[-1] if key.startswith("eval_") and not key.endswith(SPEEDS)]
        lines += ["", "| epoch | step | " + " | ".join(key.removeprefix("eval_") for key in keys) + " |"]
        lines += ["|---:|---:|" + "---:|" * len(keys)]
        lines += [
            f"| {row['epoch']:g} | {row['step']} | "
            + " | ".join(f"{row[key]:.4f}" if isinstance(row.get(key), int | float) else "" for key in keys) + " |"
            for row in rows
        ]  # fmt: skip
    versions = ", ".join(f"{key} {value}" for key, value in environment().items() if key not in ("machine", "device"))
    return "\n".join([*lines, "", f"Made with {versions}."])
