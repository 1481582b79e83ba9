"""The program of one worker: loads one model as a pipeline, answers calls from its standard input, in batches.

Messages in both directions are JSON lines; files travel in base64 under `{"file": kind, "bytes": …}`. In: `{"calls":
[{id, inputs, options}]}`, `{"stream": id, inputs, options}`, `{"cancel": id}`. Out: `{"ready": seconds}`, `{"failed":
message}`, `{"id", "answer"}`, `{"id", "error"}`, `{"id", "piece"}`, `{"id", "end": text}`; answers and ends of writing
also have `"usage": [tokens read, tokens written]`.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from samovar.errors import SamovarError
from samovar.server.inference.contract import WRITING
from samovar.server.inference.media import answered, given, plain


class Worker:
    """One model and its calls."""

    def __init__(self, task: str, pipe: Any, out: TextIO) -> None:
        self.task, self.pipe, self.out = task, pipe, out
        self.waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.cancelled: set[int] = set()
        self.writing = threading.Lock()

    def say(self, **message: Any) -> None:
        """Send a message to the Hub."""
        with self.writing:
            self.out.write(json.dumps(message, default=plain) + "\n")
            self.out.flush()

    def listen(self, lines: Iterator[str]) -> None:
        """Take messages; the end of them ends the worker."""
        for line in lines:
            message = json.loads(line)
            if "cancel" in message:
                self.cancelled.add(message["cancel"])
            else:
                self.waiting.put(message)
        self.waiting.put(None)

    def work(self) -> None:
        """Answer until the messages end."""
        while (message := self.waiting.get()) is not None:
            if "stream" in message:
                self.stream(message)
            else:
                self.answer([call for call in message["calls"] if call["id"] not in self.cancelled])

    def answer(self, calls: list[dict[str, Any]]) -> None:
        """Calls with the same options go through the pipeline together."""
        groups: dict[str, list[tuple[int, Any, dict[str, Any]]]] = {}
        for call in calls:
            try:
                inputs = given(call["inputs"])
            except Exception as error:  # What one visitor sent is no other's concern.
                self.say(id=call["id"], error=said(error))
                continue
            alone = call["id"] if isinstance(inputs, list) else None
            key = json.dumps([call["options"], alone], sort_keys=True)
            groups.setdefault(key, []).append((call["id"], inputs, call["options"]))
        for group in groups.values():
            options = self.stoppable(group[0][2], [number for number, _, _ in group])
            if len(group) > 1:
                try:
                    answers = list(self.pipe([inputs for _, inputs, _ in group], **options))
                except Exception:
                    # One bad input must not spoil the others: each alone, then.
                    answers = []
                if len(answers) == len(group):
                    for (number, inputs, _), answer in zip(group, answers, strict=True):
                        self.tell(number, inputs, answer)
                    continue
            for number, inputs, _ in group:
                if number in self.cancelled:
                    continue
                try:
                    self.tell(number, inputs, self.pipe(inputs, **options))
                except Exception as error:
                    self.say(id=number, error=said(error))

    def stoppable(self, options: dict[str, Any], numbers: list[int]) -> dict[str, Any]:
        """The options of calls; text that is written for nobody any more ends after the token at hand."""
        if self.task not in WRITING:
            return options

        def forgotten(ids: Any, scores: Any, **more: Any) -> bool:
            return self.cancelled.issuperset(numbers)

        return options | {"stopping_criteria": [forgotten]}

    def tell(self, number: int, inputs: Any, answer: Any) -> None:
        """Send an answer."""
        usage = self.usage(inputs, answer) if self.task == "text-generation" else {}
        self.say(id=number, answer=answered(answer), **usage)

    def stream(self, message: dict[str, Any]) -> None:
        """Write an answer piece by piece."""
        number, whole = message["stream"], ""
        try:
            inputs = given(message["inputs"])
            with self.pipe(inputs, stream=True, **message["options"]) as pieces:
                for piece in pieces:
                    if number in self.cancelled:
                        return
                    whole += piece
                    self.say(id=number, piece=piece)
            self.say(id=number, end=whole, **self.usage(inputs, [{"generated_text": whole}]))
        except Exception as error:
            self.say(id=number, error=said(error))

    def usage(self, inputs: Any, answer: Any) -> dict[str, Any]:
        """How many tokens were read and written, by the model's own tokenizer."""
        tokenizer, text = getattr(self.pipe, "tokenizer", None), answer
        while isinstance(text, list | dict):
            text = text.get("generated_text", text.get("content")) if isinstance(text, dict) else text[-1]
        if tokenizer is None or not isinstance(text, str):
            return {}
        try:
            if isinstance(inputs, str):
                read = len(tokenizer(inputs)["input_ids"])
                text = text.removeprefix(inputs)
            else:
                read = len(tokenizer.apply_chat_template(inputs, add_generation_prompt=True, return_dict=False))
            return {"usage": [read, len(tokenizer(text, add_special_tokens=False)["input_ids"])]}
        except (SamovarError, TypeError, KeyError):
            return {}


def said(error: Exception) -> str:
    """What a visitor is told: our own errors as they are, of others the kind."""
    if isinstance(error, SamovarError):
        return f"{error.cause} {error.next_step}".strip()
    return f"The model failed ({type(error).__name__})."


def load(task: str, folder: str) -> Any:
    """The pipeline of a model; code of its repository is never run."""
    if task == "feature-extraction":
        from samovar.server.inference.vectors import Vectors

        return Vectors(folder)
    from samovar import pipeline

    return pipeline(task, model=folder, trust_remote_code=False)


def main() -> int:
    """`python -m samovar.server.inference.worker TASK FOLDER`."""
    task, folder = sys.argv[1:3]
    # Whatever a library prints must not stand between messages.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    began = time.monotonic()
    try:
        pipe = load(task, folder)
    except Exception as error:
        out.write(json.dumps({"failed": said(error)}) + "\n")
        out.flush()
        return 1
    worker = Worker(task, pipe, out)
    worker.say(ready=round(time.monotonic() - began, 3))
    threading.Thread(target=worker.listen, args=(iter(sys.stdin.readline, ""),), daemon=True).start()
    worker.work()
    return 0


if __name__ == "__main__":
    sys.exit(main())
