"""One process or several, and their numbers: what `accelerate` is told, and seeds."""

from __future__ import annotations

from typing import Any

import torch

from samovar.errors import InputError
from samovar.extras import require
from samovar.training.arguments import TrainingArguments


def make_accelerator(args: TrainingArguments) -> Any:
    """The `Accelerator` of a run; `torchrun` and `accelerate launch` say how many processes there are.

    Raises `InputError` for a precision that the device cannot train in.
    """
    require("accelerate", "Training")
    from accelerate import Accelerator, DataLoaderConfiguration  # type: ignore[import-untyped]

    if args.fp16 and (args.use_cpu or not torch.accelerator.is_available()):
        raise InputError("fp16 needs an accelerator: there is none here.", "Pass bf16=True, which runs everywhere.")
    if args.tf32 is not None:
        torch.backends.cuda.matmul.allow_tf32 = args.tf32
    from accelerate.state import AcceleratorState  # type: ignore[import-untyped]

    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != args.mixed_precision:
        # It is one for the whole process, and would refuse a second trainer of another precision.
        AcceleratorState._reset_state()
    accelerator = Accelerator(
        mixed_precision=args.mixed_precision,
        cpu=args.use_cpu,
        step_scheduler_with_optimizer=False,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=False),
    )
    seed_everything(args)
    return accelerator


def seed_everything(args: TrainingArguments) -> None:
    """Seeds of Python, NumPy and torch; with `full_determinism` operations that always give the same bits."""
    from accelerate.utils import set_seed  # type: ignore[import-untyped]

    if args.full_determinism:
        torch.use_deterministic_algorithms(True)
    set_seed(args.seed)


def is_sharded(accelerator: Any) -> bool:
    """Whether parameters are spread over processes (FSDP)."""
    return str(accelerator.distributed_type) == "DistributedType.FSDP"
