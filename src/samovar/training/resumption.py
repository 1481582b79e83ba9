"""A run's checkpoint: written so that the next step of another process is the one that this one would have done."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from samovar.errors import WeightsError
from samovar.hub.atomic import write_beside
from samovar.training import checkpoints
from samovar.training.callbacks import STATE_FILE
from samovar.training.processes import is_sharded

if TYPE_CHECKING:
    from samovar.training.loop import Loop

logger = logging.getLogger(__name__)


def save(loop: Loop) -> Path:
    """Everything that the next step depends on, as one atomic change."""
    trainer, args, state = loop.trainer, loop.args, loop.trainer.state
    path = Path(args.output_dir) / checkpoints.folder_name(state.global_step)
    state.stateful_callbacks = {type(one).__name__: one.state_dict() for one in trainer.callbacks if one.state_dict()}
    if state.best_global_step == state.global_step:
        state.best_model_checkpoint = str(path)
    own = {"generators": checkpoints.random_states(), "loss": loss_so_far(loop)}
    # Each process has generators of its own.
    everyone = gathered_objects(loop.accelerator, own)
    sharded = is_sharded(loop.accelerator)
    tensors = loop.accelerator.get_state_dict(loop.model) if sharded else None
    if loop.accelerator.is_main_process:
        with write_beside(path) as beside:
            trainer.write_model(beside, tensors)
            (beside / checkpoints.ARGUMENTS).write_text(args.to_json_string(), "utf-8")
            if not args.save_only_model:
                assert trainer.optimizer is not None
                torch.save(loop.schedule.state_dict(), beside / checkpoints.SCHEDULE)
                torch.save(everyone, beside / checkpoints.RUN)
                if loop.accelerator.scaler is not None:
                    torch.save(loop.accelerator.scaler.state_dict(), beside / checkpoints.SCALER)
                if not sharded:
                    torch.save(trainer.optimizer.state_dict(), beside / checkpoints.OPTIMISER)
            (beside / STATE_FILE).write_text(state.to_json(), "utf-8")
    loop.accelerator.wait_for_everyone()
    if sharded and not args.save_only_model:
        from accelerate.utils import save_fsdp_optimizer  # type: ignore[import-untyped]

        plugin = loop.accelerator.state.fsdp_plugin
        save_fsdp_optimizer(plugin, loop.accelerator, trainer.optimizer, loop.model, str(path))
    return path


def gathered_objects(accelerator: Any, own: Any) -> list[Any]:
    """One object of each process."""
    if accelerator.num_processes == 1:
        return [own]
    everyone: list[Any] = [None] * accelerator.num_processes
    torch.distributed.all_gather_object(everyone, own)
    return everyone


def loss_so_far(loop: Loop) -> dict[str, Any]:
    """The sums of the log, read; a checkpoint of a spoiled model is refused here."""
    found: dict[str, Any] = {"sum": loop.loss_of_run, "steps": loop.logged}
    if loop.loss is not None:
        found |= {"open": loop.checked(float(loop.loss)), "open_steps": loop.steps_in_loss}
    return found


def restore(loop: Loop, path: Path) -> None:
    """Go on from a checkpoint as if the run had never stopped."""
    trainer = loop.trainer
    trainer.state = checkpoints.read_state(path)
    best = trainer.state.best_model_checkpoint
    if best is not None and not Path(best).exists() and (path.parent / Path(best).name).exists():
        # The run was moved, and its checkpoints with it.
        trainer.state.best_model_checkpoint = str(path.parent / Path(best).name)
    trainer.state.is_world_process_zero = trainer.is_world_process_zero()
    trainer.state.is_local_process_zero = trainer.is_local_process_zero()
    checkpoints.load_weights(trainer.model, path)
    assert trainer.optimizer is not None
    if is_sharded(loop.accelerator):
        from accelerate.utils import load_fsdp_optimizer

        plugin = loop.accelerator.state.fsdp_plugin
        load_fsdp_optimizer(plugin, loop.accelerator, trainer.optimizer, loop.model, str(path))
    else:
        kept = checkpoints.read(path / checkpoints.OPTIMISER)
        try:
            trainer.optimizer.load_state_dict(kept)
        except (ValueError, KeyError) as error:
            raise WeightsError(
                f"The optimiser of {path} does not fit: {error}.", "Train the same parameters, with the same optim."
            ) from error
    loop.schedule.load_state_dict(checkpoints.read(path / checkpoints.SCHEDULE))
    if loop.accelerator.scaler is not None and (path / checkpoints.SCALER).exists():
        loop.accelerator.scaler.load_state_dict(checkpoints.read(path / checkpoints.SCALER))
    everyone = checkpoints.read(path / checkpoints.RUN)
    for callback in trainer.callbacks:
        memory = trainer.state.stateful_callbacks.get(type(callback).__name__)
        if memory:
            callback.load_state_dict(memory)
    if len(everyone) != loop.accelerator.num_processes:
        logger.warning(
            "%s was written by %d processes, and goes on with %d: data and weights go on, random numbers anew.",
            path, len(everyone), loop.accelerator.num_processes,
        )  # fmt: skip
    own = everyone[loop.accelerator.process_index % len(everyone)]
    loop.loss_of_run, loop.logged = own["loss"]["sum"], own["loss"]["steps"]
    if "open" in own["loss"]:
        loop.loss = torch.tensor(own["loss"]["open"], device=loop.accelerator.device)
        loop.steps_in_loss = own["loss"]["open_steps"]
    if len(everyone) == loop.accelerator.num_processes:
        checkpoints.set_random_states(own["generators"])
