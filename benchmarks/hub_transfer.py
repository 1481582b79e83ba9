"""The Hub's transfers beside the machine's own limits: nginx sending the same file, writing and hashing the same bytes.

python benchmarks/hub_transfer.py [--megabytes 1000] [--repeat 7] [--folder /where/there/is/room]

Clients are plain sockets in processes of their own, the same for both sides, and the two sides take turns.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "server"))

import psutil
from measure import Row, at_least, at_most
from running_hub import RunningHub

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
BLOCK = 2**20
UPLOADS, UPLOAD_MEGABYTES, REQUESTS = 50, 20, 200
# Runs in its own process: asks for an address and takes everything that comes; prints the seconds.
READER = """
import socket, sys, time
host, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
start = time.perf_counter()
with socket.create_connection((host, port)) as connection:
    connection.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    buffer, count = bytearray(2**20), 0
    while got := connection.recv_into(buffer):
        count += got
assert count > int(sys.argv[4]), count
print(time.perf_counter() - start)
"""
# Sends `size` bytes of a repeated block to an address; prints the seconds.
WRITER = """
import http.client, sys, time
from urllib.parse import urlsplit
url, size = urlsplit(sys.argv[1]), int(sys.argv[2])
block = open(sys.argv[3], "rb").read()
start = time.perf_counter()
connection = http.client.HTTPConnection(url.hostname, url.port)
connection.putrequest("PUT", url.path)
connection.putheader("Content-Length", str(size))
connection.endheaders()
for at in range(0, size, len(block)):
    connection.send(block[: size - at])
answer = connection.getresponse()
assert answer.status == 200, answer.read()
print(time.perf_counter() - start)
"""


class Bench:
    """A Hub with a model, and the address of nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = RunningHub(folder / "hub")
        self.hub.start()
        self.api = self.hub.alice
        self.api.create_repo("alice/bench")
        assert self.hub.process is not None
        self.process = psutil.Process(self.hub.process.pid)

    def request(self, method: str, path: str, body: bytes, kind: str) -> dict[str, object]:
        """A request with alice's token; the JSON answer."""
        url = urlsplit(self.hub.url)
        connection = http.client.HTTPConnection(url.hostname or "", url.port)
        connection.request(method, path, body, {"Authorization": f"Bearer {self.api.token}", "Content-Type": kind})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 200, content
        return json.loads(content)

    def address(self, sha256: str, size: int) -> str:
        """Where to send a file."""
        asked = json.dumps({"operation": "upload", "objects": [{"oid": sha256, "size": size}]}).encode()
        found: dict = self.request("POST", "/alice/bench.git/info/lfs/objects/batch", asked, "application/json")
        return found["objects"][0]["actions"]["upload"]["href"]

    def commit(self, sha256: str, size: int) -> None:
        """Let the model refer to a file that was sent."""
        lines = [
            {"key": "header", "value": {"summary": "bench"}},
            {"key": "lfsFile", "value": {"path": "weights.bin", "algo": "sha256", "oid": sha256, "size": size}},
        ]
        body = "\n".join(map(json.dumps, lines)).encode()
        self.request("POST", "/api/models/alice/bench/commit/main", body, "application/x-ndjson")


def child(code: str, *arguments: object) -> float:
    """Seconds that a process of its own reports."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def repeated(block: bytes, size: int) -> str:
    """SHA-256 of a block, repeated to a size."""
    digest = hashlib.sha256()
    for at in range(0, size, len(block)):
        digest.update(block[: size - at])
    return digest.hexdigest()


def upload(bench: Bench, size: int, repeat: int) -> tuple[str, float, float]:
    """Send files; the hash of the last, median seconds of the Hub, and of writing, hashing and syncing alone."""
    ours, raw = [], []
    block_file = bench.folder / "block"
    sha256 = ""
    for _ in range(repeat):
        block = os.urandom(BLOCK)
        block_file.write_bytes(block)
        sha256 = repeated(block, size)
        ours.append(child(WRITER, bench.address(sha256, size), size, block_file))
        raw.append(timed(lambda block=block: write_raw(bench.folder / "raw", block, size)))
    return sha256, statistics.median(ours), statistics.median(raw)


def write_raw(path: Path, block: bytes, size: int) -> None:
    """What cannot be saved: write, hash, and wait for the disk."""
    digest = hashlib.sha256()
    with path.open("wb", buffering=0) as file:
        for at in range(0, size, len(block)):
            piece = block[: size - at]
            digest.update(piece)
            file.write(piece)
        os.fsync(file.fileno())
    path.unlink()


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def nginx(folder: Path, served: Path) -> tuple[subprocess.Popen[bytes], int]:
    """nginx with one worker over a folder; its process and port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = " ".join(
        f"{kind}_temp_path {folder}/temporary;" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; sendfile on; tcp_nopush on; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; root {served}; }} }}\n"
    )
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")])
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process, port
        time.sleep(0.05)
    raise RuntimeError("nginx does not answer.")


def download(bench: Bench, sha256: str, size: int, repeat: int) -> tuple[float, float]:
    """Median seconds of the Hub, and of nginx with the same file."""
    stored = bench.folder / "hub" / "objects" / sha256[:2] / sha256[2:4]
    url = urlsplit(bench.hub.url)
    process, port = nginx(bench.folder, stored)
    try:
        ours, theirs = [], []
        for turn in range(repeat + 1):
            here = child(READER, url.hostname, url.port, "/alice/bench/resolve/main/weights.bin", size)
            there = child(READER, "127.0.0.1", port, f"/{sha256}", size)
            if turn:  # The first reads the file from the disk.
                ours.append(here)
                theirs.append(there)
    finally:
        process.terminate()
        process.wait()
    return statistics.median(ours), statistics.median(theirs)


def metadata(bench: Bench) -> tuple[int, float, float]:
    """Many HEAD requests at the same time: errors, median and worst seconds."""
    url = urlsplit(bench.hub.url)
    barrier = threading.Barrier(REQUESTS)

    def ask(_: int) -> tuple[bool, float]:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
        barrier.wait()
        start = time.perf_counter()
        try:
            connection.request("HEAD", "/alice/bench/resolve/main/weights.bin")
            answer = connection.getresponse()
            return answer.status == 200 and answer.headers["X-Repo-Commit"] is not None, time.perf_counter() - start
        except OSError:
            return False, time.perf_counter() - start
        finally:
            connection.close()

    with ThreadPoolExecutor(REQUESTS) as threads:
        found = list(threads.map(ask, range(REQUESTS)))
    times = [seconds for _, seconds in found]
    return sum(not good for good, _ in found), statistics.median(times), max(times)


def memory(bench: Bench) -> tuple[int, int]:
    """Bytes of the server before, and at most during, many uploads at the same time."""
    size, block = UPLOAD_MEGABYTES * 10**6, os.urandom(BLOCK)
    before = most = bench.process.memory_info().rss
    ending = threading.Event()

    def watch() -> None:
        nonlocal most
        while not ending.is_set():
            most = max(most, bench.process.memory_info().rss)
            ending.wait(0.02)

    def send(number: int) -> None:
        mine = bytes([number]) + block[1:]
        target = urlsplit(bench.address(repeated(mine, size), size))
        connection = http.client.HTTPConnection(target.hostname or "", target.port)
        connection.request("PUT", target.path, (mine[: size - at] for at in range(0, size, BLOCK)),
                           {"Content-Length": str(size)})  # fmt: skip
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    with ThreadPoolExecutor(UPLOADS) as threads:
        list(threads.map(send, range(UPLOADS)))
    ending.set()
    watcher.join()
    return before, most


def run(megabytes: int = 1000, repeat: int = 7, folder: Path | None = None) -> list[Row]:
    """All measurements."""
    size = megabytes * 10**6
    with tempfile.TemporaryDirectory(dir=folder) as made:
        bench = Bench(Path(made))
        try:
            sha256, up, raw = upload(bench, size, max(3, repeat // 2))
            bench.commit(sha256, size)
            rows = [
                at_least(
                    f"upload of {megabytes} MB ÷ writing, hashing and syncing alone", rate(size, up), rate(size, raw),
                    raw / up, 0.5,
                )
            ]  # fmt: skip
            if NGINX is None:
                print("nginx is not installed (apt install nginx): downloads are not compared.", file=sys.stderr)
            else:
                down, theirs = download(bench, sha256, size, repeat)
                rows.append(
                    at_least(f"download of {megabytes} MB ÷ nginx", rate(size, down), rate(size, theirs),
                             theirs / down, 0.8)
                )  # fmt: skip
            errors, middle, worst = metadata(bench)
            rows.append(
                Row(f"{REQUESTS} metadata requests at once: errors", str(errors), "0", None, "= 0", errors == 0)
            )
            rows.append(Row("  median, slowest", f"{1e3 * middle:.0f} ms", f"{1e3 * worst:.0f} ms", None, "", None))
            before, most = memory(bench)
            rows.append(
                at_most(
                    f"memory during {UPLOADS} uploads at once of {UPLOAD_MEGABYTES} MB ÷ before",
                    f"{most / 2**20:.0f} MiB", f"{before / 2**20:.0f} MiB", most / before, 2,
                )
            )  # fmt: skip
        finally:
            bench.hub.stop()
    return rows


def rate(size: int, seconds: float) -> str:
    """Megabytes a second."""
    return f"{size / seconds / 1e6:.0f} MB/s"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to put the Hub's data; it needs five times the size")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = run(options.megabytes, options.repeat, options.folder)
    from run import table  # It switches clients of the Hub off.

    print(f"{os.cpu_count()} cores, load at the beginning {load:.1f}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
