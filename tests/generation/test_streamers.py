"""Streams: whole words and characters as soon as they stand, errors to the reader, and an end on request."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from threading import Thread
from typing import Any

import pytest
import torch
from byte_tokenizer import byte_tokenizer, ids_of
from toy_generators import pair, prompts

from samovar.errors import ConfigError, InputError
from samovar.generation import AsyncTextIteratorStreamer, BaseStreamer, TextIteratorStreamer, TextStreamer

TEXTS = [
    "Two cups of tea, please.\nThank you",
    "наливай чай и садись",
    "一杯茶，谢谢。お茶をください",
    "emoji 👩‍👩‍👧 and naïve café \n\n  spaces",
    "a" * 300 + " end",
    "word " * 80,
]


class Collected(TextStreamer):
    """Keeps the pieces and, for each, how many tokens had been given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(byte_tokenizer(), **options)
        self.pieces: list[str] = []
        self.given = 0
        self.at: list[int] = []

    def put(self, value: torch.Tensor) -> None:
        self.given += 1
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        self.pieces.append(text)
        self.at.append(self.given)


def stream(text: str, **options: Any) -> Collected:
    streamer = Collected(**options)
    streamer.put(torch.tensor([ids_of("go ")]))
    for token in ids_of(text):
        streamer.put(torch.tensor([token]))
    streamer.end()
    return streamer


@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_are_the_text_and_no_piece_cuts_a_character(text: str) -> None:
    streamer = stream(text)
    assert "".join(streamer.pieces) == "go " + text
    assert not any("�" in piece for piece in streamer.pieces)
    for piece in streamer.pieces[:-1]:
        assert piece.endswith((" ", "\n")) or ord(piece[-1]) > 0x2E80


def test_a_word_appears_with_the_space_after_it_and_an_ideograph_at_once() -> None:
    streamer = stream("茶 is tea", skip_prompt=True)
    assert streamer.pieces == ["茶", " ", "is ", "tea"]
    # The prompt is one put; the character is three bytes, then the space.
    assert streamer.at[:2] == [4, 5]


def test_long_streams_forget_old_tokens() -> None:
    streamer = Collected()
    for token in ids_of("word " * 400):
        streamer.put(torch.tensor([token]))
        assert len(streamer.tokens) <= 65


def test_a_streamer_serves_one_text_after_another(capsys: pytest.CaptureFixture[str]) -> None:
    streamer = TextStreamer(byte_tokenizer(), skip_prompt=True)
    for _ in range(2):
        streamer.put(torch.tensor([ids_of("prompt")]))
        streamer.put(torch.tensor(ids_of("tea")[:1]))
        streamer.end()
    assert capsys.readouterr().out == "t\nt\n"


def tiny_stream(streamer: Any, **options: Any) -> Thread:
    _, model = pair()
    ids = torch.tensor([[20, 30, 40]])
    thread = Thread(target=run_quietly, args=(model, ids, streamer), kwargs=options)
    thread.start()
    return thread


def run_quietly(model: Any, ids: torch.Tensor, streamer: Any, **options: Any) -> None:
    with contextlib.suppress(ZeroDivisionError):  # the reader of the stream is told
        model.generate(ids, streamer=streamer, **{"max_new_tokens": 12, **options})


def test_iterating_in_another_thread_gives_the_text_that_generate_returns() -> None:
    _, model = pair()
    expected = model.generate(torch.tensor([[20, 30, 40]]), max_new_tokens=12)[0].tolist()
    streamer = TextIteratorStreamer(byte_tokenizer(), timeout=60)
    thread = tiny_stream(streamer)
    assert "".join(streamer) == byte_tokenizer().decode(expected)
    assert list(streamer) == []
    thread.join()


def fails(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    raise ZeroDivisionError("in the processor")


def test_an_error_of_generate_reaches_the_reader() -> None:
    streamer = TextIteratorStreamer(byte_tokenizer(), timeout=60)
    thread = tiny_stream(streamer, logits_processor=[fails])
    with pytest.raises(ZeroDivisionError, match="in the processor"):
        list(streamer)
    thread.join()


@pytest.mark.slow
def test_leaving_the_block_ends_the_generation_and_frees_what_it_held() -> None:
    held: list[Any] = []

    def remember(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        held[:] = [weakref.ref(scores), input_ids.shape[1]]
        return scores

    with TextIteratorStreamer(byte_tokenizer(), timeout=60) as streamer:
        thread = tiny_stream(streamer, logits_processor=[remember], max_new_tokens=60, eos_token_id=60)
        next(streamer)
        streamer.cancel()
    thread.join(timeout=60)
    assert not thread.is_alive()
    gc.collect()
    assert held[0]() is None
    assert list(streamer) == []


def test_generate_returns_what_it_has_when_the_stream_is_cancelled() -> None:
    class Three(BaseStreamer):
        count = 0

        def put(self, value: torch.Tensor) -> None:
            self.count += 1
            if self.count == 4:  # the prompt and three tokens
                self.cancel()

        def end(self) -> None: ...

    _, model = pair()
    assert model.generate(torch.tensor([[20, 30]]), max_new_tokens=30, streamer=Three()).shape == (1, 5)


def test_the_asynchronous_stream_gives_the_same_text_and_stops_with_its_reader() -> None:
    async def read(cancel: bool) -> tuple[str, Thread, AsyncTextIteratorStreamer]:
        async with AsyncTextIteratorStreamer(byte_tokenizer(), timeout=60) as streamer:
            thread = tiny_stream(streamer)
            text = ""
            async for piece in streamer:
                text += piece
                if cancel:
                    break
        return text, thread, streamer

    _, model = pair()
    expected = byte_tokenizer().decode(model.generate(torch.tensor([[20, 30, 40]]), max_new_tokens=12)[0].tolist())
    text, thread, _ = asyncio.run(read(cancel=False))
    thread.join()
    assert text == expected
    part, thread, streamer = asyncio.run(read(cancel=True))
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert streamer.cancelled
    assert expected.startswith(part)


def test_cancelling_the_reading_task_cancels_the_stream() -> None:
    async def main() -> bool:
        streamer = AsyncTextIteratorStreamer(byte_tokenizer())
        task = asyncio.ensure_future(anext(streamer))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return streamer.cancelled

    assert asyncio.run(main())


def test_an_asynchronous_error_reaches_the_reader() -> None:
    async def main() -> None:
        streamer = AsyncTextIteratorStreamer(byte_tokenizer(), timeout=60)
        thread = tiny_stream(streamer, logits_processor=[fails])
        try:
            async for _ in streamer:
                pass
        finally:
            await asyncio.to_thread(thread.join)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())


def test_several_rows_and_beams_are_not_streamed() -> None:
    _, model = pair()
    with pytest.raises(InputError, match="one row"):
        model.generate(**prompts(), streamer=TextStreamer(byte_tokenizer()))
    with pytest.raises(ConfigError, match="nothing to stream"):
        model.generate(**prompts(), streamer=TextStreamer(byte_tokenizer()), num_beams=2)
