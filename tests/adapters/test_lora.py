"""Adapters on our models: put in, chosen, switched off, merged, taken out."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import peft
import pytest
import torch
from adapter_pairs import inputs_for, logits, pair, shake
from PIL import Image
from torch import nn

import samovar
from samovar.adapters import LoraConfig, LoraLayer, PeftModel, TaskType, get_peft_model
from samovar.errors import ConfigError, InputTypeError, NumericError

KIND = "BertForSequenceClassification"
QUERY_VALUE = {"target_modules": ["query", "value"]}


@pytest.fixture
def bert() -> samovar.Model:
    return pair(KIND)[1]


def adapted_layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, LoraLayer)]


def test_a_new_adapter_changes_nothing_until_it_is_trained(bert: samovar.Model) -> None:
    inputs = inputs_for(bert)
    before = logits(bert, inputs)
    model = get_peft_model(bert, LoraConfig(task_type=TaskType.SEQ_CLS, **QUERY_VALUE))
    assert torch.equal(logits(model, inputs), before)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "modules_to_save.default" in name for name in trained)
    assert len(trained) == 2 * 2 * 2 + 2
    model.train()
    model(**inputs, labels=torch.tensor([0, 1])).loss.backward()
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == trained


@pytest.mark.parametrize("kind", [KIND, "GPT2LMHeadModel", "ViTForImageClassification"])
def test_merged_equals_unmerged_and_is_an_ordinary_model(kind: str, tmp_path: Path) -> None:
    _, ours = pair(kind)
    inputs = inputs_for(ours)
    names, before = set(ours.state_dict()), logits(ours, inputs)
    saved = None if kind == "GPT2LMHeadModel" else ["classifier"]
    model = get_peft_model(ours, LoraConfig(r=4, lora_alpha=16, modules_to_save=saved))
    shake(model)
    adapted = logits(model, inputs)
    model.merge_adapter()
    torch.testing.assert_close(logits(model, inputs), adapted, atol=1e-5, rtol=1e-5)
    model.merge_adapter()  # Once is enough.
    torch.testing.assert_close(logits(model, inputs), adapted, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    torch.testing.assert_close(logits(model, inputs), adapted, atol=1e-5, rtol=1e-5)
    with model.disable_adapter():
        torch.testing.assert_close(logits(model, inputs), before, atol=1e-5, rtol=1e-5)
    merged = model.merge_and_unload()
    assert merged is ours
    assert not adapted_layers(merged)
    assert set(merged.state_dict()) == names
    torch.testing.assert_close(logits(merged, inputs), adapted, atol=1e-5, rtol=1e-5)
    merged.save_pretrained(tmp_path)
    again = type(ours).from_pretrained(tmp_path)
    torch.testing.assert_close(logits(again, inputs), adapted, atol=1e-5, rtol=1e-5)


def test_disabled_while_merged_is_the_base_model_and_merged_again_after(bert: samovar.Model) -> None:
    inputs = inputs_for(bert)
    before = logits(bert, inputs)
    model = get_peft_model(bert, LoraConfig(modules_to_save=["classifier"], **QUERY_VALUE))
    shake(model)
    adapted = logits(model, inputs)
    model.merge_adapter()
    with model.disable_adapter():
        torch.testing.assert_close(logits(model, inputs), before, atol=1e-5, rtol=1e-5)
        assert not any(parameter.requires_grad for parameter in model.parameters())
    torch.testing.assert_close(logits(model, inputs), adapted, atol=1e-5, rtol=1e-5)
    assert bert.backbone.layers[0].self_attn.q_proj.merged_adapters == ("default",)


def test_flags_set_by_hand_outlive_the_base_model_s_turn(bert: samovar.Model) -> None:
    model = get_peft_model(bert, LoraConfig(**QUERY_VALUE))
    bert.backbone.embeddings.word.weight.requires_grad_(True)
    with model.disable_adapter():
        assert not bert.backbone.embeddings.word.weight.requires_grad
    assert bert.backbone.embeddings.word.weight.requires_grad


def test_adapters_that_are_switched_off_are_merged_with_their_modules(bert: samovar.Model) -> None:
    model = get_peft_model(bert, LoraConfig(modules_to_save=["classifier"], **QUERY_VALUE))
    shake(model)
    inputs = inputs_for(bert)
    adapted = logits(model, inputs)
    with model.disable_adapter():
        merged = model.merge_and_unload()
    torch.testing.assert_close(logits(merged, inputs), adapted, atol=1e-5, rtol=1e-5)


def test_several_adapters_are_chosen_summed_and_deleted(bert: samovar.Model) -> None:
    inputs = inputs_for(bert)
    before = logits(bert, inputs)
    model = get_peft_model(bert, LoraConfig(**QUERY_VALUE))
    shake(model)
    first = logits(model, inputs)
    model.add_adapter("second", LoraConfig(r=2, target_modules=["dense"], modules_to_save=["classifier"]))
    assert model.active_adapters == ["default"]
    assert torch.equal(logits(model, inputs), first)
    model.set_adapter("second")
    assert not any(p.requires_grad for name, p in model.named_parameters() if "default" in name)
    shake(model)
    second = logits(model, inputs)
    assert (second - first).abs().max() > 1e-3
    model.set_adapter(["default", "second"])
    both = logits(model, inputs)
    model.merge_adapter()
    torch.testing.assert_close(logits(model, inputs), both, atol=1e-5, rtol=1e-5)
    model.delete_adapter("second")  # Taken out of the weights as well.
    torch.testing.assert_close(logits(model, inputs), first, atol=1e-5, rtol=1e-5)
    assert "dense" not in "".join(adapted_layers(model))
    model.unmerge_adapter()
    model.delete_adapter("default")
    assert model.active_adapters == []
    assert not adapted_layers(model)
    torch.testing.assert_close(logits(model, inputs), before, atol=1e-5, rtol=1e-5)


def test_two_adapters_with_a_head_each_are_not_used_at_once(bert: samovar.Model) -> None:
    config = LoraConfig(modules_to_save=["classifier"], **QUERY_VALUE)
    model = get_peft_model(bert, config)
    model.add_adapter("other", copy.deepcopy(config))
    with pytest.raises(ConfigError, match=r"default and other each have a Linear of their own"):
        model.set_adapter(["default", "other"])
    model.set_adapter("other")
    assert bert.head.classifier.weight is bert.head.classifier.modules_to_save["other"].weight


def test_our_own_names_adapt_parts_of_a_fused_layer_and_leave_the_rest(tmp_path: Path) -> None:
    reference, ours = pair("GPT2LMHeadModel")
    inputs = inputs_for(ours)
    model = get_peft_model(ours, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    shake(model)
    assert {name.rpartition(".")[2] for name in adapted_layers(model)} == {"q_proj", "v_proj"}
    adapted = logits(model, inputs)
    model.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = peft.PeftModel.from_pretrained(reference, tmp_path)
    torch.testing.assert_close(logits(theirs, inputs), adapted, atol=1e-5, rtol=1e-5)
    rows = theirs.base_model.model.transformer.h[0].attn.c_attn.lora_B["default"].weight
    assert rows[:32].abs().min() > 0
    assert not rows[32:64].any()
    again = PeftModel.from_pretrained(pair("GPT2LMHeadModel")[1], tmp_path)
    torch.testing.assert_close(logits(again, inputs), adapted, atol=1e-5, rtol=1e-5)
    model.load_adapter_weights(tmp_path)
    assert torch.equal(logits(model, inputs), adapted)


def test_half_precision_keeps_the_adapter_in_float32(bert: samovar.Model) -> None:
    bert.to(torch.bfloat16)
    model = get_peft_model(bert, LoraConfig(**QUERY_VALUE))
    shake(model)
    kinds = {parameter.dtype for name, parameter in model.named_parameters() if "lora_" in name}
    assert kinds == {torch.float32}
    out = logits(model, inputs_for(bert))
    assert out.dtype == torch.bfloat16
    merged = model.merge_and_unload()
    torch.testing.assert_close(logits(merged, inputs_for(bert)), out, atol=0.1, rtol=0.1)
    model = get_peft_model(bert, LoraConfig(**QUERY_VALUE)).half()
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    assert logits(model, inputs_for(bert)).dtype == torch.float16


def test_copies_pickles_and_states_hold_everything(bert: samovar.Model) -> None:
    inputs = inputs_for(bert)
    model = get_peft_model(bert, LoraConfig(task_type="SEQ_CLS", **QUERY_VALUE))
    shake(model)
    adapted = logits(model, inputs)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(logits(other, inputs), adapted)
        assert other.peft_config == model.peft_config
        shake_more(other)
        assert torch.equal(logits(model, inputs), adapted)
    fresh = get_peft_model(pair(KIND)[1], LoraConfig(task_type="SEQ_CLS", **QUERY_VALUE))
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(logits(fresh, inputs), adapted)


def shake_more(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)


@pytest.mark.slow
def test_the_traced_program_has_no_breaks(bert: samovar.Model) -> None:
    model = get_peft_model(bert, LoraConfig(task_type="SEQ_CLS", **QUERY_VALUE)).eval()
    shake(model)
    inputs = inputs_for(bert)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(**inputs).logits, model(**inputs).logits)


def test_dropout_acts_on_the_adapter_in_training_only(bert: samovar.Model) -> None:
    inputs = inputs_for(bert)
    before = logits(bert, inputs)
    model = get_peft_model(bert, LoraConfig(lora_dropout=0.5, **QUERY_VALUE))
    shake(model)
    assert torch.equal(logits(model, inputs), logits(model, inputs))
    model.train()
    with torch.no_grad():
        assert not torch.equal(model(**inputs).logits, model(**inputs).logits)
        with model.disable_adapter():
            torch.testing.assert_close(model(**inputs).logits, before)


def test_albert_shares_one_adapter_among_layers_that_share_weights() -> None:
    config = samovar.AlbertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=20,
        embedding_size=8,
    )  # fmt: skip
    model = get_peft_model(samovar.AlbertModel(config), LoraConfig(r=2, target_modules=["query"]))
    assert len(adapted_layers(model)) == 1


def test_a_plain_module_is_adapted_by_its_own_names() -> None:
    plain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x = torch.randn(3, 4)
    before = plain(x)
    model = get_peft_model(plain, LoraConfig(r=2, target_modules=["0"], modules_to_save=["2"]))
    assert torch.equal(model(x), before)
    assert model.get_nb_trainable_parameters() == (2 * 4 + 6 * 2 + 14, 30 + 14 + 14 + 20)


def test_a_model_with_adapters_runs_in_a_pipeline(tmp_path: Path) -> None:
    _, ours = pair("ViTForImageClassification")
    model = get_peft_model(ours, LoraConfig(target_modules=["query"], modules_to_save=["classifier"]))
    processor = samovar.ViTImageProcessor(size={"height": 16, "width": 16})
    classify = samovar.pipeline("image-classification", model=model, image_processor=processor)
    answers = classify(Image.new("RGB", (20, 20), "red"))
    assert {answer["label"] for answer in answers} == {"LABEL_0", "LABEL_1", "LABEL_2"}


def test_a_configuration_needs_no_torch() -> None:
    program = "import sys; from samovar.adapters import LoraConfig; LoraConfig(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


# What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "cause", "step"),
    [
        ({"target_modules": ["qeury"]}, "fits no linear layer of Bert", "Did you mean 'query'"),
        ({"target_modules": r".*nothing.*"}, "fits no linear layer", "query"),
        ({"target_modules": ["LayerNorm"]}, "which is no linear layer", "query"),
        ({"target_modules": ["query"], "exclude_modules": ["query"]}, "exclude_modules", "query"),
        ({"modules_to_save": ["clasifier"]}, "no module whose name ends with 'clasifier'", "Did you mean 'classifier'"),
    ],
)
def test_a_name_that_fits_nothing_is_said_and_changes_nothing(
    bert: samovar.Model, options: dict, cause: str, step: str
) -> None:
    state = {name: parameter.requires_grad for name, parameter in bert.named_parameters()}
    with pytest.raises(ConfigError) as caught:
        get_peft_model(bert, LoraConfig(**options))
    assert cause in caught.value.cause
    assert step in caught.value.next_step
    assert {name: parameter.requires_grad for name, parameter in bert.named_parameters()} == state
    assert bert.__dict__["adapter_state"].configs == {}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"r": 0}, "r is 0"),
        ({"r": 2.5}, "r is 2.5"),
        ({"rank_pattern": {"query": 0}}, "rank_pattern"),
        ({"lora_dropout": 1.0}, "lora_dropout"),
        ({"bias": "lora"}, "Did you mean 'lora_only'"),
        ({"task_type": "SEQ_CLASS"}, "Did you mean 'SEQ_CLS'"),
        ({"target_modules": "query("}, "no regular expression"),
        ({"use_dora": True}, "use_dora: not built here"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
        ({"peft_type": "IA3"}, "IA3"),
    ],
)
def test_a_value_out_of_range_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        LoraConfig(**options)


def test_unknown_options_are_kept_with_a_note(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        config = LoraConfig(lora_alfa=3, use_dora=False, megatron_core="megatron.core")
    assert [record.getMessage() for record in caplog.records] == [
        "Unknown option 'lora_alfa' of an adapter: kept and written back, not used. Did you mean 'lora_alpha'?"
    ]
    assert LoraConfig.from_dict(config.to_dict()) == config
    assert config.to_dict()["lora_alfa"] == 3


def test_a_word_that_another_architecture_needs_is_noted(bert: samovar.Model, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        get_peft_model(bert, LoraConfig(target_modules=["query", "c_attn"]))
    assert "no linear layer's name ends with 'c_attn'" in caplog.text


def test_wrong_uses_are_explained(bert: samovar.Model) -> None:
    with pytest.raises(InputTypeError, match="A LoraConfig expected, got dict"):
        get_peft_model(bert, {"r": 8})
    with pytest.raises(InputTypeError, match="A model expected, got str"):
        get_peft_model("bert", LoraConfig())
    model = get_peft_model(bert, LoraConfig(**QUERY_VALUE))
    with pytest.raises(ConfigError, match="There is an adapter 'default' already"):
        model.add_adapter("default", LoraConfig(**QUERY_VALUE))
    with pytest.raises(ConfigError, match=r"cannot be called 'a\.b'"):
        model.add_adapter("a.b", LoraConfig(**QUERY_VALUE))
    with pytest.raises(ConfigError, match="by one adapter only"):
        model.add_adapter("biased", LoraConfig(bias="all", **QUERY_VALUE))
    with pytest.raises(ConfigError, match="Did you mean 'default'"):
        model.set_adapter("defualt")
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = model.no_such_thing


def test_a_merge_that_is_not_finite_is_refused_and_undone(bert: samovar.Model) -> None:
    model = get_peft_model(bert, LoraConfig(**QUERY_VALUE))
    weight = bert.backbone.layers[0].self_attn.q_proj.weight.clone()
    with torch.no_grad():
        for layer in bert.backbone.layers:
            layer.self_attn.q_proj.lora_B["default"].weight.fill_(1e-3)
        bert.backbone.layers[1].self_attn.q_proj.lora_B["default"].weight.fill_(float("inf"))
    with pytest.raises(NumericError, match="not finite"):
        model.merge_adapter(safe_merge=True)
    torch.testing.assert_close(bert.backbone.layers[0].self_attn.q_proj.weight, weight)
    assert bert.backbone.layers[1].self_attn.q_proj.weight.isfinite().all()
