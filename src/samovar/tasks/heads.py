"""Heads: what stands on a backbone for a task. Each takes the configuration and maps a backbone's output to logits.

`pooled` says that a head reads `pooler_output`, so that the backbone is built with its pooler. The last linear layer
of a classifier is always called `classifier`: its number of rows is the number of labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from samovar.config import Config
from samovar.errors import ConfigError, InputError
from samovar.nn.activations import Activation, activation
from samovar.nn.norm import NormFactory, layer_norm
from samovar.tasks.outputs import BaseModelOutput


def head_dropout(config: Config) -> float:
    """The first of the usual keys that is set."""
    for name in ("classifier_dropout", "classifier_dropout_prob", "hidden_dropout_prob"):
        value = getattr(config, name, None)
        if value is not None:
            return value
    return 0.0


class Head(nn.Module):
    """Base of heads: `forward(output, input_ids) -> logits`.

    `masked` says that it reads which tokens are real, as `output["attention_mask"]`.
    """

    pooled: ClassVar[bool] = False
    masked: ClassVar[bool] = False


class PooledClassifier(Head):
    """`pooler_output` → dropout → linear; `hidden_dropout` takes the backbone's dropout instead of the classifier's."""

    pooled = True

    def __init__(self, config: Config, labels: int | None = None, hidden_dropout: bool = False) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.hidden_dropout_prob if hidden_dropout else head_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, config.num_labels if labels is None else labels)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.classifier(self.dropout(output.pooler_output))


class FirstTokenClassifier(Head):
    """First token's state → dropout → dense → activation → dropout → linear.

    `input_dropout` is the rate of the first dropout where it is not that of the second, False: none.
    """

    def __init__(
        self,
        config: Config,
        labels: int | None = None,
        act: str | Activation = "tanh",
        input_dropout: float | None = None,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        dropout = head_dropout(config) if dropout is None else dropout
        self.input_dropout = nn.Dropout(dropout if input_dropout is None else float(input_dropout))
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(act)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels if labels is None else labels)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        first = self.input_dropout(output.last_hidden_state[:, 0])
        return self.classifier(self.dropout(self.act(self.dense(first))))


class LastTokenClassifier(Head):
    """The state of the last token that is not padding → linear without bias; for models that read left to right.

    Where vectors are given in place of ids nothing says what is padding, so the last position is read.
    """

    def __init__(self, config: Config, labels: int | None = None, size: int | None = None) -> None:
        super().__init__()
        self.pad_token_id = config.pad_token_id
        count = config.num_labels if labels is None else labels
        self.classifier = nn.Linear(size or config.hidden_size, count, bias=False)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        states = output.last_hidden_state
        if self.pad_token_id is None or input_ids is None:
            if self.pad_token_id is None and states.shape[0] > 1 and not torch.compiler.is_compiling():
                raise InputError(
                    f"{states.shape[0]} sequences were given to a model without a padding token: "
                    "where each one ends is unknown.",
                    "Set `model.config.pad_token_id` (and `tokenizer.pad_token`), or give one sequence at a time.",
                )
            return self.classifier(states[:, -1])
        positions = torch.arange(states.shape[1], device=states.device)
        last = (positions * (input_ids != self.pad_token_id)).amax(-1)
        return self.classifier(states[torch.arange(states.shape[0], device=states.device), last])


class SummaryClassifier(Head):
    """One state per text, or their mean → dense → activation → dropout → linear.

    `config.summary_type` says which: "last" (or "cls_index", for which nothing else is given), "first" or "mean".
    """

    def __init__(self, config: Config, labels: int | None = None) -> None:
        super().__init__()
        kinds = ("last", "cls_index", "first", "mean")
        if config.summary_type not in kinds:
            raise ConfigError(f"Unknown summary_type {config.summary_type!r}.", f"Known: {', '.join(kinds)}.")
        self.kind = config.summary_type
        size = config.hidden_size
        self.dense = nn.Linear(size, size) if config.summary_use_proj else nn.Identity()
        self.act = activation(config.summary_activation) if config.summary_activation else nn.Identity()
        self.dropout = nn.Dropout(config.summary_last_dropout)
        self.classifier = nn.Linear(size, config.num_labels if labels is None else labels)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        states = output.last_hidden_state
        if self.kind == "mean":
            one = states.mean(1)
        else:
            one = states[:, 0 if self.kind == "first" else -1]
        return self.classifier(self.dropout(self.act(self.dense(one))))


class TokenClassifier(Head):
    """Every token's state → dropout → linear."""

    def __init__(self, config: Config, labels: int | None = None, dropout: float | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(head_dropout(config) if dropout is None else dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels if labels is None else labels)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.classifier(self.dropout(output.last_hidden_state))


class SpanClassifier(Head):
    """Every token's state → two scores: start and end of an answer (Devlin et al. 2019, section 4.2)."""

    def __init__(self, config: Config, dropout: float = 0.0, size: int | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(size or config.hidden_size, 2)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.classifier(self.dropout(output.last_hidden_state))


class ReplacedTokenHead(Head):
    """Every token's state → dense → activation → one score: was the token replaced? (Clark et al. 2020)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.act = activation(config.hidden_act)
        self.classifier = nn.Linear(config.hidden_size, 1)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.classifier(self.act(self.dense(output.last_hidden_state))).squeeze(-1)


class MaskedLMHead(Head):
    """Dense → activation → norm → `decoder`, a projection to the vocabulary that is tied to the word embedding.

    `size` is the width after the dense layer: the word embedding's.
    """

    def __init__(
        self,
        config: Config,
        act: str | Activation | None = None,
        norm: NormFactory | None = None,
        size: int | None = None,
        bias: bool = True,
        decoder_bias: bool = True,
    ) -> None:
        super().__init__()
        size = size or config.hidden_size
        self.dense = nn.Linear(config.hidden_size, size, bias=bias)
        self.act = activation(config.hidden_act if act is None else act)
        self.norm = (norm or layer_norm(config.layer_norm_eps))(size)
        self.decoder = nn.Linear(size, config.vocab_size, bias=decoder_bias)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.decoder(self.norm(self.act(self.dense(output.last_hidden_state))))


class DenseClassifier(Head):
    """Dense → activation → norm → dropout → linear, over every token or over one vector per text.

    `pooling` makes that vector: "cls" takes the first real token's state, "mean" the mean of those of real tokens.
    """

    masked = True

    def __init__(
        self,
        config: Config,
        act: str | Activation,
        norm: NormFactory,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        labels: int | None = None,
        pooling: str | None = None,
    ) -> None:
        super().__init__()
        if pooling not in (None, "cls", "mean"):
            raise ConfigError(f"Unknown pooling {pooling!r}.", "Known: cls, mean.")
        self.pooling = pooling
        self.dense = nn.Linear(config.hidden_size, config.hidden_size, bias=bias)
        self.act = activation(act)
        self.norm = norm(config.hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels if labels is None else labels)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        states, mask = output.last_hidden_state, output.get("attention_mask")
        if self.pooling == "cls":
            first = 0 if mask is None else mask.argmax(-1)
            states = states[torch.arange(states.shape[0], device=states.device), first]
        elif self.pooling == "mean":
            real = states.new_ones(states.shape[:2]) if mask is None else mask.to(states.dtype)
            states = (states * real[..., None]).sum(1) / real.sum(1, keepdim=True)
        return self.classifier(self.dropout(self.norm(self.act(self.dense(states)))))


class BiasedLMHead(MaskedLMHead):
    """A masked-language head whose checkpoints name its last bias twice: `bias`, and inside `decoder`.

    Tied, the two are one. In a file with `tie_word_embeddings=False` they are two, of which `decoder.bias` is added
    and `bias` is only kept, so that it can be written back.
    """

    def __init__(
        self,
        config: Config,
        act: str | Activation | None = None,
        norm: NormFactory | None = None,
        size: int | None = None,
    ) -> None:
        super().__init__(config, act, norm, size)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))


class LMHead(Head):
    """A projection to the vocabulary, without bias unless `bias`, tied to the word embedding.

    `final_logit_softcapping` of a configuration keeps the logits within ± that number (Gemma 2, 2024); `size` is the
    width of the states and `words` the number of tokens, where they are not the configuration's.
    """

    def __init__(self, config: Config, size: int | None = None, words: int | None = None, bias: bool = False) -> None:
        super().__init__()
        self.decoder = nn.Linear(size or config.hidden_size, words or config.vocab_size, bias=bias)
        self.softcap = getattr(config, "final_logit_softcapping", None)

    def offsets(self) -> Tensor | None:
        """Numbers (words) that are added to the logits behind the projection, where there are any."""
        return None

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        logits = self.decoder(output.last_hidden_state)
        return logits if self.softcap is None else (logits / self.softcap).tanh() * self.softcap


class PairHead(Head):
    """`pooler_output` → linear to two classes: does the second text follow, or are the two in order?"""

    pooled = True

    def __init__(self, config: Config, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.classifier(self.dropout(output.pooler_output))


class PreTrainingHead(Head):
    """A masked-language head (`lm`) and a head on the pair of texts (`pair`), side by side."""

    pooled = True

    def __init__(self, config: Config, lm: Head | None = None, pair: Head | None = None) -> None:
        super().__init__()
        self.lm = lm or BiasedLMHead(config)
        self.pair = pair or PairHead(config)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.lm(output), self.pair(output)


def first_token(output: BaseModelOutput) -> Tensor:
    """The class token (batch, hidden)."""
    return output.last_hidden_state[:, 0]


def first_token_and_mean(output: BaseModelOutput) -> Tensor:
    """The class token beside the mean of the patches (batch, 2 · hidden)."""
    states = output.last_hidden_state
    return torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)


def pooled_features(output: BaseModelOutput) -> Tensor:
    """`pooler_output` as one row per image (batch, width)."""
    return output["pooler_output"].flatten(1)


class ImageClassifier(Head):
    """One vector per image → linear; `read` takes the vector, `features` wide, from the backbone's output.

    Without labels (`num_labels=0`) the vector itself is the output.
    """

    def __init__(
        self,
        config: Config,
        features: int | None = None,
        read: Callable[[BaseModelOutput], Tensor] = first_token,
    ) -> None:
        super().__init__()
        self.read = read
        self.classifier = image_classifier(config, features)

    def forward(self, output: BaseModelOutput, input_ids: Tensor | None = None) -> Tensor:
        return self.classifier(self.read(output))


def image_classifier(config: Config, features: int | None = None) -> nn.Module:
    """The last layer of a head for images: linear, or nothing where there are no labels."""
    width = config.hidden_size if features is None else features
    return nn.Linear(width, config.num_labels) if config.num_labels else nn.Identity()
