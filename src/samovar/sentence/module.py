"""What a step of a `SentenceTransformer` is: features in, features out, a folder of its own in the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from samovar.config import parse_config
from samovar.errors import ConfigError, WeightsError
from samovar.hub.source import Source

Features = dict[str, Any]
CONFIG, SAFETENSORS = "config.json", "model.safetensors"


class Module(nn.Module):
    """Base of all steps.

    `forward` takes and gives a dictionary: `input_ids` and `attention_mask` (batch, sequence), then
    `token_embeddings` (batch, sequence, hidden), then `sentence_embedding` (batch, dim).
    """

    # Attributes that `config.json` holds, in the spelling of the files.
    config_keys: ClassVar[tuple[str, ...]] = ()
    # What `modules.json` calls it; files of any version of the field's library are read.
    type_name: ClassVar[str] = ""

    def forward(self, features: Features) -> Features:
        """One step."""
        raise NotImplementedError

    def get_config_dict(self) -> dict[str, Any]:
        """What `config.json` holds."""
        return {key: getattr(self, key) for key in self.config_keys}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """A new module of this configuration."""
        return cls(**{key: config[key] for key in cls.config_keys if key in config})

    @classmethod
    def load(cls, source: Source, **options: Any) -> Self:
        """From the module's own folder of a checkpoint. Raises `ConfigError` or `WeightsError`."""
        path = source.file(CONFIG)
        config = parse_config(path) if path else {}
        try:
            module = cls.from_config(config)
        except (TypeError, KeyError, ValueError) as error:
            raise ConfigError(f"{path or source.name} makes no {cls.__name__}: {error}.", "Check its keys.") from error
        module.load_weights(source)
        return module.eval()

    def load_weights(self, source: Source) -> None:
        """Fill the parameters, if there are any."""
        wanted = self.state_dict()
        if not wanted:
            return
        from samovar.weights.checkpoint import Checkpoint

        checkpoint = Checkpoint(source)
        found: dict[str, Tensor] = {name: read() for name, read in checkpoint.readers.items()}
        shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
        if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
            expected = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
            raise WeightsError(
                f"The weights of {type(self).__name__} are {shapes}, its config says {expected}.",
                "The file and config.json are not of one model.",
            )
        self.load_state_dict(found)

    def save(self, folder: Path) -> None:
        """Write config and weights into the module's own folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(json.dumps(self.get_config_dict(), indent=2) + "\n", "utf-8")
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        if state:
            from safetensors.torch import save_file

            save_file(state, folder / SAFETENSORS, metadata={"format": "pt"})
