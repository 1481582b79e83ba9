"""`export_model`: from a model to a folder that another runtime reads, checked before it is put in place."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import samovar
from samovar.errors import ExportError, InputError, SaveError
from samovar.export.comparing import Difference, compared, exact
from samovar.export.formats import format_called
from samovar.export.parts import Part, parts_of
from samovar.export.subjects import loaded
from samovar.hub.atomic import write_beside

# Beside the artefact: what it is, what its parts read and give, how far from the model it was.
MANIFEST = "export.json"


@dataclass
class Exported:
    """What `export_model` made: the folder, the parts in it, and how far each was from the PyTorch model."""

    folder: Path
    format: str
    parts: list[Part]
    differences: list[Difference] = field(default_factory=list)

    @property
    def worst(self) -> Difference:
        """Where the largest difference is."""
        return max(self.differences, key=lambda one: one.largest)

    @property
    def largest(self) -> float:
        """The largest difference of all."""
        return self.worst.largest

    def __str__(self) -> str:
        return f"{self.folder} ({self.format}): largest difference {self.largest:.1e}"


def export_model(
    model: Any,
    format: str,
    output: str | Path,
    *,
    task: str | None = None,
    tokenizer: Any = None,
    image_processor: Any = None,
    mask: bool = True,
    with_past: bool | None = None,
    tolerance: float | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] | None = None,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> Exported:
    """Write `model` (an object, a folder or an id) in another runtime's form into the folder `output`.

    `format` is one of `onnx`, `torchscript`, `torch-export`, `aoti`, `jax`, `tensorflow` and `openvino`. Batch size and
    lengths stay free. `task` chooses the head of a checkpoint, by default the one that it was saved with. `mask=False`
    leaves the attention mask out; `with_past` says whether a model that writes reads past keys and values, which is the
    default. Tokenizer and image processor go beside the artefact: those given, or those beside the model. `options`
    are the format's own (`quantization="int8"` and `opset` of ONNX).

    The artefact is read back and runs beside the model at several sizes; `report` is told each difference, `progress`
    what is being done. The folder appears whole or not at all; `overwrite=True` replaces an earlier export whole.
    Raises `ExportError` for a model that cannot be exported (operator and layer are named), and for an artefact that
    differs by more than `tolerance` (1e-4; what is rounded to int8 is judged by how large its difference is beside its
    output, a quarter), which is then kept aside as `<output>.differs`; `TaskError` for a task that the
    checkpoint has no head for; `MissingExtraError` with the line that installs what is missing; `SaveError` for a
    folder that exists or cannot be written.
    """
    chosen = format_called(format, options)
    target = Path(os.path.expanduser(output))
    check_target(target, overwrite)
    usual, measure = getattr(chosen, "tolerance", exact)(**options)
    tolerance = usual if tolerance is None else tolerance
    if not tolerance >= 0:
        raise InputError(f"tolerance={tolerance} is no difference.", "Give the largest difference that you accept.")
    say = progress or (lambda what: None)
    if report is not None and hasattr(chosen, "NOTE"):
        report(chosen.NOTE)
    say("loading the model")
    subject, helpers = loaded(model, task, tokenizer, image_processor)
    modes = [(layer, layer.training) for layer in subject.modules()]
    subject.eval()
    try:
        parts = parts_of(subject, mask, with_past)
        result = Exported(target, format, parts)
        with write_beside(target, keep=False) as folder:
            for part in parts:
                say(f"writing {part.name}")
                chosen.write(part, folder, **options)
                say(f"comparing {part.name}")
                for found in compared(part, chosen.runner(part, folder)):
                    result.differences.append(found)
                    if report is not None:
                        report(str(found))
            describe(result, folder, subject, options)
            for helper in helpers:
                helper.save_pretrained(folder)
            check(result, folder, tolerance, measure)
    finally:
        for layer, training in modes:
            layer.training = training
    return result


def check_target(target: Path, overwrite: bool) -> None:
    """Raise `SaveError` for a target that is in use; overwriting is for what an export made."""
    if not target.exists():
        return
    if not target.is_dir():
        raise SaveError(f"{target} is a file, not a folder.", "Give the path of a folder.")
    if not any(target.iterdir()):
        return
    if not overwrite:
        raise SaveError(f"{target} exists.", "Give another folder, or overwrite=True (--overwrite).")
    if not (target / MANIFEST).is_file():
        raise SaveError(
            f"{target} holds files that are no export: there is no {MANIFEST} among them.",
            "Give another folder; overwrite=True replaces exports alone.",
        )


def check(result: Exported, folder: Path, tolerance: float, measure: str = "largest") -> None:
    """Raise `ExportError` where the largest difference is beyond `tolerance`, with the artefact kept aside."""
    worst = max(result.differences, key=lambda one: getattr(one, measure), default=None)
    if worst is None or getattr(worst, measure) <= tolerance:
        return
    aside = aside_of(result.folder)
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(folder, aside)
    raise ExportError(
        f"What was exported differs from the model by more than {tolerance:g}: {worst}.",
        f"It is kept aside in {aside}; nothing was put in place. Pass a tolerance that you accept, or another format.",
    )


def aside_of(target: Path) -> Path:
    """Where an artefact that differs is kept: beside the target, in place of an earlier one and of nothing else."""
    whole = Path(os.path.realpath(target))
    for number in itertools.count(1):
        aside = whole.with_name(f"{whole.name}.differs" + ("" if number == 1 else f"-{number}"))
        if not os.path.lexists(aside) or (aside / MANIFEST).is_file():
            return aside
    raise AssertionError


def describe(result: Exported, folder: Path, model: Any, options: dict[str, Any]) -> None:
    """Write the model's configuration and the manifest."""
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", "utf-8")
    manifest = {
        "format": result.format,
        "samovar": samovar.__version__,
        "torch": torch.__version__,
        "model": type(model).__name__,
        "task": getattr(model, "task", ""),
        "options": options,
        "largest_difference": result.largest,
        "parts": {
            part.name: {
                "inputs": {one.name: {"dims": list(one.dims), "dtype": str(one.dtype).removeprefix("torch.")}
                           for one in part.inputs},
                "outputs": part.outputs,
            }
            for part in result.parts
        },
    }  # fmt: skip
    if hasattr(model, "save_generation_config"):
        model.save_generation_config(folder)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
