"""TAPAS beyond its line in `cases.py`: every way to learn from tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from cases import CASES
from harness import Case, assert_close, reference_model, text_inputs

import samovar
from samovar.errors import ConfigError, InputError

AUTO = "AutoModelForTableQuestionAnswering"
SIZES: dict[str, Any] = next(case.sizes for case in CASES if case.model_type == "tapas")
WEAK = {"use_answer_as_supervision": True, "cell_selection_preference": 0.5, "huber_loss_delta": 0.7}
KINDS: dict[str, dict[str, Any]] = {
    "cells of any column": {"select_one_column": False, "average_logits_per_cell": True, "temperature": 0.3},
    "no column allowed": {"allow_empty_column_selection": True, "num_aggregation_labels": 0},
    "positions of the text": {"reset_position_index_per_cell": False, "aggregation_loss_weight": 0.3},
    "operations alone": {"disable_per_token_loss": True},
    "by the answer": WEAK,
    "by the answer, rather cells": WEAK | {"cell_selection_preference": 0.99, "aggregation_temperature": 0.4},
    "by the answer, rather operations": WEAK | {"cell_selection_preference": 0.0, "answer_loss_cutoff": 5.0},
    "by the answer, first order": WEAK | {"average_approximation_function": "first_order"},
    "by the answer, second order": WEAK | {"average_approximation_function": "second_order"},
    "by the answer, normalised": WEAK | {"use_normalized_answer_loss": True, "answer_loss_importance": 0.2},
    "by the answer, no cells": WEAK | {"disable_per_token_loss": True, "select_one_column": False},
}


def pair(folder: Path, **config: Any) -> tuple[Any, Any, dict[str, Any]]:
    """The reference's model, ours of its files, and a batch with everything to learn from."""
    case = Case("tapas", SIZES | config, tables=True)
    theirs = reference_model(case, AUTO)
    theirs.save_pretrained(folder)
    batch: dict[str, Any] = dict(text_inputs(case, AUTO, [15, 11, 13, 15], mask=True))
    kinds = batch["token_type_ids"]
    wanted = torch.tensor([1, 2, 0, 1])[:, None]
    batch["labels"] = ((kinds[..., 1] == wanted) & (kinds[..., 2] == 1)).long()
    batch["aggregation_labels"] = torch.tensor([0, 1, 2, 3])
    batch["float_answer"] = torch.tensor([float("nan"), 5.0, 7.5, 2.0])
    numbers = kinds[..., 1] * 1.5 + kinds[..., 2]
    batch["numeric_values"] = torch.where(kinds[..., 1] == 2, numbers, float("nan"))
    batch["numeric_values_scale"] = torch.where(kinds[..., 2] > 0, 2.0, 1.0)
    return theirs, samovar.AutoModelForTableQuestionAnswering.from_pretrained(folder), batch


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_losses_and_gradients_equal_the_references(name: str, tmp_path: Path) -> None:
    theirs, ours, batch = pair(tmp_path, **KINDS[name])
    # Without the choice of a column the reference takes floating labels alone.
    expected, found = theirs(**batch | {"labels": batch["labels"].float()}), ours(**batch)
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert_close(key, found[key], value, None)
    expected.loss.backward()
    found.loss.backward()
    wanted = {key: one.grad for key, one in theirs.named_parameters() if one.grad is not None}
    for key, names in ((key, ours.name_table(ours.config).to_ours(key)[0]) for key in wanted):
        assert_close(key, ours.get_parameter(names[0]).grad, wanted[key], None)
    assert len(wanted) > 20


def test_a_drawn_answer_is_seeded_and_finite(tmp_path: Path) -> None:
    draws = {"use_gumbel_for_cells": True, "use_gumbel_for_aggregation": True}
    _, ours, batch = pair(tmp_path, **WEAK, **draws)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(ours(**batch).loss.item())
    assert losses[0] == losses[1] != losses[2]
    assert all(loss == loss for loss in losses)


def test_what_a_loss_needs_is_asked_for(tmp_path: Path) -> None:
    _, ours, batch = pair(tmp_path)
    del batch["aggregation_labels"]
    with pytest.raises(InputError, match="aggregation_labels"):
        ours(**batch)
    _, ours, batch = pair(tmp_path / "weak", **WEAK)
    for missing in ("float_answer", "numeric_values", "numeric_values_scale"):
        with pytest.raises(InputError, match=missing):
            ours(**{key: value for key, value in batch.items() if key != missing})
    _, ours, batch = pair(tmp_path / "preference", **WEAK | {"cell_selection_preference": None})
    with pytest.raises(ConfigError, match="cell_selection_preference"):
        ours(**batch)
    _, ours, batch = pair(tmp_path / "mean", **WEAK | {"average_approximation_function": "third_order"})
    with pytest.raises(ConfigError, match="third_order"):
        ours(**batch)
    with pytest.raises(ConfigError, match="type_vocab_sizes"):
        samovar.TapasModel(samovar.TapasConfig(**SIZES | {"type_vocab_sizes": [3, 9]}))


def test_names_of_operations_are_read_by_number(tmp_path: Path) -> None:
    given = transformers.TapasConfig(aggregation_labels={0: "NONE", 1: "SUM"}, num_aggregation_labels=2)
    given.save_pretrained(tmp_path)
    assert samovar.AutoConfig.from_pretrained(tmp_path).aggregation_labels == {0: "NONE", 1: "SUM"}
