"""The `.Z` format of compress(1): LZW with codes that grow from 9 bits to 16.

    1f 9d flags codes...        flags: the most bits of a code (bits 0 to 4), block mode (0x80)

Codes below 256 are bytes. Each code but the first makes an entry: what the code before it stood
for and the first byte of what it stands for. In block mode code 256 empties the table and brings
codes back to 9 bits. Codes lie in groups of eight, which are as many bytes as a code has bits, the
lowest bit first; when codes grow or the table is emptied, the rest of the group is filling.

The format has no checksum and no end: what can be told of a damaged file is only that a code
stands for nothing, and a file that was cut looks whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC = b"\x1f\x9d"
MAX_BITS = 16

_BLOCK_MODE = 0x80
_FIRST_BITS = 9
_CLEAR = 256
_LEAST_WIDEST = 10
"""With 9 bits the table is full at 512 entries, and codes have 10 bits from then on: compress(1)
looks at the size before it looks at the limit, and so do all that read its files."""

_GROUP_CODES = 8

_LONGEST_TEXT = 256
"""What an entry holds itself; the text of a longer one begins with other entries. So a run of one
byte, where each entry is longer than the one before it, takes no more memory than other files."""

_CHECK_BYTES = 10_000
"""With a full table: how often it is asked whether a new one would do better."""


class BadLzw(Exception):
    """This is no such stream, or a damaged one."""


class _Table:
    """The entries of a decoder: a text each, and the code of the entry before that, or -1."""

    def __init__(self, size: int, first_free: int) -> None:
        self.size = size
        self._first_free = first_free
        self.clear()

    def clear(self) -> None:
        self.texts = [bytes([byte]) for byte in range(256)]
        self.texts += [b""] * (self._first_free - 256)
        self.before = [-1] * self._first_free
        self.first_byte = list(range(256)) + [0] * (self._first_free - 256)

    def add(self, code: int, byte: int) -> None:
        """The entry that is `code`'s and one byte more."""
        text = self.texts[code]
        if len(text) < _LONGEST_TEXT:
            self.texts.append(text + bytes([byte]))
            self.before.append(self.before[code])
        else:
            self.texts.append(bytes([byte]))
            self.before.append(code)
        self.first_byte.append(self.first_byte[code])

    def whole(self, code: int) -> bytes:
        """All that a code stands for."""
        if self.before[code] < 0:
            return self.texts[code]
        parts = []
        while code >= 0:
            parts.append(self.texts[code])
            code = self.before[code]
        return b"".join(reversed(parts))


def decompress(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a stream, magic included. It yields often: at most 64 KiB for a code.

    Raises: BadLzw.
    """
    source = _Source(pieces)
    head = source.take(3)
    if len(head) < 3 or head[:2] != MAGIC:
        raise BadLzw("no compressed data")
    max_bits = head[2] & 0x1F
    if not _FIRST_BITS <= max_bits <= MAX_BITS or head[2] & 0x60:
        raise BadLzw(f"compressed with {max_bits} bits, in a way that nobody knows")
    decoder = _Decoder(max_bits, is_block_mode=bool(head[2] & _BLOCK_MODE))
    while group := source.take(decoder.bits):
        yield decoder.group(group)


class _Decoder:
    def __init__(self, max_bits: int, *, is_block_mode: bool) -> None:
        self.bits = _FIRST_BITS
        self._widest = max(max_bits, _LEAST_WIDEST)
        self._is_block_mode = is_block_mode
        self._table = _Table(1 << max_bits, 257 if is_block_mode else 256)
        self._previous = -1

    def group(self, group: bytes) -> bytes:
        """What a group of codes stands for; a group that is shorter is the last."""
        packed = int.from_bytes(group, "little")
        mask = (1 << self.bits) - 1
        out = []
        for _ in range(len(group) * 8 // self.bits):
            code = packed & mask
            packed >>= self.bits
            if code == _CLEAR and self._is_block_mode:
                self._table.clear()
                self._previous, self.bits = -1, _FIRST_BITS
                break
            out.append(self._text(code))
            if len(self._table.texts) >= 1 << self.bits and self.bits < self._widest:
                self.bits += 1
                break
        return b"".join(out)

    def _text(self, code: int) -> bytes:
        table, previous = self._table, self._previous
        known = len(table.texts)
        if code > known or (code == known and (previous < 0 or known >= table.size)):
            raise BadLzw("damaged compressed data")
        if previous >= 0 and known < table.size:
            # A code may stand for the very entry that it makes: it then begins as the one before.
            table.add(previous, table.first_byte[previous if code == known else code])
        self._previous = code
        return table.whole(code)


class _Source:
    """Takes so many bytes from pieces of any size."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next bytes; fewer at the end."""
        while len(self._held) - self._at < count:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held = self._held[self._at :] + piece
            self._at = 0
        taken = self._held[self._at : self._at + count]
        self._at += len(taken)
        return taken


def compress(pieces: Iterable[bytes], max_bits: int = MAX_BITS) -> Iterator[bytes]:
    """The stream of some content, the same for the same content however it is cut."""
    encoder = _Encoder(max_bits)
    yield MAGIC + bytes([max_bits | _BLOCK_MODE])
    for piece in pieces:
        encoder.feed(piece)
        if out := encoder.taken():
            yield out
    encoder.finish()
    yield encoder.taken()


class _Encoder:
    """`codes`: by the code of a text times 256, and the byte behind it."""

    def __init__(self, max_bits: int) -> None:
        self._widest = max(max_bits, _LEAST_WIDEST)
        self._size = 1 << max_bits
        self._out = bytearray()
        self._codes: dict[int, int] = {}
        self._free = 257
        self._bits = _FIRST_BITS
        self._group: list[int] = []
        self._code = -1
        self._read = self._written = 0
        self._check_at = _CHECK_BYTES
        self._best = 0.0

    def feed(self, data: bytes) -> None:
        codes, code = self._codes, self._code
        for byte in data:
            self._read += 1
            key = code << 8 | byte
            longer = byte if code < 0 else codes.get(key, -1)
            if longer >= 0:
                code = longer
                continue
            self._emit(code)
            if self._free < self._size:
                codes[key] = self._free
                self._free += 1
            elif self._read >= self._check_at:
                self._check()
            code = byte
        self._code = code

    def finish(self) -> None:
        if self._code >= 0:
            self._emit(self._code)
        self._flush(is_last=True)

    def taken(self) -> bytes:
        """What is ready."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def _emit(self, code: int) -> None:
        self._group.append(code)
        # The reader is an entry behind us: it has made those of the codes before this one.
        if self._free >= 1 << self._bits and self._bits < self._widest:
            self._flush()
            self._bits += 1
        elif len(self._group) == _GROUP_CODES:
            self._flush()

    def _flush(self, *, is_last: bool = False) -> None:
        """Write the group, filled up unless it is the last."""
        packed = 0
        for place, code in enumerate(self._group):
            packed |= code << (place * self._bits)
        size = -(-len(self._group) * self._bits // 8) if is_last else self._bits
        if self._group:
            self._out += packed.to_bytes(size, "little")
            self._written += size
        self._group.clear()

    def _check(self) -> None:
        """Begin a new table if this one does worse than it did."""
        self._check_at = self._read + _CHECK_BYTES
        ratio = self._read / max(self._written, 1)
        if ratio >= self._best:
            self._best = ratio
            return
        self._best = 0.0
        self._group.append(_CLEAR)
        self._flush()
        self._codes.clear()
        self._free, self._bits = 257, _FIRST_BITS
