"""`text-generation`: what a language model writes after a text, or as the next message of a chat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from samovar.errors import InputError, InputTypeError
from samovar.pipelines.generation import GenerationPipeline, Plan, return_kind
from samovar.pipelines.inputs import check_text
from samovar.pipelines.packing import Item
from samovar.pipelines.text import TOKENIZER_OPTIONS
from samovar.pipelines.transfer import pad_rows

SWITCHES = ("prefix", "handle_long_generation", "continue_final_message", "tools", "documents")
TOKENIZER_ARGUMENTS = ("truncation", "padding", "add_special_tokens", "tokenizer_encode_kwargs")


@dataclass(frozen=True)
class Chat:
    """Messages, each with `role` and `content`; one input, though it is a list."""

    messages: list[Mapping[str, Any]]

    def __post_init__(self) -> None:
        for place, message in enumerate(self.messages):
            missing = [key for key in ("role", "content") if not isinstance(message, Mapping) or key not in message]
            # A message that calls a tool has no content.
            if missing and not (isinstance(message, Mapping) and missing == ["content"] and "tool_calls" in message):
                held = ", ".join(map(repr, message)) if isinstance(message, Mapping) else type(message).__name__
                raise InputTypeError(
                    f"Message {place} of a chat has no {' and no '.join(missing)}; it is or has: {held}.",
                    'Write messages as {"role": "user", "content": "…"}.',
                )

    @property
    def unfinished(self) -> bool:
        """Whether the last message is the model's own, to be continued."""
        return self.messages[-1]["role"] == "assistant"


class TextGenerationPipeline(GenerationPipeline):
    """Text → `[{"generated_text": …}]`, one entry per `num_return_sequences`; a list in is a list of them out.

    An input is a str, or a chat: a list of `{"role", "content"}`, written out by the tokenizer's template; then
    `generated_text` is the chat with the answer as its last message. `return_full_text=False` gives only what is new,
    `return_tensors=True` ids (`generated_token_ids`, with the prompt). `prefix` stands before each text without being
    returned. `stop_sequence`, a str or several, ends an answer and is part of it. `handle_long_generation="hole"`
    drops the beginning of a text that leaves no room in the model's window. `continue_final_message` goes on with the
    last message; by default, if its role is `assistant`. `tools` and `documents` are for the template.

    Unless the call or the checkpoint says otherwise: at most 256 new tokens, drawn with temperature 0.7. A prompt that
    fills the model's window is an `InputError`; an empty one starts from the beginning-of-text token.
    """

    model_tasks = ("causal-lm",)
    generation_defaults = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}

    def _sanitize_parameters(
        self,
        return_full_text: bool | None = None,
        return_text: bool | None = None,
        return_tensors: bool | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        skip_special_tokens: bool | None = None,
        stop_sequence: str | list[str] | None = None,
        **kwargs: Any,
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        before = {name: kwargs.pop(name) for name in SWITCHES if kwargs.get(name) is not None}
        encode = {name: kwargs.pop(name) for name in TOKENIZER_ARGUMENTS if kwargs.get(name) is not None}
        encode |= encode.pop("tokenizer_encode_kwargs", {})
        if encode:
            before["encode"] = encode
        if before.get("handle_long_generation", "hole") != "hole":
            raise InputError(
                f"Unknown handle_long_generation {before['handle_long_generation']!r}.", "Pass 'hole', or leave it out."
            )
        after = {
            "kind": return_kind(return_tensors, return_text, return_full_text),
            "clean": clean_up_tokenization_spaces,
            "skip_special_tokens": skip_special_tokens,
            "goes_on": before.get("continue_final_message"),
        }
        if stop_sequence is not None:
            kwargs["stop_strings"] = [stop_sequence] if isinstance(stop_sequence, str) else list(stop_sequence)
        known = (*SWITCHES, *TOKENIZER_OPTIONS, "return_full_text", "return_tensors", "stop_sequence", "stream")
        during = self.generate_options(kwargs, known)
        return before, during, {name: value for name, value in after.items() if value is not None}

    def __call__(self, inputs: Any = None, *, text_inputs: Any = None, **kwargs: Any) -> Any:
        """See the class; `text_inputs` is another name of the argument."""
        inputs = text_inputs if inputs is None else inputs
        return super().__call__(Chat(list(inputs)) if is_chat(inputs) else inputs, **kwargs)

    def adjusted(self, before: dict[str, Any], during: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """A prefix does not count in total lengths."""
        if before.get("prefix"):
            added = len(self.tokenizer([before["prefix"]], add_special_tokens=False)["input_ids"][0])
            during = during | {name: during[name] + added for name in ("max_length", "min_length") if name in during}
        return before, during

    def prepare_many(  # type: ignore[override]
        self,
        inputs: list[Any],
        plan: Plan,
        prefix: str = "",
        handle_long_generation: str | None = None,
        continue_final_message: bool | None = None,
        tools: Any = None,
        documents: Any = None,
        encode: dict[str, Any] | None = None,
    ) -> list[list[Item]]:
        """Texts and chats, tokenized in one call each."""
        prompts = [Chat(list(value)) if is_chat(value) else value for value in inputs]
        chats = [isinstance(prompt, Chat) for prompt in prompts]
        options = {**(encode or {}), "padding": False, "return_attention_mask": False, "verbose": False}
        if options.get("truncation"):
            options.setdefault("max_length", self.limit)
        texts = [
            self.written_out(prompt, continue_final_message, tools, documents)
            if isinstance(prompt, Chat)
            else prefix + check_text(prompt, "Text, or a list of messages,")
            for prompt in prompts
        ]
        rows: list[list[int]] = [[]] * len(texts)
        for kind in (False, True):
            chosen = [index for index, chat in enumerate(chats) if chat == kind]
            if chosen:
                # A template writes the special tokens itself.
                own = {"add_special_tokens": False} if kind else {}
                found = self.tokenizer([texts[index] for index in chosen], **(options | own))["input_ids"]
                for index, ids in zip(chosen, found, strict=True):
                    rows[index] = ids
        if handle_long_generation == "hole":
            rows = [self.with_room(ids, plan) for ids in rows]
        return [
            [self.text_item(ids, plan, self.company(ids, plan), prompt)]
            for ids, prompt in zip(rows, prompts, strict=True)
        ]

    def written_out(self, chat: Chat, goes_on: bool | None, tools: Any, documents: Any) -> str:
        """A chat as the text that the model reads."""
        template = getattr(self.tokenizer, "apply_chat_template", None)
        if template is None:
            raise InputError("This tokenizer has no chat template.", "Pass a str, or use the model's own tokenizer.")
        goes_on = chat.unfinished if goes_on is None else goes_on
        further = {name: value for name, value in (("tools", tools), ("documents", documents)) if value is not None}
        return template(
            chat.messages,
            tokenize=False,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            **further,
        )

    def with_room(self, ids: list[int], plan: Plan) -> list[int]:
        """The end of a text, so that the new tokens fit into the model's window; raises `InputError`."""
        limit = self.limit
        new = plan.new_tokens if plan.new_tokens is not None else (plan.total or 0) - len(ids)
        if limit is None or len(ids) + new <= limit:
            return ids
        if not 0 < new < limit:
            raise InputError(
                f"{new} new tokens were asked for, and the model's window of {limit} leaves no room for a text.",
                "Lower max_new_tokens, or raise max_length above the text's length.",
            )
        return ids[new - limit :]

    def company(self, ids: list[int], plan: Plan) -> Any:
        """Which texts may share a batch: where the total length ends a text, only those that are as long.

        Otherwise the padding of a short text would count as if it were text.
        """
        fits = not self.ends_hard or self.window is None or len(ids) + (plan.new_tokens or 0) <= self.window
        return None if plan.new_tokens is not None and not plan.by_total and fits else len(ids)

    def padded(self, rows: list[np.ndarray], fill: int) -> Tensor:
        """On the left: what comes next stands beside the text's last token."""
        return pad_rows([row[::-1] for row in rows], fill).flip(1)

    def reduce(self, outputs: Tensor, items: list[Item], **after: Any) -> Tensor:
        """Only what is new."""
        return outputs[:, max(len(item.features["input_ids"]) for item in items) :]

    def finish(  # type: ignore[override]
        self,
        items: list[Item],
        values: list[Any],
        plan: Plan,
        kind: str = "full",
        clean: bool | None = None,
        skip_special_tokens: bool = True,
        goes_on: bool | None = None,
    ) -> Any:
        """One entry per answer."""
        prompt = items[0].extra[0]
        if kind == "tensors":
            read = items[0].features["input_ids"].tolist()
            return [{"generated_token_ids": [*read, *new]} for new in values[0]]
        texts = [self.tokenizer.decode(new, skip_special_tokens, clean) for new in values[0]]
        if kind == "new":
            return [{"generated_text": text} for text in texts]
        if isinstance(prompt, str):
            return [{"generated_text": prompt + text} for text in texts]
        return [{"generated_text": answered(prompt, text, goes_on)} for text in texts]


def is_chat(value: Any) -> bool:
    """Whether a list is the messages of one chat rather than several inputs."""
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def answered(chat: Chat, text: str, goes_on: bool | None) -> list[Any]:
    """The messages with the model's words: as a new message, or at the end of its last one."""
    if chat.unfinished if goes_on is None else goes_on:
        last = dict(chat.messages[-1])
        return [*chat.messages[:-1], {**last, "content": last["content"] + text}]
    return [*chat.messages, {"role": "assistant", "content": text}]
