"""`samovar …` for a shell, as a copy of the process whose socket is at $DOCS_FORKS: see `tests/forks.py`.

It asks as `Forks.start` does there, and imports nothing for it: Python is started once more for each line of a page.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(os.environ["DOCS_FORKS"])
request = {"arguments": sys.argv[1:], "cwd": os.getcwd(), "environment": dict(os.environ)}
socket.send_fds(connection, [json.dumps(request).encode()], (0, 1, 2))
answers = connection.makefile()
number = int(answers.readline())
signal.signal(signal.SIGTERM, lambda *_: os.kill(number, signal.SIGTERM))
status = int(answers.readline())
sys.exit(status if status >= 0 else 128 - status)
