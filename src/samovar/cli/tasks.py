"""What `samovar run` says about each task: a line, an example, and what one input of it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from samovar.pipelines.registry import PIPELINE_REGISTRY

# "text": a str; "image": a path; "fields": a mapping with named parts.
Takes = Literal["text", "image", "fields"]


@dataclass(frozen=True)
class TaskHelp:
    """One task as the help shows it. `example` stands behind `samovar run TASK -m MODEL`."""

    what: str
    example: str
    takes: Takes = "text"
    # Arguments of the call that a mapping may hold for its own text.
    beside: tuple[str, ...] = ()


ASKED = """'{"question": "Where?", "context": "In Tula."}'"""
TABLE = """'{"table": {"town": ["Tula"]}, "query": "Which town?"}'"""

HELP = {
    "text-classification": TaskHelp("a label for a text, such as its sentiment", "'I like it.'"),
    "token-classification": TaskHelp("names and other entities in a text", "'Anna lives in Tula.'"),
    "question-answering": TaskHelp("the place in a text that answers a question", ASKED, "fields"),
    "table-question-answering": TaskHelp("the cells of a table that answer a question", TABLE, "fields"),
    "fill-mask": TaskHelp("the words behind a mask", "'Tea is [MASK].'"),
    "feature-extraction": TaskHelp("the backbone's states for a text", "'tea' > states.jsonl"),
    "text-generation": TaskHelp("how a text goes on", "'Once upon a time' --option max_new_tokens=20"),
    "text2text-generation": TaskHelp("a text for a text", "'Tea is good.'"),
    "summarization": TaskHelp("a text in few words", "--file articles.txt"),
    "translation": TaskHelp(
        "a text in another language", "'Tea is good.' --option tgt_lang=ru", beside=("src_lang", "tgt_lang")
    ),
    "zero-shot-classification": TaskHelp(
        "which of your labels fits a text",
        "'I like it.' --option candidate_labels=good,bad",
        beside=("candidate_labels", "hypothesis_template", "multi_label"),
    ),
    "multiple-choice": TaskHelp(
        "the best of several continuations", """'{"question": "Tea is", "choices": ["hot", "blue"]}'""", "fields"
    ),
    "sentence-similarity": TaskHelp(
        "how near texts are to one", """'{"source_sentence": "tea", "sentences": ["coffee", "car"]}'""", "fields"
    ),
    "image-classification": TaskHelp("a label for an image", "photo.jpg", "image"),
    "image-feature-extraction": TaskHelp("the backbone's states for an image", "photo.jpg", "image"),
}


def takes(task: str) -> Takes:
    """What one input of a registered task is; a task registered by its user takes what its kind says."""
    spec = PIPELINE_REGISTRY.find(task)
    known = HELP.get(spec.name)
    if known is not None:
        return known.takes
    return "image" if spec.kind == "image" else "fields" if spec.kind == "multimodal" else "text"


def beside(task: str) -> tuple[str, ...]:
    """Arguments of the call that an input of this task may bring along."""
    known = HELP.get(PIPELINE_REGISTRY.find(task).name)
    return () if known is None else known.beside


def task_lines() -> str:
    """The registered tasks, a line each."""
    names = list(PIPELINE_REGISTRY.tasks)
    other = {spec.name: spec.aliases for spec in PIPELINE_REGISTRY.tasks.values()}
    width = max(map(len, names))
    lines = []
    for name in names:
        what = HELP[name].what if name in HELP else "a task of your own"
        same = f"  (or {', '.join(other[name])})" if other[name] else ""
        lines.append(f"  {name:<{width}}  {what}{same}")
    return "\n".join(lines)


def example_lines() -> str:
    """One command for each registered task."""
    return "\n".join(
        f"  samovar run {name} -m MODEL {HELP[name].example}" for name in PIPELINE_REGISTRY.tasks if name in HELP
    )
