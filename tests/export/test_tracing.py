"""torch.compile takes an architecture whole, batch and length (or image size) dynamic; torch.export without masks.

With masks and caches, and images, the tests beside this one export it.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from cases import CASES
from harness import CONVOLUTIONAL, Case, text_inputs
from toys import MEASURED

import samovar

MEASURED_CASES = [case for case in CASES if case.model_type in MEASURED]
TEXTS = [case for case in MEASURED_CASES if not case.vision]


def model_for(case: Case) -> Any:
    torch.manual_seed(0)
    auto = samovar.AutoModelForImageClassification if case.vision else samovar.AutoModelForSequenceClassification
    return auto.from_config(samovar.AutoConfig.for_model(case.model_type, **case.sizes)).eval()


def inputs_of(case: Case, rows: int, length: int, mask: bool) -> dict[str, torch.Tensor]:
    if case.vision:
        # Convolutions take any size above the one at which a last feature map of one pixel is a shape of its own.
        height, width = (
            (32 * (2 + length // 8), 32 * (3 + length // 8)) if case.model_type in CONVOLUTIONAL else (32, 32)
        )
        return {"pixel_values": torch.randn(rows, 3, height, width)}
    return text_inputs(case, "", [length] + [length - 2] * (rows - 1) if mask else [length] * rows, mask)


def dynamic_shapes(inputs: dict[str, torch.Tensor]) -> dict[str, dict[int, Any]]:
    batch, length = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("length", min=2, max=40)
    return {name: {0: batch, 1: length} for name in inputs}


def assert_equal(case: Case, traced: Any, model: Any, mask: bool) -> None:
    for rows, length in ((2, 9), (5, 17)):
        inputs = inputs_of(case, rows, length, mask)
        with torch.no_grad():
            ours, expected = traced(**inputs), model(**inputs)
        torch.testing.assert_close(ours["logits"], expected["logits"], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", TEXTS, ids=lambda case: case.model_type)
def test_export_takes_it_whole_without_a_mask(case: Case) -> None:
    model = model_for(case)
    inputs = inputs_of(case, 3, 11, mask=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(model, (), inputs, dynamic_shapes=dynamic_shapes(inputs))
    assert_equal(case, program.module(), model, mask=False)


@pytest.mark.slow
@pytest.mark.parametrize("case", MEASURED_CASES, ids=lambda case: case.model_type)
def test_compile_takes_it_whole(case: Case) -> None:
    torch._dynamo.reset()
    model = model_for(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="eager")
        assert_equal(case, compiled, model, mask=not case.vision)
