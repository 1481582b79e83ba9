"""Search: the best of several trainings, found by optuna; `python w11_search.py ray` and `wandb` find it by those."""

import sys
import tempfile

from samovar import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

model_id, backend = "bert-base-cased", sys.argv[1] if len(sys.argv) > 1 else "optuna"
tokenizer = AutoTokenizer.from_pretrained(model_id)
texts = [("a good film", 1), ("i like it", 1), ("a bad film", 0), ("i hate it", 0)] * 3
data = [{**tokenizer(text), "labels": label} for text, label in texts]
args = TrainingArguments(
    output_dir=tempfile.mkdtemp(), eval_strategy="epoch", num_train_epochs=2, save_strategy="no", report_to="none",
    disable_tqdm=True,
)  # fmt: skip
trainer = Trainer(
    args=args, train_dataset=data, eval_dataset=data, processing_class=tokenizer,
    model_init=lambda: AutoModelForSequenceClassification.from_pretrained(model_id, num_labels=2),
)  # fmt: skip
best = trainer.hyperparameter_search(
    hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-4, log=True)},
    compute_objective=lambda metrics: metrics["eval_loss"], n_trials=3, direction="minimize", backend=backend,
)  # fmt: skip
print("best trial:", best.run_id, "objective:", best.objective, "with:", best.hyperparameters)
