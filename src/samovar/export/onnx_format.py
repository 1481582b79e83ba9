"""ONNX: a `.onnx` file for each part, with the names that the field's exporters use; int8 weights as an option."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import samovar
from samovar.errors import ExportError
from samovar.export.comparing import Runner, exact
from samovar.export.parts import Part
from samovar.export.trace import quietly
from samovar.extras import require

PACKAGES: Sequence[str] = ("onnx", "onnxscript", "onnxruntime")
OPTIONS: Sequence[str] = ("opset", "quantization")
# Attention written out, which every engine runs, and attention as one operator; between the two, that operator fails or
# differs on masks that are broadcast or hide a whole row.
OPSETS = (18, 19, 20, 21, 22, 25)
OPSET = 20
# A protobuf message ends at 2 GiB: above this, weights lie in a file beside the graph.
INLINE_LIMIT = 2_000_000_000
# With int8 weights: how much of an output's size (root mean square) its difference may be.
INT8_TOLERANCE = 0.25

SYMBOL = re.compile(r"\b[su]\d+\b")
OPERATOR = re.compile(r"op='([\w.:]+)'|target=([\w.:]+)")


def write(part: Part, folder: Path, opset: int = OPSET, quantization: str | None = None) -> None:
    """Write `<part>.onnx`, and `<part>.onnx_data` where weights take more than 2 GB.

    `quantization="int8"` stores matrices and embeddings as whole numbers of 8 bits, one scale for each column of a
    matrix; what they are multiplied with is rounded while it runs. Raises `ExportError`.
    """
    if opset not in OPSETS:
        raise ExportError(f"opset={opset!r} is not written.", f"Take one of {', '.join(map(str, OPSETS))}.")
    if quantization not in (None, "int8"):
        raise ExportError(f"quantization={quantization!r} is not known.", 'Pass "int8", or leave it out.')
    path = folder / f"{part.name}.onnx"
    if opset not in part.graphs:
        part.graphs[opset] = graph_of(part, opset)
    model = part.graphs[opset].clone()
    if quantization is None:
        save(model, path)
    else:
        turn_weights(model)
        # Says that nothing is left to prepare, which the quantiser would else advise on every run.
        model.metadata_props["onnx.quant.pre_process"] = "onnxruntime.quant"
        with tempfile.TemporaryDirectory() as beside:
            plain = Path(beside) / path.name
            save(model, plain)
            save(quantised(plain, part.name), path)
    check_file(path)


def tolerance(quantization: str | None = None, **options: Any) -> tuple[float, str]:
    """With int8 weights numbers cannot agree to 1e-4: what counts is how large the difference is beside the output."""
    return exact() if quantization is None else (INT8_TOLERANCE, "relative")


def runner(part: Part, folder: Path) -> Runner:
    """The file in onnxruntime."""
    from samovar.runtime.onnx_session import OnnxSession

    session = OnnxSession(folder / f"{part.name}.onnx")

    def run(given: Mapping[str, np.ndarray]) -> Sequence[np.ndarray]:
        found = session.run(given)
        return [found[name] for name in part.outputs]

    return run


# The graph ------------------------------------------------------------------------------------------------------------


def graph_of(part: Part, opset: int) -> Any:
    """The part as an `onnx_ir` model, with names of its inputs, outputs and free sizes."""
    try:
        # Under gradients the same attention takes another way, whose results lie otherwise in memory.
        with quietly(), torch.no_grad():
            program = torch.onnx.export(
                part.program, (), dynamo=True, verbose=False, opset_version=opset, external_data=False,
                input_names=[one.name for one in part.inputs], output_names=list(part.outputs),
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        raise ExportError(*explained(part, error)) from error
    model = program.model  # type: ignore[union-attr]
    if model.opset_imports.get("") != opset:
        raise ExportError(
            f"{part.name} cannot be written in opset {opset}: its operators need {model.opset_imports.get('')}.",
            f"Leave opset out: it is {OPSET}.",
        )
    name_sizes(model, part)
    model.producer_name, model.producer_version = "samovar", samovar.__version__
    model.graph.name = part.name
    forget_places(model)
    return model


def name_sizes(model: Any, part: Part) -> None:
    """Call free sizes by their names everywhere: the tracer's `s0` says nothing."""
    ir = require("onnx_ir", "Exporting to onnx")
    names: dict[str, str] = {}
    for one, value in zip(part.inputs, model.graph.inputs, strict=True):
        for dim, size in zip(one.dims, value.shape, strict=True):
            if isinstance(dim, str) and "+" not in dim and not isinstance(size, int):
                names[str(size.value)] = dim

    def named(size: Any) -> Any:
        if isinstance(size, int) or size.value is None:
            return size
        words = SYMBOL.sub(lambda found: names.get(found.group(), found.group()), str(size.value))
        return ir.SymbolicDim(" + ".join(sorted(words.split(" + "))))

    for value in values_of(model.graph):
        if value.shape is not None:
            value.shape = ir.Shape([named(size) for size in value.shape])


def values_of(graph: Any) -> list[Any]:
    """All values of a graph."""
    return [*graph.inputs, *graph.initializers.values(), *(out for node in graph.all_nodes() for out in node.outputs)]


def forget_places(model: Any) -> None:
    """Leave out where in the code each node came from: paths of this machine, and half of a small file."""
    model.metadata_props.clear()
    for graph in model.graphs():
        graph.metadata_props.clear()
        graph.doc_string = None
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
    for value in values_of(model.graph):
        value.metadata_props.clear()


def turn_weights(model: Any) -> None:
    """Store weights as they are multiplied: a matrix that is turned while it runs is no constant to the quantiser."""
    ir = require("onnx_ir", "Exporting to onnx")
    graph = model.graph
    for node in [one for one in graph if one.op_type == "Transpose"]:
        weight = graph.initializers.get(node.inputs[0].name)
        if weight is None:
            continue
        turned = np.ascontiguousarray(np.transpose(weight.const_value.numpy(), node.attributes["perm"].as_ints()))
        value = ir.Value(
            name=f"{weight.name}.transposed", shape=ir.Shape(turned.shape), type=ir.TensorType(weight.dtype),
            const_value=ir.tensor(turned, name=f"{weight.name}.transposed"),
        )  # fmt: skip
        graph.register_initializer(value)
        node.outputs[0].replace_all_uses_with(value)
        graph.remove(node, safe=True)
        if not weight.uses():
            del graph.initializers[weight.name]


def explained(part: Part, error: BaseException) -> tuple[str, str]:
    """Cause and next step where an operator has no form in ONNX: which one, and in which layer."""
    reasons = []
    cause: BaseException | None = error
    while cause is not None:
        reasons.append(str(cause))
        cause = cause.__cause__
    text = "\n".join(reasons)
    found = OPERATOR.search(text)
    operator, layer = place_of(part, next(filter(None, found.groups())) if found else "")
    place = f" in layer {layer!r}" if layer else ""
    return (
        f"{part.name} cannot be written as ONNX: it has no form of {operator or 'an operator'}{place}.",
        "Export another head, or to torch-export, which has every operator.",
    )


def place_of(part: Part, operator: str) -> tuple[str, str]:
    """An operator as the traced part calls it, and the innermost module that does; parts of it may bear its name."""
    words = [word for word in re.split(r"[.:]+", operator) if word not in ("torch", "ops", "aten", "prims", "default")]
    for node in part.program.graph.nodes:
        if words and words[0] in str(node.target):
            stack = list((node.meta.get("nn_module_stack") or {}).values())
            return str(node.target), str(stack[-1][0]) if stack else ""
    return operator, ""


# Files ----------------------------------------------------------------------------------------------------------------


def save(model: Any, path: Path) -> None:
    """Write the file, and large weights beside it."""
    ir = require("onnx_ir", "Exporting to onnx")
    size = sum(one.const_value.nbytes for one in model.graph.initializers.values())
    ir.save(model, path, external_data=f"{path.name}_data" if size > INLINE_LIMIT else None)


def quantised(plain: Path, name: str) -> Any:
    """The file with matrices and embeddings in int8. Raises `ExportError` for a graph that has none."""
    require("onnxruntime", "Exporting to int8")
    from onnxruntime.quantization import QuantType, quantize_dynamic  # type: ignore[import-untyped]

    ir = require("onnx_ir", "Exporting to onnx")
    path = plain.with_name(f"int8-{plain.name}")
    large = plain.with_name(f"{plain.name}_data").exists()
    with quietly():
        quantize_dynamic(
            plain, path, op_types_to_quantize=["MatMul", "Gemm", "Gather"], per_channel=True,
            weight_type=QuantType.QInt8, use_external_data_format=large,
        )  # fmt: skip
    model = ir.load(path)
    if not any(node.op_type in ("MatMulInteger", "DequantizeLinear") for node in model.graph):
        raise ExportError(f"{name} has no matrix that could be stored in int8.", "Leave quantization out.")
    model.producer_name, model.producer_version = "samovar", samovar.__version__
    model.metadata_props.clear()
    return model


def check_file(path: Path) -> None:
    """Let onnx's own checker read the file. Raises `ExportError`."""
    onnx = require("onnx", "Exporting to onnx")
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ExportError(f"{path.name} is no sound ONNX file: {reason}", "Report the architecture.") from error
