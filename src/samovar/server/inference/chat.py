"""Chats as OpenAI's clients write and read them: from the body of a request to a call, from an answer to JSON."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from samovar.server.errors import BadRequestError, UnprocessableError
from samovar.server.inference.contract import Call
from samovar.server.inference.inputs import length_of, within
from samovar.server.inference.parameters import MOST_TOKENS, options_of

USUAL_TOKENS = 256
MOST_MESSAGES = 500
# Keys of a body that are parameters of the writing; those that are not done here are refused by `options_of`.
WRITING = (
    "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs",
    "top_logprobs", "response_format", "repetition_penalty",
)  # fmt: skip


@dataclass(frozen=True)
class Chat:
    """One request, and what its answers have in common."""

    call: Call
    model: str
    most: int
    """Tokens that may be written."""
    count: bool
    """Whether a stream ends with the number of tokens."""
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def frame(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """An answer or a piece of one."""
        return {
            "id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices,
            "system_fingerprint": "samovar", **more,
        }  # fmt: skip

    def whole(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer, from the worker's message."""
        text = message["answer"][0]["generated_text"]
        said = text[-1] if isinstance(text, list) else {"role": "assistant", "content": text}
        choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": self.reason(message)}
        return self.frame("chat.completion", [choice], usage=usage(message))

    def chunks(self, message: dict[str, Any], first: bool) -> list[dict[str, Any]]:
        """What is streamed for one message of the worker."""
        delta = {"role": "assistant", "content": ""} if first else {}
        if "piece" in message:
            delta["content"] = message["piece"]
        ended = "piece" not in message
        choice = {"index": 0, "delta": delta, "logprobs": None,
                  "finish_reason": self.reason(message) if ended else None}  # fmt: skip
        chunks = [self.frame("chat.completion.chunk", [choice])]
        if ended and self.count:
            chunks.append(self.frame("chat.completion.chunk", [], usage=usage(message)))
        return chunks

    def reason(self, message: dict[str, Any]) -> str:
        """Why the writing ended."""
        return "length" if written(message) >= self.most else "stop"


def written(message: dict[str, Any]) -> int:
    """Tokens that were written."""
    return int((message.get("usage") or [0, 0])[1])


def usage(message: dict[str, Any]) -> dict[str, int]:
    """Tokens read and written."""
    read, wrote = message.get("usage") or [0, 0]
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def read_chat(body: Any, model: str) -> Chat:
    """The chat that a body asks for. Raises `BadRequestError`, `UnprocessableError`."""
    given = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(given, list) or not 0 < len(given) <= MOST_MESSAGES:
        raise BadRequestError("There are no `messages`.", 'Send {"messages": [{"role": "user", "content": "…"}]}.')
    messages = [message_of(one) for one in given]
    within(length_of(messages))
    if body.get("n") not in (None, 1) or body.get("tools"):
        raise UnprocessableError("Tools, and several answers at once, are not done here.", "Leave `tools` and `n` out.")
    most = tokens_of(body)
    options = options_of("text-generation", {name: body[name] for name in WRITING if name in body}, {}, writes=True)
    options |= {"max_new_tokens": most, "return_full_text": False}
    streaming = body.get("stream_options")
    count = isinstance(streaming, dict) and bool(streaming.get("include_usage"))
    return Chat(Call(messages, options, bool(body.get("stream"))), model, most, count)


def message_of(one: Any) -> dict[str, str]:
    """A message; of content in parts, the texts. Raises `BadRequestError`."""
    content = one.get("content") if isinstance(one, dict) else None
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str) or not isinstance(one.get("role"), str):
        raise BadRequestError("A message has no `role` and text.", 'Send {"role": "user", "content": "…"}.')
    return {"role": one["role"], "content": content}


def tokens_of(body: dict[str, Any]) -> int:
    """How many tokens to write."""
    wanted = body.get("max_completion_tokens") or body.get("max_tokens") or USUAL_TOKENS
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise BadRequestError("`max_tokens` must be a positive number.", f"Leave it out for {USUAL_TOKENS}.")
    return min(wanted, MOST_TOKENS)
