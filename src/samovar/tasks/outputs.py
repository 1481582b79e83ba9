"""Output types: mappings that also allow attribute and index access and leave out what is `None`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from torch import Tensor
from torch.utils import _pytree as pytree

from samovar.nn.cache import Cache


class Output(dict[str, Any]):
    """A model's output: `out.logits`, `out["logits"]` and `out[0]` are the same tensor.

    Subclasses declare their fields as annotations. A field that is `None` is no key and does not count for index
    access, but still reads as `None` by attribute.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Registered with pytree so that `torch.export`, `torch.compile` and `torch.func` see through it.
        pytree.register_pytree_node(
            cls,
            lambda output: (list(output.values()), list(output.keys())),
            lambda values, keys: cls(**dict(zip(keys, values, strict=True))),
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
        )

    def __init__(self, mapping: Mapping[str, Any] | None = None, /, **values: Any) -> None:
        given = values if mapping is None else {**mapping, **values}
        super().__init__((name, value) for name, value in given.items() if value is not None)

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return dict.__getitem__(self, name)
        if any(name in base.__dict__.get("__annotations__", ()) for base in type(self).__mro__):
            return None
        raise AttributeError(f"{type(self).__name__} has no field {name!r}; it holds {', '.join(self)}.")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __getitem__(self, key: Any) -> Any:
        return dict.__getitem__(self, key) if isinstance(key, str) else self.to_tuple()[key]

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self), dict(self))

    def to_tuple(self) -> tuple[Any, ...]:
        """The values that are present, in order."""
        return tuple(self.values())

    def copy(self) -> Self:
        """A shallow copy of the same type."""
        return type(self)(**self)


def rebuild(kind: type[Output], values: dict[str, Any]) -> Output:
    """An output from its values; what unpickling calls."""
    return kind(**values)


Layers = tuple[Tensor, ...] | None


class BaseModelOutput(Output):
    """Of a backbone: `last_hidden_state` (batch, sequence, hidden) or (batch, channels, height, width)."""

    last_hidden_state: Tensor
    past_key_values: Cache | None
    pooler_output: Tensor | None
    hidden_states: Layers
    attentions: Layers
    cross_attentions: Layers


class MemoryModelOutput(Output):
    """Of a backbone with a memory: `mems` are the states before each block, (length, batch, hidden)."""

    last_hidden_state: Tensor
    mems: Layers
    hidden_states: Layers
    attentions: Any


class MemoryOutput(Output):
    """Of a model with a memory and a head: the logits that its task has, and `mems` (length, batch, hidden)."""

    loss: Tensor | None
    logits: Tensor | None
    start_logits: Tensor | None
    end_logits: Tensor | None
    start_top_log_probs: Tensor | None
    start_top_index: Tensor | None
    end_top_log_probs: Tensor | None
    end_top_index: Tensor | None
    cls_logits: Tensor | None
    mems: Layers
    hidden_states: Layers
    attentions: Any


class TableQuestionAnsweringOutput(Output):
    """`logits` (batch, sequence) of each token's cell, `logits_aggregation` (batch, operations)."""

    loss: Tensor | None
    logits: Tensor
    logits_aggregation: Tensor | None
    hidden_states: Layers
    attentions: Layers


class Seq2SeqModelOutput(Output):
    """Of an encoder–decoder backbone: `last_hidden_state` (batch, target, hidden) is the decoder's."""

    last_hidden_state: Tensor
    past_key_values: Cache | None
    decoder_hidden_states: Layers
    decoder_attentions: Layers
    cross_attentions: Layers
    encoder_last_hidden_state: Tensor
    encoder_hidden_states: Layers
    encoder_attentions: Layers


class Seq2SeqLMOutput(Output):
    """Of an encoder–decoder with its head: `logits` (batch, target, vocabulary)."""

    loss: Tensor | None
    logits: Tensor
    past_key_values: Cache | None
    decoder_hidden_states: Layers
    decoder_attentions: Layers
    cross_attentions: Layers
    encoder_last_hidden_state: Tensor
    encoder_hidden_states: Layers
    encoder_attentions: Layers


class Seq2SeqSequenceClassifierOutput(Output):
    """`logits` (batch, labels)."""

    loss: Tensor | None
    logits: Tensor
    past_key_values: Cache | None
    decoder_hidden_states: Layers
    decoder_attentions: Layers
    cross_attentions: Layers
    encoder_last_hidden_state: Tensor
    encoder_hidden_states: Layers
    encoder_attentions: Layers


class Seq2SeqQuestionAnsweringOutput(Output):
    """`start_logits` and `end_logits` (batch, sequence)."""

    loss: Tensor | None
    start_logits: Tensor
    end_logits: Tensor
    past_key_values: Cache | None
    decoder_hidden_states: Layers
    decoder_attentions: Layers
    cross_attentions: Layers
    encoder_last_hidden_state: Tensor
    encoder_hidden_states: Layers
    encoder_attentions: Layers


class TaskOutput(Output):
    """Of a model with a head; `loss` is there when labels were given."""

    loss: Tensor | None
    logits: Tensor
    hidden_states: Layers
    attentions: Layers


class SequenceClassifierOutput(TaskOutput):
    """`logits` (batch, labels)."""


class TokenClassifierOutput(TaskOutput):
    """`logits` (batch, sequence, labels)."""


class MaskedLMOutput(TaskOutput):
    """`logits` (batch, sequence, vocabulary)."""


class CausalLMOutput(Output):
    """`logits` (batch, sequence, vocabulary); position t predicts token t + 1."""

    loss: Tensor | None
    logits: Tensor
    past_key_values: Cache | None
    hidden_states: Layers
    attentions: Layers


class DoubleHeadsOutput(Output):
    """`logits` (batch, choices, sequence, vocabulary) and `mc_logits` (batch, choices), with a loss each."""

    loss: Tensor | None
    mc_loss: Tensor | None
    logits: Tensor
    mc_logits: Tensor
    past_key_values: Cache | None
    hidden_states: Layers
    attentions: Layers


class MoeModelOutput(Output):
    """Of a backbone with experts; `router_logits` (tokens, experts) of each block."""

    last_hidden_state: Tensor
    past_key_values: Cache | None
    hidden_states: Layers
    attentions: Layers
    router_logits: Layers


class MoeCausalLMOutput(Output):
    """`logits` (batch, sequence, vocabulary); `aux_loss` says how unevenly experts are used."""

    loss: Tensor | None
    aux_loss: Tensor | None
    logits: Tensor
    past_key_values: Cache | None
    hidden_states: Layers
    attentions: Layers
    router_logits: Layers


class MultipleChoiceModelOutput(TaskOutput):
    """`logits` (batch, choices)."""


class NextSentencePredictorOutput(TaskOutput):
    """`logits` (batch, 2): index 0 says that the second text follows the first."""


class ImageClassifierOutput(TaskOutput):
    """`logits` (batch, labels)."""


class DistilledImageClassifierOutput(Output):
    """`logits` (batch, labels): the mean of `cls_logits` and `distillation_logits`."""

    logits: Tensor
    cls_logits: Tensor
    distillation_logits: Tensor
    hidden_states: Layers
    attentions: Layers


class QuestionAnsweringModelOutput(Output):
    """`start_logits` and `end_logits` (batch, sequence)."""

    loss: Tensor | None
    start_logits: Tensor
    end_logits: Tensor
    hidden_states: Layers
    attentions: Layers


class PreTrainingOutput(Output):
    """`prediction_logits` (batch, sequence, vocabulary) and a second objective's logits (batch, 2)."""

    loss: Tensor | None
    prediction_logits: Tensor
    seq_relationship_logits: Tensor | None
    sop_logits: Tensor | None
    hidden_states: Layers
    attentions: Layers
