"""A trainer's repository: what it holds at the end, and what is sent there while the training goes on."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from samovar.errors import InputError
from samovar.hub.atomic import write_file
from samovar.hub.publish import CARD, Destination, card_there, checked, made
from samovar.hub.refusals import refusals
from samovar.training import checkpoints
from samovar.training.callbacks import STATE_FILE, TrainerCallback
from samovar.training.saving import Saving

logger = logging.getLogger(__name__)

# What a run leaves in its folder that is of use to nobody else.
PRIVATE = ["checkpoint-*", ".*", "runs/*", "search/*", "wandb/*", "mlruns*"]
# What of a checkpoint only a resumption reads.
RESUMED = {checkpoints.OPTIMISER, checkpoints.SCHEDULE, checkpoints.SCALER, checkpoints.RUN, STATE_FILE}


class Pushing(Saving):
    """The part of `Trainer` that shares."""

    # The repository's full id, once it is made.
    hub_model_id: str | None = None

    def hub_callbacks(self) -> list[TrainerCallback]:
        """What sends checkpoints, where that is wanted."""
        return [PushCallback(self)] if self.args.push_to_hub else []

    def init_hf_repo(self, token: str | None = None, private: bool | None = None, revision: str | None = None) -> None:
        """Make the run's repository, `hub_model_id` or the output folder's name, unless it is there.

        Raises `HubError` or `OfflineError`: better now than when the training is done.
        """
        from huggingface_hub import HfApi

        args = self.args
        if not self.is_world_process_zero():
            return
        name = args.hub_model_id or Path(args.output_dir).resolve().name
        private = args.hub_private_repo if private is None else private
        destination = Destination(
            name, private=private, token=token or args.hub_token, revision=revision or args.hub_revision
        )
        checked(destination)
        with refusals("Pushing to", name, destination.token):
            self.hub_model_id = made(HfApi(token=destination.token), destination)

    def push_to_hub(
        self,
        commit_message: str = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **card: Any,
    ) -> Any:
        """Model, processor, report and card to the run's repository; the commit, or its `Future` if not `blocking`.

        `card` is what `create_model_card` takes. What a person wrote into the repository's card stays. Raises
        `HubError` or `OfflineError`.
        """
        from huggingface_hub import HfApi

        folder = Path(self.args.output_dir)
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file.", "Choose another output_dir.")
        token, revision = token or self.args.hub_token, revision or self.args.hub_revision
        self.init_hf_repo(token, private, revision)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        name = str(self.hub_model_id)
        for callback in getattr(self, "callbacks", []):
            if isinstance(callback, PushCallback):
                callback.wait()
        api = HfApi(token=token)
        with refusals("Pushing to", name, token):
            without = [] if self.merged_card(card_there(api, name, revision), {"model_name": name, **card}) else [CARD]
            options: dict[str, Any] = {} if blocking else {"run_as_future": True}
            return api.upload_folder(
                repo_id=name, folder_path=folder, commit_message=commit_message, revision=revision,
                ignore_patterns=[*PRIVATE, *without], **options,
            )  # fmt: skip

    def merged_card(self, there: str | None, about: dict[str, Any]) -> bool:
        """Write the run's card; False where both it and the repository's were edited, and neither may be lost."""
        from samovar.hub.card import is_unedited

        path = Path(self.args.output_dir) / CARD
        here = path.read_text("utf-8") if path.exists() else None
        edited = here is not None and not is_unedited(here)
        if there is not None and not is_unedited(there):
            if edited and here != there:
                logger.warning("%s and the card of the repository were both edited: the latter stays.", path)
                self.create_model_card(**about)
                return False
            write_file(path, there)
        self.create_model_card(**about)
        return True


class PushCallback(TrainerCallback):
    """Sends checkpoints while the training goes on, as `hub_strategy` says.

    The files are linked into a folder of their own first, so that a checkpoint may be removed meanwhile. A push that
    fails is said once; the last one, at the end of the training, raises.
    """

    def __init__(self, trainer: Pushing) -> None:
        self.trainer = trainer
        self.job: Future[Any] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.init_hf_repo()

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero or args.hub_strategy == "end":
            return
        if self.job is not None and not self.job.done():
            if not args.hub_always_push:
                return
            self.wait()
        self.report()
        when = f"step {state.global_step}" if args.save_strategy == "steps" else f"epoch {state.epoch:g}"
        checkpoint = Path(args.output_dir) / checkpoints.folder_name(state.global_step)
        self.job = self.begin(checkpoint, f"Training in progress, {when}")

    def begin(self, checkpoint: Path, message: str) -> Future[Any]:
        """Start to send a checkpoint: the model, and with some strategies all that a resumption reads."""
        from huggingface_hub import HfApi

        args = self.trainer.args
        staged = Path(tempfile.mkdtemp(prefix=".push-", dir=args.output_dir))
        whole = {"checkpoint": "last-checkpoint", "all_checkpoints": checkpoint.name}.get(args.hub_strategy)
        link(checkpoint, staged, RESUMED)
        if whole is not None:
            link(checkpoint, staged / whole, set())
        api = HfApi(token=args.hub_token)

        def send() -> Any:
            try:
                with refusals("Pushing to", str(self.trainer.hub_model_id), args.hub_token):
                    return api.upload_folder(
                        repo_id=str(self.trainer.hub_model_id), folder_path=staged, commit_message=message,
                        revision=args.hub_revision,
                    )  # fmt: skip
            finally:
                shutil.rmtree(staged, ignore_errors=True)

        return api.run_as_future(send)

    def wait(self) -> None:
        """Until the push that is under way has ended."""
        if self.job is not None:
            self.job.exception()
        self.report()

    def report(self) -> None:
        """Say it if the last push failed."""
        error = self.job.exception() if self.job is not None else None
        self.job = None
        if error is not None:
            logger.warning("A checkpoint was not pushed: %s", error)


def link(source: Path, target: Path, without: set[str]) -> None:
    """A folder's files under another name: hard links, or copies where those are not possible."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in os.scandir(source):
        there = target / entry.name
        if entry.is_dir():
            link(Path(entry.path), there, without)
        elif entry.name not in without:
            try:
                os.link(entry.path, there)
            except OSError:
                shutil.copy2(entry.path, there)
