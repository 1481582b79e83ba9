"""Assertions inside the harness say what differs, as those in test files do."""

import pytest

pytest.register_assert_rewrite("harness")
