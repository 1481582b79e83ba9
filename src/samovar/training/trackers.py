"""Other people's boards: a callback for each tracker that `report_to` can name. None reaches for the network by itself.

Names of values are the field's: `train/loss`, `eval/accuracy`, …
"""

from __future__ import annotations

import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from samovar.errors import InputError, MissingExtraError, did_you_mean
from samovar.extras import require
from samovar.training.arguments import TrainingArguments
from samovar.training.callbacks import TrainerCallback, TrainerControl, TrainerState

logger = logging.getLogger(__name__)


def named(logs: dict[str, Any]) -> dict[str, float]:
    """Numbers under `train/…`, `eval/…` and `test/…`."""
    found = {}
    for key, value in logs.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            for prefix in ("eval", "test"):
                if key.startswith(f"{prefix}_"):
                    found[f"{prefix}/{key.removeprefix(f'{prefix}_')}"] = value
                    break
            else:
                found[f"train/{key}"] = value
    return found


class Tracker(TrainerCallback):
    """Base: `open` once in the main process, `write` for each log, `close` at the end.

    A tracker that fails while a run goes on is dropped with a warning; the training goes on.
    """

    package = ""
    name = ""

    def __init__(self) -> None:
        self.library = require(self.package, f'report_to="{self.name}"')
        self.run: Any = None
        # What a resumed run needs to go on in the same record.
        self.run_id: str | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **k: Any
    ) -> None:
        """Open the record, with arguments and the model's configuration."""
        if state.is_world_process_zero and self.run is None:
            config: Any = getattr(model, "config", None)
            values = {**(config.to_dict() if hasattr(config, "to_dict") else {}), **args.to_dict()}
            self.run = self.open(args, values)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **k: Any
    ) -> None:
        """Write the numbers of this step."""
        if self.run is None or not logs:
            return
        try:
            self.write(named(logs), state.global_step)
        except Exception as error:  # Whatever a tracker raises, the training is worth more.
            logger.warning("%s is dropped, and the training goes on: %s", self.name, error)
            self.run = None

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **k: Any) -> None:
        """Close the record."""
        if self.run is None:
            return
        try:
            self.close()
        except Exception as error:  # As above.
            logger.warning("%s was not closed: %s", self.name, error)
        self.run = None

    def state_dict(self) -> dict[str, Any]:
        """The run's id."""
        return {} if self.run_id is None else {"run_id": self.run_id}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """Go on in the same record."""
        self.run_id = values.get("run_id")

    def open(self, args: TrainingArguments, values: dict[str, Any]) -> Any:
        """Begin a record."""
        raise NotImplementedError

    def write(self, values: dict[str, float], step: int) -> None:
        """Add numbers."""
        raise NotImplementedError

    def close(self) -> None:
        """End it."""
        raise NotImplementedError


class TensorBoardCallback(Tracker):
    """Event files in `<output_dir>/runs/<time>_<host>`, or in `TENSORBOARD_LOGGING_DIR`."""

    package, name = "torch.utils.tensorboard", "tensorboard"

    def __init__(self) -> None:
        require("tensorboard", 'report_to="tensorboard"')
        super().__init__()

    def open(self, args: TrainingArguments, values: dict[str, Any]) -> Any:
        """A new file; a resumed run goes on in its folder."""
        place = os.environ.get("TENSORBOARD_LOGGING_DIR")
        started = time.strftime("%Y-%m-%d_%H-%M-%S")
        self.run_id = self.run_id or place or str(Path(args.output_dir, "runs", f"{started}_{socket.gethostname()}"))
        run = self.library.SummaryWriter(self.run_id)
        run.add_text("args", args.to_json_string())
        return run

    def write(self, values: dict[str, float], step: int) -> None:
        """One scalar each."""
        for name, value in values.items():
            self.run.add_scalar(name, value, step)
        self.run.flush()

    def close(self) -> None:
        """Close the file."""
        self.run.close()


class WandbCallback(Tracker):
    """A run of Weights & Biases; with `WANDB_MODE=offline` (the default here) in files below `output_dir`."""

    package, name = "wandb", "wandb"

    def open(self, args: TrainingArguments, values: dict[str, Any]) -> Any:
        """A new run, or the one before."""
        folder = os.environ.get("WANDB_DIR") or args.output_dir
        Path(folder).mkdir(parents=True, exist_ok=True)
        # It reports its own failures to a server otherwise, also when it is offline.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        run = self.library.init(
            project=os.environ.get("WANDB_PROJECT", "samovar"), name=args.run_name, config=values, dir=folder,
            mode=os.environ.get("WANDB_MODE", "offline"), id=self.run_id, resume="allow" if self.run_id else None,
        )  # fmt: skip
        self.run_id = run.id
        return run

    def write(self, values: dict[str, float], step: int) -> None:
        """All numbers of a step; the step is a column, since a resumed run may write it again."""
        self.run.log({**values, "train/global_step": step})

    def close(self) -> None:
        """End the run."""
        self.run.finish()


class TrackioCallback(Tracker):
    """A local trackio project."""

    package, name = "trackio", "trackio"

    def open(self, args: TrainingArguments, values: dict[str, Any]) -> Any:
        """A new run of the project `TRACKIO_PROJECT`."""
        project = os.environ.get("TRACKIO_PROJECT", "samovar")
        return self.library.init(project=project, name=args.run_name, config=values)

    def write(self, values: dict[str, float], step: int) -> None:
        """All numbers of a step."""
        self.library.log({**values, "train/global_step": step})

    def close(self) -> None:
        """End the run."""
        self.library.finish()


class MLflowCallback(Tracker):
    """A run of MLflow, in `<output_dir>/mlruns.db` unless `MLFLOW_TRACKING_URI` says otherwise."""

    package, name = "mlflow", "mlflow"

    def open(self, args: TrainingArguments, values: dict[str, Any]) -> Any:
        """A new run, or the one before, with arguments as parameters."""
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            Path(args.output_dir).mkdir(parents=True, exist_ok=True)
            self.library.set_tracking_uri(f"sqlite:///{Path(args.output_dir).resolve() / 'mlruns.db'}")
        self.library.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "samovar"))
        run = self.library.start_run(run_id=self.run_id, run_name=args.run_name)
        if self.run_id is None:
            texts = {name: str(value) for name, value in values.items() if value is not None}
            self.library.log_params({name: text for name, text in texts.items() if len(text) <= 250})
        self.run_id = run.info.run_id
        return run

    def write(self, values: dict[str, float], step: int) -> None:
        """All numbers of a step."""
        self.library.log_metrics({name: float(value) for name, value in values.items()}, step=step)

    def close(self) -> None:
        """End the run."""
        self.library.end_run()


TRACKERS: dict[str, type[Tracker]] = {
    kind.name: kind for kind in (TensorBoardCallback, WandbCallback, TrackioCallback, MLflowCallback)
}


def tracker_callbacks(report_to: str | list[str] | None) -> list[TrainerCallback]:
    """The callbacks of `report_to`: "none", "all" (those that are installed), a name or several.

    Raises `InputError` for an unknown name, `MissingExtraError` for a package that is not there.
    """
    names = [report_to] if isinstance(report_to, str) else list(report_to or [])
    found: list[TrainerCallback] = []
    for name in names:
        if name == "all":
            for kind in TRACKERS.values():
                try:
                    found.append(kind())
                except MissingExtraError:
                    continue
        elif name in TRACKERS:
            found.append(TRACKERS[name]())
        elif name != "none":
            hint = did_you_mean(name, list(TRACKERS))
            raise InputError(f"report_to={name!r} is not known.", f"{hint} There are: {', '.join(TRACKERS)}.".strip())
    return found
