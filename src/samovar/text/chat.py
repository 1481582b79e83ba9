"""Chats as the text that a model reads, by the template that comes with its tokenizer.

Templates are Jinja programs out of a repository, so they run in Jinja's sandbox: they see messages, tools, documents
and the tokenizer's special tokens, and can change and reach nothing else.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from samovar.errors import InputError, InputTypeError, TokenizerError, did_you_mean
from samovar.text.tools import get_json_schema

TEMPLATE_FILE, TEMPLATE_FOLDER = "chat_template.jinja", "additional_chat_templates"
# Around what the model wrote itself; characters for private use, which no text should hold.
BEGIN, END = "\U000f5a01", "\U000f5a02"
DEFAULT = "default"


class ChatTemplates:
    """What tokenizers know about chats. `chat_template` is one template, or several by name."""

    settings: dict[str, Any]
    special_tokens_map: dict[str, Any]

    @property
    def chat_template(self) -> str | dict[str, str] | None:
        """The template of the tokenizer's files, or several by name."""
        found = self.settings.get("chat_template")
        if isinstance(found, list):
            return {one["name"]: one["template"] for one in found}
        return found

    @chat_template.setter
    def chat_template(self, template: str | dict[str, str] | None) -> None:
        self.settings["chat_template"] = template

    def get_chat_template(self, chat_template: str | None = None, tools: Sequence[Any] | None = None) -> str:
        """The template of this name or itself; without one the tokenizer's, the one for tools where there are any.

        Raises `TokenizerError` where there is none.
        """
        own = self.chat_template
        if isinstance(own, dict):
            if chat_template in own:
                return own[chat_template]
            if chat_template is None:
                name = "tool_use" if tools is not None and "tool_use" in own else DEFAULT
                if name in own:
                    return own[name]
                raise TokenizerError(
                    f"This tokenizer has several chat templates and no default: {', '.join(own)}.",
                    "Name one: chat_template=…",
                )
        elif chat_template is None:
            if own:
                return own
            raise TokenizerError(
                f"{getattr(self, 'name_or_path', '') or 'This tokenizer'} has no chat template.",
                "Pass chat_template=…, or use a model that was made for chats.",
            )
        assert chat_template is not None
        if isinstance(own, dict) and "{" not in chat_template:
            hint = did_you_mean(chat_template, own) or f"Known: {', '.join(own)}."
            raise TokenizerError(f"No chat template is called {chat_template!r}.", hint)
        return chat_template

    def apply_chat_template(
        self,
        conversation: Any,
        tools: Sequence[Callable[..., Any] | Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, str]] | None = None,
        chat_template: str | None = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = True,
        padding: bool | str = False,
        truncation: bool = False,
        max_length: int | None = None,
        return_tensors: str | None = None,
        return_dict: bool = True,
        return_assistant_tokens_mask: bool = False,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Write out a chat, a list of `{"role": …, "content": …}`, or several, and tokenize them.

        `tools` are functions with hints and docstrings, or their JSON schemas. `add_generation_prompt` ends with the
        beginning of an answer, `continue_final_message` with the last message left open. Further keyword arguments
        reach the template. `return_assistant_tokens_mask` marks what stands in the template's `generation` blocks.

        Returns the tokenizer's output; ids alone with `return_dict=False`, text with `tokenize=False`.
        Raises `InputError` or `InputTypeError` for messages that cannot be written out, `TokenizerError` for a template
        that is missing or wrong.
        """
        if add_generation_prompt and continue_final_message:
            raise InputError(
                "A chat cannot both begin an answer and go on with the last message.",
                "Set one of add_generation_prompt and continue_final_message.",
            )
        template = self.get_chat_template(chat_template, tools)
        batched, chats = as_chats(conversation)
        schemas = None if tools is None else [as_schema(tool) for tool in tools]
        given = {**self.special_tokens_map, "tools": schemas, "documents": documents, **kwargs}
        given["add_generation_prompt"] = add_generation_prompt
        texts = [render(template, chat, given) for chat in chats]
        if continue_final_message:
            texts = [left_open(text, chat) for text, chat in zip(texts, chats, strict=True)]
        spans = [assistant_spans(text) for text in texts]
        texts = [text.replace(BEGIN, "").replace(END, "") for text in texts]
        if not tokenize:
            return texts if batched else texts[0]
        if return_assistant_tokens_mask and not return_dict:
            raise InputError("A mask has no place beside ids alone.", "Pass return_dict=True.")
        options = {"padding": padding, "truncation": truncation, "max_length": max_length}
        options |= {"return_tensors": return_tensors, "add_special_tokens": False, **(tokenizer_kwargs or {})}
        found = self(texts if batched or return_tensors else texts[0], **options)  # type: ignore[operator]
        if return_assistant_tokens_mask:
            if not any(spans):
                raise TokenizerError(
                    "The chat template marks nothing as written by the model.",
                    "Put {% generation %} … {% endgeneration %} around it.",
                )
            add_mask(found, spans, batched, return_tensors)
        return found if return_dict else found["input_ids"]


def as_chats(conversation: Any) -> tuple[bool, list[list[Any]]]:
    """Whether several chats were given, and their messages. Raises `InputTypeError` for what is no chat."""
    conversation = getattr(conversation, "messages", conversation)
    if not isinstance(conversation, list | tuple) or not conversation:
        raise InputTypeError(
            f"A chat is a list of messages, got {type(conversation).__name__} ({conversation!r:.60}).",
            'Write it as [{"role": "user", "content": "…"}].',
        )
    first = getattr(conversation[0], "messages", conversation[0])
    batched = isinstance(first, list | tuple)
    given: Any = conversation if batched else [conversation]
    chats = [list(getattr(one, "messages", one)) for one in given]
    for chat in chats:
        for message in chat:
            if not isinstance(message, Mapping) or "role" not in message:
                raise InputTypeError(
                    f"A message has a role and a content, got {message!r:.80}.",
                    'Write it as {"role": "user", "content": "…"}.',
                )
    return batched, chats


def as_schema(tool: Any) -> Mapping[str, Any]:
    """A tool's JSON schema."""
    if isinstance(tool, Mapping):
        return tool
    if not callable(tool):
        raise InputTypeError(f"A tool is a function or its schema, got {type(tool).__name__}.", "Pass the function.")
    return get_json_schema(tool)


def render(template: str, messages: list[Any], given: Mapping[str, Any]) -> str:
    """The text of a chat. Raises `InputError` with the template's own words where it refuses the chat."""
    from jinja2.exceptions import SecurityError, TemplateError

    program = compiled(template)
    try:
        return str(program.render(messages=messages, **given))
    except SecurityError as error:
        raise TokenizerError(
            f"The chat template tried what its sandbox does not allow: {error}.", "Use a template that you trust."
        ) from error
    except TemplateError as error:
        raise InputError(
            f"The chat template refuses this chat: {error}.", "Change the messages accordingly."
        ) from error
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError, ZeroDivisionError) as error:
        raise InputError(
            f"The chat template fails on this chat: {type(error).__name__}: {error}.",
            "Check that each message has the keys that the template reads.",
        ) from error


@functools.lru_cache(maxsize=64)
def compiled(template: str) -> Any:
    """The program of a template. Raises `TokenizerError` with the line of a mistake."""
    from jinja2.exceptions import TemplateSyntaxError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[generation_blocks(), loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    try:
        return environment.from_string(template)
    except TemplateSyntaxError as error:
        raise TokenizerError(
            f"The chat template is wrong in line {error.lineno}: {error.message}.", "Correct the template."
        ) from error


def generation_blocks() -> type:
    """The extension for `{% generation %}`: what stands in it was written by the model."""
    from jinja2 import nodes
    from jinja2.ext import Extension

    class GenerationBlocks(Extension):
        """Puts marks around the block's text."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("marked"), [], [], body).set_lineno(line)

        def marked(self, caller: Callable[[], str]) -> str:
            """The text between marks."""
            return f"{BEGIN}{caller()}{END}"

    return GenerationBlocks


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is, where Jinja's own filter would write for web pages."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def refuse(message: str) -> NoReturn:
    """What templates call on chats that they cannot write out."""
    from jinja2.exceptions import TemplateError

    raise TemplateError(message)


def left_open(text: str, chat: list[Any]) -> str:
    """The text up to the end of the last message's content."""
    content = chat[-1].get("content")
    if isinstance(content, list | tuple):
        content = next((part["text"] for part in reversed(content) if "text" in part), None)
    if not isinstance(content, str) or content.strip() not in text:
        raise InputError(
            "The chat template does not write the last message out as it is, so it cannot be continued.",
            "Pass continue_final_message=False.",
        )
    begin = text.rindex(content.strip())
    end = begin + len(content.lstrip())
    # Templates that strip messages take the spaces at its end away.
    return text[:end] if text[begin:end] == content.lstrip() else text[: begin + len(content.strip())]


def assistant_spans(text: str) -> list[tuple[int, int]]:
    """Where the model's own words begin and end in the text without marks."""
    spans, position, begin = [], 0, 0
    for character in text:
        if character == BEGIN:
            begin = position
        elif character == END:
            spans.append((begin, position))
        else:
            position += 1
    return spans


def add_mask(found: Any, spans: list[list[tuple[int, int]]], batched: bool, return_tensors: str | None) -> None:
    """Add `assistant_masks`: 1 where a token holds a character of the model's own words."""
    rows = []
    for row, own in enumerate(spans):
        length = len(found["input_ids"][row]) if batched or return_tensors else len(found["input_ids"])
        mask = [0] * length
        for index in range(length):
            place = found.token_to_chars(row, index)
            if place is not None and any(place[0] < end and place[1] > begin for begin, end in own):
                mask[index] = 1
        rows.append(mask)
    if return_tensors == "pt":
        import torch

        found["assistant_masks"] = torch.tensor(rows)
    elif return_tensors == "np":
        import numpy

        found["assistant_masks"] = numpy.array(rows)
    else:
        found["assistant_masks"] = rows if batched else rows[0]
