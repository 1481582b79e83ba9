"""Every architecture and head equals the reference's, from the same folder and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from cases import CASES, SEQUENCES
from harness import Case, check, check_names

from samovar.registry import ARCHITECTURES

PAIRS = [pytest.param(case, auto, id=f"{case.model_type}-{auto}") for case in CASES for auto in case.heads()]


def test_every_architecture_has_its_line() -> None:
    # Pairs of architectures have a file of their own: `test_encoder_decoder.py`.
    assert sorted([*(case.model_type for case in CASES), *SEQUENCES, "encoder-decoder"]) == sorted(ARCHITECTURES)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "auto"), PAIRS)
def test_outputs_files_and_configurations_equal_the_references(case: Case, auto: str, tmp_path: Path) -> None:
    check(case, auto, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("case", "auto"), PAIRS)
def test_the_name_table_is_a_bijection(case: Case, auto: str, tmp_path: Path) -> None:
    check_names(case, auto, tmp_path)
