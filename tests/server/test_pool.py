"""Workers of models, one floor below HTTP: batches across visitors, cancelling, time limits, making room."""

from __future__ import annotations

import asyncio

import asked_models
import pytest
from bare_hub import BareHub

from samovar.server.errors import BusyError, GatewayTimeoutError, TooLargeError
from samovar.server.inference.contract import Call, read_call
from samovar.server.inference.pool import Pool, needed

pytestmark = pytest.mark.slow
CLASSIFY, WRITE = "text-classification", "text-generation"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Hub without a server, with a classifier, a language model and an encoder: task → (number, commit)."""
    hub = BareHub(tmp_path_factory.mktemp("bare"))
    alice = hub.user("alice")
    models = {}
    for task in (CLASSIFY, "chat", "fill-mask"):
        folder = asked_models.save(task, tmp_path_factory.mktemp(task))
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        number = hub.repository(alice, task, files)
        models[task] = (number, hub.row(number).sha)
    yield hub.hub, models
    hub.hub.close()


def text(words: str) -> Call:
    """A question to the classifier."""
    return read_call(CLASSIFY, {"inputs": words})


async def until(condition) -> None:
    """Wait for something that happens."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def limited(pool: Pool, **settings: object) -> None:
    """Other settings, from now on."""
    pool.settings = pool.settings.model_copy(update=settings)


def test_visitors_are_answered_together_and_in_time(bare):
    """What waits goes as one batch; whoever leaves is forgotten; what takes too long ends its process alone."""
    hub, models = bare
    asyncio.run(batches_and_limits(Pool(hub), models))


async def batches_and_limits(pool: Pool, models) -> None:
    try:
        key = (*models[CLASSIFY], CLASSIFY)
        assert pool.state(*key, 10**6).name == "absent"
        first = asyncio.create_task(pool.run(*key, text("a good film")))
        await until(lambda: pool.state(*key, 10**6).name == "loading")
        rest = [asyncio.create_task(pool.run(*key, text(f"a film of {number}"))) for number in range(30)]
        alone = await first
        answers = await asyncio.gather(*rest)
        assert len(answers) == 30
        assert pool.counts.calls == 31
        assert pool.counts.batches < 10
        assert pool.counts.loads == 1
        assert pool.state(*key, 10**6).name == "ready"
        assert await pool.run(*key, text("a good film")) == alone

        # Of those that wait behind a long call, one leaves: the others are answered, it is never sent.
        long = asyncio.create_task(pool.run(*key, Call(["a film"] * 3000, {"top_k": None})))
        await until(lambda: pool.workers[key].sent)
        leaving, staying = (asyncio.create_task(pool.run(*key, text(word))) for word in ("cat", "dog"))
        await until(lambda: len(pool.workers[key].queue) == 2)
        sent = pool.counts.calls
        leaving.cancel()
        assert (await staying) == await pool.run(*key, text("dog"))
        assert len(await long) == 3000
        assert pool.counts.cancelled == 1
        assert pool.counts.calls == sent + 2

        # Too long: the process ends, whoever asks next gets a new one.
        process = pool.workers[key].process
        limited(pool, inference_time=0.05)
        with pytest.raises(GatewayTimeoutError, match=r"0\.05 seconds"):
            await pool.run(*key, Call(["a film"] * 5000, {"top_k": None}))
        assert process.returncode is not None
        limited(pool, inference_time=60.0)
        assert await pool.run(*key, text("a good film")) == alone
        assert (pool.counts.timeouts, pool.counts.loads) == (1, 2)
    finally:
        await pool.close()


def test_streams_are_cancelled_and_models_make_room(bare):
    hub, models = bare
    asyncio.run(streams_and_room(Pool(hub), models))


async def streams_and_room(pool: Pool, models) -> None:
    try:
        writer = (*models["chat"], WRITE)
        call = read_call(WRITE, {"inputs": "the cat", "parameters": {"max_new_tokens": 1024}, "stream": True})
        messages = pool.messages(*writer, call)
        assert (await anext(messages))["piece"]
        second = asyncio.create_task(pool.run(*writer, read_call(WRITE, {"inputs": "a dog", "parameters":
                                                                         {"max_new_tokens": 2}})))  # fmt: skip
        await until(lambda: pool.workers[writer].queue)
        await messages.aclose()
        assert (await second)[0]["generated_text"].startswith("a dog")
        assert pool.counts.cancelled == 1

        # Room for two: of these, the one that was used longest ago makes room.
        limited(pool, inference_memory=2 * needed(10**6))
        reader, filler = (*models[CLASSIFY], CLASSIFY), (*models["fill-mask"], "fill-mask")
        await pool.run(*reader, text("good"))
        await pool.run(*writer, read_call(WRITE, {"inputs": "a", "parameters": {"max_new_tokens": 1}}))
        await pool.run(*filler, read_call("fill-mask", {"inputs": "the [MASK] sat"}))
        assert set(pool.workers) == {writer, filler}
        assert pool.counts.evictions == 1

        # One that is busy stays, and whoever needs its room is told to come back.
        limited(pool, inference_memory=needed(10**6))
        writing = pool.messages(*writer, call)
        await anext(writing)
        with pytest.raises(BusyError, match="in use"):
            await pool.run(*reader, text("good"))
        await writing.aclose()
        limited(pool, inference_memory=1000)
        with pytest.raises(TooLargeError, match="GB"):
            await pool.run(*reader, text("good"))
    finally:
        await pool.close()
    assert not pool.workers
