"""A few families are compared in a hurry, all of them otherwise."""

import re
from pathlib import Path

import pytest

# The families that `make test-fast` compares, one of each kind; `make test` compares all.
QUICK = ("bert", "gpt2", "t5", "vit")
BY_FAMILY = ("test_architectures", "test_decoders", "test_encoder_decoder", "test_heads", "test_sequences")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The same comparison of hundreds of families and heads takes minutes."""
    for item in items:
        case = getattr(item, "callspec", None)
        if case is None or item.path.parent != Path(__file__).parent or item.path.stem not in BY_FAMILY:
            continue
        if re.split(r"[-, ]", case.id)[0] not in QUICK:
            item.add_marker(pytest.mark.slow)
