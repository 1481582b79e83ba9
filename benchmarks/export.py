"""One batch through an encoder: PyTorch eager beside onnxruntime, int8 onnxruntime and OpenVINO, at two sizes.

All run in one process, in turns, each time on the same batch; the shortest of the turns counts. Ratios depend on the
processor (int8 on whether it has AVX-512 VNNI), so none is promised.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from measure import Row, seconds

import samovar
from samovar.export import export_model, onnx_format, openvino_format

# Hidden size, layers, heads, intermediate size.
SIZES = {"MiniLM": (384, 6, 12, 1536), "BERT-base": (768, 12, 12, 3072)}
BATCH, LENGTH, TURNS = 16, 64, 7


def engines(name: str, folder: Path) -> dict[str, tuple[Callable[[], object], float]]:
    """What runs the batch → a call, and the largest difference that its export found."""
    hidden, layers, heads, intermediate = SIZES[name]
    torch.manual_seed(0)
    config = samovar.AutoConfig.for_model(
        "bert", hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=intermediate
    )
    model = samovar.AutoModel.from_config(config).eval()
    ids = torch.randint(0, config.vocab_size, (BATCH, LENGTH))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    arrays: dict[str, np.ndarray] = {key: value.numpy() for key, value in given.items()}

    def eager() -> object:
        with torch.inference_mode():
            return model(**given)

    calls: dict[str, tuple[Callable[[], object], float]] = {"PyTorch": (eager, 0.0)}
    for label, kind, options in (
        ("onnxruntime", onnx_format, {}),
        ("onnxruntime int8", onnx_format, {"quantization": "int8", "tolerance": 1}),
        ("OpenVINO", openvino_format, {}),
    ):
        target = folder / label.replace(" ", "-")
        form = "openvino" if kind is openvino_format else "onnx"
        result = export_model(model, form, target, **options)
        run = kind.runner(result.parts[0], target)
        calls[label] = (lambda run=run: run(arrays), result.largest)
    return calls


def run() -> list[Row]:
    """A row for each engine and size: its time beside PyTorch's."""
    rows = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    for name in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            calls = engines(name, Path(folder))
            best = dict.fromkeys(calls, float("inf"))
            for _ in range(TURNS):
                for label, (call, _) in calls.items():
                    best[label] = min(best[label], seconds(call, 1))
        peer = best.pop("PyTorch")
        for label, found in best.items():
            rows.append(
                Row(
                    f"{name}-size, {BATCH} × {LENGTH} tokens: PyTorch ÷ {label} (differs by {calls[label][1]:.0e})",
                    f"{found * 1000:.0f} ms", f"{peer * 1000:.0f} ms", peer / found, "", None,
                )
            )  # fmt: skip
    torch.set_num_threads(before)
    return rows
