"""The program of one worker: loads one model as a pipeline, answers calls from its standard input, in batches.

Messages in both directions are JSON lines; bytes travel in base64 under `{"bytes": …}`. In: `{"calls": [{id, inputs,
options}]}`, `{"stream": id, inputs, options}`, `{"cancel": id}`. Out: `{"ready": seconds}`, `{"failed": message}`,
`{"id", "answer"}`, `{"id", "error"}`, `{"id", "piece"}`, `{"id", "end": text}`.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, TextIO

from samovar.errors import SamovarError


class Worker:
    """One model and its calls."""

    def __init__(self, pipe: Any, out: TextIO) -> None:
        self.pipe, self.out = pipe, out
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
        groups: dict[str, list[dict[str, Any]]] = {}
        for call in calls:
            alone = isinstance(call["inputs"], list)
            groups.setdefault(json.dumps([call["options"], call["id"] if alone else None], sort_keys=True), []).append(
                call
            )
        for group in groups.values():
            inputs, options = [given(call["inputs"]) for call in group], group[0]["options"]
            if len(group) > 1:
                try:
                    answers = list(self.pipe(inputs, **options))
                except Exception:
                    # One bad input must not spoil the others: each alone, then.
                    answers = []
                if len(answers) == len(group):
                    for call, answer in zip(group, answers, strict=True):
                        self.say(id=call["id"], answer=answer)
                    continue
            for call, one in zip(group, inputs, strict=True):
                try:
                    self.say(id=call["id"], answer=self.pipe(one, **options))
                except Exception as error:
                    self.say(id=call["id"], error=said(error))

    def stream(self, message: dict[str, Any]) -> None:
        """Write an answer piece by piece."""
        number, whole = message["stream"], ""
        try:
            with self.pipe(given(message["inputs"]), stream=True, **message["options"]) as pieces:
                for piece in pieces:
                    if number in self.cancelled:
                        return
                    whole += piece
                    self.say(id=number, piece=piece)
            self.say(id=number, end=whole)
        except Exception as error:
            self.say(id=number, error=said(error))


def given(value: Any) -> Any:
    """An input as pipelines take it: bytes of an image become the image."""
    if isinstance(value, dict) and set(value) == {"bytes"}:
        import io

        from PIL import Image

        return Image.open(io.BytesIO(base64.b64decode(value["bytes"]))).convert("RGB")
    return value


def said(error: Exception) -> str:
    """What a visitor is told: our own errors as they are, of others the kind."""
    return str(error) if isinstance(error, SamovarError) else f"The model failed ({type(error).__name__})."


def plain(value: Any) -> Any:
    """Arrays and tensors as lists."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def main() -> int:
    """`python -m samovar.server.inference.worker TASK FOLDER`."""
    task, folder = sys.argv[1:3]
    # Whatever a library prints must not stand between messages.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    began = time.monotonic()
    try:
        from samovar import pipeline

        pipe = pipeline(task, model=folder, trust_remote_code=False)
    except Exception as error:
        out.write(json.dumps({"failed": said(error)}) + "\n")
        out.flush()
        return 1
    worker = Worker(pipe, out)
    worker.say(ready=round(time.monotonic() - began, 3))
    threading.Thread(target=worker.listen, args=(iter(sys.stdin.readline, ""),), daemon=True).start()
    worker.work()
    return 0


if __name__ == "__main__":
    sys.exit(main())
