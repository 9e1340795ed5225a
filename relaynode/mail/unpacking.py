"""Batches as they came over the line, unpacked piece by piece, whatever their command is called.

    1f 8b         gzip, several members too       42 5a 68      bzip2, several streams too
    1f 9d         compress(1), see lzw.py         28 b5 2f fd   zstd, if it is installed
    1f 9e, 1f 9f  freeze(1): refused              others        as it is

Three things may be wrong, and differ in what they mean for what was given before:

    CutOff    it ends in its middle. What came is right as far as is known.
    TooLarge  it is longer than it may be. The same.
    Damaged   it contradicts itself or its checksum. The checksum stands at the end and a wrong bit
              may be anywhere before it: nothing of it can be trusted.

compress(1) has neither end nor checksum, so a batch must tell its end by itself.
"""

from __future__ import annotations

import bz2
import zlib
from typing import TYPE_CHECKING, Any, Protocol

from relaynode.errors import EX_DATAERR, EX_UNAVAILABLE, RelaynodeError
from relaynode.mail import lzw
from relaynode.mail.packing import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PIECE_BYTES = 64 * 1024
"""No more is unpacked at a time, whatever a few bytes may stand for."""

MAX_WINDOW_BYTES = 8 * 1024 * 1024
"""How far back a zstd stream may refer, which is memory: what RFC 8878 3.1.1.1.2 advises."""

_ZSTD_SLICE_BYTES = 64
"""zstd cannot be told how much to give. Four bytes stand for 128 KiB at most (RFC 8878 3.1.1.2)."""

_LONGEST_MAGIC = 4


class UnpackError(RelaynodeError):
    """Why there is no more of a batch."""

    exit_code = EX_DATAERR


class CutOff(UnpackError):
    """The compressed data ends in its middle."""


class TooLarge(UnpackError):
    """It would be larger than it may be."""


class Damaged(UnpackError):
    """The compressed data is wrong, and so may be all that came of it."""


class UnknownPacking(UnpackError):
    """A form of compression that is not known here."""

    exit_code = EX_UNAVAILABLE


def unpacked(pieces: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """The content. What there is of it is given before an error is raised.

    Raises: CutOff, TooLarge, Damaged, UnknownPacking, NoZstd.
    """
    left = max_bytes
    for piece in _unpacked(pieces):
        if len(piece) > left:
            yield piece[:left]
            raise TooLarge(f"it unpacks to more than {max_bytes} bytes")
        left -= len(piece)
        if piece:
            yield piece


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    source = iter(pieces)
    start = b""
    while len(start) < _LONGEST_MAGIC and (piece := next(source, None)) is not None:
        start += piece
    whole = _chain(start, source)
    for magic, unpack in _FORMATS.items():
        if start.startswith(magic):
            return unpack(whole)
    return whole


def _chain(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield start
    yield from rest


class _Member(Protocol):
    """One compressed stream; a file may hold several behind each other.

    `unused`: what came behind its end. `is_hungry`: it gives no more without more input.
    """

    @property
    def is_hungry(self) -> bool: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused(self) -> bytes: ...
    def feed(self, data: bytes) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._was_full = False

    @property
    def is_hungry(self) -> bool:
        # Behind a full piece some more may be held back, though all input is taken.
        return not self._inflate.unconsumed_tail and not self._was_full

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused(self) -> bytes:
        return self._inflate.unused_data

    def feed(self, data: bytes) -> bytes:
        out = self._inflate.decompress(self._inflate.unconsumed_tail + data, PIECE_BYTES)
        self._was_full = len(out) == PIECE_BYTES
        return out


class _Bzip2:
    def __init__(self) -> None:
        self._decompressor = bz2.BZ2Decompressor()

    @property
    def is_hungry(self) -> bool:
        return self._decompressor.needs_input

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def unused(self) -> bytes:
        return self._decompressor.unused_data

    def feed(self, data: bytes) -> bytes:
        return self._decompressor.decompress(data, PIECE_BYTES)


class _Zstd:
    def __init__(self, module: Any) -> None:
        decompressor = module.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self._frame = decompressor.decompressobj()
        self._held = b""

    @property
    def is_hungry(self) -> bool:
        return not self._held

    @property
    def eof(self) -> bool:
        return bool(self._frame.eof)

    @property
    def unused(self) -> bytes:
        return bytes(self._frame.unused_data) + self._held

    def feed(self, data: bytes) -> bytes:
        held = self._held + data
        now, self._held = held[:_ZSTD_SLICE_BYTES], held[_ZSTD_SLICE_BYTES:]
        return bytes(self._frame.decompress(now))


def _members(
    pieces: Iterable[bytes], make: Callable[[], _Member], wrong: tuple[type[Exception], ...]
) -> Iterator[bytes]:
    """The content of all streams. Zeros behind them fill up blocks."""
    member: _Member | None = None
    is_first = True
    for piece in pieces:
        rest = piece
        while rest:
            if member is None:
                rest = rest if is_first else rest.lstrip(b"\0")
                if not rest:
                    break
                member, is_first = make(), False
            try:
                yield member.feed(rest)
                while not (member.eof or member.is_hungry):
                    yield member.feed(b"")
            except wrong as error:
                raise Damaged(f"damaged compressed data: {error}") from error
            rest = b""
            if member.eof:
                rest, member = member.unused, None
    if member is not None:
        raise CutOff("the compressed data ends in its middle")


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _members(pieces, _Gzip, (zlib.error,))


def _bunzip2(pieces: Iterable[bytes]) -> Iterator[bytes]:
    return _members(pieces, _Bzip2, (OSError, EOFError))


def _unzstd(pieces: Iterable[bytes]) -> Iterator[bytes]:
    module = zstandard()
    return _members(pieces, lambda: _Zstd(module), (module.ZstdError,))


def _uncompress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from lzw.decompress(pieces)
    except lzw.BadLzw as error:
        raise Damaged(str(error)) from error


def _refuse_freeze(_: Iterable[bytes]) -> Iterator[bytes]:
    raise UnknownPacking("freeze(1) is not understood here")


_FORMATS: dict[bytes, Callable[[Iterable[bytes]], Iterator[bytes]]] = {
    b"\x1f\x8b": _gunzip,
    b"BZh": _bunzip2,
    b"\x28\xb5\x2f\xfd": _unzstd,
    lzw.MAGIC: _uncompress,
    b"\x1f\x9e": _refuse_freeze,
    b"\x1f\x9f": _refuse_freeze,
}
