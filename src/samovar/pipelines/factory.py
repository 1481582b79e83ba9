"""`pipeline(...)`: from a task and a model's name to something that can be called. Imports torch only when called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.config import CODE_OPTIONS
from samovar.errors import FileMissingError, InputError, SamovarError, TaskError
from samovar.extras import require
from samovar.pipelines.custom import chosen_task, own_task
from samovar.pipelines.registry import (
    FEATURES,
    PIPELINE_REGISTRY,
    TRANSLATION,
    TaskSpec,
    cannot_do,
    infer_task,
    is_vision,
    tasks_of,
)

if TYPE_CHECKING:
    from samovar.config import Config
    from samovar.pipelines.base import Pipeline

FLOAT = "torch.float32"
SOURCE = ("revision", "token", "cache_dir", "local_files_only", "subfolder", "force_download")


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: str | Path | Config | None = None,
    tokenizer: Any = None,
    image_processor: Any = None,
    framework: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    device: Any = None,
    device_map: Any = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    batch_size: int | None = None,
    model_kwargs: dict[str, Any] | None = None,
    trust_remote_code: bool | None = None,
    code_revision: str | None = None,
    pipeline_class: type[Pipeline] | None = None,
    **kwargs: Any,
) -> Pipeline:
    """A pipeline for a task.

    `model`, `tokenizer` and `image_processor` are ids, folders or loaded objects; what is not given is loaded from
    where the model comes from. `task` may be left out when the checkpoint says what it was saved from. `device` None
    means an accelerator if there is one; an int counts accelerators, -1 is the CPU. `dtype` is a `torch.dtype`, its
    name or `"auto"` (as stored). `cache_dir`, `local_files_only`, `subfolder` and `force_download` say where files
    come from; `model_kwargs` go to `from_pretrained`. A folder that holds ONNX graphs and no weights runs in
    onnxruntime, as does one with both under `framework="onnx"`, or an `OnnxModel`; `model_kwargs={"providers": […]}`
    says on what. All other keyword arguments are defaults for the calls::

        classify = pipeline("text-classification", model="folder-or-id", top_k=None)
        classify(["I like it.", "I do not."])

    A checkpoint may bring a pipeline of its own. Its code runs only with `trust_remote_code=True`, and is that of the
    commit that the weights are of, or of `code_revision`; without it an `UnsafeFileError` names file and commit.

    Raises `TaskError` when the task is unknown, cannot be inferred, or has no trained head in the checkpoint; and
    what loading a model, a tokenizer or an image processor raises.
    """
    torch = require("torch", feature="Running a pipeline")
    options = {name: kwargs.pop(name) for name in SOURCE if name in kwargs}
    options |= {name: value for name, value in (("revision", revision), ("token", token)) if value is not None}
    code = {"trust_remote_code": trust_remote_code, "code_revision": code_revision}
    code = {name: value for name, value in code.items() if value is not None}
    if task is not None and not isinstance(task, str):
        raise TaskError(f"A task is a str, got {type(task).__name__}.", "Such as pipeline('text-classification', …).")
    # A task that is not known here may be the checkpoint's own.
    spec = None if task is None or (isinstance(model, str | Path) and not known(task)) else PIPELINE_REGISTRY.find(task)
    if model is None:
        model, revision = default_model(task, spec)
        options |= {"revision": revision} if revision else {}
    named = isinstance(model, str | Path)
    if spec is not None and spec.name == "sentence-similarity":
        settings = None  # Its checkpoints need not have a configuration of a model at their root.
    else:
        settings = settings_for(task, config, str(model), {**options, **code}) if named else model.config
    own = chosen_task(task, settings, trust_remote_code) if named and pipeline_class is None else None
    if own is not None:
        spec, commit = own_task(own, settings, str(model), trust_remote_code, code_revision, options)
        options |= {"revision": commit} if commit else {}
    if spec is None:
        spec = spec_for(settings, model, pipeline_class) if task is None else PIPELINE_REGISTRY.find(task)
    if pipeline_class is None:
        pipeline_class = spec.pipeline_class()
    loaded = model
    if named:
        loading = {"dtype": dtype if dtype is not None else torch_dtype, **(model_kwargs or {}), **options, **code}
        loading = {name: value for name, value in loading.items() if value is not None}
        loaded = load_model(
            spec, model, config, settings, first_device(device, device_map), loading, framework == "onnx"
        )
    elif dtype is not None or torch_dtype is not None:
        from samovar.weights.load import wanted_dtype

        loaded.to(wanted_dtype(dtype if dtype is not None else torch_dtype, loaded.config))
    origin = str(model) if named else getattr(model, "name_or_path", "")
    parts, beside = {}, {**options, **code}
    if tokenizer is not None or wants(pipeline_class, "_load_tokenizer", spec, "text"):
        parts["tokenizer"] = load_part("tokenizer", "AutoTokenizer", tokenizer, origin, beside)
    if image_processor is not None or wants(pipeline_class, "_load_image_processor", spec, "image"):
        parts["image_processor"] = load_part("image_processor", "AutoImageProcessor", image_processor, origin, beside)
    where = device if device is not None else device_map
    if where == "auto" or isinstance(where, dict):
        where = next(loaded.parameters(), torch.empty(0)).device if isinstance(where, dict) else None
    # The name of a translation says between which languages.
    name = task if task is not None and spec.name == "translation" else spec.name
    made = pipeline_class(model=loaded, task=name, device=where, batch_size=batch_size, **parts, **kwargs)
    if own is not None:
        made.own_spec = spec
    return made


def known(task: str) -> bool:
    """Whether there is a task of this name here."""
    return task in PIPELINE_REGISTRY.get_supported_tasks() or TRANSLATION.fullmatch(task) is not None


def settings_for(task: str | None, config: str | Path | Config | None, name: str, options: dict[str, Any]) -> Config:
    """`read_settings`; where there are none, a task that nobody knows is the first thing to say."""
    try:
        return read_settings(config, name, options)
    except SamovarError:
        if task is not None:
            PIPELINE_REGISTRY.find(task)
        raise


def default_model(task: str | None, spec: TaskSpec | None) -> tuple[str, str | None]:
    """The model that a registered task names as its default; raises `TaskError` when there is none."""
    if spec is not None and spec.default is not None:
        return spec.default
    shown = task or "text-classification"
    raise TaskError(
        "No model was named" + (f" for the task {task!r}" if task else "") + ", and none is chosen for you.",
        f"Give the argument `model`: an id, a folder or a loaded model, such as "
        f"pipeline({shown!r}, model='owner/name').",
    )


def read_settings(config: str | Path | Config | None, name: str, options: dict[str, Any]) -> Config:
    """The configuration of a named model, or the one given in its place."""
    from samovar.auto import AutoConfig

    if config is None or isinstance(config, str | Path):
        return AutoConfig.from_pretrained(name if config is None else config, **options)
    return config


def spec_for(settings: Any, model: Any, pipeline_class: type[Pipeline] | None) -> TaskSpec:
    """The task of a model when none was named."""
    named = isinstance(model, str | Path)
    # Adapters around a model leave its task.
    inside = model.get_base_model() if hasattr(model, "get_base_model") else model
    own = getattr(inside, "saved_from", type(inside).__name__)
    saved_from = getattr(settings, "architectures", None) if named else [own]
    if pipeline_class is not None:
        auto = ("AutoModel",) if not saved_from else auto_for(saved_from[0])
        kind = "image" if saved_from and is_vision(saved_from[0]) else "text"
        return TaskSpec(pipeline_class.__name__, pipeline_class, auto, kind=kind)
    if not saved_from:
        raise TaskError(
            f"The task cannot be inferred: the config.json of {model} has no `architectures`.",
            f"Name it, such as pipeline('text-classification', model={str(model)!r}).",
        )
    return PIPELINE_REGISTRY.find(infer_task(saved_from[0]))


def auto_for(saved_from: str) -> tuple[Any, ...]:
    """Auto classes that load a checkpoint of this class with its head."""
    for spec in PIPELINE_REGISTRY.tasks.values():
        if spec.name not in FEATURES.values() and any(saved_from.endswith(end) for end in spec.saved_as):
            return spec.auto
    return ("AutoModel",)


def load_model(
    spec: TaskSpec,
    name: str | Path,
    config: Any,
    settings: Config | None,
    device: Any,
    loading: dict[str, Any],
    graphs: bool = False,
) -> Any:
    """The model with a head for this task; raises `TaskError` rather than start a head anew."""
    stated = None if settings is None else settings.architectures
    saved_from = (stated or [type(settings).__name__.replace("Config", "Model")])[0]
    trained = set(tasks_of(saved_from)) - set(FEATURES.values())
    fits = spec.name in {*trained, *FEATURES.values()} or saved_from.endswith(spec.also)
    if spec.saved_as and trained and not fits:
        # Heads of two tasks may have the same names and sizes: the class says which one was trained.
        raise TaskError(*cannot_do(saved_from, spec.name))
    own = None if config is None else settings
    if graphs and spec.name != "sentence-similarity":
        return load_graphs(spec, name, own, loading)
    errors: list[SamovarError] = []
    for auto in spec.auto_classes():
        try:
            model, report = auto.from_pretrained(name, config=own, device=device, output_loading_info=True, **loading)
        except TaskError as error:
            errors.append(error)
            continue
        except FileMissingError as error:
            return load_graphs(spec, name, own, loading, error)
        fresh = {key for key in report["missing_keys"] if not key.startswith("pooler.")}
        if fresh or report["mismatched_keys"]:
            raise TaskError(*cannot_do(saved_from, spec.name))
        if report["missing_keys"] and getattr(model, "pooler", None) is not None:
            # A pooler that the file does not have would hand out random features.
            model.pooler = None
        return model
    if errors:
        raise TaskError(*cannot_do(saved_from, spec.name)) from errors[-1]
    raise TaskError(
        f"The task {spec.name!r} was registered without `pt_model`, so a model cannot be loaded by name.",
        "Register it with an auto class, or pass a loaded model.",
    )


def load_graphs(
    spec: TaskSpec, name: str | Path, config: Config | None, loading: dict[str, Any], missing: Exception | None = None
) -> Any:
    """The ONNX graphs of a folder or repository, as a model. Raises `missing` where there are none."""
    from samovar.runtime.onnx_model import OnnxModel

    # Any other type is refused there: a graph's numbers are those of its file.
    plain = [key for key, value in loading.items() if key == "dtype" and str(value) in ("auto", "float32", FLOAT)]
    options = {key: value for key, value in loading.items() if key not in (*plain, *CODE_OPTIONS)}
    tasks = {one.tasks[0] for one in spec.auto_classes() if getattr(one, "tasks", ())}
    try:
        model = OnnxModel.from_pretrained(name, config=config, task=next(iter(tasks), None), **options)
    except FileMissingError:
        if missing is not None:
            raise missing from None
        raise
    if spec.name in FEATURES.values() and "last_hidden_state" not in model.outputs_named:
        raise TaskError(*cannot_do(model.saved_from, spec.name))
    return model


def first_device(device: Any, device_map: Any) -> Any:
    """What `from_pretrained` is told, so that weights go to where they are used at once."""
    chosen = device if device is not None else device_map
    if chosen is None or (isinstance(chosen, int) and chosen >= 0):
        import torch

        from samovar.pipelines.base import chosen_device

        return chosen_device(chosen, torch.device("cpu"))
    return chosen


def wants(pipeline_class: Any, flag: str, spec: TaskSpec, kind: str) -> bool:
    """Whether a pipeline needs this part: its class says so, or it is a custom one for inputs of this kind."""
    return getattr(pipeline_class, flag, False) or (
        spec.kind in (kind, "multimodal") and not pipeline_class.__module__.startswith("samovar.pipelines.")
    )


def load_part(argument: str, auto_name: str, given: Any, origin: str, options: dict[str, Any]) -> Any:
    """A tokenizer or image processor: the object given, or loaded by the name given, or from beside the model."""
    if given is not None and not isinstance(given, str | Path):
        return given
    name = given if given is not None else origin
    if not name:
        raise InputError(
            f"The model was given as an object that was not loaded from a folder or repository, so its {argument} "
            "is unknown.",
            f"Give {argument}= too: an id, a folder or an object.",
        )
    import samovar.auto

    if given is not None:
        # `revision` and `subfolder` belong to the model's repository, not to this one.
        options = {key: value for key, value in options.items() if key not in ("revision", "subfolder")}
    return getattr(samovar.auto, auto_name).from_pretrained(name, **options)
