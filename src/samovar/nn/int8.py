"""Linear layers with int8 weights: a quarter of the bytes to read, so that writing one text is as much faster.

Each output channel has a scale, its largest weight by 127 (round to nearest, symmetric; Jacob et al. 2018 without zero
points). Activations stay as they are: a few rows go through products of their own (`nn.int8_product`) or, where these
cannot be compiled, through PyTorch's packed product of bfloat16 and int8; many rows through float weights that are made
for the call, as their product outweighs the making.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samovar.errors import ConfigError, InputError, did_you_mean
from samovar.nn.attention import Attention
from samovar.nn.compiled import recorded
from samovar.nn.int8_product import Int8Product
from samovar.nn.spans import put_side_by_side, spanned

KINDS = ("int8",)
# Up to so many rows the packed product is faster, measured on two cores; it takes them in parts of this size.
FEW_ROWS, PART = 64, 16
# Bytes on which the packed product wants weights to begin.
LINE = 64


class Int8Linear(nn.Module):
    """`x @ (weight · scale)ᵀ + bias`; `weight` int8 (outputs, inputs), `scale` (outputs)."""

    weight: Tensor
    scale: Tensor

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.in_features, self.out_features = inputs, outputs
        self.register_buffer("weight", torch.zeros(outputs, inputs, dtype=torch.int8))
        self.register_buffer("scale", torch.ones(outputs, dtype=torch.bfloat16))
        self.bias = nn.Parameter(torch.zeros(outputs), requires_grad=False) if bias else None

    @classmethod
    def of(cls, layer: nn.Linear) -> Int8Linear:
        """A float layer in int8. Raises `InputError` for weights that are not finite."""
        made = cls(layer.in_features, layer.out_features, layer.bias is not None).to(layer.weight.device)
        if layer.weight.is_meta:
            return made.to("meta")
        weight = layer.weight.detach().float()
        largest = weight.abs().amax(1)
        if not bool(largest.isfinite().all()):
            raise InputError("A weight is not a finite number, so it has no int8 value.", "Check the checkpoint.")
        # Rounded first and divided by afterwards, a scale in bfloat16 adds no error of its own.
        made.scale = (largest / 127).clamp(min=torch.finfo(torch.float32).tiny).bfloat16()
        whole = (weight / made.scale.float()[:, None]).round().clamp(-127, 127)
        made.weight = whole.to(torch.int8).contiguous()
        if layer.bias is not None:
            made.bias = nn.Parameter(layer.bias.detach().clone(), requires_grad=False)
        return made.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs), in the type of `x`."""
        flat = x.reshape(-1, self.in_features)
        # The products of few rows have no gradient, and are not seen by what records operations.
        plain = recorded() or (x.requires_grad and torch.is_grad_enabled())
        if not plain and x.device.type == "cpu" and flat.shape[0] <= FEW_ROWS:
            product = self.few_rows(flat)
        else:
            weight = self.weight.to(x.dtype) * self.scale.to(x.dtype)[:, None]
            product = F.linear(flat, weight, None if self.bias is None else self.bias.to(x.dtype))
        return product.view(*x.shape[:-1], self.out_features)

    def few_rows(self, x: Tensor) -> Tensor:
        """(rows, inputs) → (rows, outputs), in the type of `x`."""
        if type(x) is Tensor and Int8Product.fits(self.weight):
            return Int8Product(self.weight, self.scale, self.bias)(x.float()).to(x.dtype)
        scale = self.scale.bfloat16()
        parts = [torch._weight_int8pack_mm(part, self.weight, scale) for part in x.bfloat16().split(PART)]
        product = (parts[0] if len(parts) == 1 else torch.cat(parts)).to(x.dtype)
        return product if self.bias is None else product + self.bias.to(x.dtype)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def quantize(model: nn.Module, kind: str = "int8") -> nn.Module:
    """Put the weights of all linear layers into int8, in place; embeddings, norms and biases stay as they are.

    A projection that shares the words gets an int8 copy of them. The model can then no longer be trained, but for
    adapters around its layers. Raises `ConfigError` for an unknown kind, `InputError` for a model that is quantised.
    """
    check_kind(kind)
    if any(isinstance(module, Int8Linear) for module in model.modules()):
        raise InputError("The model is quantised already.", "Load it anew to quantise it in another way.")
    for owner, name, layer in list(linear_layers(model)):
        setattr(owner, name, Int8Linear.of(layer))
    join(model)
    config = getattr(model, "config", None)
    if config is not None:
        config.quantization_config = {"quant_method": "samovar", "kind": kind}
    return model


def lay_out(model: nn.Module) -> None:
    """Row by row and on whole vectors, as the packed product needs them: in a mapped file they begin at any byte."""
    for module in model.modules():
        if isinstance(module, Int8Linear):
            module.scale = module.scale.bfloat16()
            module.weight = module.weight.clone(memory_format=torch.contiguous_format)
    join(model)


def join(model: nn.Module) -> None:
    """Put projections of queries, keys and values one behind the other, so that one product serves the three."""
    for layers in joinable(model):
        if all(layer.weight.numel() % LINE == 0 for layer in layers):
            weights = put_side_by_side([layer.weight for layer in layers])
            for layer, weight in zip(layers, weights, strict=True):
                layer.weight = weight


def joinable(model: nn.Module) -> Iterator[list[Int8Linear]]:
    """The three projections of each attention, where all are int8."""
    for module in model.modules():
        if isinstance(module, Attention) and type(module).project is Attention.project:
            layers = [module.q_proj, module.k_proj, module.v_proj]
            alike = len({layer.bias is None for layer in layers}) == 1
            if alike and all(isinstance(layer, Int8Linear) and not layer.weight.is_meta for layer in layers):
                yield layers  # type: ignore[misc]


class Int8Row:
    """In place of an int8 layer, or of an attention's three by one product, while one text is written."""

    def __init__(self, layers: Sequence[Int8Linear]) -> None:
        self.layers = layers
        self.inputs, self.outputs = layers[0].in_features, sum(layer.out_features for layer in layers)
        self.weight = spanned([layer.weight for layer in layers])
        self.scale = torch.cat([layer.scale for layer in layers]).bfloat16()
        biases = [layer.bias.detach().float() for layer in layers if layer.bias is not None]
        self.bias = torch.cat(biases) if biases else None
        fits = self.weight is not None and Int8Product.fits(self.weight)
        self.product = Int8Product(self.weight, self.scale, self.bias) if fits and self.weight is not None else None

    def __call__(self, x: Tensor) -> Tensor:
        """(…, inputs) → (…, outputs)."""
        if x.numel() != self.inputs or x.dtype != torch.float32 or self.weight is None:
            parts = [type(layer).forward(layer, x) for layer in self.layers]
            return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        if self.product is not None:
            return self.product(x.view(1, -1)).view(*x.shape[:-1], self.outputs)
        product = torch._weight_int8pack_mm(x.reshape(1, -1).bfloat16(), self.weight, self.scale)
        out = product.float() if self.bias is None else torch.add(self.bias, product)  # in float32
        return out.view(*x.shape[:-1], self.outputs)


def check_kind(kind: str) -> None:
    """Raise `ConfigError` with the known kinds for any other."""
    if kind not in KINDS:
        raise ConfigError(
            f"Unknown quantization {kind!r}.", did_you_mean(str(kind), KINDS) or f"Known: {', '.join(KINDS)}."
        )


def linear_layers(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """Each linear layer, the module that holds it and its name there. Classifiers of few labels are left out."""
    for owner in model.modules():
        for name, layer in owner.named_children():
            if type(layer) is nn.Linear and name != "classifier" and layer.in_features % 16 == 0:
                yield owner, name, layer
