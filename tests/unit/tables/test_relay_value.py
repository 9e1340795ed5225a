"""What is wrong with a value that names a relay."""

import pytest

from relaynode.tables.relay_value import port_in, relay_problem, split_mailer


@pytest.mark.parametrize(
    "value",
    [
        "relay.example.net", "[relay.example.net]", "[192.0.2.30]", "gw", "relay:[h]", "smtp:h",
        "gw1.example.net:gw2.example.net", "esmtp:h1:h2", "esmtp:[h1]:[h2]", "smtp8:bob@h.example",
        "local:joe", "local:", "error:5.7.1:550 Closed", "error:nohost:No such host", "error: x y",
        "uucp:n", "uucp-old:n", "uucp-new:n", "suucp:n", "uucp-dom:n", "uucp-uudom:n", "dsmtp:h",
        "SMTP:h", "esmtp: h", "relay:[h]:2525", "[2001:db8::1]",
    ],
)  # fmt: skip
def test_what_sendmail_takes_is_right(value):
    assert relay_problem(value) is None


@pytest.mark.parametrize(
    ("value", "what", "remedy"),
    [
        ("smpt:h", "unknown mailer smpt", "did you mean smtp?"),
        ("xyz:h", "unknown mailer xyz", "known: "),
        ("uucp-dom:", "uucp-dom: names no host", "write it behind the colon of uucp-dom:"),
        ("error:", "error: names no text", "write it behind the colon of error:"),
        ("smtp:two hosts", "two hosts is no host", "write one host, or several with colons"),
        ("two hosts", "two hosts is no host", "write one host"),
        ("smtp:[h", "[h is no host", "write one host"),
        ("a@b@c", "a@b@c is no host", "write one host"),
    ],
)
def test_what_cannot_be_used_is_told_with_a_remedy(value, what, remedy):
    found = relay_problem(value)
    assert found is not None
    assert found[0] == what
    assert found[1].startswith(remedy)


def test_a_word_with_a_dot_or_a_bracket_is_no_mailer():
    assert split_mailer("gw.example:backup") == ("", "gw.example:backup")
    assert split_mailer("[h]:x") == ("", "[h]:x")
    assert split_mailer(" ESMTP: h ") == ("esmtp", "h")


@pytest.mark.parametrize(
    ("value", "port"),
    [
        ("relay:[h]:2525", "2525"), ("smtp:h.example:25", "25"), ("h.example:587", "587"),
        ("smtp:h1:h2", ""), ("smtp:25", ""), ("error:5.1.1:550", ""), ("local:x:1", ""),
    ],
)  # fmt: skip
def test_digits_at_the_end_look_like_a_port(value, port):
    assert port_in(value) == port
