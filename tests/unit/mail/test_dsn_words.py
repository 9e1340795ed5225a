"""DSNs in every language: the same facts, a text that survives seven bits, a part for machines."""

import dataclasses
import email
import email.policy
import string

import pytest

from relaynode.mail.dsn import Failure, build
from relaynode.mail.dsn_words import LANGUAGES, Words
from relaynode.mail.status import permanent, temporary

NOW = 1795278758.0
OTHERS = sorted(set(LANGUAGES) - {"en"})
ACTIONS = ["failed", "delayed", "delivered", "relayed"]


def report(language, action="failed", status=None):
    status = status or permanent("User unknown", "5.1.1", 550)
    failure = Failure(
        "bob@x.example",
        status,
        NOW,
        expanded_from="list",
        remote_mta="mx.example",
        dialogue=("<<< 550 5.1.1 User unknown",),
    )
    notice = build(
        [failure],
        reporting_mta="bsd.home",
        queue_id="6ALG",
        arrived_at=NOW - 5 * 86400,
        original=b"Subject: s\r\n\r\nbody\r\n",
        original_is_complete=True,
        reverse_path="user@bsd.home",
        from_text=LANGUAGES[language].source.format(source="local user"),
        now=NOW,
        action=action,
        retry_until=NOW + 86400,
        language=language,
    )
    return notice.content, email.message_from_bytes(notice.content, policy=email.policy.default)


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_the_facts_of_the_english_one(language):
    for one in dataclasses.fields(Words):
        english, other = getattr(LANGUAGES["en"], one.name), getattr(LANGUAGES[language], one.name)
        if isinstance(english, str):
            assert fields(other) == fields(english), one.name
            assert "\n" not in other
        elif one.name == "poison":
            assert fields("".join(other)) == fields("".join(english))
        assert other, one.name


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("action", ACTIONS)
def test_the_whole_of_it_is_ascii_and_readable(language, action):
    content, message = report(language, action)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    words = LANGUAGES[language]
    text = message.get_payload()[0].get_content()
    assert words.received.partition("{")[0].strip() in text
    assert words.transcript_heading in text
    assert "bob@x.example" in text
    assert "{" not in text
    assert message["Subject"].isprintable()
    if action == "failed":
        assert message["Subject"] == words.failed_subject
        assert "550 5.1.1 User unknown" in text
    if action == "delayed":
        assert words.span(5 * 86400) in message["Subject"]
        assert words.span(6 * 86400) in text


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_what_machines_read_is_the_same_in_every_language(language):
    def status_part(language):
        return report(language)[1].get_payload()[1].as_bytes()

    assert status_part(language) == status_part("en")


@pytest.mark.parametrize("language", OTHERS)
def test_mail_that_was_given_up_is_said_to_be(language):
    text = report(language, status=temporary("no answer"))[1].get_payload()[0].get_content()
    assert LANGUAGES[language].gave_up.format(age=LANGUAGES[language].span(5 * 86400)) in text


def test_japanese_is_packed_tighter_than_quoted_printable_could():
    _, message = report("ja")
    assert message.get_payload()[0]["Content-Transfer-Encoding"] == "base64"
    _, message = report("de")
    assert message.get_payload()[0]["Content-Transfer-Encoding"] == "quoted-printable"


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_a_length_of_time_is_in_its_largest_unit(language):
    words = LANGUAGES[language]
    assert words.span(3 * 3600 + 59) == words.units[1][1].format(3)
    assert words.span(86400) == words.units[0][0].format(1)
    assert words.span(0) == words.units[3][1].format(0)
