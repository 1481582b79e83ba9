"""`PeftModel`: a model with adapters around it, under the names that scripts of this field call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from samovar.adapters import files, tuning
from samovar.adapters.config import LoraConfig
from samovar.errors import InputTypeError
from samovar.hub.publish import Shareable, shares


class PeftModel(Shareable, nn.Module):
    """A model whose own weights are frozen, with small adapters that are trained.

    The model is changed in place: its linear layers gain low-rank parts, its names stay. What is asked of a
    `PeftModel` that it does not have itself (`config`, `device`, `task`, …) is asked of the model.

    Raises `ConfigError` when the configuration fits no layer; the model is then as it was.
    """

    def __init__(self, model: nn.Module, peft_config: LoraConfig, adapter_name: str = "default") -> None:
        super().__init__()
        check_model(model)
        self.base_model = model
        self.add_adapter(adapter_name, peft_config)
        self.set_adapter(adapter_name)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "base_model" not in self.__dict__.get("_modules", {}):
                raise
            return getattr(self.base_model, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the model."""
        return self.base_model(*args, **kwargs)

    # Which adapters there are -------------------------------------------------------------------------------------

    @property
    def peft_config(self) -> dict[str, LoraConfig]:
        """Adapter name → its configuration."""
        return tuning.state_of(self.base_model).configs

    @property
    def active_adapters(self) -> list[str]:
        """The adapters in use."""
        return list(tuning.state_of(self.base_model).active)

    @property
    def active_adapter(self) -> str:
        """The first adapter in use."""
        return self.active_adapters[0]

    @property
    def active_peft_config(self) -> LoraConfig:
        """Its configuration."""
        return self.peft_config[self.active_adapter]

    def get_base_model(self) -> nn.Module:
        """The model itself, adapters included."""
        return self.base_model

    def add_adapter(self, adapter_name: str, peft_config: LoraConfig) -> None:
        """A new adapter, not yet in use. Raises `ConfigError`."""
        if isinstance(peft_config, LoraConfig) and peft_config.base_model_name_or_path is None:
            peft_config.base_model_name_or_path = getattr(self.base_model, "name_or_path", None) or None
        tuning.add(self.base_model, adapter_name, peft_config)
        tuning.set_trainable(self.base_model)

    def set_adapter(self, adapter_name: str | Sequence[str]) -> None:
        """Use this adapter, or the sum of several, and train it. Raises `ConfigError` for unknown names."""
        tuning.activate(self.base_model, adapter_name)

    def delete_adapter(self, adapter_name: str) -> None:
        """Take an adapter out."""
        tuning.delete(self.base_model, adapter_name)

    def disable_adapter(self) -> AbstractContextManager[None]:
        """`with model.disable_adapter():` the base model answers. Biases that were trained stay as they are."""
        return tuning.disabled(self.base_model)

    # Numbers ------------------------------------------------------------------------------------------------------

    def get_nb_trainable_parameters(self) -> tuple[int, int]:
        """How many numbers are trained, and how many there are, adapters included; shared ones counted once."""
        parameters = list(self.parameters())
        return sum(one.numel() for one in parameters if one.requires_grad), sum(one.numel() for one in parameters)

    def print_trainable_parameters(self) -> None:
        """Print these two numbers and their ratio."""
        trained, total = self.get_nb_trainable_parameters()
        print(f"trainable params: {trained:,d} || all params: {total:,d} || trainable%: {100 * trained / total:.4f}")

    # Merging ------------------------------------------------------------------------------------------------------

    def merge_adapter(self, adapter_names: Sequence[str] | None = None, safe_merge: bool = False) -> None:
        """Add adapters (those in use, if none are named) to the weights: no extra work per call, undone by unmerging.

        With `safe_merge`, raises `NumericError` if a weight is not finite then; nothing is merged in that case.
        """
        tuning.merge(self.base_model, adapter_names, safe_merge)

    def unmerge_adapter(self) -> None:
        """Subtract merged adapters from the weights again."""
        tuning.unmerge(self.base_model)

    def merge_and_unload(
        self, progressbar: bool = False, safe_merge: bool = False, adapter_names: Sequence[str] | None = None
    ) -> Any:
        """Merge for good: the ordinary model, without a trace of adapters. `progressbar` is accepted and not used."""
        tuning.merge(self.base_model, adapter_names, safe_merge)
        return self.unload()

    def unload(self) -> Any:
        """The ordinary model with the weights as they are now, not merged."""
        tuning.unload(self.base_model)
        return self.base_model

    # Files --------------------------------------------------------------------------------------------------------

    @shares
    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        safe_serialization: bool = True,
        selected_adapters: Sequence[str] | None = None,
        state_dict: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write `adapter_config.json` and `adapter_model.safetensors`, without the base model, as one atomic change.

        Adapters with other names than `default` go into folders of their names. `state_dict` gives the values where
        this process holds only a part of them. Raises `SaveError`, with the folder as it was.
        """
        if not safe_serialization:
            raise InputTypeError("safe_serialization=False asks for a pickle.", "Leave it out: safetensors is written.")
        files.save(self.base_model, Path(save_directory), selected_adapters, state_dict, "base_model.")

    @classmethod
    def from_pretrained(
        cls,
        model: nn.Module,
        model_id: str | Path,
        adapter_name: str = "default",
        is_trainable: bool = False,
        config: LoraConfig | None = None,
        **options: Any,
    ) -> Self:
        """A model with the adapter of a folder or repository; to go on training it, `is_trainable=True`.

        Options: `revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`. Raises `FileMissingError`,
        `CorruptFileError`, `ConfigError`, or `WeightsError` when the adapter is another model's.
        """
        check_model(model)
        files.load(model, model_id, adapter_name, config, is_trainable, **options)
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.base_model = model
        made.set_adapter(adapter_name)
        return made.train(is_trainable)

    def load_adapter(self, model_id: str | Path, adapter_name: str, is_trainable: bool = False, **options: Any) -> None:
        """Another adapter from a folder or repository, not yet in use; options and errors as in `from_pretrained`."""
        files.load(self.base_model, model_id, adapter_name, None, is_trainable, **options)
        tuning.set_trainable(self.base_model)
        if not is_trainable:
            self.eval()

    def load_adapter_weights(self, folder: str | Path) -> None:
        """The values of all adapters from a folder that `save_pretrained` wrote, into the parameters that are there.

        An optimiser that holds these parameters goes on with them. Raises `WeightsError` when they do not fit.
        """
        files.load_weights(self.base_model, folder)


def check_model(model: Any) -> None:
    """Raise `InputTypeError` for what is no module."""
    if not isinstance(model, nn.Module):
        raise InputTypeError(
            f"A model expected, got {type(model).__name__}.", "Load it first: `AutoModel….from_pretrained(…)`."
        )


def get_peft_model(model: nn.Module, peft_config: LoraConfig, adapter_name: str = "default") -> PeftModel:
    """Freeze a model and give it a new adapter to train. Raises `ConfigError` when no layer fits `target_modules`."""
    return PeftModel(model, peft_config, adapter_name)
