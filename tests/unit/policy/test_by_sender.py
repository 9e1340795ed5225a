"""The keys under which a sender's own smart host is looked for."""

from relaynode.policy.by_sender import sender_keys


def test_the_most_exact_key_comes_first_and_what_goes_out_before_what_was_queued():
    assert list(sender_keys("User+x@Example.net", "user+x@bsd.home")) == [
        "user+x@example.net",
        "user+x@bsd.home",
        "user@example.net",
        "user@bsd.home",
        "@example.net",
        "@bsd.home",
    ]


def test_each_key_is_asked_once():
    assert list(sender_keys("a@b.example", "A@B.example")) == ["a@b.example", "@b.example"]


def test_who_has_no_domain_has_no_key():
    assert list(sender_keys("", "user")) == []
