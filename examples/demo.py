"""The main job on real input: fine-tune a sentiment classifier on film reviews, save it, and ask it about any sentence.

    make demo                                       (or: python examples/demo.py)
    make demo ARGS='"What a film!" "I fell asleep."'

A pretrained sentence encoder (all-MiniLM-L6-v2, BERT with 6 layers) reads snippets of film reviews. `Trainer` fine-
tunes all of it with a new head; beside it stands a linear classifier on the encoder's embeddings as they are.
What is saved is an ordinary checkpoint folder, which every tool of the field reads; the answers come from
`pipeline("sentiment-analysis", model=folder)` and nothing else. At the end a Hub of one's own serves the model's page,
where anybody may type a sentence (`demo_hub.py`).
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from demo_data import EXAMPLES, LABELS, Rated, film_reviews, rated, stage
from demo_hub import add_options, show, write_card
from fetch_assets import ENCODER, AssetError, assets_folder, fetch

from samovar import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EvalPrediction,
    PrinterCallback,
    SentenceTransformer,
    Trainer,
    TrainingArguments,
    pipeline,
)
from samovar.errors import SamovarError


def linear_probe(source: Path, training: Rated, held_out: Rated) -> float:
    """Held-out accuracy of logistic regression on the encoder's embeddings, which stay as they are."""
    from sklearn.linear_model import LogisticRegression

    encoder = SentenceTransformer(str(source), device="cpu")
    (x, y), (other_x, other_y) = (
        (
            encoder.encode([text for text, _ in data], show_progress_bar=sys.stderr.isatty()),
            [label for _, label in data],
        )
        for data in (training, held_out)
    )
    return float(LogisticRegression(max_iter=1000).fit(x, y).score(other_x, other_y))


def encoded(data: Rated, tokenizer: object) -> list[dict]:
    """Rows that a trainer takes."""
    found = tokenizer([text for text, _ in data], truncation=True, max_length=128)
    fields = ("input_ids", "attention_mask")
    return [{name: found[name][row] for name in fields} | {"labels": label} for row, (_, label) in enumerate(data)]


def curve(values: list[float], width: int = 60) -> str:
    """A line of blocks, high for high values."""
    parts = [float(np.mean(part)) for part in np.array_split(values, min(width, len(values)))]
    low, high = min(parts), max(parts)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (one - low) / max(high - low, 1e-9))] for one in parts)


def accuracy(classify: Callable[[list[str]], list[dict]], data: Rated) -> float:
    """Share of the texts whose label the pipeline finds."""
    answers = classify([text for text, _ in data])
    return sum(answer["label"] == LABELS[label] for answer, (_, label) in zip(answers, data, strict=True)) / len(data)


def majority(data: Rated) -> float:
    """What always giving the more frequent label would reach."""
    positive = sum(label for _, label in data) / len(data)
    return max(positive, 1 - positive)


def make_classifier(folder: Path, epochs: float, texts: int | None, measured: int | None, seed: int) -> None:
    """Fine-tune the classifier, save it to `folder`, and print how good it is on texts that it has not seen."""
    with stage("reading the snippets") as notes:
        training, held_out = film_reviews(seed)
        training, held_out = training[:texts], held_out[:measured]
        elsewhere = {"product reviews": rated("products")[:measured], "tweets": rated("tweets")[:measured]}
        notes.append(f"{len(training):,} to learn from, {len(held_out):,} held out")
    with stage(f"loading {ENCODER.folder}") as notes:
        source, _ = fetch(ENCODER, assets_folder())
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForSequenceClassification.from_pretrained(source, id2label=LABELS)
        notes.append(f"{model.num_parameters() / 1e6:.1f} M parameters")
    with stage("a linear probe on its embeddings") as notes:
        probe = linear_probe(source, training, held_out)
        notes.append(f"{probe:.1%} of the held-out reviews")

    def compute_metrics(found: EvalPrediction) -> dict[str, float]:
        return {"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}

    args = TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=16, per_device_eval_batch_size=64,
        learning_rate=1e-4, warmup_steps=0.1, weight_decay=0.01, group_by_length=True, logging_steps=10,
        eval_strategy="steps", eval_steps=0.34, save_strategy="no", seed=seed, use_cpu=True,
        disable_tqdm=not sys.stderr.isatty(),
    )  # fmt: skip
    print("  fine-tuning all layers with Trainer")
    trainer = Trainer(
        model, args, train_dataset=encoded(training, tokenizer), eval_dataset=encoded(held_out[:500], tokenizer),
        processing_class=tokenizer, compute_metrics=compute_metrics,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)  # Without a terminal there is neither bar nor a line for each log.
    output = trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print(f"  {'':<50}{output.metrics['train_runtime']:6.1f} s   loss {losses[0]:.2f} → {losses[-1]:.2f}")
    print(f"  loss  {curve(losses)}")
    with stage("saving an ordinary checkpoint folder"):
        trainer.save_model()
    classify = pipeline("sentiment-analysis", model=folder)
    rows = []
    for name, data in {"film reviews (held out)": held_out, **elsewhere}.items():
        with stage(f"answering on {name}"):
            rows.append((name, len(data), accuracy(classify, data), majority(data)))
    print(f"\n  {'accuracy on':<26}{'texts':>7}{'Samovar':>10}{'majority':>10}{'probe':>10}")
    for name, count, ours, baseline in rows:
        print(f"  {name:<26}{count:>7,}{ours:>10.1%}{baseline:>10.1%}{f'{probe:.1%}' if 'held' in name else '':>10}")
    write_card(folder, rows)
    print("  (product reviews and tweets are other kinds of text than it learned from)")
    print(f"  curves and numbers: {folder / 'report' / 'index.html'}")


def answer(folder: Path, sentences: Sequence[str]) -> None:
    """Answer on the sentences."""
    classify = pipeline("sentiment-analysis", model=folder)
    print("\nAnswers")
    for sentence in sentences:
        [found] = classify([sentence])
        print(f"  {found['label']:<9}{found['score']:6.1%}  {sentence}")


def main() -> int:
    """Run the demo; 1 when something that it needs is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", nargs="*", help="your own sentences")
    add_options(parser)
    parser.add_argument("--epochs", type=float, default=1, help="passes over the training snippets")
    parser.add_argument("--texts", type=int, help="learn from at most so many snippets (default: all)")
    parser.add_argument("--held-out", type=int, help="measure on at most so many of each kind (default: all)")
    options = parser.parse_args()
    random.seed(options.seed)
    torch.manual_seed(options.seed)
    logging.getLogger("samovar").setLevel(logging.ERROR)  # That the head starts anew is no surprise here.
    began = time.perf_counter()
    print(f"Sentiment from film reviews ({torch.get_num_threads()} threads)")
    try:
        make_classifier(options.folder, options.epochs, options.texts, options.held_out, options.seed)
        answer(options.folder, options.sentences or EXAMPLES)
        print(f"\nThe model is in {options.folder}; use it anywhere:")
        print(f'  from samovar import pipeline\n  pipeline("sentiment-analysis", model="{options.folder}")("…")')
        show(options.folder, options.hub, options.seed, options.serve and sys.stdin.isatty(), began)
    except (SamovarError, AssetError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
