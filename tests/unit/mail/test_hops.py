"""What a Received line says, whoever wrote it."""

import pytest

from relaynode.mail.hops import Hop, hop_of


@pytest.mark.parametrize(
    ("value", "hop"),
    [
        (
            b"from a (a [192.0.2.1])\tby gate.example (prog 1) with ESMTP id 1 for <b@c.d>; Sat",
            Hop("gate.example", "ESMTP", "b@c.d"),
        ),
        (b"by gate.example; Sat", Hop("gate.example")),
        (b"by gate.example with POP3 for ann (x; y) ; Sat", Hop("gate.example", "POP3", "ann")),
        (b"from x (for <a@b> by y) BY Z FOR <c@d>", Hop("Z", "", "c@d")),
        (b"from x (((( by y", Hop()),
        (b"", Hop()),
        (b"for", Hop()),
        (b"(qmail 7 invoked from network); 1 Jan", Hop()),
    ],
)
def test_clauses_are_read_and_comments_are_not(value, hop):
    assert hop_of(value) == hop
