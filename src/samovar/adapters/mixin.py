"""Adapters on a model itself, without a wrapper: `model.add_adapter(…)`, `model.load_adapter(…)`, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from samovar.adapters.config import LoraConfig


class AdapterMixin:
    """Gives a model methods for its adapters; nothing is imported before one is called."""

    @property
    def peft_config(self) -> dict[str, LoraConfig]:
        """Adapter name → its configuration; empty without adapters."""
        state = self.__dict__.get("adapter_state")
        return {} if state is None else state.configs

    def add_adapter(self, adapter_config: LoraConfig, adapter_name: str | None = None) -> None:
        """A new adapter, in use at once; everything else is frozen. Raises `ConfigError`."""
        from samovar.adapters import tuning

        name = adapter_name or "default"
        tuning.add(self, name, adapter_config)  # type: ignore[arg-type]
        tuning.activate(self, name)  # type: ignore[arg-type]

    def load_adapter(
        self,
        peft_model_id: str | Path,
        adapter_name: str | None = None,
        *,
        is_trainable: bool = False,
        **options: Any,
    ) -> None:
        """The adapter of a folder or repository, in use at once.

        Options: `revision`, `cache_dir`, `local_files_only`, `token`, `subfolder`. Raises `FileMissingError`,
        `CorruptFileError`, `ConfigError`, or `WeightsError` when the adapter is another model's.
        """
        from samovar.adapters import files, tuning

        name = adapter_name or "default"
        files.load(self, peft_model_id, name, None, is_trainable, **options)  # type: ignore[arg-type]
        tuning.activate(self, name)  # type: ignore[arg-type]
        if not is_trainable:
            self.eval()  # type: ignore[attr-defined]

    def set_adapter(self, adapter_name: str | Sequence[str]) -> None:
        """Use this adapter, or the sum of several. Raises `ConfigError` for unknown names."""
        from samovar.adapters import tuning

        tuning.activate(self, adapter_name)  # type: ignore[arg-type]

    def active_adapters(self) -> list[str]:
        """The adapters in use."""
        from samovar.adapters import tuning

        return list(tuning.state_of(self).active)  # type: ignore[arg-type]

    def disable_adapters(self) -> None:
        """The base model answers, until `enable_adapters`."""
        from samovar.adapters import tuning

        tuning.enable(self, False)  # type: ignore[arg-type]

    def enable_adapters(self) -> None:
        """The adapters in use answer again."""
        from samovar.adapters import tuning

        tuning.enable(self, True)  # type: ignore[arg-type]

    def delete_adapter(self, adapter_names: str | Sequence[str]) -> None:
        """Take adapters out. Raises `ConfigError` for unknown names."""
        from samovar.adapters import tuning

        for name in tuning.check_names(self, adapter_names):  # type: ignore[arg-type]
            tuning.delete(self, name)  # type: ignore[arg-type]

    def get_adapter_state_dict(self, adapter_name: str | None = None) -> dict[str, Tensor]:
        """An adapter's tensors under the names of its file; the first one in use if none is named."""
        from samovar.adapters import files, tuning

        name = adapter_name or next(iter(tuning.state_of(self).active), "default")  # type: ignore[arg-type]
        return files.adapter_tensors(self, tuning.check_names(self, name)[0])  # type: ignore[arg-type]

    def save_adapters(self, save_directory: str | Path) -> None:
        """Write the adapters' files, as `PeftModel.save_pretrained` does, without the base model."""
        from samovar.adapters import files

        files.save(self, Path(save_directory))  # type: ignore[arg-type]

    @property
    def load_adapter_weights(self) -> Callable[[str | Path], None]:
        """The function that reads adapters' values back from a folder; absent while there is no adapter.

        A trainer reloads adapters where a model has it, and whole weights where it has not.
        """
        if not self.peft_config:
            raise AttributeError(f"{type(self).__name__} has no adapters, so it has no load_adapter_weights.")
        from samovar.adapters import files

        return lambda folder: files.load_weights(self, folder)  # type: ignore[arg-type]
