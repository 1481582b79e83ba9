"""What a pickle would import, found without running it: its instructions are read, never followed.

A pickle is a program; whoever loads one runs it. The instructions that name things to import are found by walking all
of them (`pickletools`) with a stack of the strings that they push. PyTorch's files are pickles or zip archives with
pickles inside. What cannot be read to its end is not called safe: loading would have run all that comes before.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, BinaryIO, Literal, cast

Status = Literal["safe", "suspicious", "dangerous", "unreadable"]
SUFFIXES = frozenset({".bin", ".ckpt", ".dill", ".joblib", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".th"})
# Bounds: instructions of one file, pickles in a row, members and bytes of an archive, archives within archives.
MOST_INSTRUCTIONS = 2_000_000
MOST_PICKLES = 50
MOST_MEMBERS = 20_000
MOST_BYTES = 256 * 2**20
DEEPEST = 3
MOST_IMPORTS = 200
LARGEST_ARGUMENT = 2**20
NUMPY = b"\x93NUMPY"

# Modules that run commands, load code or reach the network; with everything below them.
DANGEROUS = frozenset(
    """
    _aix_support _osx_support _posixsubprocess _pyrepl _winapi aiohttp asyncio bdb builtins.__import__
    builtins.apply builtins.breakpoint builtins.compile builtins.delattr builtins.eval builtins.exec
    builtins.execfile builtins.getattr builtins.globals builtins.input builtins.locals builtins.open
    builtins.setattr builtins.vars cProfile code codeop commands ctypes dill distutils doctest ensurepip ftplib
    functools.partial http httplib idlelib imaplib importlib inspect io linecache marshal multiprocessing nntplib nt
    ntpath operator os pathlib pdb pickle pip pkg_resources pkgutil platform poplib posix posixpath profile pty
    pydoc requests runpy shelve shutil signal site smtplib socket socketserver ssl subprocess sys sysconfig
    telnetlib tempfile test threading timeit torch.hub torch.jit torch.load torch.serialization trace types urllib
    urllib2 uuid venv webbrowser wsgiref xmlrpc zipimport
    """.split()  # noqa: SIM905
)
# Names that build plain data.
SAFE = frozenset(
    """
    _codecs.encode argparse.Namespace builtins.bool builtins.bytearray builtins.bytes builtins.complex builtins.dict
    builtins.float builtins.frozenset builtins.int builtins.list builtins.object builtins.range builtins.set
    builtins.slice builtins.str builtins.tuple collections.Counter collections.OrderedDict collections.defaultdict
    copyreg._reconstructor datetime.date datetime.datetime datetime.time datetime.timedelta datetime.timezone
    decimal.Decimal fractions.Fraction numpy._core.multiarray._reconstruct numpy._core.multiarray.scalar
    numpy._core.numeric._frombuffer numpy.core.multiarray._reconstruct numpy.core.multiarray.scalar
    numpy.core.numeric._frombuffer numpy.dtype numpy.ndarray torch.BFloat16Storage torch.BoolStorage
    torch.ByteStorage torch.CharStorage torch.ComplexDoubleStorage torch.ComplexFloatStorage torch.DoubleStorage
    torch.FloatStorage torch.HalfStorage torch.IntStorage torch.LongStorage torch.ShortStorage torch.Size
    torch.Tensor torch._tensor._rebuild_from_type_v2 torch._utils._rebuild_parameter torch._utils._rebuild_qtensor
    torch._utils._rebuild_sparse_tensor torch._utils._rebuild_tensor torch._utils._rebuild_tensor_v2
    torch._utils._rebuild_tensor_v3 torch.bfloat16 torch.bool torch.complex128 torch.complex64 torch.device
    torch.float16 torch.float32 torch.float64 torch.int16 torch.int32 torch.int64 torch.int8
    torch.nn.parameter.Buffer torch.nn.parameter.Parameter torch.serialization._get_layout
    torch.storage.TypedStorage torch.storage.UntypedStorage torch.storage._load_from_bytes torch.uint8
    """.split()  # noqa: SIM905
)
OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # As Python 2 wrote them.


@dataclass
class Scan:
    """What was found."""

    imports: list[str] = field(default_factory=list)
    """`module name` of each, in order of appearance."""
    unreadable: bool = False

    @property
    def status(self) -> Status:
        """The worst of all imports; a pickle that cannot be read to its end is never safe."""
        verdicts = {verdict(one) for one in self.imports}
        if "dangerous" in verdicts:
            return "dangerous"
        if self.unreadable:
            return "unreadable"
        return "suspicious" if "suspicious" in verdicts else "safe"


def verdict(name: str) -> Status:
    """How an import (`module name`) is to be taken."""
    full = name.replace(" ", ".")
    if full in SAFE:
        return "safe"
    parts = full.split(".")
    prefixes = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return "dangerous" if prefixes & DANGEROUS or "?" in full else "suspicious"


def wanted(path: str) -> bool:
    """Whether files of that name may hold pickles."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def scan(file: BinaryIO) -> Scan:
    """Look into a file. Never raises for what it holds."""
    found = Scan()
    look(file, found, 0)
    found.imports = list(dict.fromkeys(found.imports))[:MOST_IMPORTS]
    return found


def look(file: BinaryIO, found: Scan, depth: int) -> None:
    """Look into a file or a member of an archive."""
    start = file.read(8)
    file.seek(0)
    if start.startswith(b"PK\x03\x04") or (depth == 0 and zipfile.is_zipfile(file)):
        file.seek(0)
        if depth >= DEEPEST:
            found.unreadable = True
        else:
            look_into_archive(file, found, depth)
        return
    file.seek(0)
    if start.startswith(NUMPY):
        look_into_array(file, found)
    else:
        look_into_pickles(file, found)


def look_into_archive(file: BinaryIO, found: Scan, depth: int) -> None:
    """All members of a zip archive that begin as a pickle does. What readers disagree on is not called safe."""
    left = MOST_BYTES
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                found.unreadable = True
            for member in members[:MOST_MEMBERS]:
                named = member.filename.lower().endswith((".pkl", ".pickle"))
                if member.is_dir():
                    continue
                with archive.open(member) as opened:
                    start = opened.read(8)
                    inside = start.startswith((b"\x80", b"PK\x03\x04", NUMPY))
                    if not named and not inside:
                        continue
                    data = start + opened.read(min(left, MOST_BYTES))
                left -= len(data)
                if left <= 0:
                    found.unreadable = True
                    return
                if named:
                    look_into_pickles(io.BytesIO(data), found)
                elif not is_raw(member.filename):
                    look(io.BytesIO(data), found, depth + 1)
    except Exception:  # Whatever the bytes make `zipfile` raise.
        found.unreadable = True


def is_raw(name: str) -> bool:
    """Whether a member is the bytes of a tensor, which may begin with anything: PyTorch's `archive/data/0`."""
    path = PurePosixPath(name)
    return path.parent.name == "data" and path.name.isdecimal()


def look_into_array(file: BinaryIO, found: Scan) -> None:
    """NumPy's format: an array of objects is a pickle behind the header."""
    head = file.read(12)
    size = int.from_bytes(head[8:10], "little") if head[6] == 1 else int.from_bytes(head[8:12], "little")
    start = 10 if head[6] == 1 else 12
    if size > 2**20:
        found.unreadable = True
        return
    file.seek(start)
    if b"O" in file.read(size):  # No other word of the header has one.
        look_into_pickles(file, found)


def look_into_pickles(file: BinaryIO, found: Scan) -> None:
    """One pickle behind the other, as PyTorch's older format has them, until other bytes follow.

    Any byte may begin a pickle of an old protocol; such bytes count as one when they import something.
    """
    for number in range(MOST_PICKLES):
        at = file.tell()
        begun = file.read(1) == b"\x80"
        file.seek(at)
        try:
            found.imports += imports(file)
        except BrokenPickleError as error:
            found.imports += error.imports
            found.unreadable |= bool(error.imports) or (begun and number == 0)
            return


class BrokenPickleError(Exception):
    """The instructions end, or stop making sense; `imports` were found before."""

    def __init__(self, imports: list[str]) -> None:
        super().__init__("broken pickle")
        self.imports = imports


class Unknown:
    """A value that is not needed."""


UNKNOWN, MARK = Unknown(), Unknown()


def imports(file: BinaryIO) -> list[str]:
    """What one pickle would import; the file stands behind it then. Raises `BrokenPickleError`."""
    found: list[str] = []
    stack: list[object] = []
    memo: dict[int, object] = {}
    try:
        for name, argument in instructions(file):
            if name in ("GLOBAL", "INST"):
                module, _, attribute = str(argument).partition(" ")
                found.append(imported(module, attribute))
            elif name == "STACK_GLOBAL":
                found.append(imported(*(stack[-2:] if len(stack) > 1 else (None, None))))
            elif name in ("EXT1", "EXT2", "EXT4"):
                found.append("copyreg ?extension")
            follow(name, argument, stack, memo)
            if len(found) > 100 * MOST_IMPORTS:
                raise BrokenPickleError(found)
    except BrokenPickleError:
        raise
    except Exception as error:  # Whatever the bytes make `pickletools` raise.
        raise BrokenPickleError(found) from error
    return found


def imported(module: object, attribute: object) -> str:
    """`module name`; `?` for what is put together while the pickle runs."""
    if not isinstance(module, str) or not isinstance(attribute, str):
        return "? ?"
    return f"{OLD_NAMES.get(module, module)} {attribute}"[:200]


def instructions(file: BinaryIO) -> Iterator[tuple[str, object]]:
    """Name and argument of each instruction. Raises `ValueError` above the bound, and what `pickletools` does."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], Bounded(file)))):
        if count > MOST_INSTRUCTIONS:
            raise ValueError("too many instructions")
        yield opcode.name, argument


class Skipped(bytes):
    """Bytes that were not read, as no import needs them."""

    length = 0

    def __len__(self) -> int:
        return self.length


class Bounded:
    """A file of which no large piece is held in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def tell(self) -> int:
        """Where it stands."""
        return self.file.tell()

    def readline(self) -> bytes:
        """A line, cut at the bound."""
        return self.file.readline(LARGEST_ARGUMENT)

    def read(self, count: int) -> bytes:
        """Some bytes; of many only how many there are."""
        if count <= LARGEST_ARGUMENT:
            return self.file.read(count)
        before, end = self.file.tell(), self.file.seek(0, io.SEEK_END)
        self.file.seek(min(before + count, end))
        skipped = Skipped()
        skipped.length = min(count, max(0, end - before))
        return skipped


def follow(name: str, argument: object, stack: list[object], memo: dict[int, object]) -> None:
    """What an instruction does to the stack, as far as strings are concerned."""
    opcode = OPCODES[name]
    if name == "DUP":
        stack.append(stack[-1])
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[int(str(argument))] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo.get(int(str(argument)), UNKNOWN))
    elif name == "MARK":
        stack.append(MARK)
    else:
        before = opcode.stack_before
        if pickletools.markobject in before:
            while stack and stack.pop() is not MARK:
                pass
            below = before.index(pickletools.markobject)
        else:
            below = len(before)
        del stack[max(0, len(stack) - below) :]
        text = argument if isinstance(argument, str) and "UNICODE" in name else None
        if isinstance(argument, (str, bytes)) and "STRING" in name:
            text = argument.decode("latin-1") if isinstance(argument, bytes) else argument
        stack += [UNKNOWN if text is None else text] * len(opcode.stack_after)


OPCODES = {opcode.name: opcode for opcode in pickletools.opcodes}
