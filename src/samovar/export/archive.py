"""Files for PyTorch's archive writer, which ends the process where the system refuses a write: here it is an error."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast


class Archive(io.RawIOBase):
    """A file that takes all that is written; what the system refused is kept in `refused`."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self.file = file
        self.refused: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or remember why not."""
        if self.refused is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.refused = error
        return memoryview(data).nbytes

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """The place."""
        return self.file.tell()

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


@contextmanager
def archive(path: Path) -> Iterator[BinaryIO]:
    """A new file for an archive. Raises `OSError` at the end for what could not be written."""
    with path.open("wb", buffering=0) as file:
        written = Archive(file)
        yield cast(BinaryIO, written)
        if written.refused is not None:
            raise written.refused
