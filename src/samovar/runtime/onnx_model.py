"""`OnnxModel`: an exported model in onnxruntime that stands where pipelines expect a PyTorch model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

import samovar
from samovar.config import CONFIG_FILE, SOURCE_OPTIONS, Config, parse_config
from samovar.errors import InputError, TaskError, UnknownArchitectureError
from samovar.generation.config import GENERATION_FILE
from samovar.hub.atomic import write_beside
from samovar.hub.publish import Shareable, shares
from samovar.hub.source import Source
from samovar.registry import backbone_class
from samovar.runtime.onnx_files import SEQUENCE, WHOLE, OnnxFiles, find_graphs
from samovar.runtime.onnx_session import OnnxSession
from samovar.runtime.unpadded import run_unpadded
from samovar.tasks.outputs import Output

Layers = tuple[Tensor, ...] | None


class OnnxOutput(Output):
    """What a graph gives, under its names; what it does not give reads as None."""

    loss: Tensor | None
    logits: Tensor | None
    last_hidden_state: Tensor | None
    pooler_output: Tensor | None
    start_logits: Tensor | None
    end_logits: Tensor | None
    prediction_logits: Tensor | None
    logits_aggregation: Tensor | None
    past_key_values: Any
    hidden_states: Layers
    attentions: Layers


class OnnxModel(Shareable):
    """A folder with ONNX graphs, called as the PyTorch model that they were made of::

        model = OnnxModel.from_pretrained("folder")                  # of export_model(…, "onnx", "folder")
        model(**tokenizer(["A samovar boils."], return_tensors="pt")).logits
        pipeline("text-classification", model=model, tokenizer=tokenizer)

    It runs where its `providers` say and takes and gives tensors on the CPU. A mask that is not given is one of all
    tokens; a graph that was exported without one runs texts of one length at a time. There are no gradients.
    """

    # Where its tensors are, whatever accelerators there may be: `providers` choose those.
    fixed_device: ClassVar[torch.device] = torch.device("cpu")
    # Whether rows under a mask must run without their padding, as the graph would take it for text.
    reads_padding: ClassVar[bool] = False

    def __init__(self, kind: type[Any], config: Config, sessions: Mapping[str, OnnxSession], files: OnnxFiles) -> None:
        self.config, self.sessions, self.files = config, dict(sessions), files
        self.kind = kind
        with torch.device("meta"):
            # Says how the model is built (positions, head) and holds no numbers.
            self.skeleton = kind(config).eval()
        self.task = getattr(kind, "task", "")
        self.main_input_name = kind.main_input_name
        self.name_or_path = ""
        first = next(iter(self.sessions.values()))
        self.masked = "attention_mask" in first.inputs
        self.per_token = {"last_hidden_state"} | first.along("input_ids")

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        providers: Sequence[Any] | None = None,
        session_options: Mapping[str, Any] | None = None,
        file_name: str | None = None,
        config: Config | None = None,
        task: str | None = None,
        **options: Any,
    ) -> OnnxModel:
        """Load the graphs of a folder or repository that has a `config.json`, of this library's export or of another's.

        `providers` and `session_options` go to onnxruntime; `file_name` chooses one of several graphs; `task` names the
        head (`sequence-classification`, …) where neither the export nor the configuration says it.

        Raises `FileMissingError` for a part that is missing, `MissingExtraError` without onnxruntime, `InputError` for
        options that are not known, and what reading a configuration raises.
        """
        where = {name: options.pop(name) for name in SOURCE_OPTIONS if name in options}
        if options:
            raise InputError(f"An ONNX model takes no {', '.join(options)}.", "Its numbers are those of its file.")
        source = Source(pretrained_model_name_or_path, **where)
        files = find_graphs(source, file_name)
        config = (
            samovar.AutoConfig.from_pretrained(pretrained_model_name_or_path, **where) if config is None else config
        )
        sessions = {name: OnnxSession(path, providers, session_options) for name, path in files.graphs.items()}
        saved_from = files.manifest.get("model") or (config.architectures or [""])[0]
        kind = kind_of(config, str(saved_from), task, sessions)
        model = stand_in(kind, sessions)(kind, config, sessions, files)
        model.name_or_path = str(pretrained_model_name_or_path)
        model.note(source)
        return model

    def note(self, source: Source) -> None:
        """Read and remember the small files beside the graphs."""
        for name in (CONFIG_FILE, GENERATION_FILE):
            path = source.file(name)
            if path is not None:
                self.files.every.append(path)

    # Calls --------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Ids (batch, sequence), or (batch, choices, sequence), or pixels → what the graph gives."""
        given = {
            "input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids,
            "position_ids": position_ids, "pixel_values": pixel_values,
        }  # fmt: skip
        known = {name: value for name, value in given.items() if value is not None}
        if attention_mask is not None and (self.reads_padding or not self.masked) and not bool(attention_mask.all()):
            output = OnnxOutput(run_unpadded(self.outputs, known, self.per_token))
        else:
            output = OnnxOutput(self.outputs(known))
        return output.to_tuple() if return_dict is False else output

    def outputs(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The graph's outputs for these tensors."""
        return named(self.run(WHOLE, given))

    def run(self, part: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One graph; what it reads beside what is given is completed. Raises `InputError`."""
        session = self.sessions[part]
        for name in given:
            if name not in session.inputs and name in IDLE:
                continue
            if name == "token_type_ids" and name not in session.inputs and bool(given[name].any()):
                raise InputError("This graph reads no token_type_ids, and some are not 0.", "Leave them out.")
        feed = {name: array(value) for name, value in given.items() if name in session.inputs or name not in OPTIONAL}
        for name in session.inputs:
            if name not in feed:
                value = completed(name, feed)
                if value is not None:
                    feed[name] = value
        return {name: torch.from_numpy(value) for name, value in session.run(feed).items()}

    # What a model is asked ----------------------------------------------------------------------------------------

    @property
    def saved_from(self) -> str:
        """The name of the class that was exported."""
        return self.kind.__name__

    @property
    def outputs_named(self) -> set[str]:
        """What the graph of a whole model gives."""
        return set(named({name: name for name in self.sessions[WHOLE].outputs})) if WHOLE in self.sessions else set()

    @property
    def device(self) -> torch.device:
        """Where its tensors are."""
        return self.fixed_device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the numbers that it takes and gives."""
        return torch.float32

    @property
    def base_model(self) -> OnnxModel:
        """Itself: a graph has no parts."""
        return self

    @property
    def head(self) -> Any:
        """How the head is built; None for a backbone."""
        return getattr(self.skeleton, "head", None)

    def modules(self) -> Iterator[nn.Module]:
        """How the model is built, without numbers."""
        return self.skeleton.modules()

    def parameters(self) -> Iterator[Tensor]:
        """None: the numbers are in the graph."""
        return iter(())

    def eval(self) -> Self:
        """Itself."""
        return self

    def train(self, mode: bool = True) -> Self:
        """Itself, out of training. Raises `InputError`."""
        if mode:
            raise InputError("A graph cannot be trained.", "Train the PyTorch model and export it again.")
        return self

    def to(self, device: Any = None, dtype: Any = None) -> Self:
        """Itself, on the CPU in float32. Raises `InputError` for anything else."""
        for wanted in (device, dtype):
            same = wanted is None or (wanted == self.dtype if isinstance(wanted, torch.dtype) else None)
            if same is None:
                same = torch.device(wanted).type == "cpu"
            if not same:
                raise InputError(
                    f"A graph is not moved to {wanted}.",
                    "Choose where it runs with OnnxModel.from_pretrained(folder, providers=['CUDAExecutionProvider']).",
                )
        return self

    @shares
    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write the graphs and what lies beside them, as one atomic change of the folder."""
        with write_beside(save_directory) as folder:
            for path in dict.fromkeys(self.files.every):
                shutil.copyfile(path, folder / path.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.saved_from}, {self.name_or_path!r})"


# Inputs that stand for nothing where they are left out, or that a graph may do without.
OPTIONAL = ("attention_mask", "token_type_ids", "position_ids")
IDLE = ("attention_mask", "position_ids")


def array(value: Tensor) -> np.ndarray:
    """The numbers of a tensor."""
    return value.detach().cpu().numpy()


def completed(name: str, feed: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """What an input is where nothing was said of it; None where that is not known."""
    ids = feed.get("input_ids")
    if ids is None:
        return None
    if name == "attention_mask":
        return np.ones_like(ids)
    if name == "token_type_ids":
        return np.zeros_like(ids)
    if name == "position_ids":
        mask = feed.get("attention_mask", np.ones_like(ids))
        return (np.cumsum(mask, axis=-1) - 1).clip(min=0)[..., -ids.shape[-1] :]
    return None


def named(outputs: dict[str, Any]) -> dict[str, Any]:
    """Outputs under the names of this library; encoders of sentences call their states otherwise."""
    if "last_hidden_state" not in outputs and "token_embeddings" in outputs:
        outputs["last_hidden_state"] = outputs.pop("token_embeddings")
    return outputs


# Which class --------------------------------------------------------------------------------------------------------


def kind_of(config: Config, saved_from: str, task: str | None, sessions: Mapping[str, OnnxSession]) -> type[Any]:
    """The PyTorch class that the graphs stand for. Raises `TaskError` where nothing says it."""
    backbone = backbone_class(config.model_type)
    if SEQUENCE[0] in sessions:
        return with_task(backbone, "seq2seq-lm")
    given = set(sessions[WHOLE].outputs)
    if not any(name.endswith("logits") for name in given):
        return backbone
    kinds = [one for one in backbone.tasks.values() if one.__name__ == saved_from]
    if "start_logits" in given:
        return with_task(backbone, "question-answering")
    if any(name.startswith("present") for name in given) and not kinds:
        return with_task(backbone, "causal-lm")
    if not kinds and task is not None:
        return with_task(backbone, task)
    if not kinds:
        raise TaskError(
            f"The graph gives {', '.join(sorted(given))}, and nothing says what for: config.json names {saved_from!r}.",
            f"Pass task=, one of {', '.join(sorted(backbone.tasks))}.",
        )
    return kinds[0]


def with_task(backbone: Any, task: str) -> type[Any]:
    """The architecture's class for a task. Raises `UnknownArchitectureError`."""
    if task not in backbone.tasks:
        raise UnknownArchitectureError(
            f"{backbone.__name__} has no model for {task}.", f"It can do: {', '.join(sorted(backbone.tasks))}."
        )
    return backbone.tasks[task]


def stand_in(kind: type[Any], sessions: Mapping[str, OnnxSession]) -> type[OnnxModel]:
    """The class that runs such graphs."""
    from samovar.runtime.onnx_writers import OnnxDecoder, OnnxSequenceModel, OnnxWholeDecoder

    if SEQUENCE[0] in sessions:
        return OnnxSequenceModel
    if not hasattr(kind, "generate"):
        return OnnxModel
    past = any(name.startswith("past_key_values") for name in sessions[WHOLE].inputs)
    return OnnxDecoder if past else OnnxWholeDecoder


def generation_values(source: Source) -> dict[str, Any] | None:
    """The content of `generation_config.json`, where there is one."""
    path = source.file(GENERATION_FILE)
    return None if path is None else parse_config(path)
