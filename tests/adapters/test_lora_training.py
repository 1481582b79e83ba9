"""A model with adapters in `Trainer`: small checkpoints, and a resumed run that goes on bit for bit."""

from __future__ import annotations

from pathlib import Path

import torch
from adapter_pairs import pair

import samovar
from samovar.adapters import LoraConfig, PeftModel, get_peft_model

DATA = [
    {"input_ids": torch.randint(5, 90, (7,), generator=torch.Generator().manual_seed(i)).tolist(), "labels": i % 3}
    for i in range(24)
]


def run(folder: Path, resume: Path | None = None) -> tuple[PeftModel, samovar.Trainer]:
    """Six steps, with a checkpoint after three."""
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules=["query", "value"], task_type="SEQ_CLS", lora_dropout=0.1)
    model = get_peft_model(pair("BertForSequenceClassification")[1], config)
    arguments = samovar.TrainingArguments(
        str(folder), max_steps=6, per_device_train_batch_size=4, save_strategy="steps", save_steps=3,
        eval_strategy="steps", eval_steps=3, learning_rate=1e-2, load_best_model_at_end=True, use_cpu=True,
        report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = samovar.Trainer(model, arguments, train_dataset=DATA, eval_dataset=DATA)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return model, trainer


def test_a_resumed_run_is_the_run(tmp_path: Path) -> None:
    model, trainer = run(tmp_path / "whole")
    names = {path.name for path in (tmp_path / "whole/checkpoint-3").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert "model.safetensors" not in names
    again, _ = run(tmp_path / "resumed", tmp_path / "whole/checkpoint-3")
    for (name, one), other in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name
    fresh = PeftModel.from_pretrained(
        pair("BertForSequenceClassification")[1], str(trainer.state.best_model_checkpoint)
    )
    batch = {"input_ids": torch.tensor([row["input_ids"] for row in DATA])}
    with torch.no_grad():
        torch.testing.assert_close(fresh.eval()(**batch).logits, model.eval()(**batch).logits)
