import pytest

from relaynode.mail.header import MAX_HEADER_BYTES
from relaynode.queue.content import ContentSpool, Draft
from relaynode.sources.intake import Collector


@pytest.fixture
def collector(tmp_path):
    return Collector("ID", Draft(ContentSpool(tmp_path, "1"), "ID"))


def test_the_header_is_that_of_what_has_come_so_far(collector):
    collector.write(b"Subject: s\r\nTo: a")
    assert collector.header == b"Subject: s\r\nTo: a"
    collector.write(b"nn\r\n\r\nTo: the body\r\n")
    assert collector.header == b"Subject: s\r\nTo: ann\r\n\r\n"
    assert collector.header is collector.header


def test_the_head_is_bounded_and_the_lines_are_all_counted(collector):
    for _ in range(3):
        collector.write(b"x\r\n" * 30_000)
    assert collector.head == (b"x\r\n" * 30_000)[:MAX_HEADER_BYTES]
    assert (collector.lines, collector.size_bytes) == (90_000, 270_000)


def test_a_header_without_end_is_as_long_as_may_be_looked_at(collector):
    collector.write(b"Subject: " + b"x" * 2 * MAX_HEADER_BYTES)
    assert len(collector.header) == MAX_HEADER_BYTES
