"""Special tokens around a text: their names in the families of models, and where a family puts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer as RustTokenizer
from tokenizers import processors

from samovar.text.special_tokens import ROLES, as_token

WITH_TYPES = ["input_ids", "token_type_ids", "attention_mask"]
WITHOUT_TYPES = ["input_ids", "attention_mask"]
BERT_TOKENS = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
BERT_TOKENS["mask_token"] = "[MASK]"
ROBERTA_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>"}
ROBERTA_TOKENS |= {"pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"}

# One text, and a pair: tokens by role, `$A` and `$B` for the texts, and the type of each behind a colon.
PLAIN = ("$A:0", "$A:0 $B:1")
WITH_END = ("$A:0 eos_token:0", "$A:0 eos_token:0 $B:0 eos_token:0")
WITH_ONE_END = ("$A:0 eos_token:0", "$A:0 $B:0 eos_token:0")
AS_BERT = ("cls_token:0 $A:0 sep_token:0", "cls_token:0 $A:0 sep_token:0 $B:1 sep_token:1")
AS_ROBERTA = ("cls_token:0 $A:0 sep_token:0", "cls_token:0 $A:0 sep_token:0 sep_token:0 $B:0 sep_token:0")
AS_XLNET = ("$A:0 sep_token:0 cls_token:2", "$A:0 sep_token:0 $B:1 sep_token:1 cls_token:2")


def texts_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """Role → token as text."""
    return {role: as_token(settings[role]).content for role in ROLES if settings.get(role) is not None}


def register(rust: RustTokenizer, settings: Mapping[str, Any], lstrip: frozenset[str]) -> None:
    """Make the special tokens known before a template asks for their ids."""
    roles = [role for role in ROLES if settings.get(role) is not None]
    rust.add_special_tokens([as_token(settings[role], lstrip=role in lstrip) for role in roles])


def template(rust: RustTokenizer, tokens: Mapping[str, str], layout: tuple[str, str]) -> processors.PostProcessor:
    """The layout with the roles' tokens in it; `tokens` may hold further names beside the roles."""
    used: dict[str, int] = {}

    def fill(line: str) -> list[str]:
        pieces = []
        for place in line.split():
            name, _, kind = place.partition(":")
            if not name.startswith("$"):
                name = tokens[name]
                used[name] = rust.token_to_id(name) or 0
            pieces.append(f"{name}:{kind}")
        return pieces

    single, pair = (fill(line) for line in layout)
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=list(used.items()))


def surround(rust: RustTokenizer, tokens: Mapping[str, str], begin: bool, end: bool) -> processors.PostProcessor:
    """A token in front of each text, behind it, both or none, as `add_bos_token` and `add_eos_token` say."""
    front = begin and "bos_token" in tokens
    behind = end and "eos_token" in tokens
    first, second = (
        f"{f'bos_token:{kind} ' if front else ''}${name}:{kind}{f' eos_token:{kind}' if behind else ''}"
        for name, kind in (("A", 0), ("B", 1))
    )
    return template(rust, tokens, (first, f"{first} {second}"))
