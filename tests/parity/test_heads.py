"""Every head that the reference has for a text architecture is there, and its auto classes find the same ones."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from cases import CASES, SEQUENCES
from harness import assert_same_file
from transformers.models.auto import auto_factory, modeling_auto

import samovar
from samovar.errors import ConfigError, TaskError
from samovar.registry import ARCHITECTURES

TEXT = sorted(set(ARCHITECTURES) - {case.model_type for case in CASES if case.vision})
# Bases of the reference's classes, which hold no head; and Gemma 3 with images, an architecture of its own.
BASES = ("PreTrainedModel", "PretrainedModel", "PretrainedBartModel")
WITH_IMAGES = {"Gemma3Model", "Gemma3ForConditionalGeneration", "Gemma3ForSequenceClassification"}
# Classes that another family's module declares, over any backbone.
FOREIGN = {"JevForDecision"}


def mappings() -> dict[str, dict[str, Any]]:
    """The reference's auto classes for models, each with its table: model type → names."""
    found = {}
    for name in dir(modeling_auto):
        table = getattr(getattr(modeling_auto, name), "_model_mapping", None)
        if name.startswith("AutoModel") and isinstance(table, auto_factory._LazyAutoMapping):
            found[name] = dict(table._model_mapping)
    return found


def first(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else names[0]


@pytest.mark.parametrize("model_type", TEXT)
def test_auto_classes_find_what_the_references_find(model_type: str) -> None:
    wanted = {auto: first(table[model_type]) for auto, table in mappings().items() if model_type in table}
    assert wanted or model_type == "encoder-decoder"
    for auto, name in wanted.items():
        if name not in FOREIGN:
            assert getattr(samovar, auto).class_for(model_type).__name__ == name, auto


@pytest.mark.parametrize("model_type", TEXT)
def test_every_class_of_the_references_module_is_public(model_type: str) -> None:
    module = importlib.import_module(
        transformers.CONFIG_MAPPING[model_type].__module__.replace("configuration", "modeling")
    )
    names = {
        name
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
        and issubclass(getattr(module, name), transformers.PreTrainedModel)
        and not name.endswith(BASES)
    }
    missing = {name for name in names - WITH_IMAGES if not hasattr(samovar, name)}
    assert names
    assert not missing


def test_a_task_that_an_architecture_lacks_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(TaskError, match=r"'marian' has no model for masked-lm[\s\S]*seq2seq-lm"):
        samovar.AutoModelForMaskedLM.class_for("marian")


@pytest.mark.parametrize("model_type", ["t5", "mt5"])
def test_the_encoder_alone_is_found(model_type: str, tmp_path: Path) -> None:
    config = transformers.AutoConfig.for_model(model_type, **SEQUENCES[model_type][1])
    theirs = transformers.AutoModelForTextEncoding.from_config(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    ours = samovar.AutoModelForTextEncoding.from_pretrained(tmp_path / "theirs")
    assert type(ours).__name__ == type(theirs).__name__
    ids = torch.arange(3, 15).reshape(2, 6)
    torch.testing.assert_close(ours(ids)[0], theirs(ids)[0], atol=1e-5, rtol=1e-5)
    ours.save_pretrained(tmp_path / "ours")
    again = type(theirs).from_pretrained(tmp_path / "ours").eval()
    assert torch.equal(again(ids)[0], theirs(ids)[0])


def double(folder: Path, **settings: Any) -> tuple[Any, Any]:
    """The reference's GPT-2 with two heads, and ours of its files."""
    torch.manual_seed(0)
    sizes = next(case.sizes for case in CASES if case.model_type == "gpt2")
    theirs = transformers.GPT2DoubleHeadsModel(transformers.GPT2Config(**sizes | settings)).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.15 + (parameter == 1))
    theirs.tie_weights()
    theirs.save_pretrained(folder)
    return theirs, samovar.GPT2DoubleHeadsModel.from_pretrained(folder)


@pytest.mark.parametrize(
    "settings",
    [{}, {"summary_activation": "tanh"}, {"summary_type": "first"}, {"summary_type": "last"}],
    ids=str,
)
def test_gpt2_with_two_heads(settings: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = double(tmp_path / "theirs", **settings)
    ids = torch.randint(5, 90, (2, 3, 9), generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(9) < torch.tensor([[9, 6, 7], [8, 9, 5]])[..., None]).long()
    labels = ids.masked_fill(mask == 0, -100)
    given = {"input_ids": ids, "attention_mask": mask, "labels": labels, "mc_labels": torch.tensor([1, 2])}
    # "first" and "last" take the choices of one question in the reference: its states have one dimension less.
    if settings.get("summary_type") in ("first", "last"):
        given = {name: one[:, 0] if one.ndim > 1 else one for name, one in given.items() if name != "mc_labels"}
    else:
        given["mc_token_ids"] = mask.sum(-1) - 1
    wanted, found = theirs(**given), ours(**given)
    assert [key for key in found if key != "past_key_values"] == [key for key in wanted if key != "past_key_values"]
    for key in ("loss", "mc_loss", "mc_logits"):
        if key in wanted:
            torch.testing.assert_close(found[key], wanted[key], atol=2e-5, rtol=1e-5)
    real = given["attention_mask"].bool()
    torch.testing.assert_close(found.logits[real], wanted.logits[real], atol=2e-5, rtol=1e-5)
    for model, out in ((theirs, wanted), (ours, found)):
        (out.loss + (out.mc_loss if "mc_loss" in out else 0)).backward()
        model.requires_grad_(False)
    words = theirs.get_input_embeddings().weight.grad
    torch.testing.assert_close(ours.get_input_embeddings().weight.grad, words, atol=2e-5, rtol=1e-4)
    ours.save_pretrained(tmp_path / "ours")
    assert_same_file(tmp_path / "theirs", tmp_path / "ours")
    options: dict[str, Any] = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None}
    assert torch.equal(ours.generate(ids[0], **options), theirs.generate(ids[0], **options))


def test_gpt2_with_two_heads_without_places_reads_the_last_token(tmp_path: Path) -> None:
    theirs, ours = double(tmp_path)
    ids = torch.randint(5, 90, (2, 3, 9), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours(ids).mc_logits, theirs(ids).mc_logits, atol=2e-5, rtol=1e-5)
    states = ours.get_input_embeddings()(ids)
    torch.testing.assert_close(ours(inputs_embeds=states).logits, ours(ids).logits)
    for wrong, message in (
        ({"summary_type": "attn"}, "Unknown summary_type 'attn'"),
        ({"summary_use_proj": False}, "no score"),
    ):
        with pytest.raises(ConfigError, match=message):
            samovar.GPT2DoubleHeadsModel(samovar.GPT2Config(n_embd=8, n_layer=1, n_head=1, **wrong))
