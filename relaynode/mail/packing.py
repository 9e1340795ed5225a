"""Batches compressed for the line: gzip, bzip2, compress and zstd, made piece by piece.

The same content gives the same bytes, however it is cut: a transfer that broke goes on in the
middle of what was made anew. (Another version of zlib or zstd may make others.) Reading is
`unpacking.py`'s.
"""

from __future__ import annotations

import bz2
import importlib
import zlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from relaynode.errors import EX_CONFIG, RelaynodeError
from relaynode.mail import lzw

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Packing(StrEnum):
    """How a batch is compressed."""

    PLAIN = "plain"
    COMPRESS = "compress"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    ZSTD = "zstd"


BATCH_COMMANDS = {
    "rsmtp": Packing.PLAIN,
    "bsmtp": Packing.PLAIN,
    "rcsmtp": Packing.COMPRESS,
    "cbsmtp": Packing.COMPRESS,
    "rgsmtp": Packing.GZIP,
    "rbsmtp": Packing.BZIP2,
    "rzsmtp": Packing.ZSTD,
}
"""The commands that take a batch, and what is made for them. All of ours take any: see
`unpacking.py`. rfsmtp, for freeze(1), is taken too, but nobody makes its format any more."""

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 9
_ZSTD_LEVEL = 19
"""Beyond it zstd asks more memory of the reader."""

_ZSTD_BATCH_BYTES = 256 * 1024
"""What the tables of zstd are made for. For any length they take 40 ms to make, a hundred times
what these take; and a longer batch gains next to nothing."""


class NoZstd(RelaynodeError):
    """The optional extra is not installed."""

    exit_code = EX_CONFIG

    def __init__(self) -> None:
        super().__init__("zstd is not installed: pip install 'relaynode[zstd]'")


def has_zstd() -> bool:
    """Can zstd be made and read here?"""
    try:
        zstandard()
    except NoZstd:
        return False
    return True


def can_pack(command: str) -> bool:
    """Can a batch for this command be made here?"""
    return BATCH_COMMANDS[command] is not Packing.ZSTD or has_zstd()


def zstandard() -> Any:
    """The module. Raises: NoZstd."""
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise NoZstd from error


def pack(command: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """What a command of BATCH_COMMANDS is given, of a batch. Raises: NoZstd."""
    return packed(pieces, BATCH_COMMANDS[command])


def packed(pieces: Iterable[bytes], packing: Packing) -> Iterator[bytes]:
    """The compressed form, in pieces none of which is empty. Raises: NoZstd."""
    if packing is Packing.PLAIN:
        made: Iterable[bytes] = pieces
    elif packing is Packing.COMPRESS:
        made = lzw.compress(pieces)
    else:
        made = _through(pieces, _compressor(packing))
    return filter(None, made)


def _compressor(packing: Packing) -> Any:
    """An object with `compress` and `flush`. A gzip header of zlib's has no name and no time."""
    if packing is Packing.GZIP:
        return zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    if packing is Packing.BZIP2:
        return bz2.BZ2Compressor(_LEVEL)
    zstd = zstandard()
    settings = zstd.ZstdCompressionParameters.from_level(
        _ZSTD_LEVEL, source_size=_ZSTD_BATCH_BYTES, write_checksum=1
    )
    return zstd.ZstdCompressor(compression_params=settings).compressobj()


def _through(pieces: Iterable[bytes], compressor: Any) -> Iterator[bytes]:
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()
