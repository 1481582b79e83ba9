"""A conversation: messages, and what can be done with them between answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from samovar.errors import InputError

Message = dict[str, str]
ROLES = ("system", "user", "assistant")


class Conversation:
    """Messages in order; a system message stands first, if there is one."""

    def __init__(self, system: str | None = None) -> None:
        self.system = system
        self.turns: list[Message] = []

    @property
    def messages(self) -> list[Message]:
        """All messages, as chat templates take them."""
        first = [] if self.system is None else [{"role": "system", "content": self.system}]
        return first + self.turns

    def add(self, role: str, text: str) -> None:
        """Add a message at the end."""
        self.turns.append({"role": role, "content": text})

    def undo(self) -> bool:
        """Take back the last message of the user and what followed it; False when there is none."""
        while self.turns:
            if self.turns.pop()["role"] == "user":
                return True
        return False

    def unanswered(self) -> bool:
        """Take back the last answer, so that it can be written anew; False when there is nothing to answer."""
        if self.turns and self.turns[-1]["role"] == "assistant":
            self.turns.pop()
        return bool(self.turns)

    def clear(self) -> None:
        """Forget all but the system message."""
        self.turns = []

    def without_oldest(self, count: int) -> list[Message]:
        """The messages without the first `count` messages of the user and their answers."""
        starts = [place for place, message in enumerate(self.turns) if message["role"] == "user"]
        return self.messages[: self.system is not None] + self.turns[starts[count] if count else 0 :]

    def exchanges(self) -> int:
        """How many messages of the user there are."""
        return sum(message["role"] == "user" for message in self.turns)

    def save(self, path: Path, model: str) -> None:
        """Write the conversation as JSON. Raises `InputError` rather than replace a file that is no conversation."""
        from samovar.hub.atomic import write_file

        if path.exists():
            try:
                read_messages(path)
            except InputError as error:
                raise InputError(f"{path} exists, and is no conversation.", "Save under another name.") from error
        if not path.absolute().parent.is_dir():
            raise InputError(f"There is no folder {path.parent}.", "Save into one that exists.")
        values: dict[str, Any] = {"model": model, "messages": self.messages}
        write_file(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")

    def load(self, path: Path) -> None:
        """Go on with a conversation that was saved. Raises `InputError`, and keeps the present one."""
        messages = read_messages(path)
        self.system = messages.pop(0)["content"] if messages and messages[0]["role"] == "system" else None
        self.turns = messages


def read_messages(path: Path) -> list[Message]:
    """The messages of a file: a list of them, or a mapping that holds the list. Raises `InputError`."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}.", "Name a file that /save has written.") from error
    messages = values.get("messages") if isinstance(values, dict) else values
    if not isinstance(messages, list):
        raise InputError(f"{path} holds no list of messages.", "Name a file that /save has written.")
    for place, message in enumerate(messages):
        valid = isinstance(message, dict) and message.get("role") in ROLES and isinstance(message.get("content"), str)
        if not valid or (place and message["role"] == "system"):
            raise InputError(
                f"Message {place} of {path} cannot be used: {json.dumps(message, ensure_ascii=False)[:100]}.",
                'Write messages as {"role": "user", "content": "…"}; a system message stands first.',
            )
    return [{"role": message["role"], "content": message["content"]} for message in messages]
