"""`samovar chat`: what is shown is what `generate` writes for the conversation so far, in a pipe and in a terminal."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from driving import Command
from terminal import Terminal

from assets import minilm_folder
from samovar import AutoModelForCausalLM, AutoTokenizer, GPT2Config


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers take minutes to end."""
    folder = tmp_path_factory.mktemp("talker")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=100_000, initializer_range=0.3,
        bos_token_id=None, eos_token_id=None, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def written(folder: Path, prompt: str, special: bool = True, **options: Any) -> str:
    """What the model writes after a prompt, with the tokenizer's special tokens around it or without."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False, add_special_tokens=special)
    ids = model.generate(**inputs, **options)
    return tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The answers."""
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


SHORT = ("--max-new-tokens", "6")


# In a pipe --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_model_without_a_template_goes_on_with_the_text(command: Command, writer: Path) -> None:
    done = command("chat", writer, *SHORT, input="The tea\nis good\n")
    first = written(writer, "The tea", max_new_tokens=6)
    second = written(writer, f"The tea {first}\nis good", max_new_tokens=6)
    assert lines(done) == [first, second]
    assert "no chat template" in done.stderr
    assert "GPT2LMHeadModel, 128 tokens" in done.stderr
    assert command("chat", writer, *SHORT, "--quiet", input="The tea\n").stderr == ""


@pytest.mark.slow
def test_drawn_answers_repeat_with_a_seed_and_change_with_a_retry(command: Command, writer: Path) -> None:
    given = ("chat", writer, *SHORT, "--temperature", "0.9", "--top-p", "0.95", "--top-k", "50", "--seed", "5")
    one, two = (lines(command(*given, input="The tea\n/retry\n")) for _ in range(2))
    options = {"do_sample": True, "temperature": 0.9, "top_p": 0.95, "top_k": 50, "max_new_tokens": 6}
    assert one == two == [written(writer, "The tea", seed=seed, **options) for seed in (5, 6)]
    assert one[0] != one[1]
    other = lines(command(*given[:-1], "6", input="The tea\n"))
    assert other == one[1:]


def test_options_of_generate(command: Command, writer: Path) -> None:
    options = ("--temperature", "0", "--option", "repetition_penalty=5.0", "--option", "max_new_tokens=4")
    done = command("chat", writer, *options, input="The tea\n")
    assert lines(done) == [written(writer, "The tea", do_sample=False, repetition_penalty=5.0, max_new_tokens=4)]


@pytest.mark.slow
def test_commands(command: Command, writer: Path, tmp_path: Path) -> None:
    talk, other = tmp_path / "talk.json", tmp_path / "other.json"
    other.write_text(json.dumps([{"role": "user", "content": "Milk"}, {"role": "assistant", "content": "is white"}]))
    typed = [
        "/system Be brief", "one", "two", "/undo", f"/save {talk}", "/clear", "/system", "//slash", f"/load {other}",
        "and jam", "/system -", "/help", "two \\", "lines", f"/save {other}", "/exit", "never said",
    ]  # fmt: skip
    done = command("chat", writer, *SHORT, input="\n".join(typed) + "\n")
    answers = [written(writer, "Be brief\none", max_new_tokens=6)]
    answers.append(written(writer, f"Be brief\none {answers[0]}\ntwo", max_new_tokens=6))
    answers.append(written(writer, "Be brief\n/slash", max_new_tokens=6))
    answers.append(written(writer, "Milk is white\nand jam", max_new_tokens=6))
    answers.append(written(writer, f"Milk is white\nand jam {answers[3]}\ntwo \nlines", max_new_tokens=6))
    assert lines(done) == answers
    saved = json.loads(talk.read_text("utf-8"))
    assert saved == {
        "model": str(writer),
        "messages": [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": answers[0]},
        ],
    }
    assert [one["content"] for one in json.loads(other.read_text("utf-8"))["messages"]][-2:] == [
        "two \nlines", answers[4]
    ]  # fmt: skip
    for words in ("System message: Be brief", "System message: none", "Taken back; 1 message(s)", "/retry  "):
        assert words in done.stderr
    again = command("chat", writer, *SHORT, "--load", talk, "--system", "Be long", input="two\n")
    assert lines(again) == [written(writer, f"Be long\none {answers[0]}\ntwo", max_new_tokens=6)]


def test_what_cannot_be_done_is_said_and_the_talk_goes_on(command: Command, writer: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Do not lose these.")
    broken = tmp_path / "broken.json"
    broken.write_text('[{"role": "cook", "content": "Tea!"}]')
    typed = [
        "/retry", "/undo", "/hlep", "/save", f"/save {notes}", f"/save {tmp_path}/no/talk.json", f"/load {broken}",
        f"/load {tmp_path}/nothing.json", "tea " * 300, "The tea",
    ]  # fmt: skip
    done = command("chat", writer, *SHORT, input="\n".join(typed) + "\n")
    assert done.returncode == 1, "in a pipe, whoever started it should know"
    assert done.stdout.splitlines() == [written(writer, "The tea", max_new_tokens=6)]
    said = done.stderr
    for words in (
        "no answer to write anew", "nothing to take back", "Did you mean 'help'", "/save needs the name of a file",
        "is no conversation", "There is no folder", "Message 0 of", "nothing.json cannot be read",
        "The message takes 302 tokens; this model reads 128",
    ):  # fmt: skip
        assert words in said
    assert "Traceback" not in said
    assert notes.read_text() == "Do not lose these."


def test_a_long_talk_loses_its_beginning(command: Command, writer: Path) -> None:
    done = command("chat", writer, "--max-new-tokens", "20", input=f"{'tea ' * 60}\n{'jam ' * 60}\n")
    assert lines(done)[1] == written(writer, "jam " * 60, max_new_tokens=20)
    assert "The oldest 1 message(s)" in done.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["{model}/nothing"], "There is no folder"),
        (["{model}", "--max-new-tokens", "0"], "must be at least 1"),
        (["{model}", "--load", "{model}/config.json"], "holds no list of messages"),
        (["{model}", "--device", "cup"], "Unknown device"),
        (["{reader}"], "no trained head for 'text-generation'"),
    ],
)
def test_what_cannot_talk(given: list[str], words: str, writer: Path, reader: Path, command: Command) -> None:
    done = command("chat", *(one.format(model=writer, reader=reader) for one in given), input="The tea\n")
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture(scope="session")
def speaker(writer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The writer with a chat template."""
    folder = Path(shutil.copytree(writer, tmp_path_factory.mktemp("speaker") / "model"))
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"chat_template": TEMPLATE}), "utf-8")
    return folder


def test_messages_are_written_out_by_the_template(command: Command, speaker: Path) -> None:
    done = command("chat", speaker, *SHORT, "--system", "Be brief", input="The tea\nis good\n")
    start = "system: Be brief\nuser: The tea\nassistant:"
    first = written(speaker, start, False, max_new_tokens=6)
    second = written(speaker, f"{start} {first}\nuser: is good\nassistant:", False, max_new_tokens=6)
    assert lines(done) == [first, second]
    assert "no chat template" not in done.stderr


# In a terminal ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ctrl_c_stops_the_answer_and_the_talk_goes_on(talker: Path, tmp_path: Path) -> None:
    saved = tmp_path / "talk.json"
    with Terminal("chat", talker, "--max-new-tokens", "50000", "--temperature", "1", "--seed", "1") as terminal:
        terminal.expect("Ctrl-D ends.")
        terminal.expect("> ")
        terminal.type("The tea \\\n")
        terminal.expect("… ")
        terminal.type("is\n")
        terminal.expect("is\n")
        while len(terminal.shown.split()) < 20:
            assert terminal.read(5)
        terminal.type("\x03")
        terminal.expect("Stopped.")
        terminal.expect("> ")
        terminal.type(f"/save {saved}\n")
        terminal.expect("Saved: ")
        terminal.expect("> ")
        terminal.interrupt("Ctrl-D or /exit ends.")
        terminal.type("/undo\n")
        terminal.expect("Taken back; 0 message(s)")
        terminal.expect("> ")
        terminal.type("\x04")
        assert terminal.ended() == 0
        assert "Traceback" not in terminal.shown
    question, answer = json.loads(saved.read_text("utf-8"))["messages"]
    assert question["content"] == "The tea \nis"
    assert 15 < len(answer["content"].split()) < 20_000
    whole = written(talker, "The tea \nis", do_sample=True, temperature=1.0, seed=1, max_new_tokens=40)
    assert answer["content"].split()[:10] == whole.split()[:10]
