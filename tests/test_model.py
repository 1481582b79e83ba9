"""What every model can do: outputs, vocabulary, losses, errors, and being an ordinary module."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import samovar
from samovar import AutoConfig, AutoModel
from samovar.errors import ConfigError, InputError, TaskError
from samovar.nn.attention import Attention
from samovar.tasks.outputs import BaseModelOutput, TaskOutput

SIZES = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
SIZES |= {"intermediate_size": 37, "max_position_embeddings": 40}


def classifier(**changes: object) -> samovar.BertForSequenceClassification:
    torch.manual_seed(0)
    return samovar.BertForSequenceClassification(samovar.BertConfig(**{**SIZES, **changes})).eval()


def ids(rows: int = 2, length: int = 7) -> torch.Tensor:
    return torch.randint(5, 90, (rows, length), generator=torch.Generator().manual_seed(3))


def test_outputs_read_by_attribute_key_and_index() -> None:
    output = classifier()(ids(), output_hidden_states=True)
    assert output.logits is output["logits"] is output[0]
    assert output[1] is output.hidden_states
    assert output[:1] == (output.logits,)
    assert output.loss is None
    assert "loss" not in output
    assert list(output.keys()) == ["logits", "hidden_states"]
    with pytest.raises(AttributeError, match="logits, hidden_states"):
        _ = output.nothing
    assert isinstance(pickle.loads(pickle.dumps(output)), TaskOutput)
    assert isinstance(classifier()(ids(), return_dict=False), tuple)
    assert isinstance(classifier().base_model(ids()), BaseModelOutput)


def test_losses_follow_the_problem() -> None:
    x = ids(4)
    model = classifier(num_labels=3)
    logits = model(x).logits
    labels = torch.tensor([0, 2, 1, 1])
    torch.testing.assert_close(model(x, labels=labels).loss, F.cross_entropy(logits, labels))
    assert model.config.problem_type == "single_label_classification"
    several = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
    model = classifier(num_labels=3)
    torch.testing.assert_close(
        model(x, labels=several).loss, F.binary_cross_entropy_with_logits(model(x).logits, several)
    )
    model = classifier(num_labels=1)
    values = torch.tensor([0.1, 0.5, -1.0, 2.0])
    torch.testing.assert_close(model(x, labels=values).loss, F.mse_loss(model(x).logits[:, 0], values))
    with pytest.raises(ConfigError, match="guessing"):
        classifier(problem_type="guessing")(x, labels=labels)


def test_the_vocabulary_grows_with_what_is_tied_to_it() -> None:
    torch.manual_seed(0)
    model = samovar.BertForMaskedLM(samovar.BertConfig(**SIZES)).eval()
    before = model(ids()).logits
    embedding = model.resize_token_embeddings(105)
    assert embedding.num_embeddings == model.config.vocab_size == 105
    after = model(ids()).logits
    assert after.shape == (2, 7, 105)
    torch.testing.assert_close(after[..., :99], before)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    torch.testing.assert_close(embedding.weight[104], embedding.weight[:99].mean(0))
    model.resize_token_embeddings(50)
    assert model(ids() % 50).logits.shape[-1] == 50


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"input_ids": torch.tensor([[1, 99]])}, "the vocabulary ends at 98"),
        ({"input_ids": torch.ones(1, 41, dtype=torch.long)}, "41 tokens; this model has 40"),
        ({"input_ids": torch.ones(1, 3, dtype=torch.long), "token_type_ids": torch.full((1, 3), 2)}, "2 types"),
        ({}, "Exactly one of input_ids"),
    ],
)
def test_ids_outside_the_tables_are_explained(inputs: dict[str, torch.Tensor], words: str) -> None:
    with pytest.raises(InputError, match=words):
        classifier()(**inputs)


def test_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for enabled in (False, True):
        model = classifier().train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        if enabled:
            model.gradient_checkpointing_enable()
        model(ids(), labels=torch.tensor([0, 1])).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_it_is_an_ordinary_module() -> None:
    model = classifier()
    expected = model(ids()).logits
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.head.classifier.bias += 1
    assert torch.equal(model(ids()).logits, expected)
    assert torch.equal(pickle.loads(pickle.dumps(model))(ids()).logits, expected)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(ids()).logits, expected)
    seen: list[torch.Size] = []
    handle = model.bert.layers[0].register_forward_hook(lambda module, args, out: seen.append(out[0].shape))
    model(ids())
    handle.remove()
    assert seen == [(2, 7, 32)]
    assert model.half().dtype == torch.float16
    assert model.base_model is model.bert


def test_memory_and_counts_add_up() -> None:
    model = samovar.BertForMaskedLM(samovar.BertConfig(**SIZES))
    unique = {id(p): p.numel() for p in model.parameters()}
    assert model.num_parameters() == sum(unique.values())
    assert model.get_memory_footprint() == 4 * sum(unique.values())
    assert model.num_parameters(exclude_embeddings=True) == model.num_parameters() - (99 + 40 + 2) * 32


def test_new_models_repeat_under_a_seed() -> None:
    one, other = classifier().state_dict(), classifier().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert 0.015 < one["backbone.layers.0.mlp.up_proj.weight"].std() < 0.025


def test_a_task_that_an_architecture_lacks_names_those_it_has() -> None:
    with pytest.raises(TaskError, match="image-classification"):
        samovar.AutoModelForCausalLM.from_config(samovar.ViTConfig())
    with pytest.raises(TypeError, match="from_pretrained"):
        samovar.AutoModel()
    with pytest.raises(ConfigError, match="add_cross_attention"):
        samovar.BertModel(samovar.BertConfig(**SIZES, add_cross_attention=True))


def test_a_new_model_takes_a_type_and_an_attention_function() -> None:
    config = AutoConfig.for_model("bert", hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=20)
    model = AutoModel.from_config(config, dtype="bfloat16", attn_implementation="eager")
    assert model.dtype == torch.bfloat16
    assert {m.implementation for m in model.modules() if isinstance(m, Attention)} == {"eager"}
    with pytest.raises(ConfigError, match="A configuration expected, got dict"):
        AutoModel.from_config({})


def test_residual_branches_of_a_new_gpt2_start_smaller() -> None:
    config = AutoConfig.for_model("gpt2", n_embd=64, n_layer=8, n_head=2, vocab_size=50, initializer_range=0.1)
    model = samovar.GPT2LMHeadModel(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            expected = 0.1 / 4 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.1
            assert parameter.std().item() == pytest.approx(expected, rel=0.1)
