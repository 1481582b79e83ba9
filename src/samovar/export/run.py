"""`export_model`: from a model to a folder that another runtime reads, checked before it is put in place."""

from __future__ import annotations

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
from samovar.export.comparing import Difference, compared
from samovar.export.formats import format_called
from samovar.export.parts import Part, parts_of
from samovar.export.subjects import loaded
from samovar.hub.atomic import write_beside

# Beside the artefact: what it is, what its parts read and give, how far from the model it was.
MANIFEST = "export.json"
TOLERANCE = 1e-4


@dataclass
class Exported:
    """What `export_model` made: the folder, the parts in it, and how far each was from the PyTorch model."""

    folder: Path
    format: str
    parts: list[Part]
    differences: list[Difference] = field(default_factory=list)

    @property
    def largest(self) -> float:
        """The largest difference of all."""
        return max((one.largest for one in self.differences), default=0.0)

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
    tolerance: float = TOLERANCE,
    overwrite: bool = False,
    report: Callable[[str], None] | None = None,
    **options: Any,
) -> Exported:
    """Write `model` (an object, a folder or an id) in another runtime's form into the folder `output`.

    `format` is one of `onnx`, `torchscript`, `torch-export`, `aoti`, `jax`, `tensorflow` and `openvino`. Batch size and
    lengths stay free. `task` chooses the head of a checkpoint, by default the one that it was saved with. `mask=False`
    leaves the attention mask out; `with_past` says whether a model that writes reads past keys and values, which is the
    default. Tokenizer and image processor go beside the artefact: those given, or those beside the model. `options`
    are the format's own (`quantization="int8"` and `opset` of ONNX).

    The artefact is read back and runs beside the model at several sizes; `report` is told each difference. Raises
    `ExportError` for a model that cannot be exported (operator and layer are named), and for an artefact that differs
    by more than `tolerance`, which is then kept aside as `<output>.differs`; `MissingExtraError` with the line that
    installs what is missing; `SaveError` for a folder that exists, unless `overwrite=True`.
    """
    chosen = format_called(format, options)
    target = Path(os.path.expanduser(output))
    if not overwrite and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SaveError(f"{target} exists.", "Give another folder, or overwrite=True.")
    if tolerance < 0:
        raise InputError(f"tolerance={tolerance} is negative.", "Give the largest difference that you accept.")
    subject, helpers = loaded(model, task, tokenizer, image_processor)
    restore = subject.training
    subject.eval()
    try:
        parts = parts_of(subject, mask, with_past)
        result = Exported(target, format, parts)
        with write_beside(target) as folder:
            for part in parts:
                chosen.write(part, folder, **options)
                for found in compared(part, chosen.runner(part, folder)):
                    result.differences.append(found)
                    if report is not None:
                        report(str(found))
            describe(result, folder, subject, options)
            for helper in helpers:
                helper.save_pretrained(folder)
            check(result, folder, tolerance)
    finally:
        subject.train(restore)
    return result


def check(result: Exported, folder: Path, tolerance: float) -> None:
    """Raise `ExportError` where the largest difference is beyond `tolerance`, with the artefact kept aside."""
    worst = max(result.differences, key=lambda one: one.largest, default=None)
    if worst is None or worst.largest <= tolerance:
        return
    aside = result.folder.with_name(f"{result.folder.name}.differs")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(folder, aside)
    raise ExportError(
        f"What was exported differs from the model by more than {tolerance:g}: {worst}.",
        f"It is kept aside in {aside}; nothing was put in place. Pass a tolerance that you accept, or another format.",
    )


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
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
