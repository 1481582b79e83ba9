"""The tags by which a repository is found: from its card, its configuration and its files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from samovar.server.services.metadata.card import strings
from samovar.server.services.metadata.config import Config
from samovar.server.services.metadata.files import File
from samovar.server.services.metadata.libraries import frameworks_of

MOST = 1000
ARXIV = re.compile(r"(?:arxiv\.org/(?:abs|pdf)/|huggingface\.co/papers/|\barxiv:)(\d{4}\.\d{4,5})", re.IGNORECASE)
RELATIONS = frozenset({"finetune", "adapter", "quantized", "merge"})
# Fields of a data set's card → beginnings of tags.
OF_DATASETS = {
    "annotations_creators": "annotations_creators", "language_creators": "language_creators",
    "multilinguality": "multilinguality", "source_datasets": "source_datasets", "task_categories": "task_categories",
    "task_ids": "task_ids", "language": "language", "license": "license", "size_categories": "size_categories",
}  # fmt: skip
FORMATS = {
    ".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".arrow": "arrow",
    ".txt": "text", ".tar": "webdataset", ".xml": "xml",
}  # fmt: skip
MODALITIES = {
    ".jpg": "image", ".jpeg": "image", ".png": "image", ".webp": "image", ".wav": "audio", ".mp3": "audio",
    ".flac": "audio", ".ogg": "audio", ".mp4": "video", ".avi": "video", ".pdf": "document", ".txt": "text",
}  # fmt: skip
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
         (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"),
         (10**12, "100B<n<1T"))  # fmt: skip
# Files that describe a data set and are none of it.
BESIDE = frozenset({"dataset_infos.json", "dataset_dict.json", "state.json", "config.json", "requirements.txt"})


def once(tags: Iterable[str]) -> list[str]:
    """The tags in their order, each once, without those that are empty or absurdly long."""
    return list(dict.fromkeys(tag for tag in tags if 0 < len(tag) <= 250))[:MOST]


def model_tags(
    card: dict[str, Any], text: str, config: Config, files: Iterable[str], library: str | None, task: str | None
) -> list[str]:
    """Of a model: library, frameworks, family, the card's tags, languages, data sets, papers, bases, licence, task."""
    return once(
        (
            *([library] if library else []),
            *frameworks_of(files, library),
            *([config.model_type] if config.model_type else []),
            *strings(card.get("tags")),
            *(["model-index"] if card.get("model-index") else []),
            *([task] if task else []),
            *(["custom_code"] if config.whole.get("auto_map") else []),
            *(["conversational"] if "chat_template" in str(list(config.kept.get("tokenizer_config", ()))) else []),
            *(language.lower() for language in strings(card.get("language") or card.get("languages"))),
            *(f"dataset:{one}" for one in strings(card.get("datasets"))),
            *papers(card, text),
            *bases(card, library),
            *(f"license:{one.lower()}" for one in strings(card.get("license"))),
            "region:us",
        )
    )


def bases(card: dict[str, Any], library: str | None) -> list[str]:
    """`base_model:x` and `base_model:relation:x`; without a relation in the card, an adapter is one."""
    named = strings(card.get("base_model"))
    relation = card.get("base_model_relation")
    if relation not in RELATIONS:
        relation = "adapter" if library == "peft" else "merge" if len(named) > 1 else "finetune"
    return [tag for one in named for tag in (f"base_model:{one}", f"base_model:{relation}:{one}")]


def papers(card: dict[str, Any], text: str) -> list[str]:
    """`arxiv:1706.03762` of each paper that the text or the card's tags name."""
    return [f"arxiv:{number}" for number in dict.fromkeys(ARXIV.findall(text))][:50]


def dataset_tags(card: dict[str, Any], text: str, files: Iterable[File]) -> list[str]:
    """Of a data set: the card's fields, its size, and what its files show."""
    found = [
        f"{beginning}:{one if key == 'source_datasets' else fixed(key, one)}"
        for key, beginning in OF_DATASETS.items()
        for one in strings(card.get(key))
    ]
    data = [file for file in files if not file.path.startswith(".") and file.path not in BESIDE]
    formats = sorted({FORMATS[end] for file in data if (end := ending(file.path)) in FORMATS})
    if not strings(card.get("size_categories")) and (size := size_category(card, data)):
        found.append(f"size_categories:{size}")
    found += [f"format:{one}" for one in formats]
    found += [f"modality:{one}" for one in modalities(card, data, formats)]
    if formats:
        found.append("library:datasets")
    if {"parquet", "csv", "json"} & set(formats):
        found += ["library:pandas", "library:polars"]
    if "webdataset" in formats:
        found.append("library:webdataset")
    if formats:
        found.append("library:mlcroissant")
    return once((*found, *papers(card, text), "region:us", *strings(card.get("tags"))))


def fixed(key: str, value: str) -> str:
    """Languages and licences are written in small letters."""
    return value.lower() if key in ("language", "license") else value


def ending(path: str) -> str:
    """`a/b.JSON` → `.json`; a compressed file by what it holds."""
    name = path.rpartition("/")[2].lower()
    for packed in (".gz", ".zst", ".bz2", ".xz"):
        name = name.removesuffix(packed)
    dot = name.rfind(".")
    return name[dot:] if dot > 0 else ""


def rows_of(card: dict[str, Any]) -> int | None:
    """How many examples the card's `dataset_info` counts, or None."""
    infos = card.get("dataset_info")
    total = 0
    for info in infos if isinstance(infos, list) else [infos]:
        splits = info.get("splits") if isinstance(info, dict) else None
        for split in splits if isinstance(splits, list) else []:
            count = split.get("num_examples") if isinstance(split, dict) else None
            if isinstance(count, int) and 0 <= count < 2**62:
                total += count
    return total or None


def size_category(card: dict[str, Any], data: list[File]) -> str | None:
    """The size as the field groups it: from the card's counts, else a guess of 1 KB for each example of text."""
    rows = rows_of(card)
    if rows is None:
        if not any(ending(file.path) in FORMATS for file in data):
            return None
        rows = sum(file.size for file in data if ending(file.path) in FORMATS) // 1000
    return next((name for limit, name in SIZES if rows < limit), "n>1T")


def modalities(card: dict[str, Any], data: list[File], formats: list[str]) -> list[str]:
    """What the examples are: from the card's features and the files."""
    found = {MODALITIES[end] for file in data if (end := ending(file.path)) in MODALITIES}
    infos = card.get("dataset_info")
    for info in infos if isinstance(infos, list) else [infos]:
        features = info.get("features") if isinstance(info, dict) else None
        for feature in features if isinstance(features, list) else []:
            dtype = feature.get("dtype") if isinstance(feature, dict) else None
            if dtype in ("image", "audio", "video"):
                found.add(str(dtype))
            elif dtype in ("string", "large_string"):
                found.add("text")
    if formats and not found:
        found.add("text" if set(formats) & {"json", "xml"} else "tabular")
    return sorted(found)


def space_tags(card: dict[str, Any], sdk: str | None) -> list[str]:
    """Of a space: its kit, the card's tags, and the models and data sets that it uses."""
    return once(
        (
            *([sdk] if sdk else []),
            *strings(card.get("tags")),
            *(f"model:{one}" for one in strings(card.get("models"))),
            *(f"dataset:{one}" for one in strings(card.get("datasets"))),
            *(f"license:{one.lower()}" for one in strings(card.get("license"))),
            "region:us",
        )
    )
