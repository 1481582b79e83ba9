"""`LoraConfig`: what is adapted and how, as `adapter_config.json` holds it. Imports no torch."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from samovar.config import parse_config, source_options
from samovar.errors import ConfigError, FileMissingError, did_you_mean
from samovar.hub.source import Source

logger = logging.getLogger(__name__)

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
ALL_LINEAR = "all-linear"


class TaskType(StrEnum):
    """What the adapted model is for; classification and question answering train their last layer too."""

    SEQ_CLS = "SEQ_CLS"
    SEQ_2_SEQ_LM = "SEQ_2_SEQ_LM"
    CAUSAL_LM = "CAUSAL_LM"
    TOKEN_CLS = "TOKEN_CLS"
    QUESTION_ANS = "QUESTION_ANS"
    FEATURE_EXTRACTION = "FEATURE_EXTRACTION"


class PeftType(StrEnum):
    """The kinds of adapters that are known here."""

    LORA = "LORA"


# The last layers that a task trains in full, by the names that checkpoints have for them.
HEADS = {
    TaskType.SEQ_CLS: ("classifier", "score"),
    TaskType.TOKEN_CLS: ("classifier", "score"),
    TaskType.QUESTION_ANS: ("qa_outputs",),
}
# Options of other programs that change what an adapter computes: refused rather than passed over.
REFUSED = (
    "use_dora", "use_qalora", "lora_bias", "layer_replication", "target_parameters", "trainable_token_indices",
    "alora_invocation_tokens", "use_bdlora", "arrow_config", "kasa_config", "velora_config", "monteclora_config",
    "megatron_config", "ensure_weight_tying",
)  # fmt: skip
# Options of other programs that say nothing about what a trained adapter computes.
INERT = (
    "auto_mapping", "peft_version", "revision", "loftq_config", "eva_config", "corda_config", "lora_ga_config",
    "megatron_core", "qalora_group_size", "runtime_config",
)  # fmt: skip
# Ways to start that leave the base weights as they are; those that change them cannot be loaded beside other adapters.
STARTS = (True, False, "gaussian", "eva", "orthogonal", "mica")


class LoraConfig:
    """Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685): a linear layer's output gains `scaling · B(A(x))`.

    - `r`: the rank. `lora_alpha`: scaling is `lora_alpha / r`, or `lora_alpha / √r` with `use_rslora`
      (Kalajdzievski 2023). `lora_dropout`: on the input of `A`, in training.
    - `target_modules`: names that module names end with, a regular expression for whole module names, or
      `"all-linear"` (all linear layers but the projection to the vocabulary). The names are those of the checkpoint
      (`query`, `c_attn`); this library's own (`q_proj`) work as well. None: the query and value projections.
      `exclude_modules`, in the same form, takes out of these; `layers_to_transform` keeps the layers with these
      numbers, `layers_pattern` says what stands before the number.
    - `rank_pattern`, `alpha_pattern`: module name (a regular expression for its end) → another `r` or `lora_alpha`.
    - `bias`: which biases of the base model are trained: `"none"`, `"all"`, or those of adapted layers, `"lora_only"`.
    - `modules_to_save`: modules that are trained and saved in full beside the adapter. `task_type` adds the head.
    - `init_lora_weights`: True starts `B` at zero, `"gaussian"` draws `A` from a normal distribution instead of a
      uniform one, False makes both random, for tests.
    - `inference_mode`: nothing is trained. `fan_in_fan_out` is written for other programs and not read.

    Options that are not known are kept in `extra` and written back. Raises `ConfigError` for values out of range and
    for options that would change what the adapter computes but are not built here.
    """

    peft_type = PeftType.LORA

    def __init__(
        self,
        task_type: TaskType | str | None = None,
        *,
        r: int = 8,
        target_modules: Iterable[str] | str | None = None,
        exclude_modules: Iterable[str] | str | None = None,
        lora_alpha: float = 8,
        lora_dropout: float = 0.0,
        fan_in_fan_out: bool = False,
        bias: Literal["none", "all", "lora_only"] = "none",
        use_rslora: bool = False,
        modules_to_save: Iterable[str] | None = None,
        init_lora_weights: bool | str = True,
        layers_to_transform: Iterable[int] | int | None = None,
        layers_pattern: Iterable[str] | str | None = None,
        rank_pattern: Mapping[str, int] | None = None,
        alpha_pattern: Mapping[str, float] | None = None,
        base_model_name_or_path: str | None = None,
        inference_mode: bool = False,
        **extra: Any,
    ) -> None:
        self.task_type = one_of(TaskType, task_type, "task_type")
        self.r = r
        self.target_modules = names(target_modules)
        self.exclude_modules = names(exclude_modules)
        self.lora_alpha = lora_alpha
        self.lora_dropout = lora_dropout
        self.fan_in_fan_out = fan_in_fan_out
        self.bias = bias
        self.use_rslora = use_rslora
        self.modules_to_save = None if modules_to_save is None else whole_names(modules_to_save)
        self.init_lora_weights = init_lora_weights
        self.layers_to_transform = (
            layers_to_transform
            if layers_to_transform is None or isinstance(layers_to_transform, int)
            else list(layers_to_transform)
        )
        self.layers_pattern = names(layers_pattern)
        self.rank_pattern = dict(rank_pattern or {})
        self.alpha_pattern = dict(alpha_pattern or {})
        self.base_model_name_or_path = base_model_name_or_path
        self.inference_mode = inference_mode
        self.extra = extra
        self.check()

    def check(self) -> None:
        """Raise `ConfigError` for what cannot be used; note what is not known."""
        kind = self.extra.pop("peft_type", "LORA")
        if str(getattr(kind, "value", kind)) != "LORA":
            raise ConfigError(f"peft_type is {kind!r}; adapters of this kind are not built here.", "Use LORA.")
        for name, rank in {"r": self.r, **{f"rank_pattern[{k!r}]": v for k, v in self.rank_pattern.items()}}.items():
            if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
                raise ConfigError(f"{name} is {rank!r}; a rank is a whole number from 1 on.", "Usual are 4 to 64.")
        if not 0 <= self.lora_dropout < 1:
            raise ConfigError(
                f"lora_dropout is {self.lora_dropout!r}.", "Give a number from 0 to below 1, such as 0.1."
            )
        if self.bias not in ("none", "all", "lora_only"):
            hint = did_you_mean(str(self.bias), ("none", "all", "lora_only"))
            raise ConfigError(f"bias is {self.bias!r}.", f"{hint} Use 'none', 'all' or 'lora_only'.".strip())
        for option, value in (("target_modules", self.target_modules), ("exclude_modules", self.exclude_modules)):
            if isinstance(value, str):
                try:
                    re.compile(value)
                except re.error as error:
                    raise ConfigError(
                        f"{option} is no regular expression: {value!r} ({error}).", "A list holds plain names."
                    ) from error
        if self.init_lora_weights not in STARTS:
            raise ConfigError(
                f"init_lora_weights={self.init_lora_weights!r} changes the base weights or is not known.",
                "Use True or 'gaussian'; an adapter that was trained this way is first converted to plain LoRA "
                "by the program that trained it.",
            )
        refused = [name for name in REFUSED if self.extra.get(name)]
        if refused:
            raise ConfigError(
                f"{', '.join(refused)}: not built here, and without it the adapter would compute something else.",
                "Leave it out, or merge the adapter into its base model with the program that trained it.",
            )
        unknown = sorted(set(self.extra) - set(REFUSED) - set(INERT))
        for name in unknown:
            hint = did_you_mean(name, [key for key in vars(self) if key != "extra"])
            logger.warning("Unknown option %r of an adapter: kept and written back, not used. %s", name, hint)

    def rank_of(self, module: str) -> int:
        """The rank at a module."""
        return pattern_value(self.rank_pattern, module, self.r)

    def scaling_of(self, module: str) -> float:
        """What `B(A(x))` is multiplied by at a module."""
        rank = self.rank_of(module)
        alpha = pattern_value(self.alpha_pattern, module, self.lora_alpha)
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank

    def to_dict(self) -> dict[str, Any]:
        """The content of `adapter_config.json`."""
        values = {name: value for name, value in vars(self).items() if name != "extra"}
        values = {**self.extra, **values, "peft_type": self.peft_type.value}
        return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}

    def to_json_string(self) -> str:
        """`to_dict` as JSON with sorted keys."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A configuration from the content of a file."""
        return cls(**{name: value for name, value in values.items() if value is not None})

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **kwargs: Any) -> Self:
        """Read the `adapter_config.json` of a folder or repository.

        Options: `revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`. Raises `FileMissingError`,
        `CorruptFileError` or `ConfigError`.
        """
        return cls.from_source(Source(pretrained_model_name_or_path, **source_options(kwargs)))

    @classmethod
    def from_source(cls, source: Source) -> Self:
        """As `from_pretrained`, from a place that is known already."""
        path = source.file(CONFIG_FILE)
        if path is None:
            whole = source.file("config.json") is not None
            raise FileMissingError(
                f"{source.name} has no {CONFIG_FILE}"
                + (": it is a whole model, not an adapter." if whole else ", so it is no adapter."),
                "Load a whole model with `AutoModel…from_pretrained`."
                if whole
                else "Give the folder that an adapter was saved into.",
            )
        values = parse_config(path)
        try:
            return cls.from_dict(values)
        except (TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise ConfigError(f"{path}: {error.cause}", error.next_step) from error
            raise ConfigError(f"{path} holds a value of the wrong type: {error}.", "Save the adapter again.") from error

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write `adapter_config.json` into a folder."""
        from samovar.hub.atomic import write_file

        Path(save_directory).mkdir(parents=True, exist_ok=True)
        write_file(Path(save_directory) / CONFIG_FILE, self.to_json_string())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoraConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"LoraConfig({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


# The name under which scripts read an adapter's configuration before they know its kind.
PeftConfig = LoraConfig


def names(value: Iterable[str] | str | None) -> list[str] | str | None:
    """A regular expression as it is; anything else as a list."""
    if value is None or isinstance(value, str):
        return value
    return sorted(value) if isinstance(value, set | frozenset) else list(value)


def whole_names(value: Iterable[str] | str) -> list[str]:
    """A list of names; one alone is a list of one."""
    return [value] if isinstance(value, str) else list(names(value) or ())


def one_of(kind: type[TaskType], value: TaskType | str | None, option: str) -> TaskType | None:
    """A member of an enumeration by its value. Raises `ConfigError` that names near ones."""
    if value is None or isinstance(value, kind):
        return value
    text = str(getattr(value, "value", value))
    known = [member.value for member in kind]
    if text not in known:
        raise ConfigError(
            f"Unknown {option} {value!r}.", did_you_mean(text, known) or f"Known: {', '.join(known)}, or None."
        )
    return kind(text)


def pattern_value(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """The value of the first pattern that a module's name ends with."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
