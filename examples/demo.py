"""The main job on real input: fit a sentiment classifier on film reviews, save it, and ask it about any sentence.

    make demo                                       (or: python examples/demo.py)
    make demo ARGS='"What a film!" "I fell asleep."'

A pretrained sentence encoder (all-MiniLM-L6-v2, BERT with 6 layers) reads snippets of film reviews. Its lower layers
stay as they are: their output, the features, is computed once. The upper layers and a new classification head are
fitted to the features. What is saved is an ordinary checkpoint folder, which every tool of the field reads; the answers
come from `pipeline("sentiment-analysis", model=folder)` and nothing else.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import torch
from fetch_assets import ENCODER, AssetError, assets_folder, fetch, snippets
from torch import Tensor, nn
from tqdm import tqdm

from samovar import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from samovar.errors import SamovarError
from samovar.nn.masks import attention_bias

LABELS = {0: "negative", 1: "positive"}
UNDECIDED = 0.5  # Snippets whose mean rating (−4…4) is nearer to zero than this are neither: left out.
HELD_OUT = 2000
FROZEN_LAYERS = 3
TOKENS_PER_BATCH = 1024
EXAMPLES = (
    "A quiet, clever film that I could watch again tomorrow.",
    "Two hours of my life that nobody will give back to me.",
    "The acting is fine, but the story goes nowhere.",
    "Not bad at all!",
)

Rated = list[tuple[str, int]]  # text, label
Features = tuple[Tensor, Tensor, Tensor]  # states (batch, sequence, hidden), mask (batch, sequence), labels (batch,)


@contextmanager
def stage(label: str) -> Iterator[list[str]]:
    """Print a step's name, then its time and what it has to say."""
    print(f"  {label:<50}", end="", flush=True)
    began, notes = time.perf_counter(), list[str]()
    yield notes
    if sys.stdout.isatty():  # A progress bar may have taken the line.
        print(f"\r  {label:<50}", end="")
    print(f"{time.perf_counter() - began:6.1f} s   {'  '.join(notes)}", flush=True)


def rated(kind: str) -> Rated:
    """Snippets that their raters found positive or negative, with the label."""
    return [(text, int(rating > 0)) for rating, text in snippets(kind) if abs(rating) >= UNDECIDED]


def batches_by_length(ids: list[list[int]]) -> Iterator[list[int]]:
    """Indices in batches of similar length that hold a bounded number of tokens, so that little of them is padding."""
    batch: list[int] = []
    for index in sorted(range(len(ids)), key=lambda index: len(ids[index])):
        if batch and len(ids[index]) * (len(batch) + 1) > TOKENS_PER_BATCH:
            yield batch
            batch = []
        batch.append(index)
    yield batch


def lower_features(model: nn.Module, tokenizer: object, data: Rated) -> list[Features]:
    """What the frozen lower layers make of each text, computed once."""
    bert, upper = model.bert, model.bert.layers[FROZEN_LAYERS:]
    ids = tokenizer([text for text, _ in data], truncation=True)["input_ids"]
    labels = torch.tensor([label for _, label in data])
    features = []
    bert.layers = bert.layers[:FROZEN_LAYERS]
    for batch in tqdm(list(batches_by_length(ids)), desc="  features", leave=False, disable=None):
        padded = tokenizer.pad({"input_ids": [ids[index] for index in batch]}, return_tensors="pt")
        with torch.inference_mode():
            states = bert(padded["input_ids"], padded["attention_mask"]).last_hidden_state
        # Tensors of inference mode cannot be trained on: a copy can.
        features.append((states.clone(), padded["attention_mask"], labels[batch]))
    bert.layers.extend(upper)
    return features


def fit(model: nn.Module, features: list[Features], epochs: int, rate: float = 1e-4) -> float:
    """Train the upper layers, the pooler and the head on the features; the last epoch's mean loss."""
    upper = model.bert.layers[FROZEN_LAYERS:]
    new = [*model.bert.pooler.parameters(), *model.head.parameters()]
    groups = [{"params": upper.parameters(), "lr": rate}, {"params": new, "lr": 5 * rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = epochs * len(features)
    warm_up = steps // 10 + 1
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / (steps - warm_up + 1))
    )
    model.train()
    for _ in range(epochs):
        total = 0.0
        order = random.sample(features, len(features))
        for x, mask, labels in tqdm(order, desc="  fitting", leave=False, disable=None):
            bias = attention_bias(mask, x.dtype)
            for block in upper:
                x, _ = block(x, bias)
            pooled = model.bert.pooler(x)
            loss = nn.functional.cross_entropy(model.head.classifier(model.head.dropout(pooled)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
    model.eval()
    return total / len(features)


def accuracy(classify: Callable[[list[str]], list[dict]], data: Rated) -> float:
    """Share of the texts whose label the pipeline finds."""
    answers = classify([text for text, _ in data])
    return sum(answer["label"] == LABELS[label] for answer, (_, label) in zip(answers, data, strict=True)) / len(data)


def majority(data: Rated) -> float:
    """What always giving the more frequent label would reach."""
    positive = sum(label for _, label in data) / len(data)
    return max(positive, 1 - positive)


def make_classifier(folder: Path, epochs: int, texts: int | None) -> None:
    """Fit the classifier, save it to `folder`, and print how good it is on texts that it has not seen."""
    with stage("reading the snippets") as notes:
        films = rated("movies")
        random.shuffle(films)
        held_out, training = films[:HELD_OUT][:texts], films[HELD_OUT:][:texts]
        elsewhere = {"product reviews": rated("products")[:texts], "tweets": rated("tweets")[:texts]}
        notes.append(f"{len(training):,} to learn from, {len(held_out):,} held out")
    with stage(f"loading {ENCODER.folder}") as notes:
        source, _ = fetch(ENCODER, assets_folder())
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForSequenceClassification.from_pretrained(source, id2label=LABELS)
        notes.append(f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f} M parameters")
    with stage(f"features: layers 1–{FROZEN_LAYERS} of each text, once") as notes:
        features = lower_features(model, tokenizer, training)
        notes.append(f"{sum(int(mask.sum()) for _, mask, _ in features):,} tokens in {len(features)} batches")
    with stage(f"fitting layers {FROZEN_LAYERS + 1}–6 and the head, {epochs}×") as notes:
        notes.append(f"loss {fit(model, features, epochs):.3f}")
    with stage("saving an ordinary checkpoint folder"):
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    classify = pipeline("sentiment-analysis", model=folder)
    rows = []
    for name, data in {"film reviews (held out)": held_out, **elsewhere}.items():
        with stage(f"answering on {name}"):
            rows.append((name, len(data), accuracy(classify, data), majority(data)))
    print(f"\n  {'accuracy on':<26}{'texts':>7}{'Samovar':>10}{'majority':>10}")
    for name, count, ours, baseline in rows:
        print(f"  {name:<26}{count:>7,}{ours:>10.1%}{baseline:>10.1%}")
    print("  (product reviews and tweets are other kinds of text than it learned from)")


def answer(folder: Path, sentences: list[str]) -> None:
    """Answer on the sentences given, else on those typed at the terminal, else on examples."""
    classify = pipeline("sentiment-analysis", model=folder)

    def show(sentence: str) -> None:
        [found] = classify([sentence])
        print(f"  {found['label']:<9}{found['score']:6.1%}  {sentence}")

    print("\nAnswers")
    for sentence in sentences or EXAMPLES:
        show(sentence)
    if not sentences and sys.stdin.isatty():
        print("\nYour own sentences (an empty line ends):")
        while sentence := input("> ").strip():
            show(sentence)


def main() -> int:
    """Run the demo; 1 when something that it needs is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sentences", nargs="*", help="your own sentences; asked for on a terminal when absent")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "sentiment", help="where the model is saved")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the training snippets")
    parser.add_argument("--texts", type=int, help="use at most so many snippets of each kind (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    torch.manual_seed(options.seed)
    logging.getLogger("samovar").setLevel(logging.ERROR)  # That the head starts anew is no surprise here.
    began = time.perf_counter()
    print(f"Sentiment from film reviews ({torch.get_num_threads()} threads)")
    try:
        make_classifier(options.folder, options.epochs, options.texts)
        answer(options.folder, options.sentences)
    except (SamovarError, AssetError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print()
    print(f"\n{time.perf_counter() - began:.0f} s in all. The model is in {options.folder}; use it anywhere:")
    print(f'  from samovar import pipeline\n  pipeline("sentiment-analysis", model="{options.folder}")("…")')
    return 0


if __name__ == "__main__":
    sys.exit(main())
