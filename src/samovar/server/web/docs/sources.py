"""The library's modules as their sources say: names, signatures and docstrings, read without importing anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3]
# Not for those who import the library: the Hub is used over HTTP, the command line from a shell.
LEFT_OUT = ("server", "cli")
LINE = 88


@dataclass(frozen=True)
class Field:
    """A field of a class: `text` is what its `doc(default, text)` or the comment behind it says."""

    name: str
    type: str
    default: str
    text: str


@dataclass(frozen=True)
class Definition:
    """A class, function or constant. `bases` are as written; `group` heads fields by the comment above them."""

    kind: str
    name: str
    signature: str
    doc: str
    bases: tuple[str, ...] = ()
    fields: tuple[tuple[str, tuple[Field, ...]], ...] = ()
    members: tuple[Definition, ...] = ()
    decorators: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first sentence of the docstring's first paragraph."""
        return summary(self.doc)


@dataclass
class Module:
    """A module. `imports` is local name → (module, name there)."""

    name: str
    doc: str
    package: bool
    definitions: list[Definition] = field(default_factory=list)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    exported: tuple[str, ...] = ()

    def find(self, name: str) -> Definition | None:
        """The definition of that name."""
        return next((one for one in self.definitions if one.name == name), None)


def summary(doc: str) -> str:
    """The first sentence of a docstring."""
    first = " ".join(doc.strip().split("\n\n")[0].split())
    found = re.match(r"(.+?[.!?])(?:\s+[A-ZА-Я`]|$)", first)
    return (found[1] if found else first).removesuffix("::").strip()


def module_names() -> list[str]:
    """The dotted names of the library's modules, packages before what is in them."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in LEFT_OUT or parts[-1] == "__main__":
            continue
        found.append(".".join(("samovar", *(parts[:-1] if parts[-1] == "__init__" else parts))))
    return sorted(found)


@cache
def read(name: str) -> Module:
    """A module by its dotted name. Raises `KeyError` if there is none."""
    parts = name.split(".")
    path = PACKAGE.joinpath(*parts[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if parts[0] != "samovar" or not all(part.isidentifier() for part in parts) or not file.is_file():
        raise KeyError(name)
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    made = Module(name, ast.get_docstring(tree) or "", file.name == "__init__.py")
    lines = text.splitlines()
    for node in reachable(tree.body):
        if isinstance(node, ast.ImportFrom):
            origin = absolute(node, name, made.package)
            made.imports.update({alias.asname or alias.name: (origin, alias.name) for alias in node.names})
        elif isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == ["__all__"]:
            made.exported = tuple(ast.literal_eval(node.value))
        else:
            found = definition(node, lines)
            if found is not None and not found.name.startswith("_"):
                made.definitions.append(found)
    return made


def reachable(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements at the top, and those behind `if TYPE_CHECKING` and its like."""
    for node in body:
        if isinstance(node, ast.If):
            yield from reachable(node.body)
            yield from reachable(node.orelse)
        else:
            yield node


def absolute(node: ast.ImportFrom, name: str, package: bool) -> str:
    """The module that is imported from."""
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    base = parts[: len(parts) - node.level + (1 if package else 0)]
    return ".".join([*base, *(node.module.split(".") if node.module else [])])


def definition(node: ast.stmt, lines: list[str]) -> Definition | None:
    """What a statement defines, if anything that has words of its own."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return function(node)
    if isinstance(node, ast.ClassDef):
        return class_(node, lines)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return constant(node.targets[0].id, "", node.value, node.lineno, lines)
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return constant(node.target.id, f": {ast.unparse(node.annotation)}", node.value, node.lineno, lines)
    return None


def constant(name: str, kind: str, value: ast.expr | None, line: int, lines: list[str]) -> Definition:
    """A name with a value; its words are the comment right above it."""
    above: list[str] = []
    for text in reversed(lines[: line - 1]):
        if not text.startswith("#"):
            break
        above.insert(0, text.lstrip("# "))
    shown = f" = {ast.unparse(value)}" if value is not None else ""
    return Definition("constant", name, f"{name}{kind}{shown if len(shown) <= LINE else ' = …'}", " ".join(above))


def function(node: ast.FunctionDef | ast.AsyncFunctionDef, method: bool = False) -> Definition:
    """A function, with its whole signature."""
    decorators = tuple(ast.unparse(one) for one in node.decorator_list)
    bound = method and "staticmethod" not in decorators
    shown = node.name
    if "property" in decorators or any(one.endswith("cached_property") for one in decorators):
        signature = f"{shown}{returned(node)}"
        kind = "property"
    else:
        signature = signed(shown, node.args, returned(node), bound)
        kind = (
            "classmethod" if "classmethod" in decorators else "staticmethod" if "staticmethod" in decorators else "def"
        )
    return Definition(kind, node.name, signature, ast.get_docstring(node) or "", decorators=decorators)


def returned(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The type that a function returns."""
    return f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""


def signed(name: str, arguments: ast.arguments, result: str, bound: bool) -> str:
    """A signature: on one line, or an argument a line where that would be too long."""
    parts: list[str] = []
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    for number, (one, default) in enumerate(zip(positional, defaults, strict=True)):
        if bound and number == 0:
            continue
        parts.append(parameter(one, default))
        if arguments.posonlyargs and number == len(arguments.posonlyargs) - 1:
            parts.append("/")
    if arguments.vararg:
        parts.append(f"*{parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        parts.append("*")
    parts += [parameter(one, default) for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    if arguments.kwarg:
        parts.append(f"**{parameter(arguments.kwarg, None)}")
    flat = f"{name}({', '.join(parts)}){result}"
    if len(flat) <= LINE:
        return flat
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){result}"


def parameter(one: ast.arg, default: ast.expr | None) -> str:
    """`name: type = default`."""
    text = one.arg + (f": {ast.unparse(one.annotation)}" if one.annotation is not None else "")
    if default is None:
        return text
    return f"{text} = {ast.unparse(default)}" if one.annotation is not None else f"{text}={ast.unparse(default)}"


def class_(node: ast.ClassDef, lines: list[str]) -> Definition:
    """A class with its public methods and documented fields."""
    members = [
        function(one, method=True)
        for one in node.body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
        and (not one.name.startswith("_") or one.name in ("__init__", "__call__"))
        and not any(ast.unparse(decorator).endswith((".setter", "overload")) for decorator in one.decorator_list)
    ]
    start = next((one for one in members if one.name == "__init__"), None)
    signature = start.signature.replace("__init__", node.name, 1).removesuffix(" -> None") if start else node.name
    return Definition(
        "class", node.name, signature, ast.get_docstring(node) or "",
        bases=tuple(ast.unparse(base) for base in node.bases),
        fields=tuple((heading, tuple(found)) for heading, found in fields(node, lines)),
        members=tuple(one for one in members if one.name != "__init__"),
        decorators=tuple(ast.unparse(one) for one in node.decorator_list),
    )  # fmt: skip


def fields(node: ast.ClassDef, lines: list[str]) -> list[tuple[str, list[Field]]]:
    """Annotated fields in groups: a comment on a line of its own, with an empty line before it, heads those below."""
    groups: list[tuple[str, list[Field]]] = []
    for place, one in enumerate(node.body):
        if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name) or one.target.id.startswith("_"):
            continue
        kind = ast.unparse(one.annotation)
        if kind.startswith("ClassVar"):
            continue
        above = lines[one.lineno - 2].strip()
        heading = above[1:].strip() if above.startswith("#") and not lines[one.lineno - 3].strip() else ""
        if heading or not groups:
            groups.append((heading, []))
        text = re.search(r"\s#\s(?!fmt|noqa|type:)(.*)$", lines[(one.end_lineno or one.lineno) - 1])
        default, said = documented(one.value)
        following = node.body[place + 1] if place + 1 < len(node.body) else None
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            said = said or str(following.value.value)
        groups[-1][1].append(Field(one.target.id, kind, default, said or (text[1].strip() if text else "")))
    return groups


def documented(value: ast.expr | None) -> tuple[str, str]:
    """A field's default and its words, from `doc(default, words)`, `field(default_factory=…)` or a plain value."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        if value.func.id == "doc" and len(value.args) == 2:
            words = value.args[1]
            return ast.unparse(value.args[0]), words.value if isinstance(words, ast.Constant) else ""  # type: ignore[return-value]
        if value.func.id == "field":
            made = next((one.value for one in value.keywords if one.arg == "default_factory"), None)
            return (f"{ast.unparse(made)}()" if isinstance(made, ast.Name) else "…"), ""
    return (ast.unparse(value) if value is not None else ""), ""
