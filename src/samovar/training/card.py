"""The model card of a trained model: metadata that model pages read, results, arguments, versions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from samovar.hub.card import About

BEGIN, END = "<!-- training:start -->", "<!-- training:end -->"
SPEEDS = ("runtime", "samples_per_second", "steps_per_second")


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
    from huggingface_hub import ModelCard

    from samovar.hub.card import listed, results_of

    found = evaluated_by(trainer)
    about = about_training(trainer, model_name or Path(trainer.args.output_dir).resolve().name, finetuned_from)
    about.language, about.license, about.tags = (
        language,
        license,
        [*about.tags, *listed(tags), "generated_from_trainer"],
    )
    about.datasets = listed(dataset_tags)
    task = next(iter(listed(tasks)), about.head.task if about.head else None)
    about.more = {"pipeline_tag": task}
    data_name, data_type = next(iter(listed(dataset)), "held-out rows"), next(iter(listed(dataset_tags)), "custom")
    where = {
        "dataset_type": data_type, "dataset_name": data_name, "dataset_config": next(iter(listed(dataset_args)), None)
    }  # fmt: skip
    metrics = {key: value for key, value in found.items() if key not in ("loss", "epoch", "step")}
    about.results = results_of(metrics, task or "other", **where)
    section = f"{BEGIN}\n{body(trainer, finetuned_from or base_of(trainer), found)}\n{END}"
    return written(about, section, None if before is None else ModelCard(before), before)


def written(about: About, section: str, card: Any, before: str | None) -> str:
    """A new card, or the one that was there with this section and what is known now."""
    from samovar.hub.card import MARK, is_unedited, marked, metadata, new_card

    if card is None or before is None:
        return new_card(about, section)
    # Results on other data sets, which somebody else measured, stay.
    mine = {one.dataset_name for one in about.results}
    about.results = [*(one for one in card.data.eval_results or [] if one.dataset_name not in mine), *about.results]
    kept = {key: value for key, value in card.data.to_dict().items() if key != "model-index"}
    text = MARK.sub("\n", f"\n{card.text}")
    if BEGIN in text and END in text:
        text = re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda match: section, text, flags=re.S)
    else:
        text = f"{text.strip()}\n\n{section}"
    whole = f"---\n{metadata(about, kept)}\n---\n\n{text.strip()}\n"
    return marked(whole) if is_unedited(before) else whole


def about_training(trainer: Any, name: str, finetuned_from: str | None) -> About:
    """What the trained model tells, and what it was made from."""
    from samovar.hub.card import facts, public_name

    about = facts(trainer.model, name)
    if finetuned_from:
        about.base_model = public_name(finetuned_from, name)
    return about


def base_of(trainer: Any) -> str | None:
    """What the trained model was loaded from."""
    return getattr(trainer.model, "name_or_path", None) or None


def evaluated_by(trainer: Any) -> dict[str, float]:
    """The values of the evaluation that the trainer's weights had."""
    state = trainer.state
    return evaluated(state.log_history, state.best_global_step if trainer.args.load_best_model_at_end else None)


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
