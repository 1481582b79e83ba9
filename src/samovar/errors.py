"""The project's error types: the cause first, the next step second.

Every error that a user can provoke is a `SamovarError`, so one `except` clause catches them all; each also inherits
the built-in type that users of this field expect (`ValueError`, `OSError`, …), so existing handlers keep working.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SamovarError(Exception):
    """Base of all errors raised on purpose by this package."""

    def __init__(self, cause: str, next_step: str = "") -> None:
        self.cause = cause
        self.next_step = next_step
        super().__init__(f"{cause}\n  → {next_step}" if next_step else cause)


class MissingExtraError(SamovarError, ImportError):
    """A feature needs a package that is not installed; the message holds the line that installs it."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package `{package}`, which is not installed.",
            f"Install it with:  pip install 'samovar[{extra}]'",
        )


class ModelNotFoundError(SamovarError, OSError):
    """No local folder, cached copy or repository answers to this name."""


class OfflineError(ModelNotFoundError):
    """The files are not in the cache and the network is switched off."""


class FileMissingError(ModelNotFoundError):
    """The repository or folder exists but lacks a file that is needed."""


class HubError(SamovarError, OSError):
    """The Hub refused, does not have what was asked for, or cannot be reached; nothing was changed there."""


class ConfigError(SamovarError, ValueError):
    """A configuration file or value cannot be used."""


class UnknownArchitectureError(ConfigError):
    """No architecture is registered for this `model_type`, or it lacks the class that was asked for."""


class WeightsError(SamovarError, RuntimeError):
    """Weights are missing, unexpected or mis-shaped; all of them are listed at once."""


class CorruptFileError(SamovarError, OSError):
    """A file's content contradicts its own header, or cannot be parsed."""


class UnsafeFileError(SamovarError, ValueError):
    """A file holds more than data: reading it would run code."""


class TaskError(SamovarError, ValueError):
    """The task is unknown, or the model cannot do it."""


class InputError(SamovarError, ValueError):
    """An input has the wrong type, shape or value."""


class InputTypeError(InputError, TypeError):
    """An input has the wrong type."""


class ImageError(InputError):
    """An image cannot be read."""


class TokenizerError(SamovarError, ValueError):
    """A tokenizer's files or arguments cannot be used."""


class NumericError(SamovarError, ArithmeticError):
    """A model's output is not finite."""


class ExportError(SamovarError, RuntimeError):
    """A model cannot be written for this runtime, or what was written differs from it."""


class SaveError(SamovarError, OSError):
    """Nothing was saved, and what stood at the target is as it was."""


def nearest(word: str, candidates: Iterable[str], count: int = 3) -> list[str]:
    """The `count` candidates that look most like `word`, best first; empty when none is close."""
    return difflib.get_close_matches(word, list(candidates), n=count, cutoff=0.5)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A sentence that names near candidates, or an empty string."""
    near = nearest(word, candidates)
    return f"Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
