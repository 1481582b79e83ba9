"""`Trainer` beside the reference's: the same weights, data and arguments, each in a process of its own, in turns.

The padded run is the field's usual listing: a BERT of base size, real snippets padded to 512, six rows a step. The loop
that the overhead is measured against is plain PyTorch on the same batches in the same process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from measure import Row, at_least, at_most, process_json

HEAD = """
import contextlib, io, json, random, resource, sys, tempfile, time, warnings
warnings.filterwarnings("ignore")
sys.path[:0] = [{here!r}, {tests!r}]
import torch
torch.set_num_threads(2)
from assets import minilm_folder, snippets
import {library} as lib
rows = [(int(mean > 0), text) for mean, text in snippets("movies")]
random.Random(0).shuffle(rows)
tokenizer = lib.AutoTokenizer.from_pretrained(str(minilm_folder()))

def encoded(rows, length=None):
    options = dict(padding="max_length", max_length=length) if length else {{}}
    return [dict(tokenizer(text, truncation=True, **options), labels=label) for label, text in rows]

def trainer(model, data, steps, size, seed=42, **options):
    args = lib.TrainingArguments(
        tempfile.mkdtemp(), per_device_train_batch_size=size, max_steps=steps, save_strategy="no",
        logging_steps=1, report_to="none", use_cpu=True, disable_tqdm=True, seed=seed, **options)
    return lib.Trainer(model, args, train_dataset=data, processing_class=tokenizer)

def timed(trainer):
    # The steps themselves: what comes after them, such as a report, is no part of their rate.
    with contextlib.redirect_stdout(io.StringIO()):
        return trainer.train().metrics["train_runtime"]

def base():
    torch.manual_seed(0)
    return lib.AutoModelForSequenceClassification.from_config(lib.BertConfig())

def report(**values):
    values["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(values))
"""

STEPS = """
model = base()
data = encoded(rows[:{count}], {length})
timed(trainer(model, data, 1, 6))
report(seconds=timed(trainer(model, data, {steps}, 6)) / {steps})
"""

LOSS = """
found = []
for seed in (1, 2):
    torch.manual_seed(seed)
    model = lib.AutoModelForSequenceClassification.from_pretrained(str(minilm_folder()), num_labels=2)
    learn, rest = encoded(rows[:640]), encoded(rows[640:1040])
    run = trainer(model, learn, 40, 16, seed, learning_rate=2e-4)
    timed(run)
    with contextlib.redirect_stdout(io.StringIO()):
        found.append(run.evaluate(rest)["eval_loss"])
report(losses=found)
"""

# The same batches, twice: by the trainer and by a loop that does no more than it must.
OVERHEAD = """
data = encoded(rows[:320])
def model():
    torch.manual_seed(0)
    return lib.AutoModelForSequenceClassification.from_pretrained(str(minilm_folder()), num_labels=2).train()

def by_trainer():
    run = trainer(model(), data, 40, 16)
    batches.extend(run.get_train_dataloader()) if not batches else None
    return timed(run)

def by_loop():
    found = model()
    optimizer = torch.optim.AdamW(found.parameters(), lr=5e-5, weight_decay=0.0, fused=True)
    schedule = lib.get_scheduler("linear", optimizer, 0, 40)
    found.train()
    start = time.perf_counter()
    for _ in range(2):
        for batch in torch.utils.data.DataLoader(
                data, batch_size=16, sampler=order, collate_fn=lib.DataCollatorWithPadding(tokenizer)):
            loss = found(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(found.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
    return time.perf_counter() - start

batches, losses, times = [], [], dict(trainer=[], loop=[])
order = [one % len(data) for one in trainer(model(), data, 40, 16).get_train_dataloader().sampler]
by_trainer()
for _ in range({repeat}):
    times["loop"].append(by_loop())
    times["trainer"].append(by_trainer())
report(**times)
"""


def process(code: str, library: str, **values: Any) -> dict[str, Any]:
    """One library's run in a fresh process."""
    here = Path(__file__).resolve().parent
    places = {"here": str(here), "tests": str(here.parent / "tests"), "library": library}
    return process_json(HEAD.format(**places) + code.format(**values))


def run() -> list[Row]:
    """Steps per second padded and not, overhead, memory and loss."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, values in {"padded": {"count": 60, "length": 512, "steps": 3},
                         "dynamic": {"count": 120, "length": None, "steps": 12}}.items():  # fmt: skip
        found[name] = {"samovar": [], "transformers": []}
        for library in ("samovar", "transformers", "samovar", "transformers"):
            if name == "padded" and library == "transformers" and found[name][library]:
                continue  # A minute each; one is enough for a ratio of this size.
            found[name][library].append(process(STEPS, library, **values))
    best = {
        name: {library: min(one["seconds"] for one in runs) for library, runs in libraries.items()}
        for name, libraries in found.items()
    }
    memory = {library: min(one["memory"] for one in runs) for library, runs in found["dynamic"].items()}
    wide = {library: min(one["memory"] for one in runs) for library, runs in found["padded"].items()}
    overhead = process(OVERHEAD, "samovar", repeat=4)
    alone, with_trainer = min(overhead["loop"]), min(overhead["trainer"])
    losses = {library: process(LOSS, library)["losses"] for library in ("samovar", "transformers")}
    mine, theirs = (sum(losses[library]) / len(losses[library]) for library in ("samovar", "transformers"))
    spread = max(abs(losses["transformers"][0] - losses["transformers"][1]), 0.02)
    return [
        at_least(
            "training, BERT-base, padded to 512: steps/s, ours ÷ reference",
            f"{1 / best['padded']['samovar']:.2f} /s", f"{1 / best['padded']['transformers']:.3f} /s",
            best["padded"]["transformers"] / best["padded"]["samovar"], 5,
        ),
        at_least(
            "training, BERT-base, padded by batch: steps/s, ours ÷ reference",
            f"{1 / best['dynamic']['samovar']:.2f} /s", f"{1 / best['dynamic']['transformers']:.2f} /s",
            best["dynamic"]["transformers"] / best["dynamic"]["samovar"], 1,
        ),
        at_most(
            "training, MiniLM: time with Trainer ÷ bare loop",
            f"{with_trainer:.2f} s", f"{alone:.2f} s", with_trainer / alone, 1.03,
        ),
        at_most(
            "training, padded by batch: peak memory ÷ reference",
            f"{memory['samovar']:.2f} GiB", f"{memory['transformers']:.2f} GiB",
            memory["samovar"] / memory["transformers"], 1,
        ),
        Row("  training, padded to 512: peak memory ÷ reference", f"{wide['samovar']:.2f} GiB",
            f"{wide['transformers']:.2f} GiB", wide["samovar"] / wide["transformers"], "", None),
        Row(
            f"training, MiniLM: held-out loss, mean of two seeds (noise ± {spread:.2f})",
            f"{mine:.3f}", f"{theirs:.3f}", mine / theirs, f"± {spread:.2f}", abs(mine - theirs) <= spread,
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    for row in run():
        print(row)
