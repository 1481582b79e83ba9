"""LoRA beside PEFT on the reference library's models: the same numbers in both directions."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from adapter_pairs import inputs_for, logits, pair, shake
from safetensors.torch import load_file

from samovar.adapters import LoraConfig, PeftModel, get_peft_model

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertForSequenceClassification", {"target_modules": ["query", "value"], "task_type": "SEQ_CLS"}),
    "bert-tokens": ("BertForTokenClassification", {"target_modules": ["query", "dense"], "task_type": "TOKEN_CLS"}),
    "bert-regex": ("BertForMaskedLM", {"target_modules": r".*layer\.1.*(key|output\.dense)", "use_rslora": True}),
    "bert-questions": ("BertForQuestionAnswering", {"target_modules": ["key"], "task_type": "QUESTION_ANS"}),
    "bert-patterns": (
        "BertForSequenceClassification",
        {
            "target_modules": ["query", "value", "dense"],
            "rank_pattern": {"query": 2, "layer.1.output.dense": 3},
            "alpha_pattern": {"value": 32},
            "exclude_modules": ["pooler.dense"],
            "layers_to_transform": [1],
        },
    ),
    "bert-bias-and-head": (
        "BertForSequenceClassification",
        {"target_modules": ["query"], "bias": "all", "task_type": "SEQ_CLS"},
    ),
    "roberta-bias-and-head": (
        "RobertaForSequenceClassification",
        {"target_modules": ["query"], "bias": "all", "task_type": "SEQ_CLS"},
    ),
    "bert-all-bias": ("BertForSequenceClassification", {"target_modules": ["query"], "bias": "all"}),
    "bert-lora-bias": ("BertForSequenceClassification", {"target_modules": ["query"], "bias": "lora_only"}),
    "bert-all-linear": ("BertForSequenceClassification", {"target_modules": "all-linear", "task_type": "SEQ_CLS"}),
    "bert-lm-all-linear": ("BertForMaskedLM", {"target_modules": "all-linear"}),
    "bert-default": ("BertForSequenceClassification", {}),
    "roberta": ("RobertaForSequenceClassification", {"target_modules": ["query", "value"], "task_type": "SEQ_CLS"}),
    "roberta-tied": ("RobertaForMaskedLM", {"target_modules": ["query"], "modules_to_save": ["lm_head.dense"]}),
    "gpt2": ("GPT2LMHeadModel", {"target_modules": ["c_attn"], "task_type": "CAUSAL_LM"}),
    "gpt2-bias": ("GPT2LMHeadModel", {"target_modules": ["c_attn"], "bias": "lora_only"}),
    "gpt2-saved": ("GPT2LMHeadModel", {"target_modules": ["c_fc"], "modules_to_save": ["attn.c_proj", "ln_f"]}),
    "gpt2-classes": ("GPT2ForSequenceClassification", {"target_modules": ["c_proj", "c_fc"], "task_type": "SEQ_CLS"}),
    "gpt2-default": ("GPT2LMHeadModel", {}),
    "gpt2-all-linear": ("GPT2LMHeadModel", {"target_modules": "all-linear"}),
    "vit": ("ViTForImageClassification", {"target_modules": ["q_proj", "v_proj"], "modules_to_save": ["classifier"]}),
    "vit-mlp": ("ViTForImageClassification", {"target_modules": ["fc1", "fc2", "o_proj"], "bias": "all"}),
    "vit-all-linear": ("ViTForImageClassification", {"target_modules": "all-linear"}),
    "dinov2": (
        "Dinov2ForImageClassification",
        {"target_modules": ["q_proj", "fc1"], "modules_to_save": ["classifier"]},
    ),
}


@pytest.fixture(params=CASES)
def adapted(request: pytest.FixtureRequest) -> tuple[Any, Any, Any, LoraConfig]:
    """(PEFT's model, ours before an adapter, ours with a new one, its configuration)."""
    kind, options = CASES[request.param]
    reference, ours = pair(kind)
    options = {"r": 4, "lora_alpha": 6, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It sets fan_in_fan_out for GPT-2 and says so.
        theirs = peft.get_peft_model(reference, peft.LoraConfig(**options))
    shake(theirs)
    return theirs, ours, lambda: get_peft_model(ours, LoraConfig(**options)), LoraConfig(**options)


def save_theirs(model: Any, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)


def load_theirs(kind: str, folder: Path, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return peft.PeftModel.from_pretrained(pair(kind)[0], folder, **options)


@pytest.mark.slow
def test_what_peft_wrote_gives_the_same_logits_and_is_written_back_the_same(adapted: Any, tmp_path: Path) -> None:
    theirs, ours, _, _ = adapted
    save_theirs(theirs, tmp_path / "theirs")
    inputs = inputs_for(ours)
    before = logits(ours, inputs)
    loaded = PeftModel.from_pretrained(ours, tmp_path / "theirs")
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    expected = logits(theirs, inputs)
    assert (expected - before).abs().max() > 1e-3  # The adapter does something.
    torch.testing.assert_close(logits(loaded, inputs), expected, atol=1e-5, rtol=1e-5)
    loaded.save_pretrained(tmp_path / "ours")
    one = load_file(tmp_path / "theirs/adapter_model.safetensors")
    other = load_file(tmp_path / "ours/adapter_model.safetensors")
    # With all biases trained it writes those of the head again, under the names of its wrappers.
    assert {key for key in one if not re.search(r"\.(original_module|modules_to_save)\.", key)} == set(other)
    for key, tensor in other.items():
        assert torch.equal(tensor, one[key]), key
    mine = json.loads((tmp_path / "ours/adapter_config.json").read_text())
    known = json.loads((tmp_path / "theirs/adapter_config.json").read_text())
    for key, value in mine.items():
        if isinstance(value, list):
            value, known[key] = set(value), set(known[key])
        assert value == known[key] or key == "base_model_name_or_path", key


@pytest.mark.slow
def test_what_we_write_gives_the_same_logits_in_peft(adapted: Any, tmp_path: Path) -> None:
    theirs, ours, make, _ = adapted
    mine = make()
    shake(mine)
    inputs = inputs_for(ours)
    mine.save_pretrained(tmp_path)
    again = load_theirs(type(theirs.get_base_model()).__name__, tmp_path)
    torch.testing.assert_close(logits(again, inputs), logits(mine, inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_as_many_parameters_are_trained_and_there(adapted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    theirs, _, make, _ = adapted
    mine = make()
    assert mine.get_nb_trainable_parameters() == theirs.get_nb_trainable_parameters()
    mine.print_trainable_parameters()
    ours = capsys.readouterr().out
    theirs.print_trainable_parameters()
    assert ours == capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("case", ["bert", "gpt2-classes", "gpt2", "bert-lora-bias"])
def test_training_goes_the_same_way(case: str, tmp_path: Path) -> None:
    kind, options = CASES[case]
    reference, ours = pair(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peft.get_peft_model(reference, peft.LoraConfig(r=4, **options))
    save_theirs(theirs, tmp_path / "start")
    mine = PeftModel.from_pretrained(ours, tmp_path / "start", is_trainable=True)
    inputs = inputs_for(ours)
    inputs["labels"] = inputs["input_ids"] if kind == "GPT2LMHeadModel" else torch.tensor([0, 2])
    optimisers = [torch.optim.AdamW([p for p in m.parameters() if p.requires_grad], lr=1e-2) for m in (mine, theirs)]
    for step in range(4):
        losses = []
        for model, optimiser in zip((mine, theirs), optimisers, strict=True):
            model.train()
            optimiser.zero_grad()
            loss = model(**inputs).loss
            loss.backward()
            losses.append(loss.item())
        if step < 2:  # In the first step lora_A has no gradient, as lora_B is zero.
            known = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
            total = sum(grad.square().sum() for grad in known.values())
            own = sum(p.grad.square().sum() for p in mine.parameters() if p.grad is not None)
            torch.testing.assert_close(own, total, atol=1e-6, rtol=1e-4)
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
        for optimiser in optimisers:
            optimiser.step()
    mine.save_pretrained(tmp_path / "mine")
    save_theirs(theirs, tmp_path / "theirs")
    one = load_file(tmp_path / "mine/adapter_model.safetensors")
    other = load_file(tmp_path / "theirs/adapter_model.safetensors")
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key], atol=2e-4, rtol=1e-3, msg=key)


def test_gradients_of_both_matrices_are_the_same(tmp_path: Path) -> None:
    for kind, target in (("BertForSequenceClassification", "query"), ("GPT2LMHeadModel", "c_attn")):
        reference, ours = pair(kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {"r": 4, "target_modules": [target], "init_lora_weights": False}
            theirs = peft.get_peft_model(reference, peft.LoraConfig(**options))
        save_theirs(theirs, tmp_path / kind)
        mine = PeftModel.from_pretrained(ours, tmp_path / kind, is_trainable=True)
        inputs = inputs_for(ours)
        for model in (mine, theirs):
            model(**inputs).logits.square().mean().backward()
        known = {n: p.grad for n, p in theirs.named_parameters() if "lora_" in n}
        if target == "query":
            table = ours.name_table()
            for name, parameter in ours.named_parameters():
                if "lora_" in name:
                    owner, _, rest = name.partition(".lora_")
                    key = table.to_checkpoint(f"{owner}.weight")[0].removesuffix(".weight")
                    grad = known[f"base_model.model.{key}.lora_{rest}"]
                    torch.testing.assert_close(parameter.grad, grad, atol=1e-5, rtol=1e-4)
            continue
        for index in range(2):
            attention = ours.backbone.layers[index].self_attn
            key = f"base_model.model.transformer.h.{index}.attn.c_attn"
            parts = (attention.q_proj, attention.k_proj, attention.v_proj)
            rows = torch.cat([part.lora_B["default"].weight.grad for part in parts])
            torch.testing.assert_close(rows, known[f"{key}.lora_B.default.weight"], atol=1e-5, rtol=1e-4)
            shared = attention.q_proj.lora_A["default"].weight
            assert all(part.lora_A["default"].weight is shared for part in parts)
            torch.testing.assert_close(shared.grad, known[f"{key}.lora_A.default.weight"], atol=1e-5, rtol=1e-4)
