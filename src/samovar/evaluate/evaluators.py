from typing import Any


def evaluator(task: str) -> Any: ...


class Evaluator: ...
