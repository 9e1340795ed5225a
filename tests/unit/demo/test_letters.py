import zlib

from relaynode.demo.letters import letter
from relaynode.mail.header import find_header_end, first_value


def letters(count):
    return [letter(str(one), "ann@a.example", "bob", f"About {one}", 4096) for one in range(count)]


def left_by_gzip(data):
    return len(zlib.compress(data, 9)) / len(data)


def test_the_same_seed_gives_the_same_letter_and_another_another():
    assert letters(3) == letters(3)
    assert len(set(letters(3))) == 3


def test_a_letter_has_the_size_that_is_wanted_and_ends_with_a_line():
    for size in (600, 4096, 10_000):
        made = letter("x", "ann", "bob", "About", size)
        assert len(made) == size
        assert made.endswith(b"\n")
        assert max(map(len, made.splitlines())) < 80


def test_a_letter_has_a_header_that_programs_understand():
    made = letters(1)[0].replace(b"\n", b"\r\n")
    header = made[: find_header_end(made)]
    assert first_value(header, b"from") == b"Ann <ann@a.example>"
    assert first_value(header, b"subject") == b"About 0"
    assert first_value(header, b"message-id").endswith(b"@a.example>")


def test_gzip_leaves_as_much_of_letters_as_of_english_prose():
    made = letters(16)
    assert 0.42 < left_by_gzip(made[0]) < 0.55
    assert 0.33 < left_by_gzip(b"".join(made)) < 0.42
