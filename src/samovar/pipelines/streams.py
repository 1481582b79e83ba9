"""`TextStream`: the pieces of an answer while it is written by another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

from samovar.generation.streamers import TextIteratorStreamer


class TextStream:
    """An iterator over pieces of one text, in whole words.

    The work starts with the first `next` and runs in a thread. `close()`, leaving a `with` block, or dropping the
    iterator stops it after the token at hand, waits for the thread and so returns the memory of the cache. An error
    of the model is raised to the reader.
    """

    def __init__(self, tokenizer: Any, write: Callable[[Any], None], **decode_kwargs: Any) -> None:
        self.streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, **decode_kwargs)
        self.write: Callable[[Any], None] | None = write
        self.thread: threading.Thread | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.thread is None and self.write is not None:
            # The thread knows nothing of this object, so that dropping it is noticed.
            self.thread = threading.Thread(
                target=run, args=(self.write, self.streamer), name="samovar-write", daemon=True
            )
            self.write = None
            self.thread.start()
        while self.thread is not None:
            try:
                piece = next(self.streamer)
            except BaseException:
                self.close()
                raise
            if piece:
                return piece
        raise StopIteration

    def close(self) -> None:
        """Stop writing and wait until the work has ended."""
        self.write = None
        if self.thread is not None:
            self.streamer.cancel()
            self.thread.join()
            self.thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def run(write: Callable[[Any], None], streamer: TextIteratorStreamer) -> None:
    """Write, and hand an error to the reader."""
    try:
        write(streamer)
    except BaseException as error:
        streamer.fail(error)
