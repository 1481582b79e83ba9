"""Configurations: a dataclass per architecture ↔ a `config.json`, with unknown keys kept and written back."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from samovar.errors import ConfigError, CorruptFileError, did_you_mean
from samovar.hub.publish import Shareable, shares

if TYPE_CHECKING:
    from samovar.hub.source import Source

logger = logging.getLogger(__name__)
T = TypeVar("T")

CONFIG_FILE = "config.json"
# Keys that describe the file rather than the model: never written back.
TRANSIENT = {"_name_or_path", "_commit_hash", "_attn_implementation_autoset"}


def doc(default: T, text: str) -> T:
    """A config field with its default and its one-line documentation."""
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata={"doc": text})
    return dataclasses.field(default=default, metadata={"doc": text})


@dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=True)
class Config(Shareable):
    """Base of all configurations.

    A subclass lists its checkpoint's own keys with `doc(default, "what it is")`; `aliases` maps the field's common
    names (`hidden_size`) to the checkpoint's own (`n_embd`), so both spellings read, write and initialise one value.
    Keys that no field declares are kept in `extra`, readable as attributes, and written back by `save_pretrained`.
    """

    _default_auto_class: ClassVar[str] = "AutoConfig"
    model_type: ClassVar[str] = ""
    aliases: ClassVar[Mapping[str, str]] = {}
    common_aliases: ClassVar[Mapping[str, str]] = {"torch_dtype": "dtype"}

    architectures: list[str] | None = doc(None, "Class names that the checkpoint was saved from.")
    dtype: str | None = doc(None, "Floating-point type of the weights in the file, such as `float32`.")
    problem_type: str | None = doc(
        None, "`regression`, `single_label_classification` or `multi_label_classification`; None decides by the labels."
    )
    id2label: dict[int, str] = doc({0: "LABEL_0", 1: "LABEL_1"}, "Class index → name.")
    label2id: dict[str, int] = doc({"LABEL_0": 0, "LABEL_1": 1}, "Class name → index.")
    tie_word_embeddings: bool = doc(True, "Share the input embedding with the output projection.")
    output_hidden_states: bool = doc(False, "Return every layer's hidden state by default.")
    output_attentions: bool = doc(False, "Return attention probabilities by default.")
    return_dict: bool = doc(True, "Return an output object rather than a tuple.")
    initializer_range: float = doc(0.02, "Standard deviation of new weights.")
    extra: dict[str, Any] = doc({}, "Keys of the file that no field declares.")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)

    def __init__(self, **values: Any) -> None:
        # Under two spellings at once, the checkpoint's own is the one that other programs read.
        own = [key for key in values if self._spelling(key) == key]
        values = {self._spelling(key): value for key, value in values.items()} | {key: values[key] for key in own}
        num_labels = values.pop("num_labels", None)
        if values.get("id2label") is not None:
            values["id2label"] = label_names(values["id2label"])
        elif values.get("label2id"):
            values["id2label"] = label_names({index: name for name, index in values["label2id"].items()})
        labels_given = values.get("id2label") is not None
        object.__setattr__(self, "given", frozenset(values))  # what the file or the caller spelled out
        for field in dataclasses.fields(self):
            if field.name in values and not (values[field.name] is None and field.name in ("id2label", "label2id")):
                value = values.pop(field.name)
            else:
                values.pop(field.name, None)
                value = field.default_factory() if callable(field.default_factory) else field.default
            object.__setattr__(self, field.name, value)
        self.extra = values
        if labels_given:
            self.label2id = {name: index for index, name in self.id2label.items()}
        # A file may name 5 labels and claim `num_labels: 2`: the weights decide, once they are seen.
        self.claimed_num_labels = num_labels if labels_given and num_labels not in (None, len(self.id2label)) else None
        if num_labels is not None and not labels_given:
            self.num_labels = num_labels
        if self.dtype is not None:
            self.dtype = str(self.dtype).removeprefix("torch.")

    def _spelling(self, name: str) -> str:
        return self.aliases.get(name) or self.common_aliases.get(name, name)

    def __getattr__(self, name: str) -> Any:
        own = type(self)._spelling(self, name)
        if own != name:
            return getattr(self, own)
        if not name.startswith("__") and name in self.__dict__.get("extra", {}):
            return self.extra[name]
        known = [field.name for field in dataclasses.fields(self)]
        hint = did_you_mean(name, known)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}. {hint}".rstrip())

    def __setattr__(self, name: str, value: Any) -> None:
        name = self._spelling(name)
        if name in INTERNAL or hasattr(type(self), name) or name in self.__dataclass_fields__:
            object.__setattr__(self, name, value)
        else:
            self.extra[name] = value  # Written back, as what a file says beyond the fields is.

    @property
    def num_labels(self) -> int:
        """Number of classes: the length of `id2label`; setting another number renames the labels `LABEL_0`, …"""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ConfigError(
                f"num_labels must be a number of classes, got {count!r}.", "Give an integer; 0: no classifier."
            )
        if count != len(self.id2label):
            self.id2label = {index: f"LABEL_{index}" for index in range(count)}
            self.label2id = {name: index for index, name in self.id2label.items()}

    @property
    def use_return_dict(self) -> bool:
        """The older name of `return_dict`."""
        return self.return_dict

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several values; labels given as `id2label`, `label2id` or `num_labels` stay consistent."""
        for key, value in values.items():
            if key in ("id2label", "label2id"):
                if value is None:
                    continue
                if key == "id2label":
                    self.id2label = label_names(value)
                    if values.get("label2id") is None:
                        self.label2id = {name: index for index, name in self.id2label.items()}
                else:
                    self.label2id = dict(value)
                    if values.get("id2label") is None:
                        self.id2label = label_names({index: name for name, index in value.items()})
            else:
                setattr(self, key, value)

    def to_dict(self) -> dict[str, Any]:
        """All keys as `config.json` holds them: fields that are set, then the unknown keys that were read."""
        values = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            default = field.default_factory() if callable(field.default_factory) else field.default
            # Other tools fill absent keys with defaults of their own, so an architecture's sizes are always written.
            own = field.name not in COMMON_FIELDS and value is not None
            if field.name != "extra" and (own or value != default or (field.name in self.given and value is not None)):
                values[field.name] = value
        merged = {**self.extra, **values, "model_type": self.model_type or self.extra.get("model_type", "")}
        return copy.deepcopy({key: value for key, value in merged.items() if key not in TRANSIENT})

    def to_json_string(self) -> str:
        """`to_dict` as JSON with sorted keys."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """A configuration from a `config.json`'s content; `overrides` win."""
        config = cls(**{key: value for key, value in values.items() if key != "model_type" or not cls.model_type})
        config.update(overrides)
        return config

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Any:
        """Read the `config.json` of a folder or repository; other keyword arguments override its values.

        `return_unused_kwargs=True` gives `(config, those that are no key of it)` and leaves them out of the config.
        """
        values, overrides = read_config(pretrained_model_name_or_path, **kwargs)
        return cls.overridden(values, overrides)

    @classmethod
    def overridden(cls, values: Mapping[str, Any], overrides: dict[str, Any]) -> Any:
        """A file's content under the keyword arguments of `from_pretrained`."""
        if not overrides.pop("return_unused_kwargs", False):
            return cls.from_dict(values, **overrides)
        config = cls.from_dict(values)
        used = {key: value for key, value in overrides.items() if config.knows(key)}
        config.update(used)
        return config, {key: value for key, value in overrides.items() if key not in used}

    def knows(self, name: str) -> bool:
        """Is this a key of the configuration: a field, another name of one, or an unknown key of its file?"""
        own = self._spelling(name)
        return own in self.__dataclass_fields__ or own == "num_labels" or own in self.extra

    @shares
    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `config.json` into a folder, beside the old one first, then renamed over it."""
        from samovar.hub.atomic import write_file
        from samovar.hub.code_files import code_beside

        own = code_beside([self], Path(save_directory))
        if own:
            self.auto_map = {**self.extra.get("auto_map", {}), **own}
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        write_file(Path(save_directory) / CONFIG_FILE, self.to_json_string())

    @classmethod
    def describe(cls) -> str:
        """One line per field: name, default and meaning."""
        rows = [(f.name, f.default, f.metadata.get("doc", "")) for f in dataclasses.fields(cls)]
        return "\n".join(
            f"{name}{'' if default is dataclasses.MISSING else f' = {default!r}'}: {text}"
            for name, default, text in rows
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


# What a configuration knows about itself, beside the keys of its file.
INTERNAL = frozenset({"given", "claimed_num_labels"})
COMMON_FIELDS = frozenset(field.name for field in dataclasses.fields(Config))


def label_names(labels: Any) -> dict[int, str]:
    """`id2label` with whole numbers as keys; a list names the labels in order. Raises `ConfigError`."""
    pairs: Any = enumerate(labels) if isinstance(labels, list | tuple) else getattr(labels, "items", list)()
    try:
        names = {int(index): str(name) for index, name in pairs}
    except (TypeError, ValueError):
        names = {}
    if not names and labels:
        raise ConfigError(
            f"id2label must map each index to a name, got {labels!r}.", 'Write it as {0: "negative", 1: "positive"}.'
        )
    return names


SOURCE_OPTIONS = ("revision", "cache_dir", "local_files_only", "token", "subfolder", "force_download")

CODE_OPTIONS = ("trust_remote_code", "code_revision")


def source_options(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Take out of `kwargs` the options that say where files come from."""
    for name in CODE_OPTIONS:  # The Auto classes have looked at them.
        kwargs.pop(name, None)
    return {name: kwargs.pop(name) for name in SOURCE_OPTIONS if name in kwargs}


def read_config(name_or_path: str | Path, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of a `config.json`, and the keyword arguments that did not say where to look for it."""
    _, values = located_config(name_or_path, kwargs)
    return values, kwargs


def located_config(name_or_path: str | Path, kwargs: dict[str, Any]) -> tuple[Source, dict[str, Any]]:
    """Where a `config.json` is, by the options that are taken out of `kwargs`, and its content."""
    from samovar.hub.source import Source

    source = Source(name_or_path, **source_options(kwargs))
    return source, parse_config(source.require(CONFIG_FILE, why="It names the architecture and its sizes."))


def parse_config(path: Path) -> dict[str, Any]:
    """The mapping in a JSON file, or `CorruptFileError` that says where it breaks."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CorruptFileError(f"{path} is not valid JSON: {error}.", "Download or write the file again.") from error
    if not isinstance(values, dict):
        raise CorruptFileError(f"{path} holds {type(values).__name__}, not a mapping.", "Download the file again.")
    return values
