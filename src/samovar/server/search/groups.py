"""Which facet a tag belongs to."""

from __future__ import annotations

from samovar.server.taxonomy.languages import LANGUAGES
from samovar.server.taxonomy.libraries import LIBRARIES
from samovar.server.taxonomy.tasks import GROUP_OF as TASKS

GROUPS = (
    "other", "pipeline_tag", "library", "language", "license", "dataset", "architecture", "region", "base_model",
    "arxiv", "author", "gated", "sdk", "model", "task_categories", "task_ids", "size_categories", "modality", "format",
    "multilinguality", "language_creators", "annotations_creators", "source_datasets", "benchmark", "private",
)  # fmt: skip
"""The facets. `private` are marks of the index itself, which no list shows."""
NUMBER = {name: number for number, name in enumerate(GROUPS)}
# Marks that are no tags of the repository: they begin so, and no tag can.
MARK = "\0"


def mark(group: str, value: str) -> str:
    """What stands for a column's value among the tags."""
    return f"{MARK}{group}:{value}"


def group_of(key: str) -> int:
    """The facet of a tag in small letters."""
    if key.startswith(MARK):
        return NUMBER.get(key[1:].partition(":")[0], NUMBER["private"])
    beginning, colon, _ = key.partition(":")
    if colon:
        return NUMBER.get(beginning, 0) if beginning != "private" else 0
    if key in TASKS:
        # The task itself is counted by its column's mark; a plain tag may be one of several.
        return 0
    if key in LIBRARIES:
        return NUMBER["library"]
    return NUMBER["language"] if key in LANGUAGES else 0
