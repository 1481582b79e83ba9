"""`samovar inspect M`: what a checkpoint is made of, without loading its weights."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any

from samovar.errors import SamovarError

# Sizes by the field's common names; each architecture's own spelling is found through its aliases.
SIZES = (
    "hidden_size", "num_hidden_layers", "encoder_layers", "decoder_layers", "num_attention_heads",
    "num_key_value_heads", "intermediate_size", "vocab_size", "max_position_embeddings", "image_size", "patch_size",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what can be said."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Show what a checkpoint is made of, without loading its weights."
    parser.epilog = """\
examples:
  samovar inspect ./bert
  samovar inspect ./bert --layers
  samovar inspect ./bert --json | jq .memory

The weights of a folder are not read, only the headers of their files; of a repository the files are fetched into the
cache first. The exit status is 1 when something is wrong with the files.
"""
    parser.add_argument("model", help="a folder or the name of a repository")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--layers", action="store_true", help="a row for each layer, also where they are equal")
    parser.add_argument("--revision", help="branch, tag or commit of a repository")


def run(options: argparse.Namespace) -> int:
    """Inspect as said."""
    from samovar.extras import require
    from samovar.hub.source import Source

    require("torch", feature="samovar inspect")
    # What loading would warn of stands in the report.
    logging.basicConfig(format="%(message)s", level=logging.ERROR)
    source = Source(options.model, revision=options.revision)
    found = report(source, options)
    if options.json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        from samovar.cli.inspect_table import printed

        print(printed(found))
        for problem in found["problems"]:
            print(f"problem: {problem}", file=sys.stderr)
    return 1 if found["problems"] else 0


def report(source: Any, options: argparse.Namespace) -> dict[str, Any]:
    """All that is known of a checkpoint. Raises `ConfigError` and the like where there is nothing to say."""
    from samovar.cli.blocks import blocks, folded
    from samovar.cli.structure import structure
    from samovar.config import parse_config

    values = parse_config(source.require("config.json", why="It names the architecture and its sizes."))
    found = structure(source, values)
    rows = blocks(found.parameters)
    total = sum(row.parameters for row in rows)
    part = tokenizer_summary(source) if found.reads != "pixel_values" else None
    problems = list(found.problems)
    words = found.config.get("vocab_size")
    if part and isinstance(words, int) and part.get("vocabulary", 0) > words:
        problems.append(
            f"The tokenizer has {part['vocabulary']} tokens, the model's vocabulary {words}.\n"
            "  → Use the tokenizer of this checkpoint, or resize the model's embeddings."
        )
    if part and part.get("broken"):
        problems.append(str(part.pop("broken")))
    return {
        "model": source.name,
        "class": found.name,
        "config": {name: value for name, value in found.config.items() if value is not None},
        "parameters": {
            "total": total,
            "trainable": found.trainable,
            "blocks": [vars(row) | {"dtypes": list(row.dtypes)} for row in (rows if options.layers else folded(rows))],
            "tied": found.tied,
        },
        "memory": found.memory,
        "tokenizer": part,
        "image_processor": image_summary(source) if found.reads in ("pixel_values", None) else None,
        "files": file_sizes(source, found.files),
        "notes": found.notes,
        "problems": problems,
    }


def tokenizer_summary(source: Any) -> dict[str, Any] | None:
    """The tokenizer beside the weights, or None."""
    from samovar.text.files import CONFIG_FILE, TOKENIZER_FILE
    from samovar.text.load import SENTENCEPIECE, load_tokenizer

    names = (TOKENIZER_FILE, CONFIG_FILE, "vocab.txt", "vocab.json", *SENTENCEPIECE)
    if source.first(*names) is None:
        return None
    try:
        tokenizer = load_tokenizer(source.name, revision=source.revision)
    except SamovarError as error:
        return {"broken": str(error)}
    longest = tokenizer.model_max_length
    return {
        "class": type(tokenizer).__name__,
        "vocabulary": len(tokenizer),
        "max_length": longest if longest < 1 << 40 else None,
        "special_tokens": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "chat_template": bool(getattr(tokenizer, "chat_template", None)),
    }


def image_summary(source: Any) -> dict[str, Any] | None:
    """The image processor beside the weights, or None."""
    from samovar.config import parse_config

    path = source.file("preprocessor_config.json")
    if path is None:
        return None
    values = parse_config(path)
    return {name: values.get(name) for name in ("image_processor_type", "size", "crop_size") if values.get(name)}


def file_sizes(source: Any, weights: list[Path]) -> dict[str, int]:
    """File → bytes: those of a folder, or those of a repository that were read."""
    if source.is_local:
        paths = [source.base() / name for name in source.listing()]
    else:
        paths = sorted({*weights, *(path for path in source.known.values() if path is not None)})
    return {path.name: path.stat().st_size for path in paths}
