"""A vocabulary learned anew from other texts, with the rules of a tokenizer that exists."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, pre_tokenizers, trainers
from tokenizers import Tokenizer as RustTokenizer

from samovar.errors import InputError, InputTypeError, TokenizerError
from samovar.text.special_tokens import ROLES, as_token

if TYPE_CHECKING:
    from samovar.text.tokenizer import Tokenizer

TRAINERS = {
    "BPE": trainers.BpeTrainer,
    "Unigram": trainers.UnigramTrainer,
    "WordLevel": trainers.WordLevelTrainer,
    "WordPiece": trainers.WordPieceTrainer,
}
BYTES = [f"<0x{value:02X}>" for value in range(256)]


@dataclass
class Lesson:
    """What is learned, how much of it, and what special tokens are called from now on."""

    texts: Iterable[str | Sequence[str]]
    size: int
    length: int | None
    new: list[Any]
    names: Mapping[str, str]
    options: dict[str, Any]


def learned(tokenizer: Tokenizer, lesson: Lesson) -> Tokenizer:
    """A tokenizer of the same class and settings with a vocabulary of `lesson.size` tokens.

    Raises `TokenizerError` for a model that no trainer learns, `InputError` and `InputTypeError` for bad texts or
    sizes.
    """
    state = json.loads(tokenizer.to_json())
    kind, model = state["model"]["type"], state["model"]
    if kind not in TRAINERS or not tokenizer.has_json:
        raise TokenizerError(
            f"The vocabulary of a {type(tokenizer).__name__} cannot be learned anew: no tokenizer.json holds it."
            if kind in TRAINERS else f"No trainer learns a model of the type {kind}.",
            f"Known: {', '.join(TRAINERS)}.",
        )  # fmt: skip
    if isinstance(lesson.size, bool) or not isinstance(lesson.size, int) or lesson.size < 1:
        raise InputError(f"vocab_size must be a positive int, got {lesson.size!r}.", "Give the number of tokens.")
    added, processor = state.pop("added_tokens"), state.pop("post_processor")
    state["added_tokens"], state["post_processor"] = [], None
    options = {"show_progress": sys.stderr is not None and sys.stderr.isatty(), **lesson.options}
    empty(model, lesson.names, options)
    tokens = special_tokens(added, kind, lesson)
    # Bytes stand in for letters that were not seen; no trainer keeps a place for them.
    fallback = BYTES if model.get("byte_fallback") else []
    if has_bytes(state["pre_tokenizer"]):
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    rust = RustTokenizer.from_str(json.dumps(state))
    trainer = TRAINERS[kind](vocab_size=max(lesson.size - len(fallback), 1), special_tokens=tokens, **options)
    rust.train_from_iterator(checked(lesson.texts), trainer=trainer, length=lesson.length)
    state = json.loads(rust.to_str())
    with_bytes(state["model"], fallback)
    state["post_processor"] = renumbered(processor, rust, lesson.names)
    return remade(tokenizer, RustTokenizer.from_str(json.dumps(state)), lesson)


def checked(texts: Iterable[str | Sequence[str]]) -> Iterator[str | Sequence[str]]:
    """The texts, or batches of them; raises `InputTypeError` for anything else."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise InputTypeError(f"Texts must be an iterable of them, got {type(texts).__name__}.", "Pass ['…', '…'].")
    for index, one in enumerate(texts):
        rows = [one] if isinstance(one, str) else one
        if isinstance(rows, bytes) or not isinstance(rows, Iterable) or not all(isinstance(row, str) for row in rows):
            raise InputTypeError(
                f"Text {index} is {type(one).__name__}, not a text or a list of them.", "Give str or lists of str."
            )
        yield one


def empty(model: dict[str, Any], names: Mapping[str, str], options: dict[str, Any]) -> None:
    """Take the vocabulary out of a model, and say in `options` what the trainer must know of its rules."""
    if model["type"] == "Unigram":
        if model["unk_id"] is not None:
            unknown = model["vocab"][model["unk_id"]][0]
            options.setdefault("unk_token", names.get(unknown, unknown))
            model["unk_id"], model["vocab"] = 0, [[options["unk_token"], 0.0]]
        return
    model["vocab"] = {}
    if model["type"] == "BPE":
        model["merges"] = []
        for rule in ("continuing_subword_prefix", "end_of_word_suffix"):
            if model[rule] is not None:
                options.setdefault(rule, model[rule])
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]


def special_tokens(added: list[dict[str, Any]], kind: str, lesson: Lesson) -> list[AddedToken]:
    """The special tokens by their new names, in the order of their old ids, then the new ones."""
    tokens = []
    for entry in sorted(added, key=lambda one: one["id"]):
        if entry["special"] or kind == "Unigram":
            flags = {name: entry[name] for name in ("single_word", "lstrip", "rstrip", "normalized")}
            tokens.append(AddedToken(lesson.names.get(entry["content"], entry["content"]), **flags))
    return tokens + [as_token(token) for token in lesson.new]


def has_bytes(cut: Mapping[str, Any] | None) -> bool:
    """Whether texts are cut into bytes, all 256 of which need a token."""
    if cut is None:
        return False
    return cut["type"] == "ByteLevel" or any(map(has_bytes, cut.get("pretokenizers", [])))


def with_bytes(model: dict[str, Any], fallback: list[str]) -> None:
    """Add the pieces that stand for bytes behind what was learned."""
    if model["type"] == "Unigram":
        known = {piece for piece, _ in model["vocab"]}
        model["vocab"] += [[piece, 0.0] for piece in fallback if piece not in known]
    elif fallback:
        new = [piece for piece in fallback if piece not in model["vocab"]]
        model["vocab"] |= dict(zip(new, range(len(model["vocab"]), len(model["vocab"]) + len(new)), strict=True))


def renumbered(processor: Any, rust: RustTokenizer, names: Mapping[str, str]) -> Any:
    """A post-processor with the new names and ids of its tokens. Raises `TokenizerError` for one that is gone."""
    if isinstance(processor, list):
        return [renumbered(one, rust, names) for one in processor]
    if not isinstance(processor, dict):
        return processor

    def number(token: str) -> int:
        index = rust.token_to_id(token)
        if index is None:
            raise TokenizerError(
                f"{token!r} stands around every text, and is no token of the new vocabulary.",
                "Name it in new_special_tokens, or a larger vocab_size.",
            )
        return index

    changed = dict(processor)
    for role in ("sep", "cls"):
        if role in changed:
            token = names.get(changed[role][0], changed[role][0])
            changed[role] = [token, number(token)]
    if "special_tokens" in changed:
        entries = {}
        for entry in changed["special_tokens"].values():
            tokens = [names.get(token, token) for token in entry["tokens"]]
            name = names.get(entry["id"], entry["id"])
            entries[name] = {"id": name, "ids": [number(token) for token in tokens], "tokens": tokens}
        changed["special_tokens"] = entries
        for layout in ("single", "pair"):
            changed[layout] = [renamed(place, names) for place in changed[layout]]
    if "processors" in changed:
        changed["processors"] = renumbered(changed["processors"], rust, names)
    return changed


def renamed(place: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A place in a template, with the new name of its token."""
    special = place.get("SpecialToken")
    return place if special is None else {"SpecialToken": {**special, "id": names.get(special["id"], special["id"])}}


def remade(tokenizer: Tokenizer, rust: RustTokenizer, lesson: Lesson) -> Tokenizer:
    """The tokenizer with another vocabulary."""
    settings = {name: value for name, value in tokenizer.to_config().items() if name not in ROLES}
    for name in ("added_tokens_decoder", "tokenizer_class", "additional_special_tokens"):
        settings.pop(name, None)

    def token(old: AddedToken) -> AddedToken:
        flags = {name: getattr(old, name) for name in ("single_word", "lstrip", "rstrip", "normalized")}
        return AddedToken(lesson.names.get(old.content, old.content), **flags, special=True)

    roles: dict[str, Any] = {role: token(old) for role, old in tokenizer.special.items()}
    further = [*map(token, tokenizer.additional), *map(as_token, lesson.new)]
    made = type(tokenizer)(tokenizer_object=rust, **settings, **roles)
    # Some families name tokens without a role by themselves.
    known = set(made.additional_special_tokens)
    made.additional_special_tokens = [*made.additional, *(one for one in further if one.content not in known)]
    made.chat_template = tokenizer.chat_template
    return made
