"""Loading a tokenizer: which files are there, which class they are for, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samovar.config import parse_config, source_options
from samovar.errors import TokenizerError
from samovar.hub.source import Source
from samovar.text import backend
from samovar.text.families import FOR_MODEL_TYPE, TOKENIZERS, PreTrainedTokenizerFast
from samovar.text.tokenizer import CONFIG_FILE, SPECIAL_FILE, TOKENIZER_FILE, Tokenizer

SENTENCEPIECE = ("spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model")
# Keys of files that say how another library builds its object, which is no setting of ours.
FOREIGN_KEYS = {"tokenizer_file", "vocab_file", "merges_file", "name_or_path", "auto_map", "backend", "processor_class"}


def read_settings(source: Source) -> dict[str, Any]:
    """`tokenizer_config.json` with the special tokens of older files under it."""
    settings: dict[str, Any] = {}
    for name in (SPECIAL_FILE, CONFIG_FILE):
        path = source.file(name)
        if path is not None:
            settings |= {key: value for key, value in parse_config(path).items() if value is not None}
    added = source.file("added_tokens.json")
    if added is not None and "added_tokens_decoder" not in settings:
        pairs = parse_config(added).items()
        settings["added_tokens_decoder"] = {str(index): {"content": token} for token, index in pairs}
    return {key: value for key, value in settings.items() if key not in FOREIGN_KEYS}


def class_of(source: Source, settings: dict[str, Any]) -> type[Tokenizer]:
    """By `tokenizer_class`, else by the model's own type, else the general class."""
    named = TOKENIZERS.get(settings.get("tokenizer_class", ""))
    if named is not None and named is not PreTrainedTokenizerFast:
        return named
    config = source.file("config.json")
    model_type = parse_config(config).get("model_type", "") if config is not None else ""
    if named is None and model_type in FOR_MODEL_TYPE and "tokenizer_class" not in settings:
        return FOR_MODEL_TYPE[model_type]
    return named or PreTrainedTokenizerFast


def load_tokenizer(
    name_or_path: str | Path, *, tokenizer_class: type[Tokenizer] | None = None, **kwargs: Any
) -> Tokenizer:
    """What `AutoTokenizer.from_pretrained` does; `kwargs` are where to look, and settings that override the files'.

    Raises `TokenizerError` naming the files that were looked for, or `CorruptFileError`.
    """
    source = Source(name_or_path, **source_options(kwargs))
    settings = read_settings(source)
    general = tokenizer_class in (None, Tokenizer, PreTrainedTokenizerFast)
    kind = class_of(source, settings) if general or tokenizer_class is None else tokenizer_class
    merged = {**settings, **kwargs}
    path = source.file(TOKENIZER_FILE)
    if path is not None:
        rust = backend.with_settings(backend.from_json(path), kwargs)
        return kind(tokenizer_object=rust, name_or_path=source.name, **merged)
    files = {argument: source.file(name) for argument, name in kind.vocab_files_names.items()}
    if files and all(found is not None for found in files.values()):
        return kind(**files, name_or_path=source.name, **merged)  # type: ignore[arg-type]
    looked_for = [TOKENIZER_FILE, *kind.vocab_files_names.values()]
    found = [name for name in SENTENCEPIECE if source.file(name) is not None]
    if found:
        raise TokenizerError(
            f"{source.name} has {found[0]}, a SentencePiece model, which is not read here, and no {TOKENIZER_FILE}.",
            f"Add the {TOKENIZER_FILE} that newer versions of this checkpoint hold.",
        )
    raise TokenizerError(
        f"{source.name} has no tokenizer: looked for {' and '.join(looked_for)} ({kind.__name__}).",
        "Check the path, or name the tokenizer of another checkpoint.",
    )
