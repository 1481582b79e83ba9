"""Loading a tokenizer: which files are there, which class they are for, and what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from samovar.config import parse_config, source_options
from samovar.errors import TokenizerError
from samovar.hub.source import Source
from samovar.text import backend
from samovar.text.chat import DEFAULT, TEMPLATE_FILE, TEMPLATE_FOLDER
from samovar.text.families import FOR_MODEL_TYPE, TOKENIZERS, PreTrainedTokenizerFast
from samovar.text.files import CONFIG_FILE, SPECIAL_FILE, TOKENIZER_FILE
from samovar.text.ranks import THREE_DIGITS, from_ranks
from samovar.text.templates import surround, texts_of
from samovar.text.tokenizer import Tokenizer
from samovar.text.unigrams import SentencePieceTokenizer

SENTENCEPIECE = ("spiece.model", "sentencepiece.bpe.model", "spm.model", "tokenizer.model", "tiktoken.model")
# Keys of files that say how another library builds its object, which is no setting of ours.
FOREIGN_KEYS = {
    "tokenizer_file",
    "vocab_file",
    "merges_file",
    "target_vocab_file",
    "name_or_path",
    "auto_map",
    "backend",
    "processor_class",
}


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
    templates = chat_templates(source)
    if templates:
        settings["chat_template"] = templates[DEFAULT] if list(templates) == [DEFAULT] else templates
    return {key: value for key, value in settings.items() if key not in FOREIGN_KEYS}


def chat_templates(source: Source) -> dict[str, str]:
    """The templates in files of their own, by name."""
    found = {}
    path = source.file(TEMPLATE_FILE)
    if path is not None:
        found[DEFAULT] = path.read_text("utf-8")
        others = sorted((path.parent / TEMPLATE_FOLDER).glob("*.jinja"))
        found |= {other.stem: other.read_text("utf-8") for other in others}
    return found


def class_of(source: Source, settings: dict[str, Any]) -> type[Tokenizer]:
    """By `tokenizer_class`, else by the model's own type, else the general class."""
    config = source.file("config.json")
    values = parse_config(config) if config is not None else {}
    stated = settings.get("tokenizer_class") or values.get("tokenizer_class") or ""
    named = TOKENIZERS.get(stated)
    if named is not None and named is not PreTrainedTokenizerFast:
        return named
    by_type = FOR_MODEL_TYPE.get(values.get("model_type", ""))
    # The general class says nothing about files, so without tokenizer.json the model's type does.
    if by_type is not None and (not stated or source.file(TOKENIZER_FILE) is None):
        return by_type
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
    path = source.file(TOKENIZER_FILE) if kind.has_json else None
    if path is not None:
        rust = backend.with_settings(backend.from_json(path), kwargs)
        tokenizer = kind(tokenizer_object=rust, name_or_path=source.name, **merged)
        if kwargs.keys() & {"add_bos_token", "add_eos_token"}:
            begin, end = bool(merged.get("add_bos_token")), bool(merged.get("add_eos_token"))
            tokenizer.rust.post_processor = surround(tokenizer.rust, texts_of(tokenizer.special), begin, end)
        return tokenizer
    files = {argument: source.file(name) for argument, name in kind.vocab_files_names.items()}
    model = source.first(*SENTENCEPIECE)
    if model is not None and len(files) <= 1 and (issubclass(kind, SentencePieceTokenizer) or not files):
        # One name of the file is as good as another; without a family the file alone says what there is.
        kind = kind if files else SentencePieceTokenizer
        files = {"vocab_file": files.get("vocab_file") or model}
    if files and all(found is not None for found in files.values()):
        files |= {argument: source.file(name) for argument, name in kind.optional_files.items()}
        return kind(**files, name_or_path=source.name, **merged)  # type: ignore[arg-type]
    ranks = next((name for name in source.listing() if name.endswith(".tiktoken")), None)
    if ranks is not None:
        pattern = getattr(kind, "pattern", None) or THREE_DIGITS
        rust = from_ranks(source.require(ranks), merged, pattern)
        return kind(tokenizer_object=rust, name_or_path=source.name, **merged)
    looked_for = [*([TOKENIZER_FILE] if kind.has_json else []), *kind.vocab_files_names.values()]
    raise TokenizerError(
        f"{source.name} has no tokenizer: looked for {' and '.join(looked_for)} ({kind.__name__}).",
        "Check the path, or name the tokenizer of another checkpoint.",
    )
