"""Auto classes: the architecture comes from the checkpoint, the class from the architecture and the task.

This module imports no torch: a class is looked up when a model is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from samovar.config import Config, located_config, parse_config, source_options
from samovar.errors import ConfigError, TaskError
from samovar.hub.auto_map import Trust, own_class
from samovar.hub.source import Source
from samovar.registry import ARCHITECTURES, backbone_class, model_type_of, register

if TYPE_CHECKING:
    from samovar.model import Model
    from samovar.text.tokenizer import Tokenizer
    from samovar.vision.processor import ImageProcessor


class AutoConfig:
    """The configuration class that a `config.json` names."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Any:
        """Read the `config.json` of a folder or repository; other keyword arguments override its values.

        `return_unused_kwargs=True` gives `(config, those that are no key of it)` and leaves them out of the config.
        """
        trust = Trust.of(kwargs)
        source, values = located_config(pretrained_model_name_or_path, kwargs)
        if values.get("model_type") not in ARCHITECTURES:
            own = own_class("AutoConfig", Config, values, source, trust)
            if own is not None:
                return own.overridden(values, kwargs)
        model_type = model_type_of(values, str(pretrained_model_name_or_path))
        return backbone_class(model_type).config_class.overridden(values, kwargs)

    @classmethod
    def for_model(cls, model_type: str, **values: Any) -> Config:
        """A new configuration of this `model_type`."""
        return backbone_class(model_type).config_class(**values)

    @staticmethod
    def register(model_type: str, backbone: Any) -> None:
        """Add an architecture by its backbone class."""
        register(model_type, backbone)


class AutoModel:
    """The bare backbone of whatever architecture a checkpoint has."""

    tasks: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        raise TypeError(f"{type(self).__name__} is not constructed: use from_pretrained or from_config.")

    @classmethod
    def class_for(cls, model_type: str) -> type[Model]:
        """The class for this architecture. Raises `TaskError` with the tasks that it does have."""
        backbone = backbone_class(model_type)
        if not cls.tasks:
            return backbone
        for task in cls.tasks:
            if task in backbone.tasks:
                return backbone.tasks[task]
        raise TaskError(
            f"{model_type!r} has no model for {cls.tasks[0]}.",
            f"It can do: {', '.join(sorted(backbone.tasks)) or 'features only (AutoModel)'}.",
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, config: Config | str | Path | None = None, **kwargs: Any
    ) -> Any:
        """Load a model; the options are those of `Model.from_pretrained`.

        An architecture that is not known here may come with the checkpoint, in its `auto_map`. Its code runs only
        with `trust_remote_code=True`, and is that of the weights' commit or of `code_revision`; without it an
        `UnsafeFileError` names file and commit.
        """
        given = AutoConfig.from_pretrained(config) if isinstance(config, str | Path) else config
        if given is None or given.model_type not in ARCHITECTURES:
            source, values = located_config(pretrained_model_name_or_path, dict(kwargs))
            if values.get("model_type") not in ARCHITECTURES:
                from samovar.model import Model

                own = own_class(cls.__name__, Model, values, source, Trust.of(kwargs))
                if own is not None:
                    kwargs |= {"revision": source.commit} if source.commit else {}
                    return own.from_pretrained(pretrained_model_name_or_path, config=given, **kwargs)
        model_type = given.model_type if given else model_type_of(values, str(pretrained_model_name_or_path))
        return cls.class_for(model_type).from_pretrained(pretrained_model_name_or_path, config=given, **kwargs)

    @classmethod
    def from_config(cls, config: Config, **kwargs: Any) -> Any:
        """A model of this configuration with new weights; `dtype` and `attn_implementation` as for loading."""
        if not isinstance(config, Config):
            raise ConfigError(
                f"A configuration expected, got {type(config).__name__}.",
                "Make one with AutoConfig.for_model(model_type, ...) or AutoConfig.from_pretrained(...).",
            )
        return cls.class_for(config.model_type).from_config(config, **kwargs)


class AutoModelForSequenceClassification(AutoModel):
    """Labels for a whole text."""

    tasks = ("sequence-classification",)


class AutoModelForTokenClassification(AutoModel):
    """A label for each token."""

    tasks = ("token-classification",)


class AutoModelForQuestionAnswering(AutoModel):
    """Where in a text an answer stands."""

    tasks = ("question-answering",)


class AutoModelForTableQuestionAnswering(AutoModel):
    """Which cells of a table answer a question, and which operation over them."""

    tasks = ("table-question-answering",)


class AutoModelForMaskedLM(AutoModel):
    """The words behind masks."""

    tasks = ("masked-lm",)


class AutoModelForMultipleChoice(AutoModel):
    """The best of several continuations."""

    tasks = ("multiple-choice",)


class AutoModelForNextSentencePrediction(AutoModel):
    """Does the second text follow the first?"""

    tasks = ("next-sentence-prediction",)


class AutoModelForPreTraining(AutoModel):
    """The heads that an architecture is first trained with."""

    tasks = ("pretraining", "masked-lm", "seq2seq-lm", "causal-lm")


class AutoModelForCausalLM(AutoModel):
    """The next token."""

    tasks = ("causal-lm",)


class AutoModelForSeq2SeqLM(AutoModel):
    """A text for a text."""

    tasks = ("seq2seq-lm",)


class AutoModelForTextEncoding(AutoModel):
    """What reads a text: the backbone, or of an encoder–decoder the encoder alone."""

    @classmethod
    def class_for(cls, model_type: str) -> type[Model]:
        """The backbone, or its encoder where it has one that stands alone."""
        backbone = backbone_class(model_type)
        return backbone.encoder_class or backbone


class AutoModelForImageClassification(AutoModel):
    """Labels for an image."""

    tasks = ("image-classification",)


class AutoTokenizer:
    """The tokenizer of a checkpoint."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Tokenizer:
        """Load a tokenizer from a folder, the cache or the endpoint. Raises `TokenizerError`.

        A class that the checkpoint brings along is used with `trust_remote_code=True`, as for models.
        """
        from samovar.text.load import load_tokenizer

        kwargs.pop("use_fast", None)  # There is one kind, and it is the fast one.
        own = own_tokenizer(pretrained_model_name_or_path, kwargs)
        if own is not None:
            return own
        return load_tokenizer(pretrained_model_name_or_path, **kwargs)


class AutoImageProcessor:
    """The image processor of a checkpoint."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> ImageProcessor:
        """Load an image processor from a folder, the cache or the endpoint."""
        from samovar.vision.load import load_image_processor

        kwargs.pop("use_fast", None)
        return load_image_processor(pretrained_model_name_or_path, **kwargs)


def own_tokenizer(name_or_path: str | Path, kwargs: dict[str, Any]) -> Tokenizer | None:
    """The tokenizer of a class that a trusted checkpoint brings along, None where there is one here for it."""
    from samovar.text.families import TOKENIZERS
    from samovar.text.files import CONFIG_FILE, TOKENIZER_FILE
    from samovar.text.tokenizer import Tokenizer

    trust = Trust.of(kwargs)
    if not trust.trust_remote_code:
        return None
    options = dict(kwargs)
    source = Source(name_or_path, **source_options(options))
    path = source.file(CONFIG_FILE)
    values = {} if path is None else parse_config(path)
    if values.get("tokenizer_class") in TOKENIZERS:
        return None
    try:
        own = own_class("AutoTokenizer", Tokenizer, values, source, trust)
    except ConfigError:
        if source.file(TOKENIZER_FILE) is None:
            raise
        return None  # Code for another library, beside a file that says all without it.
    return None if own is None else own.from_pretrained(name_or_path, **kwargs)
