"""Git's packets: four hex digits of length, then the content (gitprotocol-common, gitprotocol-pack)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from samovar.server.errors import BadRequestError, TooLargeError

FLUSH = b"0000"
# What one packet of a side band holds.
BAND = 65_500
# References that one push moves, and the bytes that naming them takes.
MOST_COMMANDS = 1000
MOST_BYTES = 2**20
CAPABILITIES = "report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=samovar"


def packet(content: bytes | str) -> bytes:
    """One packet."""
    data = content.encode() if isinstance(content, str) else content
    return b"%04x%s" % (len(data) + 4, data)


def advertisement(service: str, references: Sequence[tuple[str, str]]) -> bytes:
    """The references (name, id) as a push wants to know them before it begins."""
    lines = [packet(f"# service={service}\n"), FLUSH]
    first = f"\0{CAPABILITIES}\n"
    for name, oid in references:
        lines.append(packet(f"{oid} {name}{first}"))
        first = "\n"
    if not references:
        lines.append(packet(f"{'0' * 40} capabilities^{{}}{first}"))
    return b"".join([*lines, FLUSH])


@dataclass(frozen=True)
class Command:
    """Move one reference; 40 zeros: it is not there, or shall not be."""

    old: str
    new: str
    name: str


@dataclass
class Commands:
    """Reads the commands at the beginning of a push; what follows them is a pack."""

    commands: list[Command] = field(default_factory=list)
    capabilities: frozenset[str] = frozenset()
    done: bool = False
    buffer: bytearray = field(default_factory=bytearray)
    read: int = 0

    def feed(self, data: bytes) -> bytes:
        """Take bytes; those behind the commands are given back. Raises `BadRequestError`, `TooLargeError`."""
        self.buffer += data
        while not self.done and len(self.buffer) >= 4:
            try:
                length = int(bytes(self.buffer[:4]), 16)
            except ValueError as error:
                raise BadRequestError("This is no push.") from error
            if length == 0:
                self.done = True
                del self.buffer[:4]
                break
            if length < 4:
                raise BadRequestError("This is no push.")
            if len(self.buffer) < length:
                break
            self.command(bytes(self.buffer[4:length]))
            del self.buffer[:length]
            self.read += length
            if self.read > MOST_BYTES or len(self.commands) > MOST_COMMANDS:
                raise TooLargeError("The push moves too many references.", "Push fewer at a time.")
        rest = bytes(self.buffer) if self.done else b""
        if self.done:
            self.buffer.clear()
        return rest

    def command(self, content: bytes) -> None:
        """One line; the first also names what the client can do."""
        line, _, capabilities = content.rstrip(b"\n").partition(b"\0")
        if capabilities:
            self.capabilities = frozenset(capabilities.decode(errors="replace").split())
        if line.startswith(b"shallow "):
            return  # A shallow clone pushes on top of what is here; what is missing is found out later.
        parts = line.decode(errors="replace").split(" ", 2)
        if len(parts) != 3 or not all(len(one) == 40 and set(one) <= set("0123456789abcdef") for one in parts[:2]):
            raise BadRequestError("This is no push.")
        self.commands.append(Command(parts[0], parts[1], parts[2]))


def report(
    capabilities: frozenset[str], unpacked: str | None, results: Mapping[str, str | None], said: str = ""
) -> bytes:
    """What became of a push: an error of unpacking or None, and for each reference an error or None."""
    lines = [packet(f"unpack {unpacked or 'ok'}\n")]
    for name, wrong in results.items():
        lines.append(packet(f"ng {name} {wrong}\n" if wrong else f"ok {name}\n"))
    body = b"".join([*lines, FLUSH]) if "report-status" in capabilities else b""
    if "side-band-64k" not in capabilities:
        return body
    bands = [packet(b"\x02" + said[:BAND].encode() + b"\n")] if said else []
    bands += [packet(b"\x01" + body[start : start + BAND]) for start in range(0, len(body), BAND)]
    return b"".join([*bands, FLUSH])
