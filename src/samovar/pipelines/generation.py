"""What the tasks that write text share: decoding options laid together once per call, batches, endings, streams."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from samovar.errors import InputError, InputTypeError, did_you_mean
from samovar.generation.config import DEFAULTS, PAIRS, GenerationConfig, drop_none
from samovar.generation.lengths import window
from samovar.pipelines.base import TaskSteps
from samovar.pipelines.inputs import is_single
from samovar.pipelines.packing import Item, Limits
from samovar.pipelines.streams import TextStream
from samovar.pipelines.text import TextPipeline
from samovar.pipelines.transfer import pad_rows, place

# Options that mean nothing unless tokens are drawn.
SAMPLING = frozenset({"temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"})
PARTNERS = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
# A batch costs one call of the model per new token, whatever its rows hold: short texts count as this long.
SHORTEST, CPU_ROWS, ACCELERATOR_ROWS = 256, 32, 256


@dataclass
class Plan:
    """What preparation needs to know of the decoding options of one call."""

    copies: int
    new_tokens: int | None  # None: the total length is what was given
    ends: frozenset[int]
    pad: int
    seed: int | None
    stops: tuple[str, ...] = ()
    total: int | None = None
    by_total: bool = False  # a minimum was given that counts the prompt
    warned: set[str] = field(default_factory=set)
    seen: Counter[tuple[int, ...]] = field(default_factory=Counter)

    def repeat(self, ids: list[int]) -> int:
        """How many equal texts came before this one: with a seed they must not become equal answers."""
        if self.seed is None:
            return 0
        self.seen[tuple(ids)] += 1
        return self.seen[tuple(ids)] - 1


class GenerationPipeline(TextPipeline):
    """Base of the tasks that write text.

    Every decoding option is taken by name, as a dict `generate_kwargs`, or as a `generation_config`, when the pipeline
    is made or called. What neither says comes from the checkpoint's `task_specific_params` for this task, then from its
    own `generation_config`, then from the task. A greedy answer, or one drawn with `seed=…`, is the same alone and in
    any batch.

    `streamer=` is handed to `generate`, one text after the other; `stream=True` returns an iterator over pieces of one
    answer, whose `close()` stops the work and frees its memory.
    """

    generation_defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.window, self.ends_hard = window(self.model)

    # Options ------------------------------------------------------------------------------------------------------

    def generate_options(self, kwargs: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
        """The arguments of `generate` out of `kwargs`; raises `InputError` for what nobody knows."""
        options = dict(kwargs.pop("generate_kwargs", None) or {}) | kwargs
        taken = {*DEFAULTS, *inspect.signature(self.model.generate).parameters} - {"kwargs", "inputs"}
        taken |= set(inspect.signature(self.model.forward).parameters) | {"negative_prompt_ids", "tokenizer"}
        for name in options:
            if name not in taken:
                hint = did_you_mean(name, [*known, *taken]) or "Options are the keys of GenerationConfig."
                raise InputError(f"{type(self).__name__} has no argument {name!r}.", hint)
        config = options.get("generation_config")
        if config is not None and not isinstance(config, GenerationConfig):
            raise InputTypeError(
                f"generation_config must be a GenerationConfig, got {type(config).__name__}.",
                "Pass GenerationConfig(…), or the options by name.",
            )
        return options

    def merged(self, kwargs: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """As of every pipeline; the decoding options are completed, and what preparation needs is read from them."""
        before, during, after = self._sanitize_parameters(**kwargs)
        if during.get("generation_config") is None:
            own = {k: v for k, v in self.parameters[1].items() if during.get(PARTNERS.get(k, k)) is None}
            during = own | during
        before, after = self.parameters[0] | before, self.parameters[2] | after
        during = self.completed(during, self.named_task(before))
        before, during = self.adjusted(before, during)
        plan = self.plan(during)
        return iter((before | {"plan": plan}, {"options": during, "plan": plan}, after | {"plan": plan}))

    def adjusted(self, before: dict[str, Any], during: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a task changes in the parameters of a call."""
        return before, during

    def named_task(self, before: dict[str, Any]) -> str:
        """The name under which the checkpoint has options for this call."""
        return self.task

    def completed(self, options: dict[str, Any], task: str) -> dict[str, Any]:
        """The options of a call, with those of the checkpoint for this task and those of the task itself."""
        options = drop_none(options)
        config = options.get("generation_config")
        chosen = {} if config is None else drop_none(config.__dict__)
        asked = {**chosen, **options}

        def free(name: str, among: dict[str, Any]) -> bool:
            return name not in among and PARTNERS.get(name, name) not in among

        special = (getattr(self.config, "task_specific_params", None) or {}).get(task) or {}
        added = {k: v for k, v in special.items() if k in DEFAULTS and v is not None and free(k, asked)}
        stated = {**drop_none(self.model.generation_config.__dict__), **asked, **added}
        added |= {k: v for k, v in self.generation_defaults.items() if free(k, stated)}
        if not {**stated, **added}.get("do_sample"):
            added = {k: v for k, v in added.items() if k not in SAMPLING}
        if stated.get("pad_token_id") is None:
            ends = sorted(ends_of(stated.get("eos_token_id")))
            added["pad_token_id"] = next(iter([*self.known_pad(), *ends, 0]))
        return {**added, **options}

    def known_pad(self) -> list[int]:
        """The tokenizer's padding token, if it has one."""
        pad = getattr(self.tokenizer, "pad_token_id", None)
        return [] if pad is None else [int(pad)]

    def plan(self, options: dict[str, Any]) -> Plan:
        """What one call decodes with, where it is needed before decoding."""
        own, config = self.model.generation_config, options.get("generation_config")
        values = {**drop_none(own.__dict__), **({} if config is None else drop_none(config.__dict__)), **options}
        layers: list[dict[str, Any]] = [options, {} if config is None else config.__dict__, own.__dict__]
        layer = next((one for one in layers if any(one.get(key) is not None for key in PAIRS[0])), {})
        stops = values.get("stop_strings") or ()
        return Plan(
            copies=max(int(values.get("num_return_sequences") or 1), int(values.get("num_beams") or 1)),
            new_tokens=layer.get("max_new_tokens"),
            total=None if layer.get("max_new_tokens") is not None else layer.get("max_length"),
            ends=ends_of(values.get("eos_token_id")),
            pad=int(values["pad_token_id"]),
            seed=values.get("seed") if values.get("do_sample") else None,
            stops=(stops,) if isinstance(stops, str) else tuple(stops),
            by_total=bool(values.get("min_length")) and values.get("min_new_tokens") is None,
        )

    # Batches ------------------------------------------------------------------------------------------------------

    def limits(self, batch_size: int | None) -> Limits:
        """Rows are worth more than tokens here: each step of a batch reads all weights once."""
        cpu = self.device.type == "cpu"
        rows = CPU_ROWS if cpu else ACCELERATOR_ROWS
        return Limits(SHORTEST * rows, batch_size or rows, overhead=8 * SHORTEST, window=512 if cpu else 4096)

    def text_item(self, ids: list[int], plan: Plan, group: Any, extra: Any) -> Item:
        """A text as a row; equal texts that are drawn with a seed go into different batches."""
        ids = ids or self.start_ids()
        size = max(len(ids), SHORTEST) * plan.copies
        repeat = plan.repeat(ids)
        return Item({"input_ids": np.asarray(ids, dtype=np.int64)}, size, (group, repeat), extra=(extra, repeat))

    def collate(self, items: list[Item]) -> dict[str, Any]:
        """Padded on the side that this task needs, whatever side the tokenizer pads on."""
        ids = [item.features["input_ids"] for item in items]
        batch: dict[str, Any] = {"input_ids": self.in_vocabulary(self.padded(ids, self.pad_id))}
        if len({len(row) for row in ids}) > 1:
            batch["attention_mask"] = self.padded([np.ones_like(row) for row in ids], 0)
        return {**batch, "repeat": items[0].extra[1]}

    def padded(self, rows: list[np.ndarray], fill: int) -> Tensor:
        """Rows → (batch, longest)."""
        return pad_rows(rows, fill)

    def _forward(self, model_inputs: dict[str, Any], options: dict[str, Any], plan: Plan) -> Tensor:  # type: ignore[override]
        """Ids (rows · num_return_sequences, length)."""
        repeat = model_inputs.pop("repeat")
        if plan.seed is not None:
            options = options | {"seed": plan.seed + repeat}
        if plan.stops:
            options = options | {"tokenizer": self.tokenizer}
        out = self.model.generate(**model_inputs, **options)
        return out if isinstance(out, Tensor) else out.sequences

    def unpack(self, reduced: Tensor, items: list[Item], plan: Plan, **after: Any) -> list[Any]:  # type: ignore[override]
        """Each row's texts as ids, without what fills up a batch."""
        rows = [self.trimmed(row, plan) for row in reduced.tolist()]
        count = len(rows) // len(items)
        return [rows[start : start + count] for start in range(0, len(rows), count)]

    # The decoder's first token, which of some models is also an end token, is none of the text.
    first_token: ClassVar[int] = 0

    def trimmed(self, ids: list[int], plan: Plan) -> list[int]:
        """A text's ids up to and with its end token."""
        for place_, token in enumerate(ids):
            if token in plan.ends and place_ >= self.first_token:
                kept = ids[: place_ + 1]
                break
        else:
            kept = ids
        end = len(kept)
        while end > self.first_token and kept[end - 1] == plan.pad:
            end -= 1
        if plan.pad in plan.ends and end < len(kept):
            # The last token is an end, or filling behind a stop string.
            text = self.tokenizer.decode(kept[self.first_token : end]) if plan.stops else ""
            return kept[:end] if any(stop in text for stop in plan.stops) else kept[: end + 1]
        return kept[:end]

    # Calls --------------------------------------------------------------------------------------------------------

    def __call__(self, inputs: Any = None, *, stream: bool = False, **kwargs: Any) -> Any:
        """See the class."""
        if stream:
            return self.streamed(inputs, kwargs)
        if kwargs.get("streamer") is not None and isinstance(inputs, list | tuple):
            # One after the other and in order, as they are shown.
            return [super(GenerationPipeline, self).__call__(value, **kwargs) for value in inputs]
        return super().__call__(inputs, **kwargs)

    def streamed(self, inputs: Any, kwargs: dict[str, Any]) -> TextStream:
        """The pieces of one answer as they are written. Raises `InputError` for several inputs or several answers."""
        kwargs = {name: value for name, value in kwargs.items() if name != "batch_size"}
        steps = TaskSteps(self, *self.merged(kwargs))
        if not is_single(inputs):
            raise InputError(
                f"A {type(inputs).__name__} cannot be streamed at once.", "Call it for one text at a time."
            )
        if steps.during["plan"].copies > 1:
            raise InputError("A stream is one answer.", "Leave num_return_sequences and num_beams out.")
        if "streamer" in steps.during["options"]:
            raise InputError("stream=True and streamer= were both given.", "Give one of them.")
        items = steps.prepare([inputs])[0]
        batch = place(self.collate(items), self.device, self.dtype)
        skip = steps.after.get("skip_special_tokens", True)

        def write(streamer: Any) -> None:
            options = steps.during["options"] | {"streamer": streamer}
            with torch.inference_mode():
                self._forward(dict(batch), options, steps.during["plan"])

        return TextStream(self.tokenizer, write, skip_special_tokens=skip)


def ends_of(tokens: Any) -> frozenset[int]:
    """End tokens as a set; files may hold one, several, none or -1."""
    ends = [] if tokens is None else [tokens] if isinstance(tokens, int) else list(tokens)
    return frozenset(int(one) for one in ends if one >= 0)


def return_kind(
    return_tensors: bool | None, return_text: bool | None, return_full_text: bool | None = None
) -> str | None:
    """`"tensors"`, `"full"` or `"new"` as the three switches ask, None where none is set; raises `InputError`."""
    given = {"return_tensors": return_tensors, "return_text": return_text, "return_full_text": return_full_text}
    asked = [name for name, value in given.items() if value]
    if return_tensors and len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} exclude each other.", "Set one of them.")
    if return_full_text is not None and return_text is not None:
        raise InputError("return_full_text and return_text exclude each other.", "Set one of them.")
    if return_tensors:
        return "tensors"
    return None if return_full_text is None else "full" if return_full_text else "new"
