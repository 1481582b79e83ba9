"""Chats are written out as by the reference, whatever the template; wrong and hostile templates are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import transformers
from transformers.utils import get_json_schema as reference_schema
from vocabularies import write_bpe

import samovar
from samovar.errors import InputError, InputTypeError, TokenizerError
from samovar.text.tools import get_json_schema

CHATML = """{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
INSTRUCT = """{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}
{% set messages = messages[1:] %}{% endif %}
{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate user/assistant.') }}
{% endif %}
{% if message['role'] == 'user' %}
{% set first = system + '\\n' if loop.first and system is defined else '' %}
{{ bos_token + '[INST] ' + first + message['content'] | trim + ' [/INST]' }}
{% else %}
{{ ' ' + message['content'] | trim + ' ' + eos_token }}
{% endif %}
{% endfor %}
"""
TOOLS = """{% if tools %}{{ 'Tools: ' + (tools | tojson) + '\\n' }}{% endif %}
{% for document in documents or [] %}
{{ document['title'] }}: {{ document['text'] }}
{% endfor %}
{% for message in messages %}
{% if message['role'] == 'skip' %}{% continue %}{% endif %}
<{{ message.role }}>{{ message.content }}
{% if message.tool_calls is defined %}{{ message.tool_calls | tojson(indent=2) }}{% endif %}
</{{ message.role }}>
{% endfor %}{{ note or '' }}
"""
MARKED = """{% for message in messages %}
{{ message['role'] }}:
{%- if message['role'] == 'assistant' %}{% generation %} {{ message['content'] }}
{% endgeneration %}{% else %} {{ message['content'] }}
{% endif %}{% endfor %}"""
TEMPLATES = {"chatml": CHATML, "instruct": INSTRUCT, "tools": TOOLS, "marked": MARKED}
TALK = [
    {"role": "system", "content": "Be brief & <polite>."},
    {"role": "user", "content": "Где чай? 茶はどこ?"},
    {"role": "assistant", "content": "  In the samovar. "},
    {"role": "user", "content": "Thanks 👩‍👩‍👧"},
]


def brew(
    tea: Literal["black", "green"], cups: int, sugar: float = 0.5, guests: list[str] | None = None, hot: bool = True
) -> dict[str, int]:
    """Make tea
    for everybody.

    Args:
        tea: The kind of tea.
        cups: How many cups,
            all in all.
        sugar: Spoons per cup.
        guests: Who comes.
        hot: Whether it is hot. (choices: [true, false])

    Returns:
        What is left.
    """
    raise NotImplementedError


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = write_bpe(tmp_path_factory.mktemp("chat"))
    theirs = transformers.GPT2Tokenizer.from_pretrained(folder)
    if theirs.pad_token is None:
        theirs.pad_token = theirs.eos_token
    theirs.save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder), samovar.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("prompt", [False, True])
def test_text_equals_the_references(pair: tuple[Any, Any], template: str, prompt: bool) -> None:
    for chat in (TALK, TALK[1:], TALK[1:2], [TALK, TALK[1:3]]):
        options = {"chat_template": TEMPLATES[template], "add_generation_prompt": prompt, "tokenize": False}
        wanted, found = (one.apply_chat_template(chat, **options) for one in pair)
        assert found == wanted


def test_tools_documents_and_other_arguments(pair: tuple[Any, Any]) -> None:
    chat = [
        *TALK,
        {"role": "skip", "content": "x"},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "чай"}]},
    ]
    documents = [{"title": "Tea", "text": "hot"}, {"title": "Jam", "text": "sweet"}]
    schema = {"type": "function", "function": {"name": "plain", "description": "ü", "parameters": {}}}
    options = {"chat_template": TOOLS, "tools": [brew, schema], "documents": documents, "tokenize": False, "note": "!"}
    wanted, found = (one.apply_chat_template(chat, **options) for one in pair)
    assert found == wanted
    assert get_json_schema(brew) == reference_schema(brew)


@pytest.mark.parametrize("options", [
    {}, {"return_dict": False}, {"padding": True}, {"padding": True, "return_tensors": "np"},
    {"truncation": True, "max_length": 12}, {"padding": "max_length", "max_length": 200, "return_tensors": "pt"},
    {"tokenizer_kwargs": {"return_special_tokens_mask": True}},
], ids=str)  # fmt: skip
def test_ids_equal_the_references(pair: tuple[Any, Any], options: dict[str, Any]) -> None:
    batch = [[TALK, TALK[:2]], TALK]
    for chat in batch[: 1 if "return_tensors" in options else 2]:
        wanted, found = (one.apply_chat_template(chat, chat_template=CHATML, **options) for one in pair)
        if options.get("return_dict") is False:
            assert found == wanted
            continue
        assert set(found) == set(wanted)
        for key in wanted:
            one, other = wanted[key], found[key]
            assert (one.tolist() == other.tolist()) if hasattr(one, "tolist") else one == other


@pytest.mark.parametrize("template", ["chatml", "instruct", "marked"])
def test_the_last_message_is_continued(pair: tuple[Any, Any], template: str) -> None:
    for content in ("So it", "So it ", " Then"):
        chat = [*TALK[1:], {"role": "assistant", "content": content}]
        options = {"chat_template": TEMPLATES[template], "continue_final_message": True, "tokenize": False}
        wanted, found = (one.apply_chat_template(chat, **options) for one in pair)
        assert found == wanted


def test_what_the_model_wrote_is_marked(pair: tuple[Any, Any]) -> None:
    for chat in (TALK, [TALK, TALK[:3]]):
        options = {"chat_template": MARKED, "return_assistant_tokens_mask": True}
        wanted, found = (one.apply_chat_template(chat, **options) for one in pair)
        assert found["assistant_masks"] == wanted["assistant_masks"]
        assert set(found) == set(wanted)
    with pytest.raises(TokenizerError, match="marks nothing"):
        pair[1].apply_chat_template(TALK, chat_template=CHATML, return_assistant_tokens_mask=True)


def test_templates_go_both_ways(pair: tuple[Any, Any], tmp_path: Path) -> None:
    theirs, _ = pair
    for template in (CHATML, {"default": CHATML, "tool_use": TOOLS}):
        theirs.chat_template = template
        theirs.save_pretrained(tmp_path / "theirs")
        read = samovar.AutoTokenizer.from_pretrained(tmp_path / "theirs")
        assert read.chat_template == template
        read.save_pretrained(tmp_path / "ours")
        assert transformers.AutoTokenizer.from_pretrained(tmp_path / "ours").chat_template == template
        written = [one.apply_chat_template(TALK, tools=[brew], tokenize=False) for one in (theirs, read)]
        assert written[0] == written[1]
    theirs.chat_template = None
    assert "default" in read.chat_template
    assert read.apply_chat_template(TALK, chat_template="tool_use", tokenize=False).startswith("<system>")
    with pytest.raises(TokenizerError, match="No chat template is called 'tool_us'"):
        read.apply_chat_template(TALK, chat_template="tool_us")
    # Older files hold templates in their settings, several of them as a list.
    config = tmp_path / "ours" / "tokenizer_config.json"
    (tmp_path / "ours" / "chat_template.jinja").unlink()
    for old in (CHATML, [{"name": "default", "template": CHATML}, {"name": "rag", "template": TOOLS}]):
        config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | {"chat_template": old}), "utf-8")
        again = samovar.AutoTokenizer.from_pretrained(tmp_path / "ours")
        assert again.get_chat_template() == CHATML
    assert again.get_chat_template("rag") == TOOLS


HOSTILE = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.append({'role': 'x'}) }}",
    "{% set x = messages[0].update({'role': 'x'}) %}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ raise_exception.__globals__.clear() }}",
]


@pytest.mark.parametrize("template", HOSTILE)
def test_the_sandbox_holds(pair: tuple[Any, Any], template: str) -> None:
    with pytest.raises((TokenizerError, InputError), match=r"sandbox does not allow|refuses|fails"):
        pair[1].apply_chat_template(TALK, chat_template=template)
    assert TALK[0]["role"] == "system"


@pytest.mark.parametrize(("chat", "template", "kind", "message"), [
    (TALK[2:], INSTRUCT, InputError, "Roles must alternate"),
    (TALK, "{% for x in range(10 ** 9) %}{% endfor %}", InputError, "fails on this chat: OverflowError"),
    (TALK, "{% if %}", TokenizerError, "wrong in line 1"),
    (TALK, "line\n{% generation %}", TokenizerError, "wrong in line"),
    (TALK, "{{ messages[0].content + 1 }}", InputError, "TypeError"),
    ([], CHATML, InputTypeError, "A chat is a list of messages"),
    ("Hello", CHATML, InputTypeError, "A chat is a list of messages"),
    ([{"content": "x"}], CHATML, InputTypeError, "has a role"),
    ([["Hello"]], CHATML, InputTypeError, "has a role"),
])  # fmt: skip
def test_errors(pair: tuple[Any, Any], chat: Any, template: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        pair[1].apply_chat_template(chat, chat_template=template)


def test_errors_of_the_call(pair: tuple[Any, Any]) -> None:
    ours = pair[1]
    ours.chat_template = None
    with pytest.raises(TokenizerError, match="has no chat template"):
        ours.apply_chat_template(TALK)
    options = {"chat_template": CHATML}
    with pytest.raises(InputError, match="cannot both begin an answer"):
        ours.apply_chat_template(TALK, add_generation_prompt=True, continue_final_message=True, **options)
    with pytest.raises(InputError, match="cannot be continued"):
        ours.apply_chat_template(TALK, chat_template="{{ messages[0].role }}", continue_final_message=True)
    with pytest.raises(InputTypeError, match="A tool is a function"):
        ours.apply_chat_template(TALK, tools=[3], **options)
    with pytest.raises(InputError, match="has no docstring"):
        ours.apply_chat_template(TALK, tools=[lambda x: x, brew], **options)
