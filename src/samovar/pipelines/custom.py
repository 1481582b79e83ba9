"""Pipelines that come with a repository: their code beside the model, and their tasks in `config.json`.

The field's form: `{"custom_pipelines": {"task": {"impl": "module.Class", "pt": ["AutoModel…"], "type": "text"}}}`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.errors import ConfigError, InputError, TaskError
from samovar.pipelines.registry import PIPELINE_REGISTRY, TaskSpec, default_of

if TYPE_CHECKING:
    from samovar.hub.card import About
    from samovar.pipelines.base import Pipeline

KEY = "custom_pipelines"
OURS = "samovar."


# Saving -----------------------------------------------------------------------------------------------------------


def registered(pipe: Pipeline) -> dict[str, TaskSpec]:
    """The tasks that a pipeline's class was registered for, if it is none of ours."""
    kind = type(pipe)
    if kind.__module__.startswith(OURS):
        return {}
    found = {name: spec for name, spec in PIPELINE_REGISTRY.tasks.items() if spec.pipeline is kind}
    own = getattr(pipe, "own_spec", None)
    return found or ({own.name: own} if own is not None else {})


@contextlib.contextmanager
def named_in_config(pipe: Pipeline, folder: Path) -> Iterator[None]:
    """Write the source of a custom class into `folder`; inside the block the model's configuration names it."""
    from samovar.hub.code_files import write_source

    tasks = registered(pipe)
    config = getattr(pipe.model, "config", None)
    if config is None:  # Embeddings have a list of modules in place of one configuration.
        if tasks:
            raise InputError(
                f"{type(pipe.model).__name__} has no configuration to name a pipeline in.", "Save the model."
            )
        yield
        return
    extra = config.extra
    before = extra.get(KEY)
    if tasks:
        where = write_source(type(pipe), folder)
        extra[KEY] = {name: entry(spec, where) for name, spec in tasks.items()}
    elif type(pipe).__module__.startswith(OURS):
        extra.pop(KEY, None)  # Its code would not be there.
    try:
        yield
    finally:
        extra.pop(KEY, None)
        if before is not None:
            extra[KEY] = before


def entry(spec: TaskSpec, where: str) -> dict[str, Any]:
    """What `config.json` says of one task."""
    models = [str(getattr(one, "__name__", one)).rpartition(":")[2] for one in spec.auto]
    found: dict[str, Any] = {"impl": where, "pt": models, "type": spec.kind}
    if spec.default is not None:
        found["default"] = {"model": {"pt": list(spec.default)}}
    return found


def tell_card(pipe: Pipeline, about: About) -> None:
    """The task as the pipeline was asked for; of a custom one, how it is loaded."""
    from samovar.hub.card import HEADS, Head

    if registered(pipe):
        about.head = Head(pipe.task, about.head.auto if about.head else "AutoModel", "…")
        about.own_code = True
        about.tags = [*about.tags, "custom_code"]
    elif about.head is not None and pipe.task not in (about.head.task, *(head.task for head in HEADS.values())):
        about.head = replace(about.head, task="translation" if pipe.task.startswith("translation") else pipe.task)


# Loading ----------------------------------------------------------------------------------------------------------


def chosen_task(task: str | None, settings: Any, trust: bool | None) -> str | None:
    """The repository's own task that is to run: the one named, or its only one; None where none of them is.

    Raises `TaskError` when there are several and none was named.
    """
    custom = (getattr(settings, "extra", None) or {}).get(KEY) or {}
    if not isinstance(custom, Mapping) or not all(isinstance(one, Mapping) for one in custom.values()):
        raise ConfigError(f"{KEY} in config.json is no mapping of tasks.", 'Such as {"task": {"impl": "file.Class"}}.')
    if task is not None:
        spec = PIPELINE_REGISTRY.tasks.get(task)
        here = spec is not None and not isinstance(spec.pipeline, str)
        # A class that was registered in this process is code that its user has chosen already.
        return task if task in custom and (trust or not here) else None
    if not custom or trust is False:
        return None
    if len(custom) > 1:
        raise TaskError(f"This checkpoint has several tasks of its own: {', '.join(custom)}.", "Name one of them.")
    return str(next(iter(custom)))


def own_task(
    task: str, settings: Any, name: str, trust: bool | None, code_revision: str | None, options: Mapping[str, Any]
) -> tuple[TaskSpec, str | None]:
    """A repository's own task with its class, and the commit that both it and the weights are of.

    Raises `UnsafeFileError`, with nothing run, unless `trust`.
    """
    from samovar.hub.code import check_kind, repository_class
    from samovar.hub.source import Source
    from samovar.pipelines.base import Pipeline

    values = settings.extra[KEY][task]
    source = Source(name, **options)
    source.require("config.json")
    what = f"the pipeline {task!r}"
    kind = check_kind(repository_class(values.get("impl"), source, trust, code_revision, what), Pipeline, what)
    spec = TaskSpec(
        task, kind, auto_classes(values.get("pt")), kind=str(values.get("type") or "text"),
        default=default_of(values.get("default")),
    )  # fmt: skip
    return spec, source.commit


def auto_classes(names: Any) -> tuple[str, ...]:
    """Names of auto classes, checked. Raises `ConfigError`."""
    import samovar.auto

    found = [names] if isinstance(names, str) else list(names or [])
    for name in found:
        if not isinstance(name, str) or not re.fullmatch(r"AutoModel\w*", name) or not hasattr(samovar.auto, name):
            raise ConfigError(f"{KEY} in config.json names the model class {name!r}.", "Use an AutoModel… class.")
    return tuple(found)
