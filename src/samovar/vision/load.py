"""Find the image processor of a checkpoint: which file, which family."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samovar.config import CONFIG_FILE, parse_config, source_options
from samovar.errors import ConfigError, did_you_mean
from samovar.vision.families import FOR_MODEL_TYPE, IMAGE_PROCESSORS, canonical
from samovar.vision.processor import PREPROCESSOR_FILE, TYPE_KEYS, ImageProcessor

# Newer checkpoints may keep the same settings inside the file of the whole processor, under this key.
PROCESSOR_FILE, NESTED_KEY = "processor_config.json", "image_processor"


def load_image_processor(name_or_path: str | Path, **kwargs: Any) -> ImageProcessor:
    """The image processor of a folder or repository, by the class that its `preprocessor_config.json` names.

    A file that names none is read by the `model_type` in `config.json` beside it. Keyword arguments are those of
    `ImageProcessor.from_pretrained`.

    Raises `FileMissingError` (no such file), `CorruptFileError` (not JSON), `ConfigError` (unknown class, or none
    named) and `InputError` (unknown argument).
    """
    settings, overrides, config_file = read_settings(name_or_path, **kwargs)
    kind = named_family(settings)
    if kind is None:
        name = type_name(settings)
        if name:
            raise ConfigError(
                f"{name_or_path} asks for the image processor {name!r}, which is not one of "
                f"{', '.join(sorted({kind.family for kind in IMAGE_PROCESSORS.values()}))}.",
                did_you_mean(canonical(name), IMAGE_PROCESSORS)
                or "If it only resizes, crops and normalises, use ImageProcessor.from_pretrained.",
            )
        kind = family_of_model(name_or_path, config_file)
    return kind.from_dict(settings, **overrides)


def read_settings(name_or_path: str | Path, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any], Path | None]:
    """A file's settings, the keyword arguments that override them, and the `config.json` beside it, if any."""
    kwargs.pop("use_fast", None)  # There is one kind of processor.
    options = source_options(kwargs)
    if isinstance(name_or_path, str | Path) and (path := Path(name_or_path)).is_file():
        beside = path.with_name(CONFIG_FILE)
        return settings_in(path), kwargs, beside if beside.is_file() else None

    from samovar.hub.source import Source

    source = Source(name_or_path, **options)
    found = source.file(PREPROCESSOR_FILE)
    if found is None:
        whole = source.file(PROCESSOR_FILE)
        if whole is not None and isinstance(parse_config(whole).get(NESTED_KEY), dict):
            found = whole
    if found is None:
        found = source.require(PREPROCESSOR_FILE, why="It says how images are resized and normalised for this model.")
    settings = settings_in(found)
    return settings, kwargs, None if type_name(settings) else source.file(CONFIG_FILE)


def settings_in(path: Path) -> dict[str, Any]:
    """The settings in a JSON file, at its top or nested in the file of a whole processor."""
    values = parse_config(path)
    nested = values.get(NESTED_KEY)
    return nested if isinstance(nested, dict) else values


def type_name(settings: Mapping[str, Any]) -> str:
    """The class that a file names, or an empty string."""
    return next((str(settings[key]) for key in TYPE_KEYS if settings.get(key)), "")


def named_family(settings: Mapping[str, Any]) -> type[ImageProcessor] | None:
    """The family that a file names; `None` when it names none, or one that is not known."""
    return IMAGE_PROCESSORS.get(canonical(type_name(settings)))


def family_of_model(name_or_path: str | Path, config_file: Path | None) -> type[ImageProcessor]:
    """The family that goes with the `model_type` of a `config.json`. Raises `ConfigError`."""
    model_type = parse_config(config_file).get("model_type") if config_file else None
    if model_type in FOR_MODEL_TYPE:
        return FOR_MODEL_TYPE[model_type]
    reason = f"its model_type is {model_type!r}" if model_type else f"there is no model_type in a {CONFIG_FILE} either"
    raise ConfigError(
        f"The {PREPROCESSOR_FILE} of {name_or_path} names no image_processor_type, and {reason}.",
        "Load it with a class, such as ViTImageProcessor.from_pretrained, or add image_processor_type to the file.",
    )
