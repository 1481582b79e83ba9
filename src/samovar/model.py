"""`Model`: what every architecture and every model with a head is — an `nn.Module` with a config and a name table."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from samovar.adapters.mixin import AdapterMixin
from samovar.config import Config
from samovar.errors import ConfigError, InputError
from samovar.hub.publish import Shareable, shares
from samovar.nn.attention import Attention, attention_function
from samovar.weights.names import NameTable, Table, bound

logger = logging.getLogger(__name__)


class Construct(type):
    """Initialises weights once, after the outermost constructor, and never on the meta device."""

    depth = 0

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        Construct.depth += 1
        try:
            model = super().__call__(*args, **kwargs)
        finally:
            Construct.depth -= 1
        if Construct.depth == 0:
            model.tie_weights()
            if not any(parameter.is_meta for parameter in model.parameters()):
                model.initialise_weights()
        return model


class Model(AdapterMixin, Shareable, nn.Module, metaclass=Construct):
    """Base of backbones and of models with heads.

    A class declares `config_class`, `weights` (checkpoint name ↔ our name) and `prefix` (what stands before the
    backbone's names in a checkpoint of a model with a head). `tied` maps a parameter to the one whose storage it
    shares when `config.tie_word_embeddings` is on.
    """

    config_class: ClassVar[type[Config]] = Config
    weights: ClassVar[Table] = {}
    prefix: ClassVar[str] = ""
    main_input_name: ClassVar[str] = "input_ids"

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.name_or_path = ""

    # Weights ------------------------------------------------------------------------------------------------------

    @property
    def tied(self) -> Mapping[str, str]:
        """Parameter → the parameter that it shares."""
        return {}

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Parameter → the one whose value it takes where a file holds only that one."""
        return {}

    @classmethod
    def name_table(cls, config: Config | None = None) -> NameTable:
        """The compiled table of checkpoint names; tensors are converted by the sizes of `config`."""
        return NameTable(cls.weights if config is None else bound(cls.weights, config))

    def tie_weights(self) -> None:
        """Make tied parameters one object again."""
        for name, source in self.tied.items():
            owner, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(owner), leaf, self.get_parameter(source))

    def initialise_weights(self, only: set[str] | None = None) -> None:
        """Give new values to all parameters and buffers, or to those named in `only`."""
        for prefix, module in self.named_modules():
            for name, tensor in own_tensors(module):
                full = f"{prefix}.{name}" if prefix else name
                if only is None or full in only:
                    with torch.no_grad():
                        initialise(module, name, tensor, self.base_model.initial_std(full))

    def initial_std(self, name: str) -> float:
        """The standard deviation of a new matrix."""
        return self.config.initializer_range

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, config: Config | None = None, **options: Any
    ) -> Any:
        """Load config and weights from a folder, the cache or the endpoint.

        Options: `dtype` (a `torch.dtype`, its name, or `"auto"`: as stored, the default), `device` (or `device_map`),
        `attn_implementation`, `revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`,
        `ignore_mismatched_sizes` (start a head of another size anew), `output_loading_info` (return
        `(model, report)`), `from_flax` and `from_tf` (read `flax_model.msgpack` or `tf_model.h5` even where there are
        other weights; where there are none they are read anyway); anything else, such as `num_labels` or `id2label`,
        overrides the configuration.

        Raises `ModelNotFoundError`, `ConfigError`, `CorruptFileError`, `UnsafeFileError` or `WeightsError`.
        """
        from samovar.weights.load import load_model

        return load_model(cls, pretrained_model_name_or_path, config, options)

    @classmethod
    def from_config(
        cls, config: Config, *, dtype: torch.dtype | str | None = None, attn_implementation: str | None = None
    ) -> Self:
        """A model with new weights. Raises `ConfigError` for an unknown type or attention function."""
        from samovar.weights.load import wanted_dtype

        model = cls(config)
        if attn_implementation is not None:
            model.set_attn_implementation(attn_implementation)
        return model if dtype is None else model.to(wanted_dtype(dtype, config))

    @shares
    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        max_shard_size: int | str = "5GB",
        state_dict: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write `config.json` and safetensors under the checkpoint's own names, as one atomic change of the folder.

        Files above `max_shard_size` (bytes, or text such as `"5GB"`) are split, with an index beside them. Of a model
        with adapters only these are written, in the adapters' own files. With `push_to_hub=True` the files go to the
        repository `repo_id` too; the other arguments of `push_to_hub` may be given with it.
        Raises `SaveError`, with the folder as it was.
        """
        if self.peft_config:
            return self.save_adapters(save_directory)
        from samovar.hub.code_files import code_beside
        from samovar.weights.save import save_model

        own = code_beside((self, self.config), Path(save_directory))
        if own:
            self.config.auto_map = {**self.config.extra.get("auto_map", {}), **own}

        save_model(self, Path(save_directory), max_shard_size, state_dict)

    # Use ----------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return super().__call__(*args, **kwargs)
        try:
            return super().__call__(*args, **kwargs)
        except IndexError as error:
            # An embedding was asked for a row that it does not have: say which id, and how many rows there are.
            bound = dict(zip(("input_ids", "attention_mask", "token_type_ids"), args, strict=False)) | kwargs
            raise InputError(*self.explain_index_error(bound, error)) from error

    def explain_index_error(self, inputs: Mapping[str, Any], error: IndexError) -> tuple[str, str]:
        """Cause and next step of an index outside a table."""
        ids = inputs.get("input_ids")
        vocab = getattr(self.config, "vocab_size", None)
        if (
            isinstance(ids, Tensor)
            and vocab is not None
            and ids.numel()
            and not 0 <= int(ids.min()) <= int(ids.max()) < vocab
        ):
            return (
                f"input_ids hold {int(ids.min())} … {int(ids.max())}, but the vocabulary ends at {vocab - 1}.",
                "Use the tokenizer of this checkpoint, or call `resize_token_embeddings(len(tokenizer))`.",
            )
        limit = getattr(self.config, "max_position_embeddings", None)
        if isinstance(ids, Tensor) and limit is not None and ids.shape[-1] + 2 > limit:
            return (
                f"The input has {ids.shape[-1]} tokens; this model has {limit} positions.",
                "Tokenize with truncation=True and a max_length that fits.",
            )
        types, kinds = inputs.get("token_type_ids"), getattr(self.config, "type_vocab_size", None)
        if isinstance(types, Tensor) and kinds is not None and types.numel() and int(types.max()) >= kinds:
            return f"token_type_ids hold {int(types.max())}; this model has {kinds} types.", "Leave token_type_ids out."
        return f"An index is outside a table: {error}.", "Check the ids that are given."

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the floating-point parameters."""
        return next(p.dtype for p in self.parameters() if p.is_floating_point())

    @property
    def base_model(self) -> Model:
        """The backbone; a backbone is its own."""
        return self

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the parameters hold, shared ones counted once."""
        embeddings = {id(m.weight) for m in self.modules() if exclude_embeddings and isinstance(m, nn.Embedding)}
        return sum(
            p.numel() for p in self.parameters() if (p.requires_grad or not only_trainable) and id(p) not in embeddings
        )

    def get_memory_footprint(self) -> int:
        """Bytes of all parameters and buffers."""
        return sum(t.numel() * t.element_size() for t in [*self.parameters(), *self.buffers()])

    def set_attn_implementation(self, name: str) -> None:
        """Use this attention function everywhere; raises `ConfigError` for unknown names."""
        attention_function(name)
        for module in self.modules():
            if isinstance(module, Attention):
                module.implementation = name

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None) -> None:
        """In training, recompute each layer's activations in the backward pass instead of keeping them."""
        self.base_model.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self.base_model.gradient_checkpointing = False

    gradient_checkpointing: bool | Tensor | nn.Module = False

    def get_input_embeddings(self) -> nn.Module:
        """The module that turns ids (or pixels) into vectors. Raises `ConfigError` where there is none."""
        raise ConfigError(f"{type(self).__name__} has no input embeddings.", "Ask a transformer for them.")

    def freeze(self) -> Self:
        """Stop all gradients of this module's parameters."""
        return self.requires_grad_(False)


def own_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """A module's own parameters and persistent buffers."""
    yield from module.named_parameters(recurse=False)
    for name, buffer in module.named_buffers(recurse=False):
        if name not in module._non_persistent_buffers_set:
            yield name, buffer


def initialise(module: nn.Module, name: str, tensor: Tensor, std: float) -> None:
    """Fill one tensor of a module: normal(0, `std`) for matrices, 0 for biases, 1 for scales of norms.

    A brick with other needs defines `initialise(name, tensor)`.
    """
    custom: Callable[[str, Tensor], None] | None = getattr(module, "initialise", None)
    if custom is not None:
        custom(name, tensor)
    elif name == "bias" or name in ("running_mean", "num_batches_tracked"):
        nn.init.zeros_(tensor)
    elif name == "running_var" or isinstance(module, nn.LayerNorm | nn.BatchNorm2d | nn.GroupNorm):
        nn.init.ones_(tensor)
    elif isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.normal_(tensor, std=std)
        nn.init.zeros_(tensor[module.padding_idx])
    else:
        nn.init.normal_(tensor, std=std)
