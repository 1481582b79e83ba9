"""Requests made from the OpenAPI schema, well formed and not: no answer is an error of the server.

`SAMOVAR_FUZZ_SECONDS` says for how long (30); `SAMOVAR_FUZZ_SEED` repeats a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import time

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from running_hub import RunningHub
from schemathesis import GenerationMode

SECONDS = float(os.environ.get("SAMOVAR_FUZZ_SECONDS", "30"))
SEED = int(os.environ.get("SAMOVAR_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
schemathesis.serializer("application/x-ndjson")(lambda context, value: json.dumps(value).encode() + b"\n")
# Said on purpose: not supported, busy, disk full.
BY_DESIGN = (501, 503, 507)
EXAMPLES = 4
# Values that exist, so that requests get beyond "not found".
REAL = {
    "kind": ["models", "datasets", "spaces"], "prefix": ["datasets", "spaces", "default"], "owner": ["alice"],
    "name": ["fuzzed", "alice", "data"], "rev": ["main", "refs/pr/1", "v1"], "revs": ["main..v1"], "user": ["alice"],
    "branch": ["main", "other"], "tag": ["v1"], "path": ["README.md", "sub", "sub/model.bin"], "number": ["1"],
    "task": ["text-classification"], "status": ["pending"],
}  # fmt: skip


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """A Hub with something of everything, without limits of rates."""
    with RunningHub(tmp_path_factory.mktemp("fuzzed") / "data", anonymous_rate="0", account_rate="0") as hub:
        api = hub.alice
        api.create_repo("alice/fuzzed")
        api.create_repo("alice/data", repo_type="dataset")
        api.upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id="alice/fuzzed")
        api.upload_file(path_or_fileobj=os.urandom(2**17), path_in_repo="sub/model.bin", repo_id="alice/fuzzed")
        api.create_tag("alice/fuzzed", tag="v1")
        api.create_branch("alice/fuzzed", branch="other")
        api.create_pull_request("alice/fuzzed", title="One")
        yield hub


@pytest.mark.slow
@pytest.mark.parametrize("who", ["an operator", "nobody"])
def test_no_request_makes_the_server_fail(fuzzed, who):
    headers = {}
    if who == "an operator":
        headers["Authorization"] = f"Bearer {fuzzed.add_user('operator', 'admin', admin=True)}"
    description = httpx.get(f"{fuzzed.url}/api/openapi.json").json()
    schema = schemathesis.openapi.from_dict(description)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 50
    chance = random.Random(SEED)
    chance.shuffle(operations)
    statuses: dict[int, int] = {}
    with httpx.Client(base_url=fuzzed.url, headers=headers, timeout=60, follow_redirects=False) as client:

        def send(case: schemathesis.Case) -> None:
            for name in case.path_parameters or {}:
                if name in REAL and chance.random() < 0.7:
                    case.path_parameters[name] = chance.choice(REAL[name])
            arguments = case.as_transport_kwargs(base_url=fuzzed.url)
            request = {name: arguments.get(name) for name in ("params", "json", "data", "files") if arguments.get(name)}
            if isinstance(request.get("data"), (bytes, str)):
                request["content"] = request.pop("data")
            sent = {str(name): str(value) for name, value in (arguments.get("headers") or {}).items()}
            try:
                try:
                    answer = client.request(
                        arguments["method"], arguments["url"], headers={**sent, **headers}, **request
                    )
                except (httpx.RemoteProtocolError, httpx.WriteError, httpx.ReadError):
                    # The Hub may close a connection whose last body it did not want to read; a new one must do.
                    try:
                        answer = httpx.request(
                            arguments["method"], arguments["url"], headers={**sent, **headers}, timeout=60, **request
                        )
                    except httpx.RemoteProtocolError as error:
                        shown = {name: str(value)[:500] for name, value in {**arguments, **request}.items()}
                        pytest.fail(f"{error}: {shown}\nSAMOVAR_FUZZ_SEED={SEED}\n{fuzzed.log()[-3000:]}")
            except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError, TypeError, ValueError):
                return  # Nothing that HTTP can carry.
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            assert answer.status_code < 500 or answer.status_code in BY_DESIGN, (
                f"{arguments['method']} {answer.request.url} as {who}: {answer.status_code} {answer.text[:300]}\n"
                f"body: {answer.request.content[:500]!r}\nSAMOVAR_FUZZ_SEED={SEED}\n{fuzzed.log()[-3000:]}"
            )

        until, turn = time.monotonic() + SECONDS / 2, 0
        while time.monotonic() < until or turn == 0:
            for operation in operations:
                if time.monotonic() > until and sum(statuses.values()) > 50:
                    break
                mode = GenerationMode.NEGATIVE if turn % 2 else GenerationMode.POSITIVE
                test = hypothesis.given(case=operation.as_strategy(generation_mode=mode))(send)
                test = hypothesis.seed(SEED + turn)(test)
                run = hypothesis.settings(
                    max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )(test)  # fmt: skip
                # Some routes take everything: nothing is ill formed for them.
                with contextlib.suppress(hypothesis.errors.Unsatisfiable):
                    run()
            turn += 1
    assert sum(statuses.values()) > 50, statuses
    assert httpx.get(f"{fuzzed.url}/healthz").status_code == 200


@pytest.mark.slow
def test_the_hub_is_whole_afterwards(fuzzed):
    assert not [line for line in fuzzed.command("fsck").splitlines() if line.startswith("broken")]
