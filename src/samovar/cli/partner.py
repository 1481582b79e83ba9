"""The one who answers in `samovar chat`: a language model, its tokenizer and the options of decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from samovar.auto import AutoModelForCausalLM, AutoTokenizer
from samovar.cli.conversation import Conversation, Message
from samovar.errors import InputError, TaskError
from samovar.generation.lengths import window
from samovar.pipelines.registry import cannot_do
from samovar.pipelines.streams import TextStream


def trained(name: str, loading: dict[str, Any]) -> Any:
    """The model; raises `TaskError` rather than let random weights talk."""
    model, found = AutoModelForCausalLM.from_pretrained(name, output_loading_info=True, **loading)
    if found["missing_keys"] or found["mismatched_keys"]:
        saved_from = (model.config.architectures or [type(model).__name__])[0]
        raise TaskError(*cannot_do(saved_from, "text-generation"))
    return model


class Partner:
    """Answers conversations; `decoding` goes to `generate`, `max_new_tokens` bounds each answer.

    A tokenizer with a chat template writes the messages out by it. Without one the model goes on with the text of the
    conversation. `seed` makes the session repeatable; each answer draws with another one, so that a second try differs.
    """

    def __init__(self, name: str, decoding: dict[str, Any], max_new_tokens: int, **loading: Any) -> None:
        where = {key: value for key, value in loading.items() if key == "revision"}
        self.tokenizer = AutoTokenizer.from_pretrained(name, **where)
        self.model = trained(name, loading)
        self.decoding = dict(decoding)
        self.seed: int | None = self.decoding.pop("seed", None)
        self.max_new_tokens = max_new_tokens
        self.limit, _ = window(self.model)
        self.answers = 0
        if self.model.generation_config.eos_token_id is None and self.tokenizer.eos_token_id is not None:
            self.decoding.setdefault("eos_token_id", self.tokenizer.eos_token_id)

    @property
    def has_template(self) -> bool:
        """Whether the checkpoint says how messages are written out."""
        return bool(getattr(self.tokenizer, "chat_template", None)) and hasattr(self.tokenizer, "apply_chat_template")

    def answer(self, conversation: Conversation, notice: Callable[[str], None]) -> TextStream:
        """The pieces of an answer; `notice` is told what was left out. Raises `InputError` when nothing fits."""
        inputs, dropped = self.fitting(conversation)
        if dropped:
            notice(f"The oldest {dropped} message(s) and their answers no longer fit, and are left out of the prompt.")
        length = inputs["input_ids"].shape[1]
        longest = self.max_new_tokens if self.limit is None else min(self.max_new_tokens, self.limit - length)
        options: dict[str, Any] = {"max_new_tokens": longest, **self.decoding}
        if self.seed is not None:
            options["seed"] = self.seed + self.answers
        self.answers += 1

        def write(streamer: Any) -> None:
            self.model.generate(**inputs, streamer=streamer, tokenizer=self.tokenizer, **options)

        return TextStream(self.tokenizer, write, skip_special_tokens=True)

    def fitting(self, conversation: Conversation) -> tuple[Any, int]:
        """The prompt's tensors, and how many of the oldest exchanges had to be left out to leave room for an answer."""
        count = max(conversation.exchanges(), 1)
        for dropped in range(count):
            inputs = self.encoded(conversation.without_oldest(dropped))
            length = inputs["input_ids"].shape[1]
            if self.limit is None or length + min(self.max_new_tokens, self.limit // 4) <= self.limit:
                return inputs, dropped
        # The last message alone: any room will do.
        if length < self.limit:
            return inputs, count - 1
        raise InputError(
            f"The message takes {length} tokens; this model reads {self.limit}, which leaves no room to answer.",
            "Shorten it.",
        )

    def encoded(self, messages: list[Message]) -> Any:
        """The tensors of a prompt, on the model's device."""
        templated = self.has_template
        if templated:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        else:
            text = self.transcript(messages)
        inputs = self.tokenizer(
            text, return_tensors="pt", add_special_tokens=not templated, return_token_type_ids=False, verbose=False
        )
        return {name: tensor.to(self.model.device) for name, tensor in inputs.items()}

    def transcript(self, messages: list[Message]) -> str:
        """The messages as one text that the model goes on with: what it wrote stands right behind what it read."""
        text = ""
        for message in messages:
            if message["role"] == "assistant":
                text += ("" if self.keeps_spaces() else " ") + message["content"]
            else:
                text += ("\n" if text else "") + message["content"]
        return text

    def keeps_spaces(self) -> bool:
        """Whether the pieces of an answer begin with the space that stands before them."""
        ids = self.tokenizer("a b", add_special_tokens=False)["input_ids"]
        return self.tokenizer.decode(ids[-1:]).startswith(" ")
