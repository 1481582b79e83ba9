"""The headers of all shards of a model in one answer, so that a client need not ask for each."""

from __future__ import annotations

from typing import Any

from samovar.server.errors import EntryNotFoundError, UnprocessableError
from samovar.server.hub import Hub
from samovar.server.repos.names import printable
from samovar.server.repos.revisions import DEFAULT, resolve
from samovar.server.services.access import Caller, find, require_files
from samovar.server.services.metadata.config import read_json
from samovar.server.services.metadata.files import Snapshot
from samovar.server.services.metadata.weights import INDEX, read_header, shards_of

# Headers of one answer together (bytes of the files' headers).
LARGEST = 256 * 2**20


def shard_headers(hub: Hub, caller: Caller, name: str, path: str) -> dict[str, Any]:
    """`{"index": {"metadata"}, "headers": {shard: header}}` of an index file on the default branch.

    Raises what `access.find` and `require_files` do, `EntryNotFoundError`, and `UnprocessableError` for files that are
    no index or no safetensors.
    """
    with hub.database.read() as session:
        repository = find(session, "model", name, caller)
        require_files(session, caller, repository)
    git = hub.folders.open(repository.id)
    snapshot = Snapshot(hub, repository.id, git, resolve(git, DEFAULT))
    if path not in snapshot.files or not path.endswith(INDEX):
        raise EntryNotFoundError(f"There is no index of safetensors files called {printable(path)}.")
    warnings: list[str] = []
    folder = path.rpartition("/")[0]
    headers: dict[str, Any] = {}
    read = 0
    for shard in shards_of(snapshot, path, warnings):
        file = snapshot.files.get(f"{folder}/{shard}" if folder else shard)
        if file is None:
            raise UnprocessableError(f"The index names {printable(shard)}, which is not there.")
        try:
            headers[shard] = read_header(snapshot, file)
        except ValueError as error:
            raise UnprocessableError(f"The header of {printable(shard)} cannot be read: {error}.") from error
        read += int.from_bytes(snapshot.begin(file, 0, 8) or b"", "little")
        if read > LARGEST:
            raise UnprocessableError("The headers together are too long.", "Ask for each file's header by itself.")
    if warnings:
        raise UnprocessableError(" ".join(warnings))
    return {"index": {"metadata": read_json(snapshot, path, warnings).get("metadata", {})}, "headers": headers}
