"""Functions that a model may call, described as JSON schemas from their hints and docstrings."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from samovar.errors import InputError

PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null", Any: None}
ARGUMENT = re.compile(r"^\s{2,}(\w+)(?:\s*\([^)]*\))?\s*:\s*(.*)$")
HEADINGS = re.compile(r"^\s*(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):\s*$")


def get_json_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The schema of a function, as chat templates read it.

    The description and those of the arguments come from a docstring in Google's style, the types from the hints.
    Raises `InputError` for a function without a docstring, or an argument without a hint or a description.
    """
    summary, described, returns = read_docstring(function)
    hints = get_type_hints(function)
    properties, required = {}, []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in hints:
            raise InputError(f"{function.__name__}: the argument {name!r} has no type hint.", f"Write {name}: int, …")
        if name not in described:
            raise InputError(
                f"{function.__name__}: the docstring does not describe {name!r}.",
                "Add it under Args: in the docstring.",
            )
        text, choices = split_choices(described[name])
        properties[name] = of_type(hints[name]) | ({"enum": choices} if choices else {}) | {"description": text}
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        parameters["required"] = required
    found = {"name": function.__name__, "description": summary, "parameters": parameters}
    if "return" in hints and hints["return"] is not type(None):
        found["return"] = of_type(hints["return"]) | ({"description": returns} if returns else {})
    return {"type": "function", "function": found}


def read_docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str], str]:
    """The summary, the description of each argument, and that of what is returned."""
    text = inspect.getdoc(function)
    if not text:
        raise InputError(f"{function.__name__} has no docstring.", "Say in it what the function does, for the model.")
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for line in text.splitlines():
        heading = HEADINGS.match(line)
        if heading:
            current = heading.group(1)
            sections[current] = []
        else:
            sections[current].append(line)
    arguments: dict[str, str] = {}
    last = ""
    for line in sections.get("Args", sections.get("Arguments", sections.get("Parameters", []))):
        found = ARGUMENT.match(line)
        if found:
            last = found.group(1)
            arguments[last] = found.group(2).strip()
        elif last and line.strip():
            arguments[last] = f"{arguments[last]} {line.strip()}".strip()
    returns = " ".join(line.strip() for line in sections.get("Returns", []) if line.strip())
    return "\n".join(sections[""]).strip(), arguments, returns


def split_choices(text: str) -> tuple[str, list[Any]]:
    """A description, and the values that `(choices: ["a", "b"])` at its end allows."""
    import json

    found = re.search(r"\(choices:\s*(.*?)\)\s*$", text, re.DOTALL)
    if found is None:
        return text, []
    return text[: found.start()].strip(), json.loads(found.group(1))


def of_type(hint: Any) -> dict[str, Any]:
    """The schema of a type hint. Raises `InputError` for a type that JSON does not have."""
    origin, given = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return {} if PLAIN[hint] is None else {"type": PLAIN[hint]}
    if origin is Literal:
        kinds = {of_type(type(one))["type"] for one in given}
        return {"type": kinds.pop() if len(kinds) == 1 else sorted(kinds), "enum": list(given)}
    if origin in (Union, types.UnionType):
        parts = [of_type(one) for one in given if one is not type(None)]
        simple = [part["type"] for part in parts if set(part) == {"type"} and isinstance(part["type"], str)]
        if len(parts) == 1:
            joined = parts[0]
        elif len(simple) == len(parts):
            joined = {"type": sorted(simple)}
        else:
            joined = {"anyOf": parts}
        return joined | ({"nullable": True} if type(None) in given else {})
    if hint is list or origin in (list, Sequence):
        return {"type": "array"} | ({"items": of_type(given[0])} if given else {})
    if hint is tuple or origin is tuple:
        return {"type": "array"} | ({"prefixItems": [of_type(one) for one in given]} if given else {})
    if hint is dict or origin in (dict, Mapping):
        return {"type": "object"} | ({"additionalProperties": of_type(given[1])} if given else {})
    raise InputError(f"The type {hint!r} has no counterpart in JSON.", "Use str, int, float, bool, list or dict.")
