"""The nginx configuration of docs/hub/operations.md, as it stands there, in front of a Hub: TLS, uploads, downloads."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from running_hub import RunningHub

PAGE = Path(__file__).parents[2] / "docs" / "hub" / "operations.md"
NGINX = shutil.which("nginx", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def configuration(folder: Path, hub: RunningHub, port: int) -> str:
    """The documented server, with the addresses and paths of this test, in a whole configuration."""
    (server,) = re.findall(r"```nginx[^\n]*\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for documented, here in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/ssl/hub.example.pem": str(folder / "cert.pem"),
        "/etc/ssl/hub.example.key": str(folder / "key.pem"),
        "http://127.0.0.1:8080": hub.url,
        "/srv/hub/objects/": f"{hub.data}/objects/",
    }.items():
        assert documented in server, documented
        server = server.replace(documented, here)
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""
        {user} daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
        events {{}}
        http {{
            access_log {folder}/access.log;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            {server}
        }}
    """


def certify(folder: Path) -> None:
    """A certificate for this machine, and the authority that signed it."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    for names in (
        ["-subj", "/CN=Authority", "-keyout", "ca.key", "-out", "ca.pem"],
        ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=CA:FALSE",
         "-keyout", "key.pem", "-out", "cert.pem", "-CA", "ca.pem", "-CAkey", "ca.key"],
    ):  # fmt: skip
        subprocess.run([*make, *names], check=True, capture_output=True, cwd=folder)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """A Hub, nginx before it, a client that trusts its certificate, and an operator's and a writer's token."""
    folder = tmp_path_factory.mktemp("nginx")
    certify(folder)
    port = free_port()
    with RunningHub(folder / "data", accel_prefix="/stored") as hub:
        (folder / "nginx.conf").write_text(configuration(folder, hub, port))
        assert NGINX, "nginx is not installed (Debian, Ubuntu: apt install nginx)."
        process = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
        try:
            address = f"https://localhost:{port}"
            trusted = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            token = hub.alice.token
            with httpx.Client(
                base_url=address, verify=trusted, headers={"Authorization": f"Bearer {token}"}, timeout=60
            ) as client:
                deadline = time.monotonic() + 30
                while True:
                    try:
                        client.get("/healthz").raise_for_status()
                        break
                    except httpx.TransportError:
                        assert process.poll() is None, (folder / "error.log").read_text()
                        assert time.monotonic() < deadline
                        time.sleep(0.1)
                yield hub, client, address, folder
        finally:
            process.terminate()
            process.communicate()


@pytest.mark.slow
def test_uploads_and_downloads(proxied):
    """The stock client through TLS; large files come from nginx itself."""
    hub, client, address, folder = proxied
    content = os.urandom(20 * 2**20)
    program = """
import hashlib, os, sys
from huggingface_hub import HfApi
api = HfApi()
api.create_repo("alice/proxied")
api.upload_file(path_or_fileobj=sys.argv[1], path_in_repo="sub/model.bin", repo_id="alice/proxied")
api.create_branch("alice/proxied", branch="a/b")
assert api.model_info("alice/proxied", revision="a/b").sha == api.model_info("alice/proxied").sha
path = api.hf_hub_download("alice/proxied", "sub/model.bin", revision="a/b")
assert open(path, "rb").read() == open(sys.argv[1], "rb").read()
"""
    (folder / "model.bin").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", program, folder / "model.bin"], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HF_ENDPOINT": address, "HF_TOKEN": hub.alice.token,
             "HF_HOME": str(folder / "home"), "SSL_CERT_FILE": str(folder / "ca.pem"),
             "HF_HUB_DISABLE_TELEMETRY": "1"},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{hub.log()[-2000:]}"
    part = client.get("/alice/proxied/resolve/main/sub/model.bin", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, content[100:200])
    direct = httpx.get(f"{hub.url}/alice/proxied/resolve/main/sub/model.bin")
    assert direct.headers["x-accel-redirect"].startswith("/stored/")
    assert direct.content == b""
    whole = client.get("/alice/proxied/resolve/main/sub/model.bin")
    assert whole.content == content
    assert whole.headers["x-repo-commit"] == hub.nobody.model_info("alice/proxied").sha
    for name in set(direct.headers) - {
        "x-accel-redirect",
        "x-request-id",
        "date",
        "transfer-encoding",
        "accept-ranges",
    }:
        assert whole.headers.get(name) == direct.headers[name], name
    assert "x-accel-redirect" not in whole.headers
    sent = sum(map(int, re.findall(r'sub/model.bin HTTP[^"]*" 200 (\d+)', (folder / "access.log").read_text())))
    assert sent >= len(content)


@pytest.mark.slow
def test_addresses_are_those_of_the_proxy(proxied):
    """Links are to the proxy, and nobody from outside passes for somebody on the Hub's machine."""
    hub, client, address, _ = proxied
    made = client.post("/api/repos/create", json={"name": "addressed", "organization": None})
    assert made.json()["url"] == f"{address}/alice/addressed"
    client.post("/api/repos/create", json={"name": "addressed-2", "organization": None})
    assert client.get("/api/models?limit=1").links["next"]["url"].startswith(f"{address}/api/models?")
    metrics = client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
    assert metrics.status_code == 200, "the address that counts is the one that nginx sees, which is this machine"
    stored = hub.data / "objects" / "ab" / "cd" / ("ab" * 32)
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_bytes(b"somebody's")
    assert client.get(f"/stored/ab/cd/{'ab' * 32}").status_code == 404
    stored.unlink()
