"""Streamers: text as it is written. `generate` calls `put` with the prompt and with each token, then `end`."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

from torch import Tensor

from samovar.errors import InputError

# Writing without spaces between words: whatever ends with one of these is shown at once.
IDEOGRAPHS = (
    (0x2E80, 0x30FF),  # radicals, punctuation, kana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF),  # full-width forms
    (0x20000, 0x323AF),
)
# Tokens after which the oldest are let go, and how many stay: the next ones are decoded after some context.
LONGEST, KEPT = 64, 16


class BaseStreamer:
    """What `generate` writes to. A subclass defines `put` and `end`.

    `cancel` makes `generate` return after the token at hand with what it has; its cache is freed as it returns.
    """

    cancelled = False

    def put(self, value: Tensor) -> None:
        """Take the prompt (rows, length), then the new tokens (rows)."""
        raise NotImplementedError(f"{type(self).__name__} defines no put.")

    def end(self) -> None:
        """Called once after the last token."""
        raise NotImplementedError(f"{type(self).__name__} defines no end.")

    def fail(self, error: BaseException) -> None:
        """Called instead of `end` when decoding raises `error`; by default it is only raised to the caller."""

    def cancel(self) -> None:
        """Ask `generate` to stop. May be called from any thread."""
        self.cancelled = True


class TextStreamer(BaseStreamer):
    """Prints text as soon as words are whole: up to a space, a line's end or an ideograph, never half a character.

    `skip_prompt` leaves the prompt out; other arguments go to `tokenizer.decode`, such as `skip_special_tokens=True`.
    Raises `InputError` for more than one row.
    """

    def __init__(self, tokenizer: Any, skip_prompt: bool = False, **decode_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.skip_prompt = skip_prompt
        self.decode_kwargs = decode_kwargs
        self.reset()

    def reset(self) -> None:
        """Be ready for another text."""
        self.tokens: list[int] = []
        self.shown = 0  # characters of the decoded tokens that were handed on
        self.at_prompt = True

    def decode(self, tokens: list[int]) -> str:
        """The text of these tokens."""
        return self.tokenizer.decode(tokens, **self.decode_kwargs) if tokens else ""

    def put(self, value: Tensor) -> None:
        """Take ids and hand on what has become whole."""
        if value.ndim > 1:
            if value.shape[0] > 1:
                raise InputError(f"A text streamer shows one row, got {value.shape[0]}.", "Generate one at a time.")
            value = value[0]
        at_prompt, self.at_prompt = self.at_prompt, False
        if self.skip_prompt and at_prompt:
            return
        self.tokens.extend(value.tolist())
        text = self.decode(self.tokens)
        whole = whole_length(text)
        fresh = text[self.shown : whole]
        self.shown = max(self.shown, whole)
        self.compact(text)
        if fresh:
            self.on_finalized_text(fresh)

    def compact(self, text: str) -> None:
        """Forget old tokens, if the text of those that stay ends with what is not yet shown."""
        if len(self.tokens) <= LONGEST:
            return
        waiting = text[self.shown :]
        kept = self.decode(self.tokens[-KEPT:])
        if kept.endswith(waiting):
            self.tokens = self.tokens[-KEPT:]
            self.shown = len(kept) - len(waiting)

    def end(self) -> None:
        """Hand on what is left."""
        rest = self.decode(self.tokens)[self.shown :]
        self.reset()
        self.on_finalized_text(rest, stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print; a subclass does something else with the text."""
        print(text, flush=True, end="\n" if stream_end else "")


def whole_length(text: str) -> int:
    """How many characters from the start will not change when more tokens follow."""
    if text.endswith("\n") or (text and any(low <= ord(text[-1]) <= high for low, high in IDEOGRAPHS)):
        return len(text)
    return max(text.rfind(" "), text.rfind("\n")) + 1


class TextIteratorStreamer(TextStreamer):
    """An iterator over pieces of text, for a `generate` that runs in another thread.

    ::

        with TextIteratorStreamer(tokenizer, skip_prompt=True) as streamer:
            Thread(target=model.generate, kwargs={**inputs, "streamer": streamer}).start()
            for text in streamer:
                ...

    Leaving the `with` block before the end cancels the generation. An error of `generate` is raised to the reader.
    `timeout` in seconds bounds the wait for the next piece; `queue.Empty` is raised after it.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.timeout = timeout
        self.text_queue: queue.Queue[Any] = queue.Queue()
        self.finished = False

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Queue the text, and after it the end."""
        if not self.cancelled:
            self.text_queue.put(text)
        if stream_end:
            self.text_queue.put(StopIteration)

    def fail(self, error: BaseException) -> None:
        """Let the reader raise the error."""
        self.text_queue.put(error)

    def cancel(self) -> None:
        """Stop generating and reading."""
        super().cancel()
        self.text_queue.put(StopIteration)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        value: Any = StopIteration if self.finished else self.text_queue.get(timeout=self.timeout)
        if value is StopIteration or isinstance(value, BaseException):
            self.finished = True
            raise StopIteration if value is StopIteration else value
        return value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self.finished:
            self.cancel()


class AsyncTextIteratorStreamer(TextStreamer):
    """An asynchronous iterator over pieces of text, made inside a running event loop.

    Otherwise as `TextIteratorStreamer`; `async with` cancels, and so does cancelling the task that reads.
    After `timeout` seconds without a piece `TimeoutError` is raised.
    """

    def __init__(
        self, tokenizer: Any, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ) -> None:
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.timeout = timeout
        self.text_queue: asyncio.Queue[Any] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()
        self.finished = False

    def send(self, value: Any) -> None:
        """Hand a value to the loop's thread; a loop that has closed has no reader any more."""
        try:
            self.loop.call_soon_threadsafe(self.text_queue.put_nowait, value)
        except RuntimeError:
            self.cancelled = True

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Queue the text, and after it the end."""
        if not self.cancelled:
            self.send(text)
        if stream_end:
            self.send(StopAsyncIteration)

    def fail(self, error: BaseException) -> None:
        """Let the reader raise the error."""
        self.send(error)

    def cancel(self) -> None:
        """Stop generating and reading."""
        super().cancel()
        self.send(StopAsyncIteration)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if self.finished:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(self.timeout):
                value = await self.text_queue.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if value is StopAsyncIteration or isinstance(value, BaseException):
            self.finished = True
            raise StopAsyncIteration if value is StopAsyncIteration else value
        return value

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        if not self.finished:
            self.cancel()
