"""The program that knows the library for the Hub: it describes tasks and metrics, and computes metrics of typed values.

Messages in both directions are JSON lines. It begins with `{"tasks": {name: aliases}, "metrics": [description]}`; then
each `{"metric", "config", "columns", "options"}` is answered by `{"result", "notes"}` or
`{"error"}`.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from samovar.errors import SamovarError
from samovar.server.inference.media import plain

# Bytes of memory that may be written to: a visitor's values are small, what a metric makes of them may not be.
MOST_MEMORY = 3 * 2**30
# What a column holds, by the function that converts it.
HOLDS = {
    "to_labels": "labels", "to_numbers": "numbers", "to_texts": "texts", "to_text_lists": "text lists",
    "to_tags": "tags", "to_items": "items", "to_maps": "maps",
}  # fmt: skip


def described(spec: Any) -> dict[str, Any]:
    """A metric, as its page says it."""
    configs = spec.configs or (None,)
    columns = {
        config or "": [
            {"name": name, "describes": column.describes, "holds": HOLDS.get(column.convert.__name__, "records")}
            for name, column in spec.columns_of(config).items()
        ]
        for config in configs
    }
    options = [
        {"name": name, "default": parameter.default, "type": str(parameter.annotation)}
        for name, parameter in spec.options.items()
        if "Callable" not in str(parameter.annotation)
    ]
    return {
        "name": spec.name, "kind": spec.kind, "description": spec.description, "range": spec.range,
        "better": spec.better, "formula": spec.formula, "source": spec.source, "library": spec.library,
        "citation": spec.citation, "configs": list(spec.configs), "columns": columns, "options": options,
        "example": spec.example, "values": typed(spec.example), "model": spec.function.__module__.endswith(".models"),
    }  # fmt: skip


def typed(example: str) -> dict[str, Any]:
    """What the example of a docstring computes on: `{"config", column: values, option: value}`; empty if unclear."""
    lines = [line[4:] for line in example.splitlines() if line.startswith((">>> ", "... "))]
    known: dict[str, Any] = {}
    with contextlib.suppress(ValueError, SyntaxError, KeyError, TypeError):
        for statement in ast.parse("\n".join(lines)).body:
            for call in (node for node in ast.walk(statement) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr == "compute":
                    load = call.func.value
                    config = load.args[1] if isinstance(load, ast.Call) and len(load.args) > 1 else None
                    values = {word.arg: value_of(word.value, known) for word in call.keywords if word.arg}
                    return values | ({"config": value_of(config, known)} if config is not None else {})
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                known[statement.targets[0].id] = value_of(statement.value, known)
    return {}


def value_of(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """A literal in which names that were set before may stand, and joined dictionaries. Raises `ValueError`."""
    if isinstance(node, ast.Name):
        return known[node.id]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return value_of(node.left, known) | value_of(node.right, known)
    if isinstance(node, ast.List):
        return [value_of(one, known) for one in node.elts]
    return ast.literal_eval(node)


def computed(message: dict[str, Any]) -> dict[str, Any]:
    """The answer to one question."""
    import samovar.evaluate

    name, config = message["metric"], message.get("config") or None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = samovar.evaluate.load(name, config).compute(**message["columns"], **message["options"])
        notes = [str(one.message) for one in caught if one.category.__name__ == "MetricWarning"]
        return {"result": dict(result), "notes": notes}
    except SamovarError as error:
        return {"error": f"{error.cause} {error.next_step}".strip()}
    except MemoryError:
        return {"error": "That needs more memory than a visitor may use. Send less."}
    except RecursionError:
        return {"error": "The values are nested too deeply. Send plain lists."}
    except Exception as error:  # An option that the library behind it does not take.
        return {"error": f"The metric cannot be computed: {str(error)[:300] or type(error).__name__}."}


def written(message: Any) -> str:
    """A message as one line."""
    return json.dumps(tidy(message), default=plain) + "\n"


def tidy(value: Any) -> Any:
    """With texts as keys, as JSON wants them."""
    if isinstance(value, dict):
        return {str(key): tidy(one) for key, one in value.items()}
    return [tidy(one) for one in value] if isinstance(value, list | tuple) else value


def main() -> int:
    """`python -m samovar.server.inference.scorer`."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    import samovar.evaluate.spec
    import samovar.pipelines.registry

    registry = samovar.pipelines.registry.PIPELINE_REGISTRY
    tasks = {spec.name: list(spec.aliases) for spec in registry.tasks.values()}
    metrics = [described(spec) for spec in samovar.evaluate.spec.all_metrics().values()]
    out.write(written({"tasks": tasks, "metrics": metrics}))
    out.flush()
    for line in sys.stdin:
        out.write(written(computed(json.loads(line))))
        out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
