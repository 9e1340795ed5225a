"""Batches packed for the line and unpacked again, whole, cut, damaged, or far too large."""

import base64
import random
import shutil
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import RelaynodeError
from relaynode.mail import lzw, unpacking
from relaynode.mail.packing import BATCH_COMMANDS, NoZstd, Packing, has_zstd, pack, packed
from relaynode.mail.unpacking import CutOff, Damaged, TooLarge, UnknownPacking, unpacked

MUCH = 1 << 30
CHECKED = (Packing.GZIP, Packing.BZIP2, Packing.ZSTD)
"""Those that know their end and have a checksum."""

PROGRAMS = {
    Packing.GZIP: ["gzip"],
    Packing.BZIP2: ["bzip2"],
    Packing.ZSTD: ["zstd", "-q"],
    Packing.COMPRESS: ["gzip"],
}
"""Who reads it. Only gzip is there for compress(1)'s everywhere."""


def cut(data, step):
    return [data[start : start + step] for start in range(0, len(data), step)]


def packings(*which):
    needs = pytest.mark.skipif(not has_zstd(), reason="the extra zstd is not installed")
    return pytest.mark.parametrize(
        "packing",
        [pytest.param(one, marks=needs if one is Packing.ZSTD else ()) for one in which],
    )


def made(packing, content, step=50_000):
    return b"".join(packed(cut(content, step), packing))


def text(seed, size):
    """Words, with a part in the middle that cannot be compressed."""
    chance = random.Random(seed)
    words = [bytes(chance.choices(b"etaoinshr", k=chance.randint(1, 9))) for _ in range(900)]
    half = b" ".join(chance.choices(words, k=size // 12))[: size // 2 - 1000]
    return half + chance.randbytes(2000) + half


def unpack(data, max_bytes=MUCH):
    """What came, and the error behind it."""
    out = []
    try:
        for piece in unpacked(data, max_bytes):
            out.append(piece)
    except RelaynodeError as error:
        return b"".join(out), error
    return b"".join(out), None


@packings(*Packing)
@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=3000) | st.integers(0, 100_000).map(bytes), st.integers(1, 5000))
def test_what_is_packed_comes_back_however_it_is_cut(packing, content, step):
    data = made(packing, content, step)
    assert data == made(packing, content)
    # An empty batch is so little that its own start may be taken for a format.
    if packing is not Packing.PLAIN or not content.startswith((b"\x1f", b"B", b"\x28")):
        assert unpack(cut(data, step)) == (content, None)


@packings(Packing.GZIP, Packing.BZIP2, Packing.ZSTD, Packing.COMPRESS)
def test_long_content_too_and_the_classic_program_reads_it(packing):
    content = text(1, 700_000) + bytes(200_000) + text(2, 700_000)
    data = made(packing, content)
    assert unpack(cut(data, 1000)) == (content, None)
    program, *options = PROGRAMS[packing]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    ended = subprocess.run([program, *options, "-dc"], input=data, capture_output=True, check=True)
    assert ended.stdout == content


@packings(Packing.GZIP, Packing.BZIP2, Packing.ZSTD)
def test_what_the_classic_program_makes_is_read(packing):
    program, *options = PROGRAMS[packing]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    content = text(3, 300_000)
    ended = subprocess.run(
        [program, *options, "-c"], input=content, capture_output=True, check=True
    )
    assert unpack(cut(ended.stdout, 777)) == (content, None)


def test_a_gzip_header_has_no_time_and_no_name():
    assert made(Packing.GZIP, b"x")[:8] == b"\x1f\x8b\x08\0\0\0\0\0"


@packings(*CHECKED)
def test_streams_behind_each_other_are_one_and_zeros_behind_them_fill_blocks(packing):
    data = made(packing, b"one ") + made(packing, b"two") + bytes(1000)
    for step in (1, 100, 10_000):
        assert unpack(cut(data, step)) == (b"one two", None)


def test_the_format_is_seen_in_the_data():
    assert {command: next(pack(command, [b"x"]))[:2] for command in ("rgsmtp", "rcsmtp")} == {
        "rgsmtp": b"\x1f\x8b",
        "rcsmtp": b"\x1f\x9d",
    }
    assert list(pack("rsmtp", [b"HELO x\n"])) == [b"HELO x\n"]
    assert set(BATCH_COMMANDS.values()) == set(Packing)


@pytest.mark.parametrize("data", [b"", b"B", b"\x1f", b"HELO", b"HELO alpha\n" * 9])
def test_all_else_is_as_it_is(data):
    assert unpack(cut(data, 1)) == (data, None)


@pytest.mark.parametrize("magic", [b"\x1f\x9e", b"\x1f\x9f"])
def test_freeze_is_refused(magic):
    found, error = unpack([magic + b"data"])
    assert (found, type(error), error.exit_code) == (b"", UnknownPacking, 69)


def test_without_the_extra_zstd_is_refused_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert not has_zstd()
    found, error = unpack([b"\x28\xb5\x2f\xfd data"])
    assert (found, type(error), error.exit_code) == (b"", NoZstd, 78)
    assert "relaynode[zstd]" in str(error)
    with pytest.raises(NoZstd):
        list(pack("rzsmtp", [b"x"]))


# --- what is wrong


@packings(*CHECKED)
def test_what_was_cut_gives_what_there_was_and_says_so(packing):
    content = text(4, 400_000)
    data = made(packing, content)
    for end in (4, len(data) // 2, len(data) - 1):
        found, error = unpack(cut(data[:end], 500))
        assert isinstance(error, CutOff), end
        assert content.startswith(found)
    if packing is Packing.GZIP:
        # Only its checksum is missing.
        assert unpack([data[:-1]])[0] == content


@packings(*CHECKED)
def test_a_wrong_bit_anywhere_is_damage_or_a_cut_and_never_fine(packing):
    content = text(5, 20_000)
    data = made(packing, content)
    for place in range(0, len(data), 53):
        wrong = data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]
        found, error = unpack([wrong])
        # Of a header some bits mean nothing; the first ones say what it is.
        if place > 3 and (found, error) != (content, None):
            assert isinstance(error, (Damaged, CutOff)), place


@packings(*CHECKED)
def test_what_is_behind_the_data_and_no_filling_is_damage(packing):
    _, error = unpack([made(packing, b"x") + b"garbage!"])
    assert isinstance(error, Damaged)


@packings(*CHECKED)
def test_a_bomb_is_refused_before_it_fills_the_memory(packing):
    data = b"".join(packed((bytes(1 << 20) for _ in range(64)), packing))
    assert len(data) < 100_000
    tracemalloc.start()
    try:
        size, largest = 0, 0
        with pytest.raises(TooLarge, match="unpacks to more than 33554432 bytes"):
            for piece in unpacked([data], 32 << 20):
                size += len(piece)
                largest = max(largest, len(piece))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size == 32 << 20
    assert largest <= 4 << 20
    assert peak < 16 << 20


def test_a_bomb_of_compress_is_refused_too():
    data = made(Packing.COMPRESS, bytes(8 << 20), 1 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            for piece in unpacked([data], 4 << 20):
                assert len(piece) < 1 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_a_zstd_stream_that_wants_much_memory_is_refused():
    zstandard = pytest.importorskip("zstandard")
    settings = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    data = compressor.compress(bytes(unpacking.MAX_WINDOW_BYTES * 2)) + compressor.flush()
    assert isinstance(unpack([data])[1], Damaged)


# --- compress(1)

OF_COMPRESS = base64.b64decode("""
H52QRuS8aQMiDJs0Y8qAmBKGDggnb+yAkBEDRAwYOmBg1DgRhgwbIOSUafOGjkIzAgkahIMmDAgYCgIOLHgw4cKGDyNO
rHgx40YYHT+GHFnyZEqaLF3GiHnUIEKFDB1ClEjR4k+fQUGKJGkSBMqZK1uCoMEUbE2oOKfutOoTqwyPWol2/aqSTVIQ
OcrWfXpTqs6qPTW6hTuUq1Gzd2PY0EuTb9ScVHle5fhW6NaiXpvaFSujBmOnNh+rBTwZaOW4hjMjFjtjscy9odP+ldyW
MuHLczXfpZH3dePYfiOzFWzbstzDde/aIOsbNNrgawP/zFoYM12kYnEsbX62L+TopanjRo7d5YzP3UXPHj79dPXcq13K
YK7ZsWzh0gcbT309rEsaN6BnH3Sk1WbabceplpxYN8ggIHDfFUjcgftZpxtnDz4XIW0Tipdgf5uZt119EI7GYXsI8neh
SzY4yN2AG7KnH2oWxoeXZy+WuF5+xdEI34LmnZejhibK2ON75PkHwg0wDeldkTxS6GOSIVrkIolE7hiee+MpWB4INQiJ
5ZNaGuihijbm4NqY6uG3ZYo1AjkWfWbBCOWbFf74ZQ4j1qmjm2Zy+eGKY4npZ5aAdigomnLmQCdsiIIXKJx6KllDk2ze
J6milFJ5Fw4Zkpkoinl6KpYNOGZK4IkzIumlkjIE6GSbm5I65atV4gDqrJpKaKurIN5Vw6O/Reprq10Gy9mVh4paK7KD
2ohDb6rGGOWZcX5pQ5+QOnvskckSOkOqzdL6rZTAEhoDt8V6yyq40cqJw5rl9vouuuHaaAO93Zp7L7aVVknDrtXeOWmp
uN41A7P92mskvvF+GQPB9a76MMCmshiqvxcvmq2SORjasMXXehzwp+SObC2etyrr0g3UVrzywS0TekPK7XJccqcJMyhy
zg7vjLDLS/7snLsd80z0zRsHzXK6NsLcNMlP5ysvzkfrXHXEIBudntM0Qy0nv0BTHbbVElOsssGcDi0uw2XP3HbNNg48
tdy/oq3kvneznTfXuS4G
""")
"""Written by compress 4.2.4.6: codes grow to ten bits on the way."""


def test_what_compress_itself_has_written_is_read():
    line = b"From alice Sat Nov 21 10:00:00 2026 remote from alpha %d\n"
    content = b"".join(line % (number * number % 97) for number in range(60))
    assert b"".join(lzw.decompress(cut(OF_COMPRESS, 7))) == content
    assert b"".join(lzw.compress([content])) == OF_COMPRESS


@pytest.mark.parametrize("bits", [9, 10, 12, 16])
def test_a_full_table_is_begun_anew_when_it_fits_no_more(bits):
    content = text(6, 400_000) + bytes(range(256)) * 400 + text(7, 400_000)
    data = b"".join(lzw.compress(cut(content, 999), bits))
    assert b"".join(lzw.decompress(cut(data, 100))) == content
    ended = subprocess.run(["gzip", "-dc"], input=data, capture_output=True, check=True)
    assert ended.stdout == content


def test_old_files_without_block_mode_are_read():
    """Code 256 is then the first entry: 'ab', 'abab'."""
    codes = [ord("a"), ord("b"), 256]
    body = sum(code << (9 * place) for place, code in enumerate(codes)).to_bytes(4, "little")
    assert b"".join(lzw.decompress([lzw.MAGIC + b"\x10" + body])) == b"abab"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f\x9d",
        b"\x1f\x9d\x88",
        b"\x1f\x9d\x91",
        b"\x1f\x9d\xf0",
        b"\x1f\x9d\x90\xff\xff",
        b"\x1f\x9d\x90\x01\x01",
    ],
)
def test_codes_that_stand_for_nothing_are_damage(data):
    with pytest.raises(lzw.BadLzw):
        list(lzw.decompress([data]))


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_read_or_refused(data):
    for magic in (b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"\x1f\x9d\x90", b"BZh9", b"\x28\xb5\x2f\xfd"):
        _, error = unpack([magic, data], 1 << 20)
        assert error is None or isinstance(error, (unpacking.UnpackError, NoZstd))
