"""The formats: a module for each, which writes a part into a folder and runs what it wrote."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from samovar.errors import ExportError, did_you_mean
from samovar.extras import require

if TYPE_CHECKING:
    from samovar.export.comparing import Runner
    from samovar.export.parts import Part

# Format → its module in this package.
FORMATS = {
    "onnx": "onnx_format",
    "torchscript": "torchscript",
    "torch-export": "torch_export",
    "aoti": "aoti",
    "jax": "jax_format",
    "tensorflow": "tensorflow_format",
    "openvino": "openvino_format",
}
# Format → what is written, and what it needs beside PyTorch.
NEEDS = {
    "onnx": "for onnxruntime and many others; pip install 'samovar[export]'",
    "torchscript": "for torch.jit and libtorch; nothing else (deprecated by PyTorch)",
    "torch-export": "for torch.export; nothing else",
    "aoti": "machine code for this kind of processor, run by PyTorch; a C++ compiler",
    "jax": "a function and its parameters; pip install 'samovar[jax]'",
    "tensorflow": "a SavedModel; pip install 'samovar[tensorflow]'",
    "openvino": "for OpenVINO; pip install 'samovar[openvino]'",
}


class Format(Protocol):
    """What a format's module has.

    `PACKAGES` are needed beside torch; `OPTIONS` are the names that `write` takes as keywords. `write` puts the part's
    files into `folder`, called after the part; `runner` reads them again, as a stranger would, and gives a function
    from arrays by name to arrays in the order of the part's outputs. A module may have `check()`, which raises
    `ExportError` where the machine lacks something that is no package, a `NOTE`, which is said once per export, and
    `quietly()`, in which its packages are imported.
    """

    PACKAGES: Sequence[str]
    OPTIONS: Sequence[str]

    def write(self, part: Part, folder: Path, **options: Any) -> None: ...

    def runner(self, part: Part, folder: Path) -> Runner: ...


def format_called(name: str, options: Mapping[str, Any]) -> Format:
    """The format. Raises `ExportError` for unknown names and options, `MissingExtraError` without its packages."""
    if name not in FORMATS:
        hint = did_you_mean(name, FORMATS) or f"Known: {', '.join(FORMATS)}."
        raise ExportError(f"Unknown export format {name!r}.", hint)
    module = cast(Any, importlib.import_module(f"samovar.export.{FORMATS[name]}"))
    for option in options:
        if option not in module.OPTIONS:
            hint = did_you_mean(option, module.OPTIONS) or f"It has: {', '.join(module.OPTIONS) or 'none'}."
            raise ExportError(f"The format {name} has no option {option!r}.", hint)
    with getattr(module, "quietly", contextlib.nullcontext)():
        for package in module.PACKAGES:
            require(package, f"Exporting to {name}")
    if hasattr(module, "check"):
        module.check()
    return cast(Format, module)
