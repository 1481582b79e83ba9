"""Special tokens by role: `cls_token`, `pad_token_id`, … as attributes of every tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def as_token(value: Any, *, lstrip: bool = False) -> AddedToken:
    """A special token from text, from an `AddedToken`, or from the mapping that files hold."""
    if isinstance(value, AddedToken):
        return value
    if isinstance(value, Mapping):
        flags = {name: bool(value[name]) for name in ("single_word", "lstrip", "rstrip", "normalized") if name in value}
        return AddedToken(str(value["content"]), **flags, special=bool(value.get("special", True)))
    return AddedToken(str(value), lstrip=lstrip, special=True, normalized=False)


class SpecialTokens:
    """Holds the special tokens; mixed into the tokenizer, which owns the Rust object."""

    rust: RustTokenizer
    # Roles whose token swallows the space before it, as a word would.
    lstrip_roles: frozenset[str] = frozenset()

    def set_special_tokens(self, values: Mapping[str, Any]) -> None:
        """Take what `values` says about roles, and make the Rust side treat these tokens as special."""
        self.special: dict[str, AddedToken] = {}
        self.additional: list[AddedToken] = []
        for role in ROLES:
            if values.get(role) is not None:
                self.special[role] = as_token(values[role], lstrip=role in self.lstrip_roles)
        extra = values.get("additional_special_tokens") or values.get("extra_special_tokens") or []
        if isinstance(extra, Mapping):
            extra = list(extra.values())
        self.additional = [as_token(token) for token in extra]
        self.register([*self.special.values(), *self.additional])

    def register(self, tokens: list[AddedToken]) -> int:
        """Make tokens special on the Rust side; those that the file already declares keep their flags there."""
        known = {token.content: token for token in self.rust.get_added_tokens_decoder().values()}
        new = [token for token in tokens if token.content not in known or not known[token.content].special]
        return self.rust.add_special_tokens(new) if new else 0

    def __getattr__(self, name: str) -> Any:
        if name in ROLES:
            token = self.__dict__.get("special", {}).get(name)
            return None if token is None else token.content
        if name.endswith("_id") and name.removesuffix("_id") in ROLES:
            token = getattr(self, name.removesuffix("_id"))
            return None if token is None else self.rust.token_to_id(token)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ROLES:
            if value is None:
                self.special.pop(name, None)
            else:
                self.special[name] = as_token(value, lstrip=name in self.lstrip_roles)
                self.register([self.special[name]])
        elif name.endswith("_id") and name.removesuffix("_id") in ROLES:
            setattr(self, name.removesuffix("_id"), None if value is None else self.rust.id_to_token(value))
        else:
            object.__setattr__(self, name, value)

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens without a role of their own."""
        return [token.content for token in self.additional]

    @additional_special_tokens.setter
    def additional_special_tokens(self, values: list[Any]) -> None:
        self.additional = [as_token(value) for value in values]
        self.register(self.additional)

    @property
    def additional_special_tokens_ids(self) -> list[int | None]:
        """Their ids."""
        return [self.rust.token_to_id(token) for token in self.additional_special_tokens]

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """Role → token."""
        tokens: dict[str, Any] = {role: token.content for role, token in self.special.items()}
        if self.additional:
            tokens["additional_special_tokens"] = self.additional_special_tokens
        return tokens

    @property
    def all_special_tokens(self) -> list[str]:
        """Each special token once, in the order of roles."""
        return list(dict.fromkeys([*(t.content for t in self.special.values()), *self.additional_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        """Their ids."""
        ids = (self.rust.token_to_id(token) for token in self.all_special_tokens)
        return [index for index in ids if index is not None]

    def add_special_tokens(self, special_tokens_dict: Mapping[str, Any], replace_extra: bool = True) -> int:
        """Give tokens to roles (`{"pad_token": "[PAD]"}`); returns how many are new to the vocabulary."""
        before = self.rust.get_vocab_size(with_added_tokens=True)
        for role, value in special_tokens_dict.items():
            if role in ("additional_special_tokens", "extra_special_tokens"):
                kept = [] if replace_extra else self.additional
                self.additional_special_tokens = [*kept, *value]
            else:
                setattr(self, role, value)
        return self.rust.get_vocab_size(with_added_tokens=True) - before
