"""Text generation: the reference pipeline's answers, the same alone and in any batch, and streams that can be left."""

from __future__ import annotations

import functools
import gc
import threading
from typing import Any

import pytest
import torch
import transformers
from learned_models import teach, word_tokenizer
from tiny_checkpoints import TEXTS, Build

import samovar
from samovar import GenerationConfig, pipeline
from samovar.errors import ConfigError, InputError, InputTypeError

PROMPTS = [text for text in TEXTS if text]
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": 9}


@pytest.fixture(scope="module")
def folder(build: Build) -> str:
    return build("gpt2", "GPT2LMHeadModel", bos_token_id=0, eos_token_id=0)


@pytest.fixture(scope="module")
def write(folder: str) -> Any:
    return pipeline("text-generation", model=folder)


@functools.cache
def reference(folder: str) -> Any:
    theirs = transformers.pipeline("text-generation", model=folder, device="cpu")
    theirs.tokenizer.pad_token = theirs.tokenizer.eos_token
    return theirs


CAPITALS = {"france": "paris", "russia": "moscow", "italy": "rome", "spain": "madrid", "japan": "tokyo"}


@pytest.fixture(scope="module")
def learned() -> Any:
    """A model that was taught five sentences."""
    lines = [f"the capital of {land} is {city}" for land, city in CAPITALS.items()]
    tokenizer = word_tokenizer([*lines, "good morning"])
    config = samovar.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=600, eos_token_id=3, bos_token_id=2
    )
    model = samovar.AutoModelForCausalLM.from_config(config)
    ids = torch.tensor([[*row, 3] for row in tokenizer(lines)["input_ids"]])
    assert teach(model, [{"input_ids": ids, "labels": ids}], 200) < 0.4
    return pipeline("text-generation", model=model, tokenizer=tokenizer, do_sample=False, return_full_text=False)


def of_reference(folder: str, prompts: list[str], **options: Any) -> list[Any]:
    return [reference(folder)(prompt, **options) for prompt in prompts]


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_full_text": False},
        {"return_tensors": True},
        {"prefix": "a dog "},
        {"prefix": "a dog ", "max_new_tokens": None, "max_length": 30},
        {"stop_sequence": "o"},
        {"num_beams": 3, "num_return_sequences": 2},
        {"generation_config": None, "min_new_tokens": 4, "repetition_penalty": 1.3},
        {"max_new_tokens": None, "max_length": 45},
    ],
)
def test_answers_equal_the_reference(write: Any, folder: str, options: dict[str, Any]) -> None:
    options = GREEDY | {name: value for name, value in options.items() if name != "generation_config"}
    prompts = PROMPTS if options.get("max_length", 99) > 40 else PROMPTS[-3:-2]
    expected = of_reference(folder, prompts, **{k: v for k, v in options.items() if v is not None})
    chosen = {name: value for name, value in options.items() if value is not None}
    assert [write(prompt, **chosen) for prompt in prompts] == expected
    assert write(prompts, **chosen) == expected
    assert write(prompts, batch_size=2, **chosen) == expected
    assert list(write(iter(prompts), **chosen)) == expected


def test_options_in_other_forms(write: Any, folder: str) -> None:
    expected = write(PROMPTS, **GREEDY)
    config = GenerationConfig(**GREEDY)
    assert write(PROMPTS, generation_config=config) == expected
    assert write(PROMPTS, generate_kwargs=GREEDY) == expected
    made = pipeline("text-generation", model=folder, **GREEDY)
    assert made(PROMPTS) == expected
    assert made(PROMPTS[0], max_length=20) == write(PROMPTS[0], do_sample=False, max_length=20)
    assert [row[0]["generated_text"] for row in made(PROMPTS, return_full_text=False)] == [
        row[0]["generated_text"][len(prompt) :] for prompt, row in zip(PROMPTS, expected, strict=True)
    ]
    assert made([]) == []
    assert made(PROMPTS, clean_up_tokenization_spaces=True, return_text=True) == expected


def test_the_tokenizers_padding_side_does_not_matter(folder: str) -> None:
    write = pipeline("text-generation", model=folder, **GREEDY)
    expected = write(PROMPTS)
    write.tokenizer.padding_side = "left"
    assert write(PROMPTS) == expected
    assert write.tokenizer.padding_side == "left"


def test_batches_are_formed(write: Any) -> None:
    rows: list[int] = []
    hook = write.model.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])) if args else None)
    shapes: list[int] = []
    other = write.model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    write(PROMPTS * 3, **GREEDY)
    hook.remove()
    other.remove()
    assert max(shapes + rows) == 3 * len(PROMPTS)


def test_a_seeded_sample_is_the_same_alone_and_in_any_batch(write: Any) -> None:
    options = {"seed": 7, "max_new_tokens": 6, "temperature": 1.5}
    alone = [write(prompt, **options) for prompt in PROMPTS]
    assert write(PROMPTS, **options) == alone
    assert write(PROMPTS[::-1], batch_size=2, **options) == alone[::-1]
    # Equal texts are drawn anew.
    twins = [row[0]["generated_text"] for row in write([PROMPTS[0]] * 4, **options)]
    assert len(set(twins)) == 4
    assert next(row["generated_text"] for row in write(PROMPTS[0], num_return_sequences=3, **options)) == twins[0]


def test_texts_are_drawn_unless_told_otherwise(write: Any) -> None:
    torch.manual_seed(1)
    first = write(PROMPTS[0], max_new_tokens=8)
    assert write(PROMPTS[0], max_new_tokens=8) != first
    torch.manual_seed(1)
    assert write(PROMPTS[0], max_new_tokens=8) == first


def test_options_of_the_checkpoint_for_this_task(build: Build) -> None:
    special = {"text-generation": {"do_sample": False, "max_length": 20}}
    folder = build("gpt2", "GPT2LMHeadModel", bos_token_id=0, eos_token_id=0, task_specific_params=special)
    write = pipeline("text-generation", model=folder)
    found = write("the cat", return_tensors=True)[0]["generated_token_ids"]
    assert len(found) == 20
    longer = write("the cat", return_tensors=True, max_new_tokens=30)[0]["generated_token_ids"]
    assert longer[:20] == found
    assert len(longer) > 20


def test_an_empty_prompt_starts_from_the_beginning_token(write: Any, folder: str) -> None:
    assert write("", **GREEDY) == reference(folder)("", **GREEDY)
    assert write(["the cat", ""], **GREEDY)[1] == write("", **GREEDY)


def test_a_prompt_beyond_the_window(write: Any, folder: str) -> None:
    long = "the cat and the dog " * 20
    with pytest.raises(InputError, match=r"^The prompt has \d+ tokens; this model has 64 positions"):
        write(long, **GREEDY)
    with pytest.raises(InputError, match=r"^Input 1: The prompt has \d+ tokens; this model has 64 positions"):
        write(["the cat", long], **GREEDY)
    found = write([long, "the cat"], handle_long_generation="hole", **GREEDY)
    kept = write.tokenizer(long)["input_ids"][9 - 64 :]
    new = write.model.generate(torch.tensor([kept]), do_sample=False, max_new_tokens=9)[0, len(kept) :]
    assert found[0][0]["generated_text"] == long + write.tokenizer.decode(new)
    with pytest.raises(InputError, match="leaves no room for a text"):
        write(long, handle_long_generation="hole", max_new_tokens=64)
    with pytest.raises(InputError, match="Pass 'hole'"):
        write(long, handle_long_generation="hold")
    cut = write(long, truncation=True, tokenizer_encode_kwargs={"max_length": 50}, **GREEDY)
    assert len(cut[0]["generated_text"]) > len(long)


def test_a_text_near_the_end_of_the_window_is_not_cut_by_its_neighbours(write: Any) -> None:
    near = write.tokenizer.decode(write.tokenizer("the cat and the dog " * 20)["input_ids"][:60])
    short = "the cat"
    alone = [write(text, do_sample=False, max_new_tokens=40) for text in (short, near)]
    assert write([short, near], do_sample=False, max_new_tokens=40) == alone
    assert write([short, "the cat sat on the mat"], do_sample=False, max_length=24)[0] == write(
        short, do_sample=False, max_length=24
    )


def test_bad_arguments(write: Any) -> None:
    with pytest.raises(InputError, match=r"has no argument 'max_new_token'[\s\S]*Did you mean 'max_new_tokens'"):
        write("the cat", max_new_token=3)
    with pytest.raises(InputError, match="exclude each other"):
        write("the cat", return_full_text=True, return_tensors=True)
    with pytest.raises(InputTypeError, match="Text, or a list of messages, expected, got int"):
        write(42)
    with pytest.raises(InputTypeError, match="Input 1: Text, or a list"):
        write(["the cat", None], **GREEDY)
    with pytest.raises(InputTypeError, match="generation_config must be a GenerationConfig, got dict"):
        write("the cat", generation_config={"max_length": 3})
    with pytest.raises(ConfigError):
        write("the cat", min_new_tokens=9, max_new_tokens=3)
    with pytest.raises(InputTypeError, match=r"Message 1 of a chat has no role; it is or has: 'text', 'content'"):
        write([{"role": "user", "content": "cat"}, {"text": "dog", "content": ""}])


@pytest.mark.slow
def test_a_stream_gives_the_same_text_in_pieces(write: Any, learned: Any) -> None:
    whole = write(PROMPTS[0], return_full_text=False, do_sample=False, max_new_tokens=30)[0]["generated_text"]
    assert "".join(write(PROMPTS[0], stream=True, do_sample=False, max_new_tokens=30)) == whole
    assert next(iter(learned("the capital", stream=True, num_return_sequences=1))) == "of "
    assert len(list(learned("the", stream=True))) == 5
    shown: list[str] = []

    class Shown(samovar.generation.TextStreamer):
        def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
            shown.append(text)

    streamer = Shown(write.tokenizer, skip_prompt=True, skip_special_tokens=True)
    answers = write([PROMPTS[0], PROMPTS[-1]], streamer=streamer, return_full_text=False, **GREEDY)
    assert "".join(shown) == "".join(row[0]["generated_text"] for row in answers)


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "samovar-write"]


def large_tensors() -> int:
    gc.collect()
    return sum(type(one) is torch.Tensor and one.numel() > 500 for one in gc.get_objects())


@pytest.mark.slow
def test_leaving_a_stream_stops_the_work_and_frees_its_memory(learned: Any) -> None:
    list(learned("the capital", stream=True))
    before = large_tensors()
    options = {"max_new_tokens": 550, "eos_token_id": -1}
    steps: list[int] = []
    hook = learned.model.register_forward_pre_hook(lambda *_: steps.append(1))
    stream = learned("the capital", stream=True, **options)
    assert not writers()
    next(stream)
    stream.close()
    assert not writers()
    assert list(stream) == []
    assert len(steps) < 550
    del stream
    assert large_tensors() == before
    with learned("the capital", stream=True, **options) as pieces:
        next(pieces)
    assert not writers()
    dropped = learned("the capital", stream=True, **options)
    next(dropped)
    del dropped
    gc.collect()
    assert not writers()
    learned("the capital", stream=True, **options).close()
    hook.remove()


def test_streams_that_cannot_be(write: Any) -> None:
    with pytest.raises(InputError, match="A list cannot be streamed at once"):
        write(PROMPTS, stream=True)
    with pytest.raises(InputError, match="A stream is one answer"):
        write("the cat", stream=True, num_return_sequences=2)
    long = write("the cat and the dog " * 20, stream=True, **GREEDY)
    with pytest.raises(InputError, match="this model has 64 positions"):
        next(long)
    assert not writers()


def test_a_trained_model_says_what_it_learned(learned: Any) -> None:
    prompts = [f"the capital of {land} is" for land in CAPITALS]
    # Shorter texts in the batch are padded on the left, which changes nothing.
    found = [row[0]["generated_text"] for row in learned([*prompts, "the capital of"])]
    assert found[:-1] == list(CAPITALS.values())
    assert found[-1].split()[0] in CAPITALS
    assert learned(prompts[0]) == [{"generated_text": "paris"}]


TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{% if not loop.last or add_generation_prompt %}. "
    "{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)
ASKED = [{"role": "user", "content": "the cat or the dog?"}]
BEGUN = [*ASKED, {"role": "assistant", "content": "a very"}]


@pytest.fixture(scope="module")
def talk(folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same model with a chat template in its tokenizer's files."""
    where = tmp_path_factory.mktemp("talk")
    transformers.GPT2LMHeadModel.from_pretrained(folder).save_pretrained(where)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(where)
    return str(where)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"return_full_text": False}, {"continue_final_message": False}])
def test_chats_equal_the_reference(talk: str, options: dict[str, Any]) -> None:
    ours = pipeline("text-generation", model=talk, **GREEDY, **options)
    theirs = reference(talk)
    for chat in (ASKED, BEGUN):
        assert ours(chat) == theirs(chat, **GREEDY, **options)
    mixed = ours([BEGUN, ASKED, PROMPTS[0]])
    assert mixed[:2] == [ours(BEGUN), ours(ASKED)]
    assert mixed[2] == ours(PROMPTS[0])
    whole = "".join(ours(ASKED, stream=True))
    if "return_full_text" in options:
        assert ours(ASKED) == [{"generated_text": whole}]
    elif not options:
        assert ours(ASKED)[0]["generated_text"][-1] == {"role": "assistant", "content": whole}
