"""Which languages a translation model knows, and how its checkpoint says which one to write."""

from __future__ import annotations

import re
from typing import Any

from samovar.errors import InputError, nearest

TASK = re.compile(r"translation_(\w+)_to_(\w+)")
# How vocabularies write languages: NLLB and mBART, M2M100, Marian.
CODE = re.compile(r"[a-z]{2,3}_[A-Z][A-Za-z]{1,3}")
MARKED = re.compile(r"__([a-z]{2,3})__")
TARGET = re.compile(r">>([\w-]+)<<")


def pair_of(task: str) -> tuple[str | None, str | None]:
    """The languages in a name such as `translation_en_to_fr`."""
    found = TASK.fullmatch(task)
    return (found[1], found[2]) if found else (None, None)


def codes_of(tokenizer: Any) -> dict[str, int]:
    """Language code → its token; empty where the vocabulary has none.

    A tokenizer that knows them says so in `lang_code_to_id`; else they are its special tokens that look like codes.
    """
    known = getattr(tokenizer, "lang_code_to_id", None)
    if known:
        return {MARKED.sub(r"\1", code): int(token) for code, token in known.items()}
    special = list(getattr(tokenizer, "all_special_tokens", None) or ())
    special += [str(token) for token in getattr(tokenizer, "get_added_vocab", dict)()]
    found: dict[str, int] = {}
    for token in special:
        marked = MARKED.fullmatch(token)
        if marked or CODE.fullmatch(token):
            found[marked[1] if marked else token] = int(tokenizer.convert_tokens_to_ids(token))
    return found


def target_marks(tokenizer: Any) -> dict[str, str]:
    """Language code → the mark that a text begins with, of models that are told the target so."""
    return {found[1]: token for token in tokenizer.get_vocab() if (found := TARGET.fullmatch(token))}


def code_named(name: str, codes: Any, argument: str) -> str:
    """The code that is meant: itself, or the only one of that language; raises `InputError` with the list."""
    if name in codes:
        return name
    of_language = [code for code in codes if code.split("_")[0] == str(name).split("_")[0]]
    if len(of_language) == 1 and "_" not in name:
        return of_language[0]
    near = nearest(str(name), codes)
    hint = f"Did you mean {' or '.join(map(repr, of_language or near))}? " if of_language or near else ""
    raise InputError(
        f"{argument}={name!r} is no language of this model.", f"{hint}It knows: {', '.join(sorted(codes))}."
    )
