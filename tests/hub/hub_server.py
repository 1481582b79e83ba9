"""A real HTTP server on this machine that answers reads of files as a Hub may: gated, refused, gone, slow or whole."""

from __future__ import annotations

import hashlib
import http.server
import threading
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Repository:
    """Commits of one repository: branch or tag → commit → file name → content."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    gated: bool = False
    token: str | None = None


@dataclass
class HubServer:
    """Serves `repositories` on a free port while the `with` block runs, and notes each request."""

    repositories: dict[str, Repository]
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __enter__(self) -> Self:
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.answer(self, with_body=False)

            def do_GET(self) -> None:
                hub.answer(self, with_body=True)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, request: http.server.BaseHTTPRequestHandler, with_body: bool) -> None:
        self.requests.append((request.command, request.path))
        status, headers, body = self.look_up(request.path, request.headers.get("Authorization"))
        request.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            request.send_header(name, value)
        request.end_headers()
        if with_body:
            request.wfile.write(body)

    def look_up(self, path: str, authorization: str | None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for `/{owner}/{name}/resolve/{revision}/{file}`."""
        name, separator, rest = path.lstrip("/").partition("/resolve/")
        repository = self.repositories.get(name)
        revision, _, filename = rest.partition("/")
        if repository is None or not separator:
            return 401, {"X-Error-Code": "RepoNotFound"}, b"Repository not found"
        if repository.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b"Access is restricted"
        if repository.token is not None and authorization != f"Bearer {repository.token}":
            return 403, {}, b"Forbidden"
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"Revision not found"
        headers = {"X-Repo-Commit": commit}
        body = repository.commits[commit].get(filename)
        if body is None:
            return 404, {**headers, "X-Error-Code": "EntryNotFound"}, b"Entry not found"
        return 200, {**headers, "ETag": f'"{hashlib.sha256(body).hexdigest()}"'}, body
