"""`samovar train TASK --model M --data FILE`: fine-tune a model on a file of examples."""

from __future__ import annotations

import argparse
import logging
from typing import Any

EXAMPLES = """\
examples:
  samovar train text-classification --model ./bert --data reviews.csv --out ./reviews
  samovar train token-classification --model ./bert --data entities.jsonl --epochs 5
  samovar train fill-mask --model ./bert --data texts.txt --out ./bert-mine
  samovar train image-classification --model ./vit --data photos/        (a folder for each class)

FILE is CSV, TSV, JSON lines, JSON, Parquet or plain text with a row a line. Columns:
  text-classification    text (and a second text), label: a class, a list of classes, or a number
  token-classification   tokens, tags: lists, or texts with spaces between the words
  question-answering     question, context, answers: a text of the context, or {"text": [], "answer_start": []}
  fill-mask, text-generation          text
  summarization, translation          document, summary; source, target
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = "Fine-tune a model on a file of examples.", EXAMPLES
    parser.add_argument("task", help="such as text-classification")
    parser.add_argument("--model", "-m", required=True, help="a folder or the name of a repository")
    parser.add_argument("--data", "-d", required=True, help="a file of examples, or a folder of folders of images")
    parser.add_argument("--eval", dest="held_out", help="a file of held-out examples (else a share of --data)")
    parser.add_argument("--eval-share", type=float, default=0.1, help="share of --data that is held out (0.1)")
    parser.add_argument("--out", "-o", default="trained", help="folder for model, card and report (trained)")
    columns = parser.add_argument_group("columns")
    for name, what in (
        ("text", "texts, words or questions"), ("pair", "second texts"), ("label", "labels, tags or answers"),
        ("source", "source texts or contexts"), ("target", "target texts"),
    ):  # fmt: skip
        columns.add_argument(f"--{name}-column", help=f"the column of {what}")
    columns.add_argument("--problem", choices=("single", "multi", "regression"), help="what a label is (else guessed)")
    columns.add_argument("--label-separator", help='between several classes of one row, such as ";"')
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=float, default=3.0, help="rounds over the data (3)")
    training.add_argument("--steps", type=int, default=-1, help="updates, in place of epochs")
    training.add_argument("--batch-size", type=int, default=16, help="rows in a batch (16)")
    training.add_argument("--accumulate", type=int, default=1, help="batches in an update (1)")
    training.add_argument("--lr", type=float, default=5e-5, help="the highest learning rate (5e-5)")
    training.add_argument("--warmup", type=float, default=0.1, help="share of the steps in which it rises (0.1)")
    training.add_argument("--weight-decay", type=float, default=0.01, help="(0.01)")
    training.add_argument("--max-length", type=int, default=256, help="tokens of a row; more are cut off (256)")
    training.add_argument("--block-size", type=int, default=256, help="tokens of a block in language modelling (256)")
    training.add_argument("--prefix", default="", help="text before each source, such as 'summarize: '")
    training.add_argument("--seed", type=int, default=42)
    training.add_argument("--limit", type=int, help="use only so many rows")
    training.add_argument("--bf16", action="store_true", help="mixed precision")
    training.add_argument("--cpu", action="store_true", help="leave accelerators alone")
    training.add_argument("--report-to", default="none", help="tensorboard, wandb, trackio, mlflow (none)")
    training.add_argument("--resume", action="store_true", help="go on from the newest checkpoint of --out")
    training.add_argument("--quiet", "-q", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    """Train as said."""
    from samovar.training.recipes.options import Options
    from samovar.training.recipes.run import next_step, option_names, task_named, train_task

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    values = vars(options)
    recipe = Options(**{name: values[name] for name in option_names() if name in values})
    arguments: dict[str, Any] = {
        "output_dir": options.out, "num_train_epochs": options.epochs, "max_steps": options.steps,
        "per_device_train_batch_size": options.batch_size, "per_device_eval_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.accumulate, "learning_rate": options.lr,
        "warmup_steps": options.warmup, "weight_decay": options.weight_decay, "seed": options.seed,
        "bf16": options.bf16, "use_cpu": options.cpu, "report_to": options.report_to, "logging_steps": 0.02,
        "disable_tqdm": options.quiet,
    }  # fmt: skip
    _, metrics = train_task(
        options.task, options.data, recipe, arguments, held_out=options.held_out, share=options.eval_share,
        limit=options.limit, resume=options.resume,
    )  # fmt: skip
    shown = {name.removeprefix("eval_"): value for name, value in metrics.items() if isinstance(value, float)}
    speeds = ("runtime", "samples_per_second", "steps_per_second")
    print("  ".join(f"{name} {value:.4g}" for name, value in shown.items() if name not in speeds))
    print(f"The model is in {options.out}. Next:\n  {next_step(task_named(options.task), options.out)}")
    return 0
