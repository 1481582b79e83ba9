"""A tokenizer's files, and the tokenizer that another corpus makes of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import AddedToken
from tokenizers import Tokenizer as RustTokenizer

from samovar.hub.publish import Shareable, shares
from samovar.text.chat import DEFAULT, TEMPLATE_FILE, TEMPLATE_FOLDER, ChatTemplates
from samovar.text.vocabulary import Vocabulary

TOKENIZER_FILE, CONFIG_FILE, SPECIAL_FILE = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"


class Files(ChatTemplates, Vocabulary, Shareable):
    """What a tokenizer writes; a base of the tokenizer, which holds the settings."""

    _default_auto_class: ClassVar[str] = "AutoTokenizer"
    rust: RustTokenizer
    lock: threading.RLock
    state: tuple[Any, ...]
    settings: dict[str, Any]
    model_input_names: list[str]
    padding_side: str
    truncation_side: str
    # Whether tokenizer.json can hold the whole tokenizer.
    has_json: ClassVar[bool] = True
    # The family's own files as read, where other tools load the family from nothing else.
    files: Mapping[str, bytes] = {}

    def to_config(self) -> dict[str, Any]:
        """What `tokenizer_config.json` holds."""
        name = type(self).__name__
        name = "PreTrainedTokenizerFast" if name == "Tokenizer" else name
        return {
            **{name: value for name, value in self.settings.items() if name != "chat_template"},
            **self.special_tokens_map,
            "added_tokens_decoder": {
                str(index): {
                    "content": token.content,
                    "lstrip": token.lstrip,
                    "normalized": token.normalized,
                    "rstrip": token.rstrip,
                    "single_word": token.single_word,
                    "special": token.special,
                }
                for index, token in self.added_tokens_decoder.items()
            },
            "clean_up_tokenization_spaces": self.clean_up_tokenization_spaces,
            "model_max_length": self.model_max_length,
            "model_input_names": self.model_input_names,
            "padding_side": self.padding_side,
            "truncation_side": self.truncation_side,
            "tokenizer_class": self.settings.get("tokenizer_class", name),
        }

    def to_json(self) -> str:
        """The Rust tokenizer's file, without any call's truncation and padding."""
        with self.lock:
            self.rust.no_truncation()
            self.rust.no_padding()
            self.state = (None, None)
            return self.rust.to_str(pretty=True)

    @shares
    def save_pretrained(self, save_directory: str | Path) -> tuple[str, ...]:
        """Write the tokenizer's files into a folder, each beside its place and then renamed; returns their paths."""
        from samovar.hub.atomic import write_file
        from samovar.hub.code_files import code_beside

        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        own = {auto: [None, where] for auto, where in code_beside([self], folder).items()}
        config = self.to_config() | ({"auto_map": own, "tokenizer_class": type(self).__name__} if own else {})
        contents: dict[str, str | bytes] = {
            **self.files,
            TOKENIZER_FILE: self.to_json(),
            CONFIG_FILE: json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
            SPECIAL_FILE: json.dumps(self.special_tokens_map, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
        }
        templates = self.chat_template
        for name, template in (templates if isinstance(templates, dict) else {DEFAULT: templates}).items():
            if template:
                contents[TEMPLATE_FILE if name == DEFAULT else f"{TEMPLATE_FOLDER}/{name}.jinja"] = template
        for name, content in contents.items():
            (folder / name).parent.mkdir(exist_ok=True)
            write_file(folder / name, content)
        return tuple(str(folder / name) for name in contents)

    def train_new_from_iterator(
        self,
        text_iterator: Any,
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: Sequence[str | AddedToken] | None = None,
        special_tokens_map: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """A tokenizer of the same rules whose vocabulary is learned from texts, or from batches of them.

        `length` is their number, for the progress bar; `special_tokens_map` renames special tokens; further options,
        such as `min_frequency`, go to the trainer. This tokenizer stays as it is. Raises `InputError`,
        `InputTypeError` or `TokenizerError`.
        """
        from samovar.text.training import Lesson, learned

        new, names = list(new_special_tokens or []), dict(special_tokens_map or {})
        return learned(self, Lesson(text_iterator, vocab_size, length, new, names, kwargs))  # type: ignore[return-value,arg-type]
