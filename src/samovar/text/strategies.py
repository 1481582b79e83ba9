"""What `padding`, `truncation` and `max_length` mean together."""

from __future__ import annotations

import logging
from typing import Any

from samovar.errors import InputError

logger = logging.getLogger(__name__)

UNLIMITED = int(1e30)
"""`model_max_length` of a tokenizer whose files name no limit."""

TRUNCATIONS: dict[Any, str | None] = {
    True: "longest_first",
    "longest_first": "longest_first",
    "only_first": "only_first",
}
TRUNCATIONS |= {"only_second": "only_second", False: None, None: None, "do_not_truncate": None}
PADDINGS: dict[Any, str | None] = {
    True: "longest",
    "longest": "longest",
    "max_length": "max_length",
    False: None,
    "do_not_pad": None,
}


def strategies(
    padding: bool | str, truncation: bool | str | None, max_length: int | None, limit: int, verbose: bool
) -> tuple[str | None, str | None, int | None]:
    """Truncation, padding and the length that they work towards."""
    padding, truncation = getattr(padding, "value", padding), getattr(truncation, "value", truncation)
    if truncation not in TRUNCATIONS:
        names = [name for name in TRUNCATIONS if isinstance(name, str)]
        raise InputError(f"truncation={truncation!r} is unknown.", f"Use True, False, {', '.join(names)}.")
    if padding not in PADDINGS:
        raise InputError(f"padding={padding!r} is unknown.", "Use True, False, 'longest' or 'max_length'.")
    cut, fill = TRUNCATIONS[truncation], PADDINGS[padding]
    if max_length is not None and truncation is None and fill is None:
        # A length without a word on what it is for has always meant truncation.
        cut = "longest_first"
        if verbose:
            logger.warning("max_length was given without truncation: texts are truncated (truncation=True says so).")
    if max_length is None and (cut or fill == "max_length"):
        if limit < UNLIMITED // 10**10:
            max_length = limit
        else:
            if verbose:
                logger.warning("No max_length was given and the tokenizer names none: neither cut nor padded to it.")
            cut, fill = None, None if fill == "max_length" else fill
    return cut, fill, max_length
