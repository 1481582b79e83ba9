"""The parity harness: the reference library builds a random tiny model, both load the same folder, all numbers agree.

A case names an architecture and its tiny sizes; the heads come from the reference's own tables, so that a head that
the reference has and this library lacks fails its test.
"""

from __future__ import annotations

import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor
from transformers.models.auto import modeling_auto

import samovar

TOLERANCE = 1e-4
"""Largest difference allowed in float32."""

CONVOLUTIONAL = ("resnet", "convnext")

HEADS = {
    "AutoModel": "MODEL_MAPPING_NAMES",
    "AutoModelForCausalLM": "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "AutoModelForImageClassification": "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    "AutoModelForMaskedLM": "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "AutoModelForMultipleChoice": "MODEL_FOR_MULTIPLE_CHOICE_MAPPING_NAMES",
    "AutoModelForNextSentencePrediction": "MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING_NAMES",
    "AutoModelForPreTraining": "MODEL_FOR_PRETRAINING_MAPPING_NAMES",
    "AutoModelForQuestionAnswering": "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
    "AutoModelForSequenceClassification": "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "AutoModelForTableQuestionAnswering": "MODEL_FOR_TABLE_QUESTION_ANSWERING_MAPPING_NAMES",
    "AutoModelForTokenClassification": "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
}


@dataclass(frozen=True)
class Case:
    """An architecture at toy size; `sizes` are keys of its configuration."""

    model_type: str
    sizes: dict[str, Any] = field(default_factory=dict)
    vision: bool = False
    types: bool = False
    tables: bool = False
    """Tokens have seven numbers, which say where in a table they stand."""
    separators: bool = False
    """Texts are a question, two separators, a passage and a separator."""

    def heads(self) -> list[str]:
        """The auto classes that the reference has for this architecture."""
        return [auto for auto, table in HEADS.items() if self.model_type in getattr(modeling_auto, table)]


def first_name(names: str | tuple[str, ...]) -> str:
    """The reference lists some classes in pairs; the first is the one that it loads."""
    return names if isinstance(names, str) else names[0]


def reference_model(case: Case, auto: str) -> Any:
    """A random tiny model whose every weight matters: norms, biases and running statistics are random too."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(case.model_type, **case.sizes)
    config.num_labels = 2 if "QuestionAnswering" in auto or "PreTraining" in auto else 3
    name = first_name(getattr(modeling_auto, HEADS[auto])[case.model_type])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = getattr(transformers, name)
        options = {} if case.model_type in CONVOLUTIONAL else {"attn_implementation": "eager"}
        model = kind._from_config(config, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.1 if parameter.ndim > 1 else 0.2) + (parameter == 1))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    model.tie_weights()
    return model


def text_inputs(case: Case, auto: str, lengths: list[int], mask: bool) -> dict[str, Tensor]:
    """Ids, with padding behind them where texts are shorter than the longest."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 90, (len(lengths), max(lengths)), generator=generator)
    real = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    pad = transformers.AutoConfig.for_model(case.model_type, **case.sizes).pad_token_id or 0
    if case.separators:
        ids[:, 2:4] = 2
        ids[torch.arange(len(lengths)), torch.tensor(lengths) - 1] = 2
    inputs = {"input_ids": torch.where(real, ids, pad)}
    if mask:
        inputs["attention_mask"] = real.long()
    if case.types:
        inputs["token_type_ids"] = (torch.arange(max(lengths))[None] > 3).long().expand(len(lengths), -1).contiguous()
    if case.tables:
        inputs["token_type_ids"] = table_types(*ids.shape)
    if "MultipleChoice" in auto:
        inputs = {name: torch.stack([tensor, tensor.flip(0)], 1) for name, tensor in inputs.items()}
    return inputs


def table_types(rows: int, length: int) -> Tensor:
    """A question of three tokens, then a table of two columns whose cells have one token or two."""
    place = (torch.arange(length) - 3).clamp(min=-1)
    column = torch.where(place < 0, 0, place // 2 % 2 + 1)
    row = torch.where(place < 0, 0, place // 4)
    inside = (place >= 0).long()
    kinds = torch.stack(
        [inside, column, row, inside * (row == 1), row, inside * (2 - row).clamp(min=0), inside * row], dim=-1
    )
    return kinds.expand(rows, -1, -1).contiguous()


def inputs_for(case: Case, auto: str) -> dict[str, dict[str, Tensor]]:
    """Padded and unpadded, batch and single."""
    if case.vision:
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(3, 3, 32, 32, generator=generator)
        return {"batch": {"pixel_values": images}, "single": {"pixel_values": images[:1]}}
    return {
        "padded": text_inputs(case, auto, [11, 6, 9], mask=True),
        "unpadded": text_inputs(case, auto, [11, 11], mask=False),
        "single": text_inputs(case, auto, [7], mask=True),
    }


def labels_for(case: Case, auto: str, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Labels of the kind that the head learns from."""
    first = next(iter(inputs.values()))
    rows = torch.arange(first.shape[0])
    if "TableQuestion" in auto:
        labels = (inputs["token_type_ids"][..., 1] == 2) & (inputs["token_type_ids"][..., 2] == 1)
        return {"labels": labels.long(), "aggregation_labels": rows % 3}
    if "QuestionAnswering" in auto:
        return {"start_positions": rows % 4, "end_positions": rows % 4 + 2}
    if "SequenceClassification" in auto or "ImageClassification" in auto:
        return {"labels": rows % 3}
    if "MultipleChoice" in auto or "NextSentence" in auto:
        return {"labels": rows % 2}
    tokens = first % 3 if "TokenClassification" in auto else first.clone()
    if "PreTraining" in auto and case.model_type == "electra":
        tokens = first % 2
    labels = {"labels": tokens}
    if "PreTraining" in auto and case.model_type == "bert":
        labels["next_sentence_label"] = rows % 2
    if "PreTraining" in auto and case.model_type == "albert":
        labels["sentence_order_label"] = rows % 2
    return labels


def assert_close(name: str, ours: Any, theirs: Any, mask: Tensor | None) -> None:
    """Equal within the tolerance, on real tokens where there is padding."""
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs), f"{name}: {len(ours)} instead of {len(theirs)}"
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_close(f"{name}[{index}]", mine, other, mask)
        return
    assert ours.shape == theirs.shape, name
    apart = difference(ours, theirs, mask)
    assert apart.isfinite().all(), f"{name} is not finite"
    assert apart.max() <= TOLERANCE, f"{name} differs by {apart.max():.2e}"


def difference(ours: Tensor, theirs: Tensor, mask: Tensor | None) -> Tensor:
    """How far two tensors are apart, on real tokens where there is padding."""
    apart = (ours - theirs).abs()
    if mask is not None:
        real = mask.flatten(0, -2).bool()
        if apart.ndim >= 2 and apart.shape[:2] == real.shape:
            return apart[real]
        if apart.ndim == 4 and apart.shape[2] == real.shape[1]:
            return apart.transpose(1, 2)[real]
    return apart


def assert_same_outputs(case: Case, ours: Any, reference: Any, inputs: dict[str, Tensor], **options: Any) -> None:
    """The same keys in the same order, and the same numbers, loss included."""
    with torch.no_grad():
        mine, theirs = ours(**inputs, **options), reference(**inputs, **options)
    # Caches are compared where text is generated; without an encoder the reference lists empty cross-attentions.
    keys = [key for key, value in theirs.items() if key != "past_key_values" and value != ()]
    assert [key for key in mine if key != "past_key_values"] == keys
    for key in keys:
        if key == "global_attentions":
            # The reference pads texts to whole windows and leaves that padding here alone; where a text has fewer
            # global tokens than its batch, one number stands in all places.
            cut = (each[:, :, : mine[key][0].shape[2]] for each in theirs[key])
            theirs[key] = tuple(torch.where(each.amax(2, True) == each.amin(2, True), 0, each) for each in cut)
        assert_close(key, mine[key], theirs[key], inputs.get("attention_mask"))
    assert len(mine.to_tuple()) == len(mine)


def assert_same_file(left: Path, right: Path) -> None:
    """The same names, shapes, types and values in two checkpoints."""
    one, other = load_file(left / "model.safetensors"), load_file(right / "model.safetensors")
    assert set(one) == set(other)
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        assert torch.equal(tensor, other[name]), name


def check(case: Case, auto: str, folder: Path) -> None:
    """All of the above for one architecture and one head."""
    reference = reference_model(case, auto)
    reference.save_pretrained(folder / "reference")
    ours, report = getattr(samovar, auto).from_pretrained(folder / "reference", output_loading_info=True)
    assert type(ours).__name__ == type(reference).__name__
    assert not any(report.values()), report
    for inputs in inputs_for(case, auto).values():
        assert_same_outputs(case, ours, reference, inputs, output_hidden_states=True)
        if case.model_type not in CONVOLUTIONAL:
            assert_same_outputs(case, ours, reference, inputs, output_attentions=True)
        if auto != "AutoModel":
            assert_same_outputs(case, ours, reference, {**inputs, **labels_for(case, auto, inputs)})
    ours.save_pretrained(folder / "ours")
    assert_same_file(folder / "reference", folder / "ours")
    again = type(reference).from_pretrained(folder / "ours").eval()
    for key, value in reference.config.to_dict().items():
        if key not in ("_name_or_path", "transformers_version", "dtype", "architectures", "problem_type"):
            assert again.config.to_dict()[key] == value, key
    assert again.config.architectures == [type(reference).__name__]
    assert pickle.loads(pickle.dumps(ours)).config == ours.config
    scratch = type(ours)(ours.config)
    scratch.save_pretrained(folder / "scratch")
    fresh, known = load_file(folder / "scratch/model.safetensors"), load_file(folder / "reference/model.safetensors")
    assert {name: t.shape for name, t in fresh.items()} == {name: t.shape for name, t in known.items()}
    assert all(tensor.isfinite().all() for tensor in fresh.values())


def check_names(case: Case, auto: str, folder: Path) -> None:
    """The name table is a bijection on the reference's real keys, and its operations give every bit back."""
    reference_model(case, auto).save_pretrained(folder)
    model = getattr(samovar, auto).from_pretrained(folder)
    table, seen = model.name_table(model.config), set()
    for key, tensor in load_file(folder / "model.safetensors").items():
        names, operation = table.to_ours(key)
        assert names
        assert not seen & set(names)
        seen |= set(names)
        for name in names:
            assert table.to_checkpoint(name) == (key, names, operation)
        if operation is not None:
            assert torch.equal(operation.save(operation.load(tensor)), tensor)
    assert seen == set(model.state_dict()) - set(model.tied)
