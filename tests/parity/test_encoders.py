"""Encoders of every structure that configurations allow, beside the reference's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cases import CASES
from harness import Case, check

SIZES: dict[str, dict[str, Any]] = {case.model_type: case.sizes for case in CASES}
OWN = {"share_att_key": False, "norm_rel_ebd": "none", "position_biased_input": True, "type_vocab_size": 2}

# Name → (architecture, auto class, what differs from its line in `cases.py`).
VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "deberta, convolution": ("deberta-v2", "AutoModel", {"conv_kernel_size": 3, "conv_act": "gelu"}),
    "deberta, weights for distances": ("deberta-v2", "AutoModelForMaskedLM", OWN),
    "deberta, content on distance": ("deberta-v2", "AutoModel", OWN | {"pos_att_type": "c2p", "position_buckets": -1}),
    "deberta, distance on content": ("deberta-v2", "AutoModel", OWN | {"pos_att_type": ["p2c"]}),
    "deberta, few distances": ("deberta-v2", "AutoModel", {"max_relative_positions": 6, "position_buckets": -1}),
    "deberta, own head": ("deberta-v2", "AutoModelForMaskedLM", {"legacy": False}),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_variants_equal_the_references(name: str, tmp_path: Path) -> None:
    model_type, auto, changes = VARIANTS[name]
    check(Case(model_type, SIZES[model_type] | changes), auto, tmp_path)
