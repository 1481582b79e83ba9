"""Loading: build the model on the meta device, then stream each tensor from the file to its place."""

from __future__ import annotations

import contextlib
import gc
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from samovar.config import Config, parse_config, source_options
from samovar.errors import ConfigError, InputError, WeightsError, nearest
from samovar.hub.source import Source
from samovar.nn.int8 import check_kind, lay_out, quantize
from samovar.weights.checkpoint import Checkpoint
from samovar.weights.names import NameTable, Operation, Pattern

if TYPE_CHECKING:
    from samovar.model import Model

logger = logging.getLogger(__name__)

# Norm parameters as TensorFlow named them; converted checkpoints still carry the names.
OLD_LEAVES = {"gamma": "weight", "beta": "bias"}
# Parts of a backbone that only some heads read: a file may hold them, and a model be built without.
SPARE = ("pooler.", "embeddings.mask_token")


class NoInitialisation(TorchFunctionMode):
    """Leaves out what `torch.nn.init` would do to weights that a file is about to fill.

    On the meta device there is nothing to fill anyway, but trying costs: its random functions import the compiler,
    more than a second in a fresh process.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@dataclass
class Report:
    """What did not fit: `missing` and `mismatched` are our model's, `unexpected` the file's."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    other_heads: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The keys that users of this field know from `output_loading_info`."""
        return {
            "missing_keys": set(self.missing),
            "unexpected_keys": set(self.unexpected) | set(self.other_heads),
            "mismatched_keys": set(self.mismatched),
            "error_msgs": [],
        }


@dataclass(frozen=True)
class Placement:
    """One checkpoint tensor and where it goes."""

    key: str
    names: tuple[str, ...]
    operation: Operation | None


@contextlib.contextmanager
def collection_later() -> Iterator[None]:
    """Without garbage collection: a model's many small objects set it off, and it looks through all that is imported.

    After `import torch` one such look takes 60 ms, three times as long as the loading itself.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def load_model(cls: type[Model], name_or_path: str | Path, config: Config | None, options: dict[str, Any]) -> Any:
    """What `Model.from_pretrained` does; see there for the options."""
    dtype = options.pop("dtype", options.pop("torch_dtype", "auto"))
    device = target_device(options.pop("device", None), options.pop("device_map", None))
    attention = options.pop("attn_implementation", None)
    ignore_sizes = options.pop("ignore_mismatched_sizes", False)
    want_report = options.pop("output_loading_info", False)
    quantization = options.pop("quantization", None)
    framework = "flax" if options.pop("from_flax", False) else None
    framework = "tensorflow" if options.pop("from_tf", False) else framework
    options.pop("use_safetensors", None)
    options.pop("low_cpu_mem_usage", None)
    source = Source(name_or_path, **source_options(options))
    if config is None:
        path = source.require("config.json", why="It names the architecture and its sizes.")
        config = config_for(cls, parse_config(path), source.name)
    labels_given = any(key in options for key in ("num_labels", "id2label", "label2id"))
    # `add_pooling_layer` and the like are said to the class, everything else to its configuration.
    parameters = inspect.signature(cls.__init__).parameters.keys() - {"self", "config"}
    build_options = {name: options.pop(name) for name in parameters & options.keys()}
    config.update(options)
    stored = stored_quantization(config, source.name)
    if quantization is not None:
        check_kind(quantization)
    checkpoint = Checkpoint(source, framework)
    plan = Plan(cls, checkpoint, config)
    if not labels_given:
        plan.settle_labels(config)
    with collection_later():
        with torch.device("meta"), NoInitialisation():
            model = cls(config, **build_options)
            if stored is not None:
                quantize(model, stored)
        report = stream(model, plan, checkpoint, wanted_dtype(dtype, config), device, ignore_sizes)
    if stored is not None:
        lay_out(model)
    elif quantization is not None:
        quantize(model, quantization)
    model.name_or_path = source.name
    if attention is not None:
        model.set_attn_implementation(attention)
    model.eval()
    return (model, report.as_dict()) if want_report else model


def stored_quantization(config: Config, name: str) -> str | None:
    """The kind of whole numbers that a file's weights are in; None: floats. Another program's are a `ConfigError`."""
    found = config.extra.get("quantization_config")
    if not found:
        return None
    if found.get("quant_method") != "samovar":
        raise ConfigError(
            f"{name} is quantised by {found.get('quant_method')!r}, which is not read here.",
            'Load the checkpoint with float weights, and pass quantization="int8".',
        )
    check_kind(found["kind"])
    return str(found["kind"])


def config_for(cls: type[Model], values: Mapping[str, Any], name: str) -> Config:
    """The class's own configuration from a file's content; a file of another architecture is an error."""
    theirs, ours = values.get("model_type"), cls.config_class.model_type
    if theirs and theirs != ours:
        from samovar.registry import family_of

        if family_of(theirs) != family_of(ours):
            raise ConfigError(
                f"{name} is a {theirs!r} checkpoint; {cls.__name__} reads {ours!r}.",
                "Use the Auto class, or the class that is named after the architecture.",
            )
    return cls.config_class.from_dict({key: value for key, value in values.items() if key != "model_type"})


def target_device(device: Any, device_map: Any) -> torch.device:
    """One device for all weights; `"auto"` is the first accelerator, else the CPU."""
    chosen = device if device is not None else device_map
    if isinstance(chosen, dict):
        if len(set(chosen.values())) != 1:
            raise InputError("A device_map over several devices was given.", "Give one device for the whole model.")
        chosen = next(iter(chosen.values()))
    if chosen == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    if isinstance(chosen, int) and chosen < 0:
        return torch.device("cpu")
    try:
        return torch.device("cpu" if chosen is None else chosen)
    except RuntimeError as error:
        raise InputError(f"Unknown device {chosen!r}.", "Use 'cpu', 'cuda', 'cuda:0', 'mps' or 'auto'.") from error


def wanted_dtype(dtype: Any, config: Config) -> torch.dtype | None:
    """The type to convert floating-point weights to; None: keep what the file holds."""
    if dtype is None:
        return torch.get_default_dtype()
    if isinstance(dtype, torch.dtype):
        return dtype
    name = str(dtype).removeprefix("torch.")
    if name == "auto":
        return named_dtype(config.dtype) if config.dtype else None
    return named_dtype(name)


def named_dtype(name: str) -> torch.dtype:
    """`"float16"` → `torch.float16`. Raises `InputError` for what is no floating-point type."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"Unknown dtype {name!r}.", "Use 'float32', 'bfloat16', 'float16' or 'auto'.")
    return found


class Plan:
    """Which checkpoint tensor becomes which of our tensors, for a class and a checkpoint."""

    def __init__(self, cls: type[Model], checkpoint: Checkpoint, config: Config) -> None:
        self.table: NameTable = cls.name_table(config)
        self.prefix = cls.prefix
        self.label_parameter = getattr(cls, "label_parameter", None)
        self.is_backbone = not hasattr(cls, "backbone_class")
        self.shapes = checkpoint.shapes
        self.inside: list[Placement] = []
        self.outside: list[str] = []
        dot = f"{cls.prefix}." if cls.prefix else ""
        headed_classes: Any = getattr(cls, "tasks", {}).values() if self.is_backbone else (cls,)
        head_patterns = [Pattern(name) for owner in headed_classes for name in owner.head_weights]
        headed = bool(dot) and any(name.startswith(dot) for name in checkpoint)
        for key in checkpoint:
            name = key
            stem, _, leaf = key.rpartition(".")
            if leaf in OLD_LEAVES:
                name = f"{stem}.{OLD_LEAVES[leaf]}"
            of_a_head = any(pattern.match(name) for pattern in head_patterns)
            if self.is_backbone and (of_a_head or (headed and not name.startswith(dot))):
                self.outside.append(key)
                continue
            if self.is_backbone and headed:
                name = name.removeprefix(dot)
            elif not self.is_backbone and not headed and not of_a_head:
                # A bare backbone's file: its names are the backbone's, but for a head that stands beside it.
                name = dot + name
            names, operation = self.table.to_ours(name)
            self.inside.append(Placement(key, names, operation))

    def settle_labels(self, config: Config) -> None:
        """Let the weights decide when a file's `num_labels` and `id2label` disagree; said once."""
        if self.label_parameter is None:
            return
        rows = [self.shapes[p.key][0] for p in self.inside if self.label_parameter in p.names]
        claimed = config.claimed_num_labels
        if rows and rows[0] != config.num_labels and claimed is not None:
            logger.warning(
                "config.json names %d labels and says num_labels=%s; the weights have %d, so that is used.",
                config.num_labels, claimed, rows[0],
            )  # fmt: skip
            config.num_labels = rows[0]
        elif rows and claimed is not None:
            logger.warning(
                "config.json says num_labels=%s but names %d labels, as many as the weights have; "
                "num_labels is ignored.", claimed, config.num_labels,
            )  # fmt: skip


def stream(
    model: Model,
    plan: Plan,
    checkpoint: Checkpoint,
    dtype: torch.dtype | None,
    device: torch.device,
    ignore_sizes: bool,
) -> Report:
    """Fill a meta-device model; whatever does not fit is collected and raised once, as `WeightsError`."""
    report = Report(other_heads=list(plan.outside))
    wanted = {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name not in model.tied}
    filled: dict[str, Tensor] = {}
    dropped = set(model.tied)
    for placement in plan.inside:
        if not placement.names or all(name in dropped for name in placement.names):
            continue
        if not all(name in wanted for name in placement.names):
            inside_backbone = plan.is_backbone or placement.names[0].startswith("backbone.")
            spare = placement.names[0].removeprefix("backbone.").startswith(SPARE)
            (report.unexpected if inside_backbone and not spare else report.other_heads).append(placement.key)
            continue
        tensor = checkpoint.read(placement.key)
        parts = (tensor,) if placement.operation is None else placement.operation.load(tensor)
        for name, part in zip(placement.names, parts, strict=True):
            if part.shape != wanted[name].shape:
                report.mismatched.append((name, tuple(part.shape), tuple(wanted[name].shape)))
                continue
            keep = dtype is None or not part.is_floating_point()
            filled[name] = part.to(device=device, dtype=part.dtype if keep else dtype)
    new_dtype = dtype or next((t.dtype for t in filled.values() if t.is_floating_point()), torch.get_default_dtype())
    for name, other in model.stand_ins.items():
        if name in wanted and name not in filled and other in filled:
            filled[name] = filled[other].clone()  # A copy: the two are trained apart.
    mismatched = {name for name, _, _ in report.mismatched}
    report.missing = [name for name in wanted if name not in filled and name not in mismatched]
    judge(model, plan, report, ignore_sizes)
    for name, tensor in filled.items():
        place(model, name, tensor)
    fresh = set(report.missing) | mismatched
    for name in fresh:
        floating = wanted[name].is_floating_point()
        empty = torch.empty(wanted[name].shape, dtype=new_dtype if floating else wanted[name].dtype, device=device)
        place(model, name, empty)
    model.tie_weights()
    if fresh:
        model.initialise_weights(only=fresh)
        logger.warning(
            "%s: these weights are not in %s and start anew; train the model before using them: %s",
            type(model).__name__, plan_source(checkpoint), ", ".join(sorted(fresh)),
        )  # fmt: skip
    if report.other_heads:
        logger.info("Not used, as they belong to another head: %s", ", ".join(sorted(report.other_heads)))
    return report


def plan_source(checkpoint: Checkpoint) -> str:
    """The checkpoint's name."""
    return checkpoint.source.name


def place(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Put a tensor in the place of a parameter or buffer."""
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    if leaf in module._parameters:
        module._parameters[leaf] = nn.Parameter(tensor, requires_grad=tensor.is_floating_point())
    else:
        module._buffers[leaf] = tensor


def judge(model: Model, plan: Plan, report: Report, ignore_sizes: bool) -> None:
    """Raise one `WeightsError` with everything that is wrong; a head that the file does not have may be missing.

    A head counts as new when the file was saved from another class, which its `architectures` says.
    """
    saved_from = model.config.architectures or []
    heads_are_new = not plan.is_backbone and type(model).__name__ not in saved_from
    pooler_is_new = plan.is_backbone or heads_are_new

    # A checkpoint of text alone becomes a decoder that reads an encoder: how it does is learnt.
    reads_anew = not any(".cross_attn" in name for placement in plan.inside for name in placement.names)

    def may_be_new(name: str) -> bool:
        if reads_anew and ".cross_attn" in name:
            return True
        if plan.is_backbone or name.startswith("backbone."):
            return pooler_is_new and name.removeprefix("backbone.").startswith("pooler.")
        return heads_are_new or (ignore_sizes and not report.other_heads)

    lines = []
    our_missing = [name for name in report.missing if not may_be_new(name)]
    for name in our_missing:
        key, _, _ = plan.table.to_checkpoint(name)
        near = nearest(key, report.unexpected + report.other_heads, 1)
        lines.append(f"missing     {key}" + (f"   (the file has {near[0]})" if near else ""))
    for key in report.unexpected:
        near = nearest(key, [plan.table.to_checkpoint(name)[0] for name in report.missing], 1)
        lines.append(f"unexpected  {key}" + (f"   (the model needs {near[0]})" if near else ""))
    if not ignore_sizes:
        for name, found, needed in report.mismatched:
            lines.append(f"mis-shaped  {plan.table.to_checkpoint(name)[0]}   file {found}, model {needed}")
    if lines:
        step = "Load it with the class it was saved from"
        step += f" ({', '.join(saved_from)})." if saved_from else "."
        if report.mismatched and not ignore_sizes:
            step += " ignore_mismatched_sizes=True starts mis-shaped weights anew."
        raise WeightsError(
            f"The weights do not fit {type(model).__name__}: {len(lines)} problem(s).\n  " + "\n  ".join(lines), step
        )
