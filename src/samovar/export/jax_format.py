"""JAX: a pure function of parameters and inputs, and the file that runs it where there is JAX alone.

On disk a part is `<part>.jax`, StableHLO by `jax.export` with batch and lengths as symbols, and `<part>.safetensors`,
its parameters by the model's own names. Without this library and without PyTorch, after `from jax import export`:

    function = export.deserialize(open("model.jax", "rb").read()).call
    parameters = safetensors.flax.load_file("model.safetensors")
    answers = function(parameters, {"input_ids": ids, "attention_mask": mask})

Why the graph is walked, and not run through torchax, is said in `walk.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from samovar.errors import ExportError
from samovar.export.comparing import Runner
from samovar.export.inputs import Dim
from samovar.export.parts import Part, Whole, named, parts_of, reads_and_writes
from samovar.export.subjects import inputs_of
from samovar.export.walk import Graph, flattened, nested
from samovar.extras import require

if TYPE_CHECKING:
    from samovar.model import Model

PACKAGES: Sequence[str] = ("jax", "flatbuffers")
OPTIONS: Sequence[str] = ("gradients",)
PLATFORMS = ("cpu", "cuda", "tpu")
# A symbol of `jax.export` is at least 1, and a past may hold nothing.
PAST, LONGER = "past_sequence_length", "past_sequence_length_and_one"
Tree = Mapping[str, Any]
Function = Callable[[Tree, Mapping[str, Any]], dict[str, Any]]


class Jax:
    """JAX for the walk."""

    name = "jax"

    def __init__(self) -> None:
        from samovar.export.jax_operators import TYPES, constant, operators

        self.operators, self.types, self.constant = operators(), TYPES, constant

    def typed(self, value: Any, dtype: torch.dtype) -> Any:
        """The value in JAX's type."""
        import jax.numpy as jnp

        return jnp.asarray(value, self.types[dtype])


def to_jax(model: Model | Part) -> tuple[Function, dict[str, Any]]:
    """A jitted function `(parameters, inputs) → outputs`, and the parameters that it takes.

    Inputs and outputs are dicts of arrays by the names of the PyTorch model's; the parameters are nested dicts by the
    names of its layers. The function is pure and `jax.grad` differentiates it, as in training without dropout. A model
    that writes is taken as one that reads whole texts, an encoder–decoder with `decoder_input_ids`; a part of
    `parts_of(model)`, with past keys and values, may be given instead. Raises `ExportError` that names the operator
    and the layer that JAX is not told of here, `MissingExtraError` without JAX.
    """
    for package in PACKAGES:
        require(package, "Exporting to jax")
    import jax

    part = model if isinstance(model, Part) else whole(model)
    graph = Graph(part, Jax())
    parameters = {name: graph.framework.constant(tensor) for name, tensor in graph.parameters.items()}
    return jax.jit(pure(graph)), nested(parameters)


def whole(model: Model) -> Part:
    """A model as one graph over whole texts."""
    was = model.training
    model.eval()
    try:
        if not reads_and_writes(model):
            (part,) = parts_of(model, with_past=False)
        else:
            ids, mask = (one for one in inputs_of(model) if one.name in ("input_ids", "attention_mask"))
            source = [one.over("encoder_sequence_length") for one in (ids, mask)]
            inputs = [*source, ids.called("decoder_input_ids")]
            part = named(Part("model", Whole(model, [one.name for one in inputs], {"use_cache": False}), inputs))
        _ = part.program  # Traced here, while no dropout is on.
    finally:
        model.train(was)
    return part


def pure(graph: Graph) -> Function:
    """The graph as a function of a tree of parameters and a dict of inputs."""
    import jax.numpy as jnp

    from samovar.export.jax_operators import TYPES

    types = {one.name: TYPES[one.dtype] for one in graph.part.inputs}

    def function(parameters: Tree, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if set(inputs) != set(types):
            raise ExportError(f"Inputs named {sorted(inputs)} were given.", f"It reads {', '.join(types)}.")
        given = {name: jnp.asarray(value, types[name]) for name, value in inputs.items()}
        return dict(zip(graph.part.outputs, graph(flattened(parameters), given), strict=True))

    return function


def write(part: Part, folder: Path, gradients: bool = False) -> None:
    """Write `<part>.jax` and `<part>.safetensors`; `gradients` adds the way back, for `jax.grad` of what is read."""
    import jax
    from jax import export
    from safetensors.torch import save_file

    framework = Jax()
    graph = Graph(part, framework)
    scope = export.SymbolicScope()
    inputs = {
        one.name: jax.ShapeDtypeStruct(
            export.symbolic_shape(", ".join(map(symbol, one.dims)), scope=scope), framework.types[one.dtype]
        )
        for one in part.inputs
    }
    parameters = {
        name: jax.ShapeDtypeStruct(tuple(tensor.shape), framework.types[tensor.dtype])
        for name, tensor in graph.parameters.items()
    }
    exported = export.export(jax.jit(pure(graph)), platforms=PLATFORMS)(parameters, inputs)
    (folder / f"{part.name}.jax").write_bytes(exported.serialize(vjp_order=1 if gradients else 0))
    save_file(
        {name: tensor.contiguous() for name, tensor in graph.parameters.items()}, folder / f"{part.name}.safetensors"
    )


def symbol(dim: Dim) -> str:
    """A dimension as `jax.export` writes it."""
    words = str(dim).split(" + ")
    return " + ".join(f"{LONGER} - 1" if word == PAST else word for word in words)


def runner(part: Part, folder: Path) -> Runner:
    """The files, read back."""
    import jax
    from jax import export
    from safetensors.numpy import load_file

    function = jax.jit(export.deserialize(bytearray((folder / f"{part.name}.jax").read_bytes())).call)
    parameters = load_file(folder / f"{part.name}.safetensors")

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        narrow = {name: value.astype(np.int32) if value.dtype == np.int64 else value for name, value in given.items()}
        answer = function(parameters, narrow)
        return [np.asarray(answer[name]) for name in part.outputs]

    return run
