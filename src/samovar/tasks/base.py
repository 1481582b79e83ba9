"""A model for a task: a backbone, a head and a loss. A named class is one statement that names the three."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from samovar.config import Config
from samovar.errors import InputError
from samovar.model import Model
from samovar.nn.int8 import Int8Linear
from samovar.nn.transformer import Backbone, resized
from samovar.tasks.heads import BiasedLMHead, Head
from samovar.weights.names import Table, prefixed


class TaskModel(Model):
    """Base of models with a head.

    A named class gives its three parts as class arguments::

        class BertForMaskedLM(MaskedLM, backbone=BertModel, head=MaskedLMHead, weights=LM_WEIGHTS):
            "BERT that fills masks."

    `head` maps a configuration to a head; `weights` holds the names inside the head, where they differ from the
    checkpoint's; the backbone's names are put under its prefix, or under `prefix` where a checkpoint has another.
    `task` is the name under which the auto classes find the class.
    """

    task: ClassVar[str] = ""
    backbone_class: ClassVar[type[Backbone]]
    build_head: ClassVar[Callable[[Config], Head]]
    # Which rows of which parameter are the labels; None for heads whose size is no matter of labels.
    label_parameter: ClassVar[str | None] = None
    head_weights: ClassVar[Table] = {}

    def __init_subclass__(
        cls,
        backbone: type[Backbone] | None = None,
        head: Callable[[Config], Head] | None = None,
        weights: Table | None = None,
        auto: bool = True,
        prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if backbone is None:
            return
        cls.backbone_class = backbone
        cls.config_class = backbone.config_class
        cls.prefix = backbone.prefix if prefix is None else prefix
        cls.main_input_name = backbone.main_input_name
        if head is not None:
            cls.build_head = staticmethod(head)
        if weights is not None:
            cls.head_weights = weights
        cls.weights = {
            "": "head",
            **prefixed(cls.head_weights, "", "head"),
            cls.prefix: "backbone",
            **prefixed(backbone.weights, cls.prefix, "backbone"),
        }
        if auto:
            backbone.tasks[cls.task] = cls

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        head = type(self).build_head(config)
        # A pooler that the head does not read would be weights that the checkpoint does not have.
        self.backbone = self.backbone_class.for_head(config, pooled=head.pooled)
        self.head = head

    @property
    def base_model(self) -> Model:
        """The backbone."""
        return self.backbone

    def __getattr__(self, name: str) -> Any:
        # `model.bert`, `model.vit`: the backbone by its checkpoint prefix, as users of this field write.
        if name != "prefix" and name == type(self).prefix:
            return super().__getattr__("backbone")
        return super().__getattr__(name)

    @property
    def tied(self) -> Mapping[str, str]:
        """The projection to the vocabulary shares the word embedding, and its bias the one beside it."""
        if not self.config.tie_word_embeddings:
            return {}
        # In int8 a projection has numbers of its own.
        modules = self.named_modules()
        decoders = [name for name, one in modules if name.endswith("decoder") and not isinstance(one, Int8Linear)]
        return {f"{name}.weight": "backbone.embeddings.word.weight" for name in decoders} | self.stand_ins

    @property
    def stand_ins(self) -> dict[str, str]:
        """Files of older programs hold the projection's bias once even where it is not tied."""
        biased = [name for name, module in self.named_modules() if isinstance(module, BiasedLMHead)]
        return {f"{name}.decoder.bias": f"{name}.bias" for name in biased}

    def get_input_embeddings(self) -> nn.Module:
        """The backbone's."""
        return self.backbone.get_input_embeddings()

    def set_input_embeddings(self, embedding: nn.Module) -> None:
        """Replace the backbone's; a tied projection follows."""
        self.backbone.set_input_embeddings(embedding)  # type: ignore[operator]
        self.tie_weights()

    def get_output_embeddings(self) -> nn.Linear | Int8Linear | None:
        """The projection to the vocabulary, where the head has one."""
        named = self.named_modules()
        decoders = [one for name, one in named if name.endswith("decoder") and isinstance(one, nn.Linear | Int8Linear)]
        return decoders[0] if decoders else None

    def resize_token_embeddings(self, new_num_tokens: int | None = None) -> nn.Embedding:
        """Grow or cut the vocabulary, and with it the projection to the vocabulary."""
        embedding = self.backbone.resize_token_embeddings(new_num_tokens)  # type: ignore[operator]
        decoder = self.get_output_embeddings()
        if isinstance(decoder, Int8Linear):
            raise InputError("The vocabulary of an int8 model is fixed.", "Resize it first, then quantise.")
        if decoder is not None:
            count = embedding.num_embeddings
            decoder.weight = resized(decoder.weight, count)
            if decoder.bias is not None:
                decoder.bias = resized(decoder.bias, count)
            decoder.out_features = count
            for head in (module for module in self.modules() if isinstance(module, BiasedLMHead)):
                head.bias = resized(head.bias, count)
        self.tie_weights()
        return embedding

    def finish(self, kind: type[Any], loss: Tensor | None, backbone_output: Any, as_dict: bool, **logits: Any) -> Any:
        """The task's output type, or a tuple without what is absent."""
        output = kind(
            loss=loss, **logits, hidden_states=backbone_output.hidden_states, attentions=backbone_output.attentions
        )
        return output if as_dict else output.to_tuple()
