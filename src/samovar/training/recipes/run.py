"""One run of a recipe: read, prepare, train, measure, save, and say what to do next."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from samovar.errors import InputError, did_you_mean
from samovar.training.arguments import Seq2SeqTrainingArguments, TrainingArguments
from samovar.training.recipes import classification, files, images, language, questions, sequences, tokens
from samovar.training.recipes.options import Options, Prepared
from samovar.training.sequences import Seq2SeqTrainer
from samovar.training.trainer import Trainer

Prepare = Callable[[Any, Any, Options], Prepared]
RECIPES: dict[str, Prepare] = {
    "text-classification": classification.prepare,
    "token-classification": tokens.prepare,
    "question-answering": questions.prepare,
    "fill-mask": language.prepare_masked,
    "text-generation": language.prepare_causal,
    "summarization": sequences.prepare,
    "translation": sequences.prepare,
}
IMAGES = "image-classification"
# Other names of the same.
SAME = {
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "masked-lm": "fill-mask",
    "masked-language-modeling": "fill-mask",
    "causal-lm": "text-generation",
    "language-modeling": "text-generation",
}
TASKS = (*RECIPES, IMAGES)


def task_named(name: str) -> str:
    """The task of a name. Raises `InputError` with the nearest."""
    task = SAME.get(name, name)
    if task not in TASKS:
        known = [*TASKS, *SAME]
        raise InputError(f"There is no recipe for {name!r}.", f"{did_you_mean(name, known)} All: {', '.join(known)}.")
    return task


def prepare(task: str, data: str, held_out: str | None, share: float, limit: int | None, options: Options,
            seed: int) -> Prepared:  # fmt: skip
    """Read the files and prepare model and rows."""
    if task == IMAGES:
        rows, classes = files.read_images(data)
        if held_out is None:
            train, rest = files.divided(rows, share, seed)
        else:
            train, (rest, others) = rows, files.read_images(held_out)
            if others != classes:
                raise InputError(f"The classes of {held_out} are {others}, those of {data} {classes}.", "Align them.")
        return images.prepare(train[:limit], rest[:limit], classes, options)
    train = files.read_table(data)
    train, rest = (train, files.read_table(held_out)) if held_out else files.divided(train, share, seed)
    if limit is not None:
        train, rest = (part.select(range(min(limit, len(part)))) for part in (train, rest))
    return RECIPES[task](train, rest, options)


def train_task(
    task: str,
    data: str,
    options: Options,
    arguments: dict[str, Any],
    *,
    held_out: str | None = None,
    share: float = 0.1,
    limit: int | None = None,
    callbacks: Any = (),
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> tuple[Trainer, dict[str, float]]:
    """Train for a task; the trainer, and what the evaluation of the best model found.

    The model, its processor, a card and a report are in `output_dir` afterwards.
    """
    task = task_named(task)
    prepared = prepare(task, data, held_out, share, limit, options, int(arguments.get("seed", 42)))
    for note in prepared.notes:
        say(note)
    say(f"{len(prepared.train)} rows to learn from, {len(prepared.held_out)} held out")
    kind = Seq2SeqTrainingArguments if prepared.generates else TrainingArguments
    given = {
        "eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 1,
        "metric_for_best_model": prepared.best, "remove_unused_columns": task != IMAGES,
        **({"predict_with_generate": True} if prepared.generates else {}), **arguments,
    }  # fmt: skip
    args = kind(**given)
    trainer = (Seq2SeqTrainer if prepared.generates else Trainer)(
        prepared.model, args, prepared.collate, prepared.train, prepared.held_out, prepared.processor,
        compute_metrics=prepared.compute_metrics, callbacks=list(callbacks),
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume or None)
    metrics = trainer.evaluate()
    if task in ("fill-mask", "text-generation"):
        metrics["eval_perplexity"] = language.perplexity(metrics["eval_loss"])
    trainer.save_model()
    trainer.save_metrics("eval", metrics)
    trainer.create_model_card(dataset=Path(data).name, tasks=task)
    return trainer, metrics


def next_step(task: str, folder: str) -> str:
    """The line that runs what was trained."""
    example = "photo.jpg" if task == IMAGES else "…"
    return f'from samovar import pipeline; pipeline("{task}", model="{Path(folder)}")("{example}")'


def option_names() -> list[str]:
    """What a recipe can be told."""
    return [one.name for one in dataclasses.fields(Options)]
