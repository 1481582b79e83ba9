"""Steps after pooling: `Dense`, `LayerNorm`, `Normalize`, `Dropout`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import ConfigError
from samovar.sentence.module import Features, Module

# The activations that a checkpoint may name: a name is looked up here and never imported.
ACTIVATIONS: dict[str, type[nn.Module]] = {
    kind.__name__: kind
    for kind in (
        nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.SELU, nn.Softplus,
        nn.Hardtanh, nn.Mish, nn.ReLU6, nn.Softsign, nn.LogSigmoid, nn.CELU, nn.Hardswish, nn.Hardsigmoid,
    )
}  # fmt: skip


def activation_named(name: str) -> nn.Module:
    """`"torch.nn.modules.activation.Tanh"` → `Tanh()`. Raises `ConfigError` for what is no activation of torch."""
    root, _, last = name.rpartition(".")
    if last not in ACTIVATIONS or not (root == "" or root == "torch.nn" or root.startswith("torch.nn.modules.")):
        raise ConfigError(
            f"{name!r} is no activation that a checkpoint may name; none of its code is run.",
            f"Those that may: {', '.join(sorted(ACTIVATIONS))}.",
        )
    return ACTIVATIONS[last]()


class Dense(Module):
    """`sentence_embedding` (batch, in) → (batch, out): a linear layer and an activation."""

    type_name = "sentence_transformers.models.Dense"

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation_function: Callable[[Tensor], Tensor] | None = None,
        init_weight: Tensor | None = None,
        init_bias: Tensor | None = None,
        module_input_name: str = "sentence_embedding",
        module_output_name: str | None = None,
        use_residual: bool = False,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = in_features, out_features, bias
        self.activation_function = nn.Tanh() if activation_function is None else activation_function
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.module_input_name = module_input_name
        self.module_output_name = module_output_name or module_input_name
        self.use_residual = use_residual
        self.residual = (
            nn.Linear(in_features, out_features, bias=False) if use_residual and in_features != out_features else None
        )
        with torch.no_grad():
            if init_weight is not None:
                self.linear.weight.copy_(init_weight)
            if init_bias is not None:
                self.linear.bias.copy_(init_bias)

    def forward(self, features: Features) -> Features:
        """activation(x Wᵀ + b), plus x where the checkpoint has a residual."""
        given = features[self.module_input_name]
        made = self.activation_function(self.linear(given))
        if self.use_residual:
            made = made + (given if self.residual is None else self.residual(given))
        features[self.module_output_name] = made
        return features

    def get_sentence_embedding_dimension(self) -> int:
        """Size of the result."""
        return self.out_features

    def get_config_dict(self) -> dict[str, Any]:
        """With the activation's full name, as every version of the files has it."""
        kind = type(self.activation_function)
        config: dict[str, Any] = {"in_features": self.in_features, "out_features": self.out_features, "bias": self.bias}
        config["activation_function"] = f"{kind.__module__}.{kind.__name__}"
        if self.module_input_name != "sentence_embedding" or self.module_output_name != "sentence_embedding":
            config |= {"module_input_name": self.module_input_name, "module_output_name": self.module_output_name}
        return config | ({"use_residual": True} if self.use_residual else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The activation's name is looked up among those of torch."""
        known = ("in_features", "out_features", "bias", "module_input_name", "module_output_name", "use_residual")
        activation = activation_named(config.get("activation_function") or "torch.nn.modules.activation.Tanh")
        return cls(**{key: config[key] for key in known if key in config}, activation_function=activation)


class LayerNorm(Module):
    """`sentence_embedding` with mean 0 and variance 1 over its features, scaled and shifted."""

    type_name = "sentence_transformers.models.LayerNorm"
    config_keys = ("dimension",)

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension
        self.norm = nn.LayerNorm(dimension)

    def forward(self, features: Features) -> Features:
        """(batch, dim) → the same shape."""
        features["sentence_embedding"] = self.norm(features["sentence_embedding"])
        return features

    def get_sentence_embedding_dimension(self) -> int:
        """Size of the result."""
        return self.dimension


class Normalize(Module):
    """`sentence_embedding` at length 1."""

    type_name = "sentence_transformers.models.Normalize"

    def __init__(self, module_input_name: str = "sentence_embedding", module_output_name: str | None = None) -> None:
        super().__init__()
        self.module_input_name = module_input_name
        self.module_output_name = module_output_name or module_input_name

    def forward(self, features: Features) -> Features:
        """x / ‖x‖₂ over the last dimension."""
        features[self.module_output_name] = F.normalize(features[self.module_input_name], p=2, dim=-1)
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """Empty unless it works on another key."""
        if self.module_input_name == self.module_output_name == "sentence_embedding":
            return {}
        return {"module_input_name": self.module_input_name, "module_output_name": self.module_output_name}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The keys that it reads and writes."""
        return cls(config.get("module_input_name", "sentence_embedding"), config.get("module_output_name"))


class Dropout(Module):
    """Zeroes features at random in training."""

    type_name = "sentence_transformers.models.Dropout"
    config_keys = ("dropout",)

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.dropout = dropout
        self.dropout_layer = nn.Dropout(dropout)

    def forward(self, features: Features) -> Features:
        """(batch, dim) → the same shape."""
        features["sentence_embedding"] = self.dropout_layer(features["sentence_embedding"])
        return features
