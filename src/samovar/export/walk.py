"""The graph of a part, walked node by node in another framework: how JAX and TensorFlow get a model.

The other way would be torchax for JAX, and jax2tf on top of it for TensorFlow. With torch 2.13 torchax does not import,
it fixes the sizes that it was traced at, and TensorFlow would need both. Some ninety operators cover every
architecture, and a table of functions for each framework is smaller than the code that would go round torchax. Batch
and lengths stay free in both, gradients are the framework's own, and what is missing is named together with the layer
that wants it. The graph is walked as it was traced: decomposed to core operators a small BERT has 178 nodes instead of
70, which takes three times as long to make, and attention, norms and activations are no longer recognised as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind

from samovar.errors import ExportError
from samovar.export.parts import Part

Operator = Callable[..., Any]
# The overloads of PyTorch's operators of two values, and of those that take dimensions away: one function serves all.
OF_TWO = ("Tensor", "Scalar", "Tensor_Tensor", "Tensor_Scalar", "default", "Tensor_mode", "Scalar_mode")
REDUCING = ("default", "dim", "dim_IntList", "dims", "dim_int")


def first_alone(function: Callable[[Any], Any]) -> Operator:
    """The function of the first argument; the others say how PyTorch computes it."""
    return lambda x, *_, **__: function(x)


class Framework(Protocol):
    """What the walk needs of a framework: a name, operators by PyTorch's names, and tensors of a type."""

    name: str

    @property
    def operators(self) -> Mapping[str, Operator]:
        """The table."""

    def constant(self, tensor: Tensor) -> Any:
        """The framework's tensor of these values."""

    def typed(self, value: Any, dtype: torch.dtype) -> Any:
        """The value in the framework's counterpart of a PyTorch type."""


class Graph:
    """A part's graph for one framework. Raises `ExportError` that names operators without a counterpart.

    `parameters` are the weights that it reads, by the model's own names; buffers are constants of the graph.
    """

    def __init__(self, part: Part, framework: Framework) -> None:
        self.part, self.framework = part, framework
        program = part.program
        self.module = program.graph_module
        self.parameters: dict[str, Tensor] = {}
        self.sources: list[tuple[str, Any]] = []
        read = {node.name for node in needed(self.module.graph)}
        inputs = iter(part.inputs)
        # Tied weights are one parameter, by the first of their names.
        first = {one.data_ptr(): name for name, one in reversed(list(part.module.named_parameters()))}
        for spec in program.graph_signature.input_specs:
            if spec.kind is InputKind.USER_INPUT:
                self.sources.append(("input", next(inputs).name))
            elif spec.kind is InputKind.PARAMETER:
                tensor = program.state_dict[str(spec.target)].detach()
                name = first.get(tensor.data_ptr(), str(spec.target)).removeprefix("model.")
                self.sources.append(("parameter", name))
                if spec.arg.name in read:
                    self.parameters[name] = tensor
            else:
                held = program.state_dict if spec.target in program.state_dict else program.constants
                self.sources.append(("constant", held[str(spec.target)].detach()))
        self.check(self.module)

    def check(self, module: fx.GraphModule) -> None:
        """Refuse what the framework's table does not have."""
        for node in needed(module.graph):
            if node.op == "get_attr":
                self.check(module.get_submodule(str(node.target)))  # type: ignore[arg-type]
            elif is_operator(node) and str(node.target) not in self.framework.operators:
                raise ExportError(
                    f"{self.part.name} has the operator {node.target} in layer {layer_of(node)!r}, which the walk to "
                    f"{self.framework.name} does not know.",
                    "Export to onnx, or report the architecture.",
                )

    def __call__(self, parameters: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple[Any, ...]:
        """The outputs for parameters by name and inputs by name, in the framework's own tensors."""
        given = {"input": inputs, "parameter": parameters}
        values = [source if kind == "constant" else given[kind].get(source) for kind, source in self.sources]
        return self.walk(self.module, values)

    def walk(self, module: fx.GraphModule, given: Sequence[Any]) -> tuple[Any, ...]:
        """What a graph gives for the values of its placeholders."""
        values: dict[fx.Node, Any] = {}
        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        for node, value in zip(placeholders, given, strict=True):
            values[node] = value
        for node in needed(module.graph):
            if node.op == "output":
                return tuple(fx.map_arg(node.args[0], values.__getitem__))  # type: ignore[arg-type]
            if node.op == "get_attr":
                values[node] = module.get_submodule(str(node.target))
            elif node.op == "placeholder":
                if isinstance(values[node], Tensor):
                    values[node] = self.framework.constant(values[node])
            else:
                values[node] = self.step(node, values)
        raise AssertionError("a graph ends with its output")

    def step(self, node: fx.Node, values: Mapping[fx.Node, Any]) -> Any:
        """What one node gives, in the type that PyTorch gives."""
        args: Sequence[Any] = fx.map_arg(node.args, values.__getitem__)
        options: dict[str, Any] = fx.map_arg(node.kwargs, values.__getitem__)
        if not is_operator(node):
            at = next((at for at, one in enumerate(args) if isinstance(one, fx.GraphModule)), None)
            if at is not None:  # A region under autocast or without gradients: what is in it says its types itself.
                return self.walk(args[at], args[at + 1 :])
            return node.target(*args, **options)  # type: ignore[operator]
        result = self.framework.operators[str(node.target)](*args, **options)
        expected = node.meta["val"]
        if isinstance(expected, Tensor):
            return self.framework.typed(result, expected.dtype)
        if isinstance(expected, tuple | list):
            return [self.framework.typed(value, one.dtype) for value, one in zip(result, expected, strict=True)]
        return result


def is_operator(node: fx.Node) -> bool:
    """Whether a node calls one of PyTorch's operators; others do arithmetic on sizes, or run a graph within."""
    return isinstance(node.target, torch._ops.OpOverload)


def needed(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that outputs depend on, in order: claims about sizes are left out."""
    found: set[fx.Node] = set()
    waiting = [node for node in graph.nodes if node.op == "output"]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return [node for node in graph.nodes if node in found]


def layer_of(node: fx.Node) -> str:
    """The name of the layer that a node was traced in."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [str(place) for place, _ in stack.values()]
    return path[-1].removeprefix("L['self'].").removeprefix("model.") if path else ""


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": x}` → `{"a": {"b": x}}`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *owners, leaf = name.split(".")
        place = tree
        for owner in owners:
            place = place.setdefault(owner, {})
        place[leaf] = value
    return tree


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The way back."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= flattened(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat
