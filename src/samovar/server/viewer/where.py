"""A visitor's condition (`"label" = 1 AND text <> 'x'`) as SQL: parsed, checked against the columns, and written anew.

Allowed: column names (in double quotes, or bare), numbers, texts in single quotes (`''` for one inside), `true`,
`false`, `null`; `= <> != > >= < <=`, `IS [NOT] NULL`, `[NOT] LIKE`, `AND`, `OR`, `NOT`, parentheses. Nothing else gets
through, and values travel as parameters.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from samovar.server.errors import UnprocessableError
from samovar.server.repos.names import printable

TOKEN = re.compile(
    r"""\s*(?:(?P<name>"(?:[^"]|"")+")|(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<sign><>|!=|>=|<=|=|>|<)|(?P<bracket>[()])|(?P<word>\w+))""",
    re.VERBOSE,
)
LONGEST, DEEPEST = 10_000, 50
CONSTANTS = {"true": True, "false": False, "null": None}
NEXT = "Write it as \"column\" = 1 AND text <> 'word'."


class Parser:
    """One condition."""

    def __init__(self, text: str, columns: Collection[str]) -> None:
        if len(text) > LONGEST:
            raise UnprocessableError("The condition is too long.", f"Use at most {LONGEST:,} characters.")
        self.columns, self.values = columns, list[Any]()
        self.tokens: list[tuple[str, str]] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            found = TOKEN.match(text, at)
            if not found or not found.lastgroup:
                raise UnprocessableError(f"The condition cannot be read at {printable(text[at : at + 20])}.", NEXT)
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self.at = 0

    def peek(self) -> tuple[str, str]:
        """The next token; at the end an empty one."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ("", "")

    def word(self, *words: str) -> bool:
        """Take the words if they come next."""
        for ahead, word in enumerate(words):
            at = self.at + ahead
            if at >= len(self.tokens) or self.tokens[at][0] != "word" or self.tokens[at][1].upper() != word:
                return False
        self.at += len(words)
        return True

    def whole(self) -> tuple[str, list[Any]]:
        """SQL and its values."""
        sql = self.any_of(0)
        if self.at < len(self.tokens):
            self.fail()
        return sql, self.values

    def any_of(self, depth: int) -> str:
        """Conditions with OR between them."""
        parts = [self.all_of(depth)]
        while self.word("OR"):
            parts.append(self.all_of(depth))
        return f"({' OR '.join(parts)})"

    def all_of(self, depth: int) -> str:
        """Conditions with AND between them."""
        parts = [self.one(depth)]
        while self.word("AND"):
            parts.append(self.one(depth))
        return f"({' AND '.join(parts)})"

    def one(self, depth: int) -> str:
        """A comparison, a negation, or a condition in parentheses."""
        if depth > DEEPEST:
            raise UnprocessableError("The condition has too many parentheses.", NEXT)
        if self.word("NOT"):
            return f"(NOT {self.one(depth + 1)})"
        if self.peek() == ("bracket", "("):
            self.at += 1
            inside = self.any_of(depth + 1)
            if self.peek() != ("bracket", ")"):
                self.fail()
            self.at += 1
            return inside
        left = self.operand()
        if self.word("IS", "NOT", "NULL"):
            return f"({left} IS NOT NULL)"
        if self.word("IS", "NULL"):
            return f"({left} IS NULL)"
        if self.word("NOT", "LIKE"):
            return f"({left} NOT LIKE {self.operand()})"
        if self.word("LIKE"):
            return f"({left} LIKE {self.operand()})"
        kind, sign = self.peek()
        if kind != "sign":
            self.fail()
        self.at += 1
        return f"({left} {sign} {self.operand()})"

    def operand(self) -> str:
        """A column or a value."""
        kind, text = self.peek()
        self.at += 1
        if kind == "name":
            return column(text[1:-1].replace('""', '"'), self.columns)
        if kind == "text":
            return self.value(text[1:-1].replace("''", "'"))
        if kind == "number":
            return self.value(float(text) if re.search(r"[.eE]", text) else int(text))
        if kind == "word" and text.lower() in CONSTANTS:
            return self.value(CONSTANTS[text.lower()])
        if kind == "word":
            return column(text, self.columns)
        self.at -= 1
        self.fail()
        raise AssertionError

    def value(self, value: Any) -> str:
        """A parameter."""
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
            value = float(value)
        self.values.append(value)
        return "?"

    def fail(self) -> None:
        """Raises `UnprocessableError` that names the place."""
        rest = " ".join(text for _, text in self.tokens[self.at : self.at + 5]) or "its end"
        raise UnprocessableError(f"The condition cannot be read at {printable(rest)}.", NEXT)


def column(name: str, columns: Collection[str]) -> str:
    """A column's name for SQL. Raises `UnprocessableError` for one that there is not."""
    if name not in columns:
        raise UnprocessableError(
            f"There is no column {printable(name)}.", f"There are {', '.join(list(columns)[:30])}."
        )
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def condition(text: str, columns: Collection[str]) -> tuple[str, list[Any]]:
    """A condition as SQL and values."""
    return Parser(text, columns).whole()


def order(text: str, columns: Collection[str]) -> str:
    """`"column" DESC` for SQL."""
    found = re.fullmatch(r'\s*(?:"((?:[^"]|"")+)"|(\w+))(?:\s+(ASC|DESC))?\s*', text, re.IGNORECASE)
    if not found:
        raise UnprocessableError(f"orderby cannot be {printable(text)}.", 'Write it as "column" DESC.')
    return f"{column((found[1] or found[2]).replace(chr(34) * 2, chr(34)), columns)} {(found[3] or 'ASC').upper()}"
