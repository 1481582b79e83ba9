"""Name tables: whole segments, longest prefix, both directions, operations that lose nothing."""

from __future__ import annotations

import pytest
import torch

from samovar.errors import ConfigError
from samovar.weights.names import NameTable, Reshape, Split, Transpose, prefixed


def test_prefixes_match_whole_segments_and_the_longest_wins() -> None:
    table = NameTable({"a.b": "x", "a.b.{i}": "y.{i}", "a.b.0.c": "z", "dropped": None})
    assert table.to_ours("a.b.weight") == (("x.weight",), None)
    assert table.to_ours("a.b.7.weight") == (("y.7.weight",), None)
    assert table.to_ours("a.b.0.c.weight") == (("z.weight",), None)
    assert table.to_ours("a.bc.weight") == (("a.bc.weight",), None)
    assert table.to_ours("dropped") == ((), None)
    for name in ("a.b.weight", "a.b.7.weight", "a.b.0.c.weight", "other.weight"):
        [ours], _ = table.to_ours(name)
        assert table.to_checkpoint(ours)[0] == name


def test_two_names_for_one_target_are_refused() -> None:
    with pytest.raises(ConfigError, match="'a' and 'b'"):
        NameTable({"a": "x", "b": "x"})


@pytest.mark.parametrize("ndim", [1, 2])
@pytest.mark.parametrize(
    "operation",
    [
        Transpose("x"),
        Split(("q", "k", "v")),
        Split(("q", "k", "v"), transposed=True),
        Reshape("x", checkpoint=(-1,), ours=(3, -1)),
    ],
    ids=repr,
)
def test_operations_give_every_bit_back(operation: Transpose | Split | Reshape, ndim: int) -> None:
    tensor = torch.randn(12) if ndim == 1 or isinstance(operation, Reshape) else torch.randn(12, 9)
    parts = operation.load(tensor)
    assert len(parts) == len(operation.targets)
    assert torch.equal(operation.save(parts), tensor)


def test_a_backbones_table_moves_under_a_prefix() -> None:
    table = NameTable({"": "head", "bert": "backbone", **prefixed({"e.w": "word"}, "bert", "backbone")})
    assert table.to_ours("bert.e.w.weight")[0] == ("backbone.word.weight",)
    assert table.to_ours("bert.other")[0] == ("backbone.other",)
    assert table.to_ours("classifier.bias")[0] == ("head.classifier.bias",)
    assert table.to_checkpoint("head.classifier.bias")[0] == "classifier.bias"
