"""Serving: a thread that writes the texts of all who ask, and the calls by which they ask."""

from __future__ import annotations

import copy
import logging
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from samovar.errors import ConfigError, InputError, InputTypeError
from samovar.generation.batching import Batch
from samovar.generation.config import GenerationConfig, layered
from samovar.generation.draws import Draws
from samovar.generation.lengths import set_lengths, window
from samovar.generation.prompt import Prompt, end_tokens
from samovar.generation.requests import ContinuousBatchingConfig, GenerationOutput, Request
from samovar.generation.rules import build_criteria, build_processors
from samovar.generation.stopping import EosTokenCriteria, MaxLengthCriteria
from samovar.generation.validation import check_supported
from samovar.nn.attention import Attention
from samovar.nn.memory import keep_freed_memory
from samovar.nn.packed import free_memory, packed_for_few_rows
from samovar.nn.paged import PagedCache, paged_cache

logger = logging.getLogger(__name__)

# The longest text that room is made for where a model has no limit of its own.
LONGEST = 8192
BAR_AFTER = 2


class Desk:
    """Takes requests in and makes them ready: checks, lengths, rules, draws."""

    def __init__(
        self,
        model: Any,
        config: GenerationConfig,
        chosen: frozenset[str],
        settings: ContinuousBatchingConfig,
        tokenizer: Any = None,
        logits_processor: Sequence[Callable[..., Tensor]] | None = None,
    ) -> None:
        check_supported(config)
        several = {"num_beams": config.num_beams, "num_return_sequences": config.num_return_sequences}
        asked = [f"{name}={value}" for name, value in several.items() if value > 1]
        if config.guidance_scale not in (None, 1) or config.prompt_lookup_num_tokens is not None:
            asked.append("guidance_scale or drafts")
        if asked:
            raise ConfigError(
                f"Continuous batching writes one text per request, token by token; got {', '.join(asked)}.",
                "Use generate, or ask several times.",
            )
        self.model, self.config, self.chosen, self.settings = model, config, chosen, settings
        self.tokenizer, self.logits_processor = tokenizer, logits_processor
        limit, _ = window(model)
        self.longest = min(limit or LONGEST, LONGEST)
        self.cache = make_cache(model, settings, self.longest)
        self.count = 0
        self.seen: Counter[tuple[int, ...]] = Counter()

    def request(
        self,
        input_ids: Any,
        request_id: str | None = None,
        max_new_tokens: int | None = None,
        streaming: bool = False,
        record_timestamps: bool = False,
        eos_token_id: int | list[int] | None = None,
        **options: Any,
    ) -> Request:
        """A request out of what was asked. Raises `InputTypeError` or `InputError`."""
        tokens = self.checked(input_ids)
        changes = {"max_new_tokens": max_new_tokens, "eos_token_id": eos_token_id, **options}
        changes = {name: value for name, value in changes.items() if value is not None}
        config, rest, chosen = layered(self.config, None, changes) if changes else (copy.copy(self.config), {}, None)
        if rest:
            raise InputError(f"A request has no option {', '.join(rest)}.", "Options are those of GenerationConfig.")
        set_lengths(config, self.chosen | (chosen or frozenset()), len(tokens), *window(self.model), False)
        needed = -(-config.max_length // self.cache.block)
        if needed > self.cache.count:
            raise InputError(
                f"A text of {config.max_length} tokens needs {needed} blocks; the cache has {self.cache.count}.",
                "Ask for fewer tokens, or give the cache a larger num_blocks.",
            )
        if self.cache.longest is not None and config.max_length > self.cache.longest:
            raise InputError(
                f"A text of {config.max_length} tokens was asked for; beyond {self.cache.longest} the angles of this "
                "model depend on the length, which texts of a batch do not share.",
                "Ask for fewer tokens, or use generate.",
            )
        prompt = Prompt(torch.tensor([tokens], device=self.model.device), None)
        draws = None
        if config.do_sample:
            key = tuple(tokens)
            draws = Draws(prompt, config.seed, self.model.device, self.seen[key])
            self.seen[key] += 1
        criteria = build_criteria(config, None, self.tokenizer)
        own = [one for one in criteria if not isinstance(one, MaxLengthCriteria | EosTokenCriteria)]
        name = f"req_{self.count}" if request_id is None else request_id
        self.count += 1
        return Request(
            name, tokens, len(tokens), config.max_length, frozenset(end_tokens(config)),
            list(build_processors(config, prompt, self.logits_processor)), own, draws, streaming,
            [] if record_timestamps else None,
        )  # fmt: skip

    def checked(self, input_ids: Any) -> list[int]:
        """The ids of one prompt."""
        ids = input_ids.tolist() if hasattr(input_ids, "tolist") else input_ids
        if isinstance(ids, list) and len(ids) == 1 and isinstance(ids[0], list):
            ids = ids[0]
        whole = isinstance(ids, list | tuple) and all(isinstance(i, int) and not isinstance(i, bool) for i in ids)
        if not whole:
            raise InputTypeError(
                f"A prompt must be a list of ids, got {type(input_ids).__name__}.", "Pass tokenizer(text)['input_ids']."
            )
        if not ids:
            raise InputError("The prompt is empty.", "Give at least one id.")
        words = self.model.config.vocab_size
        if not 0 <= min(ids) <= max(ids) < words:
            wrong = next(index for index in ids if not 0 <= index < words)
            raise InputError(f"The id {wrong} is none of the {words} tokens.", "Use the tokenizer of this model.")
        return list(ids)

    def batch(self) -> Batch:
        """An empty batch."""
        return Batch(self.model, self.cache, self.settings)


def make_cache(model: Any, settings: ContinuousBatchingConfig, longest: int) -> PagedCache:
    """A cache for as many of the longest texts as run together, within the memory that may be taken."""
    count, size = settings.num_blocks, settings.block_size
    if count is None:
        layers = [one for one in model.modules() if isinstance(one, Attention)]
        number = torch.finfo(model.dtype).bits // 8
        each = sum(2 * one.kv_heads * one.head_dim * size * number for one in layers)
        free = torch.cuda.mem_get_info()[0] if model.device.type == "cuda" else free_memory()
        wanted = settings.max_batch_size * -(-longest // size)
        count = max(min(wanted, int(free * settings.max_memory_percent / max(each, 1))), 1)
    return paged_cache(model.backbone, count, size)


class ContinuousBatchingManager:
    """Writes texts of all requests together, in a thread of its own; made by `init_continuous_batching`.

    ::

        with model.continuous_batching_context_manager(config) as manager:
            name = manager.add_request(ids, max_new_tokens=20)
            print(manager.get_result(name).generated_tokens)
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.changed = threading.Condition()
        self.inbox: deque[Request] = deque()
        self.cancelled: set[str] = set()
        self.results: deque[GenerationOutput] = deque()
        self.open: set[str] = set()  # requests of which something is still to come
        self.thread: threading.Thread | None = None
        self.stopping = False
        self.error: Exception | None = None

    # Asking -------------------------------------------------------------------------------------------------------

    def add_request(self, input_ids: Any, request_id: str | None = None, **options: Any) -> str:
        """Ask for a text after these ids; returns the request's name.

        Options: `max_new_tokens`, `eos_token_id`, `streaming` (a result for each token), `record_timestamps`, and
        those of `GenerationConfig`. Raises `InputError` or `InputTypeError` for what cannot be written.
        """
        with self.changed:
            if self.error is not None or self.stopping:
                raise InputError("This manager has stopped and takes no requests.", "Make a new one.")
            request = self.desk.request(input_ids, request_id, **options)
            if request.name in self.open:
                raise InputError(f"There is a request {request.name!r} already.", "Give each a name of its own.")
            self.open.add(request.name)
            self.inbox.append(request)
            self.changed.notify_all()
            return request.name

    def add_requests(self, inputs: Sequence[Any], **options: Any) -> list[str]:
        """Ask for a text after each of these; returns the requests' names."""
        return [self.add_request(input_ids, **options) for input_ids in inputs]

    def cancel_request(self, request_id: str) -> None:
        """End a request; its result holds what was written."""
        with self.changed:
            self.cancelled.add(request_id)
            self.changed.notify_all()

    def get_result(self, request_id: str | None = None, timeout: float | None = None) -> GenerationOutput | None:
        """The next result, of one request or of any; None after `timeout` seconds, or when nothing is to come."""
        end = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            while True:
                for index, one in enumerate(self.results):
                    if request_id is None or one.request_id == request_id:
                        del self.results[index]
                        return one
                still = bool(self.open) if request_id is None else request_id in self.open
                left = None if end is None else end - time.monotonic()
                if not still or not self.is_running() or (left is not None and left <= 0):
                    return None
                self.changed.wait(0.5 if left is None else min(left, 0.5))

    def __iter__(self) -> Iterator[GenerationOutput]:
        """Results as they come, until nothing is to come."""
        while (result := self.get_result()) is not None:
            yield result

    def request_id_iter(self, request_id: str) -> Iterator[GenerationOutput]:
        """The results of one request as they come: one for each token where it streams."""
        while (result := self.get_result(request_id)) is not None:
            yield result
            if result.is_finished():
                return

    # Running ------------------------------------------------------------------------------------------------------

    def is_running(self) -> bool:
        """Whether the thread works."""
        return self.thread is not None and self.thread.is_alive()

    def start(self) -> None:
        """Begin to write. Raises `InputError` when it has begun."""
        if self.thread is not None:
            raise InputError("This manager has been started.", "Make a new one.")
        self.thread = threading.Thread(target=self.run, name="samovar-batching", daemon=True)
        self.thread.start()

    def stop(self, block: bool = True, timeout: float | None = None) -> None:
        """Take no further requests, finish the open ones, and end; `block` waits for it."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        if block and self.thread is not None:
            self.thread.join(timeout)

    def run(self) -> None:
        """What the thread does."""
        batch, size = self.desk.batch(), self.desk.settings.max_batch_size
        try:
            with torch.inference_mode(), packed_for_few_rows(self.desk.model, size, 1 << 20):
                while self.take_in(batch):
                    self.deliver(batch.step())
        except Exception as error:
            logger.exception("Continuous batching ended with an error.")
            self.error = error
            with self.changed:
                for request in self.inbox:
                    batch.add(request)
                self.inbox.clear()
            self.deliver(batch.fail(error))

    def take_in(self, batch: Batch) -> bool:
        """Move new requests into the batch, and wait while there is nothing to do; False: it is over."""
        with self.changed:
            while True:
                while self.inbox:
                    batch.add(self.inbox.popleft())
                ended = [one for one in batch if one.name in self.cancelled]
                self.cancelled.clear()
                for request in ended:
                    batch.finish(request, "The request was cancelled.")
                self.note(ended)
                if batch.active or batch.waiting:
                    return True
                if self.stopping:
                    return False
                self.changed.wait()

    def deliver(self, requests: list[Request]) -> None:
        """Hand out what is new."""
        with self.changed:
            self.note(requests)

    def note(self, requests: list[Request]) -> None:
        """Put results where they are waited for; the lock is held."""
        for request in requests:
            output = request.output()
            if output.is_finished():
                self.open.discard(request.name)
            if output.is_finished() or request.streaming:
                self.results.append(output)
        self.changed.notify_all()


class ContinuousMixin:
    """Continuous batching for a model that writes text."""

    generation_config: Any

    def desk(
        self, config: GenerationConfig | None, settings: ContinuousBatchingConfig | None, options: dict[str, Any]
    ) -> Desk:
        """Where requests are taken in, with the options laid together."""
        tokenizer, own = options.pop("tokenizer", None), options.pop("logits_processor", None)
        merged, rest, chosen = layered(self.generation_config, config, options)
        if rest:
            raise InputError(f"Continuous batching has no option {', '.join(rest)}.", "See GenerationConfig.")
        return Desk(self, merged, chosen, settings or ContinuousBatchingConfig(), tokenizer, own)

    def init_continuous_batching(
        self,
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        **kwargs: Any,
    ) -> ContinuousBatchingManager:
        """A manager that is not started yet; further options are those of `GenerationConfig`.

        Raises `ConfigError` for a model or a strategy that cannot share a batch.
        """
        return ContinuousBatchingManager(self.desk(generation_config, continuous_batching_config, kwargs))

    @contextmanager
    def continuous_batching_context_manager(
        self,
        generation_config: GenerationConfig | None = None,
        block: bool = True,
        timeout: float | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[ContinuousBatchingManager]:
        """A manager that works within the `with`, and stops behind it."""
        manager = self.init_continuous_batching(generation_config, continuous_batching_config, **kwargs)
        manager.start()
        try:
            yield manager
        finally:
            manager.stop(block, timeout)

    def generate_batch(
        self,
        inputs: Sequence[Any],
        generation_config: GenerationConfig | None = None,
        continuous_batching_config: ContinuousBatchingConfig | None = None,
        record_timestamps: bool = False,
        progress_bar: bool = False,
        max_new_tokens: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> dict[str, GenerationOutput]:
        """Write a text after each prompt, a list of ids; request's name → output, in the order of the prompts.

        Texts end independently: each step writes a token of every text that is not finished. `max_new_tokens` may be
        a number for each prompt. Raises `InputError` or `InputTypeError` that names the prompt.
        """
        desk = self.desk(generation_config, continuous_batching_config, kwargs)
        each = max_new_tokens if isinstance(max_new_tokens, Sequence) else [max_new_tokens] * len(inputs)
        if len(each) != len(inputs):
            raise InputError(f"{len(inputs)} prompts came with {len(each)} lengths.", "Give one for each.")
        requests = []
        for index, (ids, longest) in enumerate(zip(inputs, each, strict=True)):
            try:
                requests.append(desk.request(ids, max_new_tokens=longest, record_timestamps=record_timestamps))
            except InputError as error:
                raise type(error)(f"Prompt {index}: {error.cause}", error.next_step) from error
        batch = desk.batch()
        for request in requests:
            batch.add(request)
        if desk.model.device.type == "cpu":
            keep_freed_memory()
        steps = max((one.longest - one.prompt for one in requests), default=0)
        rows = min(len(requests), desk.settings.max_batch_size)
        with torch.inference_mode(), packed_for_few_rows(desk.model, rows, steps), bar(progress_bar, requests) as show:
            while batch.active or batch.waiting:
                show(sum(one.is_finished() for one in map(Request.output, batch.step())))
        return {request.name: request.output() for request in requests}


@contextmanager
def bar(wanted: bool, requests: list[Request]) -> Iterator[Callable[[int], Any]]:
    """A function that is told how many more are done."""
    if not wanted and (sys.stderr is None or not sys.stderr.isatty()):
        yield lambda count: None
        return
    from tqdm import tqdm  # type: ignore[import-untyped]

    with tqdm(total=len(requests), delay=0 if wanted else BAR_AFTER, unit=" texts", dynamic_ncols=True) as shown:
        yield shown.update
