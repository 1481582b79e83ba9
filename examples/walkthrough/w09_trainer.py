"""Trainer: a table becomes a data set, a model is fine-tuned on it, saved, and loaded again from its folder."""

import sys
import tempfile

import numpy as np
import pandas as pd
from datasets import Dataset

from samovar import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments, pipeline
from samovar.evaluate import load

model_id = "bert-base-cased"
table = pd.DataFrame(
    {
        "text": ["a good film", "a very good play", "i like it", "a bad film", "a very bad play", "i hate it"] * 4,
        "label": [1, 1, 1, 0, 0, 0] * 4,
    }
)
tokenizer = AutoTokenizer.from_pretrained(model_id)
data = Dataset.from_pandas(table).map(
    lambda rows: tokenizer(rows["text"], padding="max_length", truncation=True), batched=True
)
model = AutoModelForSequenceClassification.from_pretrained(model_id, num_labels=2)
metric = load("accuracy")


def compute_metrics(found):
    """Accuracy of the likelier label."""
    logits, labels = found
    return metric.compute(predictions=np.argmax(logits, axis=-1), references=labels)


folder = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp()
args = TrainingArguments(
    output_dir=folder, eval_strategy="epoch", per_device_train_batch_size=6, per_device_eval_batch_size=6,
    num_train_epochs=5, logging_steps=4, save_strategy="no", report_to="none", disable_tqdm=True,
)  # fmt: skip
trainer = Trainer(model=model, args=args, train_dataset=data, eval_dataset=data, compute_metrics=compute_metrics)
trainer.train()
history = trainer.state.log_history
print("loss:", *(round(entry["loss"], 3) for entry in history if "loss" in entry))
print("accuracy:", *(entry["eval_accuracy"] for entry in history if "eval_accuracy" in entry))
trainer.save_model()
tokenizer.save_pretrained(folder)
print("from the folder:", pipeline("text-classification", model=folder)(["i like it", "a bad film"]))
