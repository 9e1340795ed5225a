"""The dialogue as its client sees it: commands, their order, and what responses become."""

import zlib

import pytest

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.imap import events as imap
from relaynode.imap.client import Client
from relaynode.imap.states import State
from relaynode.sasl import CramMd5, DigestMd5, Plain, XOAuth2

READY = b"* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL- AUTH=PLAIN UIDPLUS] ready\r\n"


def greeted(line=READY):
    client = Client()
    client.receive(line)
    return client


def selected():
    client = greeted()
    client.login("ann", "secret")
    client.select("INBOX")
    client.data_to_send()
    client.receive(b"a1 OK in\r\n* 3 EXISTS\r\na2 OK [READ-WRITE] open\r\n")
    return client


def byte_by_byte(client, data):
    return [event for byte in data for event in client.receive(bytes([byte]))]


# --- login


def test_the_greeting_tells_what_the_server_can_do():
    client = Client()
    assert client.receive(READY) == [imap.Greeting("ready", is_logged_in=False)]
    assert client.can("UIDPLUS") and client.sasl_mechanisms == {"PLAIN"}


def test_a_greeting_may_say_that_we_are_known():
    client = greeted(b"* PREAUTH hello\r\n")
    client.select("INBOX")
    assert client.data_to_send() == b'a1 SELECT "INBOX"\r\n'


def test_a_server_that_says_bye_at_once_refuses_for_now():
    (refused,) = Client().receive(b"* BYE Too many connections\r\n")
    assert refused.status.is_temporary and refused.command == "greeting"


def test_a_whole_visit_is_written_at_once():
    client = greeted()
    client.login("ann", 'a"b\\c')
    client.select("Entwürfe & R")
    client.fetch_items(b"1:*")
    assert client.data_to_send().splitlines() == [
        b'a1 LOGIN "ann" "a\\"b\\\\c"',
        b'a2 SELECT "Entw&APw-rfe &- R"',
        b"a3 UID FETCH 1:* (UID RFC822.SIZE FLAGS)",
    ]


@pytest.mark.parametrize("capability", ["LITERAL+", "LITERAL-"])
def test_a_password_that_is_not_ascii_goes_as_a_literal_that_nobody_waits_for(capability):
    client = greeted(b"* OK [CAPABILITY IMAP4rev1 %b] x\r\n" % capability.encode())
    client.login("ann", "paß")
    assert client.data_to_send() == b'a1 LOGIN "ann" {4+}\r\npa\xc3\x9f\r\n'


def test_without_such_literals_all_behind_it_waits_until_the_server_asks():
    client = greeted(b"* OK x\r\n")
    client.login("änn", "paß")
    client.noop()
    assert client.data_to_send() == b"a1 LOGIN {4}\r\n"
    client.receive(b"+ go\r\n")
    assert client.data_to_send() == b"\xc3\xa4nn {4}\r\n"
    client.receive(b"+\r\n")
    assert client.data_to_send() == b"pa\xc3\x9f\r\na2 NOOP\r\n"


def test_an_initial_response_goes_along_and_more_behind_it():
    client = greeted()
    client.login_sasl(Plain("ann", "secret"))
    client.select("INBOX")
    sent = client.data_to_send()
    assert sent == b'a1 AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=\r\na2 SELECT "INBOX"\r\n'


def test_a_challenge_is_answered_and_what_is_queued_behind_it_waits():
    client = greeted(b"* OK [CAPABILITY AUTH=DIGEST-MD5] x\r\n")
    client.login_sasl(DigestMd5("ann", "secret", "h.example"))
    client.select("INBOX")
    assert client.data_to_send() == b"a1 AUTHENTICATE DIGEST-MD5\r\n"
    client.receive(b"+ bm9uY2U9IngiLHFvcD0iYXV0aCIsYWxnb3JpdGhtPW1kNS1zZXNz\r\n")
    assert client.data_to_send().endswith(b"\r\n") and client.data_to_send() == b""
    client.receive(b"a1 NO no\r\n")
    assert client.data_to_send() == b'a2 SELECT "INBOX"\r\n'


def test_what_is_queued_behind_the_last_response_goes_out_with_it():
    client = greeted(b"* OK [CAPABILITY AUTH=CRAM-MD5] x\r\n")
    client.login_sasl(CramMd5("ann", "secret"))
    client.select("INBOX")
    assert client.data_to_send() == b"a1 AUTHENTICATE CRAM-MD5\r\n"
    client.receive(b"+ PDE+\r\n")
    assert client.data_to_send().endswith(b'\r\na2 SELECT "INBOX"\r\n')
    assert client.receive(b"a1 OK in\r\na2 OK open\r\n")[-1].tag == "a2"


def test_behind_a_login_that_is_called_off_nothing_goes_out():
    client = greeted(b"* OK [CAPABILITY AUTH=CRAM-MD5] x\r\n")
    client.login_sasl(CramMd5("ann", "secret"))
    client.select("INBOX")
    client.data_to_send()
    client.receive(b"+ no base64!\r\n")
    assert client.data_to_send() == b"*\r\n"
    with pytest.raises(RemoteProtocolError, match="not base64"):
        client.receive(b"a1 BAD\r\n")


def test_why_a_token_was_refused_is_told_by_the_mechanism():
    client = greeted()
    mechanism = XOAuth2("ann", "token")
    client.login_sasl(mechanism)
    client.receive(b"+ eyJzdGF0dXMiOiI0MDEifQ==\r\n")
    (refused,) = client.receive(b"a1 NO no\r\n")
    assert "401" in mechanism.told and refused.status.code == 535


@pytest.mark.parametrize(
    ("line", "code", "is_temporary"),
    [
        (b"a1 NO [AUTHENTICATIONFAILED] no", "AUTHENTICATIONFAILED", False),
        (b"a1 NO wrong", "", False),
        (b"a1 NO [UNAVAILABLE] later", "UNAVAILABLE", True),
        (b"a1 NO [INUSE] open elsewhere", "INUSE", True),
        (b"a1 NO [LIMIT] so many", "LIMIT", True),
        (b"a1 NO [ALERT] Too many simultaneous connections. (Failure)", "ALERT", True),
        (b"a1 NO [OVERQUOTA] full", "OVERQUOTA", True),
        (b"a1 NO [EXPIRED] change it", "EXPIRED", False),
    ],
)
def test_a_refused_login_is_permanent_only_if_the_password_is_wrong(line, code, is_temporary):
    client = greeted()
    client.login("ann", "secret")
    refused = client.receive(line + b"\r\n")[-1]
    assert (refused.code, refused.status.is_temporary) == (code, is_temporary)


def test_a_server_that_echoes_the_password_does_not_get_it_shown():
    client = greeted()
    client.login("ann", "secret")
    (refused,) = client.receive(b"a1 BAD what is SECRET\r\n")
    assert "secret" not in str(refused).lower()


def test_behind_a_refused_login_only_what_may_be_said_then_is_allowed():
    client = greeted()
    client.login("ann", "secret")
    client.select("INBOX")
    client.receive(b"a1 NO no\r\na2 BAD first log in\r\n")
    assert client.state is State.PLAIN
    with pytest.raises(LocalProtocolError):
        client.select("INBOX")


# --- TLS and compression


def test_after_tls_all_that_was_said_in_the_clear_is_forgotten():
    client = greeted()
    client.starttls()
    assert client.receive(b"a1 OK go\r\n") == [imap.TlsReady()]
    client.after_tls()
    assert client.capabilities is None and not client.can("UIDPLUS")


@pytest.mark.parametrize("gap", [False, True])
def test_a_reply_injected_before_tls_is_an_error(gap):
    client = greeted()
    client.starttls()
    with pytest.raises(RemoteProtocolError, match="injected"):
        if gap:
            client.receive(b"a1 OK go\r\n")
            client.receive(b"* CAPABILITY AUTH=PLAIN\r\n")
        else:
            client.receive(b"a1 OK go\r\n* CAPABILITY AUTH=PLAIN\r\n")


def test_compression_begins_behind_the_reply_in_both_directions():
    client = selected()
    client.compress()
    client.fetch([1])
    assert client.data_to_send() == b"a3 COMPRESS DEFLATE\r\n"
    packer = zlib.compressobj(wbits=-15)
    fetched = b"* 1 FETCH (UID 1 BODY[] {5}\r\nhello)\r\na4 OK done\r\n"
    packed = packer.compress(fetched) + packer.flush(zlib.Z_SYNC_FLUSH)
    events = byte_by_byte(client, b"a3 OK now\r\n" + packed)
    unpacked = zlib.decompressobj(wbits=-15).decompress(client.data_to_send())
    assert unpacked == b"a4 UID FETCH 1 (UID BODY.PEEK[])\r\n"
    assert events[1] == imap.MessageStart(1, "", 0, 5)
    assert b"".join(one.data for one in events[2:-2]) == b"hello"
    assert events[-2:] == [imap.MessageEnd(1, "", 0, 5), imap.Done("UID FETCH", "a4")]


def test_refused_compression_lets_the_rest_go_on_as_it_is():
    client = selected()
    client.compress()
    client.noop()
    client.data_to_send()
    client.receive(b"a3 NO [COMPRESSIONACTIVE] it is\r\n")
    assert client.data_to_send() == b"a4 NOOP\r\n"


# --- listings and messages


def test_a_listing_gives_an_item_a_message_in_whatever_order_the_server_writes():
    client = selected()
    client.fetch_items(b"1:*")
    events = client.receive(
        b"* 1 FETCH (UID 7 RFC822.SIZE 120 FLAGS (\\Seen $Junk))\r\n"
        b"* 2 FETCH (FLAGS () RFC822.SIZE 5000000000 MODSEQ (12) UID 9)\r\n"
        b"* 4 EXISTS\r\n* 1 RECENT\r\n* 3 FETCH (FLAGS (\\Deleted))\r\na3 OK\r\n"
    )
    assert events == [
        imap.Item(7, 120, frozenset({"\\seen", "$junk"})),
        imap.Item(9, 5_000_000_000, frozenset()),
        imap.Exists(4),
        imap.Done("UID FETCH", "a3"),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        b"* SEARCH 1 2 3 9\r\n",
        b"* search 1 2 3 9 (MODSEQ 917162500)\r\n",
        b'* ESEARCH (TAG "a3") UID ALL 1:3,9\r\n',
        b"* SEARCH 1 2\r\n* SEARCH 3 9\r\n",
    ],
)
def test_what_a_search_finds_comes_in_runs(answer):
    client = selected()
    client.search()
    found = [event for event in byte_by_byte(client, answer) if isinstance(event, imap.Found)]
    uids = [uid for run in found for uid in range(run.first, run.last + 1)]
    assert uids == [1, 2, 3, 9]


@pytest.mark.parametrize("answer", [b"* SEARCH\r\n", b'* ESEARCH (TAG "a3") UID\r\n'])
def test_a_search_may_find_nothing(answer):
    client = selected()
    client.search()
    assert client.receive(answer + b"a3 OK\r\n") == [imap.Done("UID SEARCH", "a3")]


@pytest.mark.parametrize(
    ("written", "data", "origin"),
    [
        (b"UID 7 BODY[] {5}\r\nhe\r\nl", b"he\r\nl", 0),
        (b"BODY[] {5}\r\n)\r\na3 UID 7", b")\r\na3"[:5], 0),
        (b"UID 7 BODY[]<100> {2}\r\n\x00\xff", b"\x00\xff", 100),
        (b"UID 7 BODY[] ~{5+}\r\nhello FLAGS (\\Seen)", b"hello", 0),
        (b'UID 7 BODY[]<9> "short"', b"short", 9),
        (b'UID 7 BODY[]<9> ""', b"", 9),
        (b"UID 7 BODY[] {0}\r\n", b"", 0),
        (b"UID 7 RFC822 {2}\r\nhi", b"hi", 0),
    ],
)
def test_content_passes_through_as_it_comes(written, data, origin):
    client = selected()
    client.fetch([7])
    response = b"* 1 FETCH (" + written + b")\r\n"
    events = byte_by_byte(client, response)
    assert b"".join(one.data for one in events if isinstance(one, imap.MessageData)) == data
    ends = [one for one in events if isinstance(one, imap.MessageEnd)]
    assert ends == [imap.MessageEnd(7, "", origin, len(data))]


def test_a_literal_that_is_no_content_is_kept_and_means_nothing():
    client = selected()
    line = b'* LIST (\\HasNoChildren) "/" {7}\r\nA {5}\r\n\r\n* 9 EXISTS\r\n'
    assert byte_by_byte(client, line) == [imap.Exists(9)]


def test_a_text_may_look_like_a_literal():
    client = selected()
    client.noop()
    assert client.receive(b"* OK it says {5}\r\na3 OK so {7}\r\n") == [imap.Done("NOOP", "a3")]


def test_uids_are_written_as_the_shortest_set():
    client = selected()
    client.add_flag([5, 1, 2, 3, 9, 8], b"\\Deleted")
    client.expunge([4])
    assert client.data_to_send() == (
        b"a3 UID STORE 1:3,5,8:9 +FLAGS.SILENT (\\Deleted)\r\na4 UID EXPUNGE 4\r\n"
    )


# --- IDLE and the end


def test_idle_tells_what_comes_until_it_is_done():
    client = selected()
    client.idle()
    client.noop()
    assert client.data_to_send() == b"a3 IDLE\r\n"
    assert client.receive(b"+ idling\r\n* 4 EXISTS\r\n") == [imap.Idling(), imap.Exists(4)]
    client.done()
    assert client.data_to_send() == b"DONE\r\n"
    client.receive(b"a3 OK\r\n")
    assert client.data_to_send() == b"a4 NOOP\r\n"


def test_the_end_is_told_and_what_is_behind_it_ignored():
    client = selected()
    client.logout()
    events = client.receive(b"* BYE so long\r\na3 OK\r\nwhat else\r\n")
    assert events[0].was_asked and events[1] == imap.Done("LOGOUT", "a3")
    client.peer_closed()


def test_a_line_that_closes_before_that_is_lost():
    with pytest.raises(LineLost):
        selected().peer_closed()


def test_an_alert_is_for_people():
    client = selected()
    assert client.receive(b"* NO [ALERT] 90% \x1b[31mfull\r\n") == [imap.Alert("90% ?[31mfull")]
