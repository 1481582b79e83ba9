"""Reads SentencePiece `.model` files: protocol-buffer messages of pieces, training settings and normalisation.

The format is that of `sentencepiece_model.proto` (Kudo & Richardson 2018); only the fields that change how a text is
encoded are kept. All others, and fields of later versions, are passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from samovar.errors import CorruptFileError
from samovar.text.backend import read_content


class PieceKind(IntEnum):
    """What a piece of the vocabulary is for."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class ModelKind(IntEnum):
    """The algorithm that cuts a text into pieces."""

    UNIGRAM = 1
    BPE = 2
    WORD = 3
    CHAR = 4


@dataclass
class Piece:
    """An entry of the vocabulary; its place in the list is its id."""

    text: str
    score: float = 0.0
    kind: PieceKind = PieceKind.NORMAL


@dataclass
class SentencePieceModel:
    """What a `.model` file says."""

    pieces: list[Piece] = field(default_factory=list)
    kind: ModelKind = ModelKind.UNIGRAM
    byte_fallback: bool = False
    whitespace_as_suffix: bool = False
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True

    @property
    def unk_id(self) -> int:
        """The id of the unknown piece, of which every model has one."""
        return next(index for index, piece in enumerate(self.pieces) if piece.kind == PieceKind.UNKNOWN)

    def texts(self, *kinds: PieceKind) -> list[str]:
        """The pieces of these kinds, in the order of their ids."""
        return [piece.text for piece in self.pieces if piece.kind in kinds]


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a `.model` file. Raises `TokenizerError` when it cannot be opened, `CorruptFileError` when it is damaged."""
    content = read_content(path)
    try:
        model = parse(content)
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise CorruptFileError(
            f"{path} is no SentencePiece model, or a part of one: {error}.", "Download the file again."
        ) from error
    return model


def parse(content: bytes) -> SentencePieceModel:
    """The model in a file's bytes. Raises `ValueError` saying what is wrong with them."""
    model = SentencePieceModel()
    seen = set()
    for number, value in fields(content):
        seen.add(number)
        if number == 1:
            model.pieces.append(parse_piece(as_bytes(value)))
        elif number == 2:
            read_training(model, as_bytes(value))
        elif number == 3:
            read_normalisation(model, as_bytes(value))
    # Pieces come first and the two settings after them, so a file that was cut between messages lacks a setting.
    for number, name in ((1, "pieces"), (2, "training settings"), (3, "normalisation settings")):
        if number not in seen:
            raise ValueError(f"it holds no {name}")
    unknown = len(model.texts(PieceKind.UNKNOWN))
    if unknown != 1:
        raise ValueError(f"it has {unknown} unknown pieces where one is expected")
    known: set[str] = set()
    for index, piece in enumerate(model.pieces):
        if piece.text in known:
            raise ValueError(f"piece {index} ({piece.text!r}) stands there twice")
        known.add(piece.text)
    return model


def parse_piece(content: bytes) -> Piece:
    """One entry of the vocabulary."""
    piece = Piece("")
    for number, value in fields(content):
        if number == 1:
            piece.text = as_bytes(value).decode("utf-8")
        elif number == 2:
            piece.score = float(struct.unpack("<f", as_bytes(value))[0])
        elif number == 3:
            piece.kind = PieceKind(as_int(value))
    if not piece.text:
        raise ValueError("a piece is empty")
    return piece


def read_training(model: SentencePieceModel, content: bytes) -> None:
    """The algorithm and how unknown characters are written."""
    for number, value in fields(content):
        if number == 3:
            model.kind = ModelKind(as_int(value))
        elif number == 24:
            model.whitespace_as_suffix = bool(as_int(value))
        elif number == 35:
            model.byte_fallback = bool(as_int(value))


def read_normalisation(model: SentencePieceModel, content: bytes) -> None:
    """The map of characters and what happens to spaces."""
    for number, value in fields(content):
        if number == 2:
            model.charsmap = as_bytes(value)
        elif number == 3:
            model.add_dummy_prefix = bool(as_int(value))
        elif number == 4:
            model.remove_extra_whitespaces = bool(as_int(value))
        elif number == 5:
            model.escape_whitespaces = bool(as_int(value))


# The wire format: a varint key (field number and type), then a varint, eight bytes, a length and bytes, or four bytes.


def fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value of each field of a message. Raises `ValueError` where a field goes beyond the end."""
    position, end = 0, len(content)
    while position < end:
        key, position = varint(content, position)
        number, wire = key >> 3, key & 7
        value: int | bytes
        if wire == 0:
            value, position = varint(content, position)
        else:
            if wire == 2:
                size, position = varint(content, position)
            elif wire in (1, 5):
                size = 8 if wire == 1 else 4
            else:
                raise ValueError(f"byte {position} starts a field of the unknown type {wire}")
            if position + size > end:
                raise ValueError(f"field {number} needs {size} bytes, and {end - position} are left")
            value, position = content[position : position + size], position + size
        if number == 0:
            raise ValueError(f"byte {position} starts a field with the number 0")
        yield number, value


def varint(content: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place after it."""
    number = shift = 0
    while True:
        if position >= len(content):
            raise ValueError("it ends within a number")
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise ValueError(f"byte {position} is part of a number that is too long")


def as_bytes(value: int | bytes) -> bytes:
    """The value of a field that holds bytes. Raises `ValueError` for a number."""
    if isinstance(value, int):
        raise ValueError(f"bytes are expected where the number {value} stands")
    return value


def as_int(value: int | bytes) -> int:
    """The value of a field that holds a number. Raises `ValueError` for bytes."""
    if isinstance(value, bytes):
        raise ValueError(f"a number is expected where {len(value)} bytes stand")
    return value
