"""TensorFlow: a SavedModel for each part, which serves by input names with batch and lengths free.

`tf.saved_model.load("folder/model").signatures["serving_default"](input_ids=…, attention_mask=…)` answers with a dict
of the outputs; TensorFlow Serving reads the same folder. Neither PyTorch nor this library is needed there.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samovar.export.comparing import Runner
from samovar.export.parts import Part
from samovar.export.walk import Graph

PACKAGES: Sequence[str] = ("tensorflow",)
OPTIONS: Sequence[str] = ()
SIGNATURE = "serving_default"


class TensorFlow:
    """TensorFlow for the walk."""

    name = "tensorflow"

    def __init__(self) -> None:
        from samovar.export.tensorflow_operators import TYPES, constant
        from samovar.export.tensorflow_table import operators

        self.operators, self.types, self.constant = operators(), TYPES, constant

    def typed(self, value: Any, dtype: torch.dtype) -> Any:
        """The value in TensorFlow's type."""
        import tensorflow as tf  # type: ignore[import-untyped]

        return tf.cast(value, self.types[dtype])


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without what TensorFlow says of the machine, and of names with dots, which Python's arguments cannot have."""
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Read when TensorFlow is first imported.
    silence = contextlib.nullcontext() if "tensorflow" in sys.modules else unheard()
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with silence, contextlib.suppress(ModuleNotFoundError):
                importlib.import_module("tensorflow")
            yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.setLevel(was)
        if level is None:
            os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Without the standard error of this process, on which TensorFlow talks before its own settings are read."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def write(part: Part, folder: Path) -> None:
    """Write the SavedModel `<part>/`."""
    with quietly():
        import tensorflow as tf

        framework = TensorFlow()
        graph = Graph(part, framework)
        module = tf.Module()
        names = list(graph.parameters)
        module.weights = [tf.Variable(framework.constant(graph.parameters[name]), name=name) for name in names]
        specs = [
            tf.TensorSpec([dim if isinstance(dim, int) else None for dim in one.dims], framework.types[one.dtype],
                          name=one.name) for one in part.inputs
        ]  # fmt: skip

        @tf.function(input_signature=specs, autograph=False)
        def serve(*tensors: Any) -> dict[str, Any]:
            parameters = {name: tf.convert_to_tensor(value) for name, value in zip(names, module.weights, strict=True)}
            given = dict(zip((one.name for one in part.inputs), tensors, strict=True))
            return dict(zip(part.outputs, graph(parameters, given), strict=True))

        tf.saved_model.save(module, str(folder / part.name), signatures={SIGNATURE: serve})


def runner(part: Part, folder: Path) -> Runner:
    """The SavedModel, read back and asked by its signature."""
    with quietly():
        import tensorflow as tf

        loaded = tf.saved_model.load(str(folder / part.name))
    serve = loaded.signatures[SIGNATURE]

    def run(given: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        answer = serve(**{name: tf.constant(value) for name, value in given.items()})
        return [answer[name].numpy() for name in part.outputs]

    return run
