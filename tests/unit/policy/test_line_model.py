"""What sessions take on a line, by arithmetic that can be done by hand."""

import pytest

from relaynode.policy.line_model import (
    GREETING_BYTES,
    QUIT_BYTES,
    QUIT_REPLY_BYTES,
    SEGMENT_BYTES,
    Call,
    Letter,
    Line,
    Server,
    SmtpSession,
    Visit,
    play,
)

LINE = Line(1000.0, 1000.0, 1.0)
SLOWEST = Line(1000.0, 1000.0, 0.0)
KNOWN = Server(is_known=True, hello_bytes=20, hello_reply_bytes=0)


def letters(count, size=900, **more):
    return [Letter(number, size, command_bytes=100, **more) for number in range(count)]


def test_a_known_server_with_chunking_is_sent_all_without_a_pause():
    played = play(LINE, [SmtpSession(KNOWN, letters(10))])
    greeted = 2.0 + GREETING_BYTES / 1000
    assert played.bytes_up == 20 + 10 * 1000 + QUIT_BYTES
    seconds = greeted + played.bytes_up / 1000 + 1.0 + QUIT_REPLY_BYTES / 1000
    assert played.seconds == pytest.approx(seconds)
    first = played.moments[0]
    assert first.begins == pytest.approx(greeted + 0.02)
    assert first.ends == pytest.approx(greeted + 0.02 + 1 + 1 + Letter(0, 1).reply_bytes / 1000)


def test_mail_arrives_in_the_order_in_which_it_was_given():
    played = play(LINE, [SmtpSession(KNOWN, letters(5))])
    assert list(played.moments) == [0, 1, 2, 3, 4]
    assert all(one.begins < one.ends for one in played.moments.values())


def test_a_stranger_costs_a_round_trip_more():
    strange = Server(hello_bytes=20, hello_reply_bytes=0)
    sessions = [play(LINE, [SmtpSession(one, letters(3))]).seconds for one in (KNOWN, strange)]
    assert sessions[1] - sessions[0] == pytest.approx(1.0)


def test_tls_and_a_login_cost_round_trips_and_bytes():
    plain = play(LINE, [SmtpSession(Server(), letters(3))])
    safe = Server(security="starttls", login_round_trips=1)
    played = play(LINE, [SmtpSession(safe, letters(3))])
    more = played.bytes_up - plain.bytes_up + played.bytes_down - plain.bytes_down
    assert played.seconds - plain.seconds == pytest.approx(4.0 + more / 1000, abs=0.1)
    assert play(LINE, [SmtpSession(Server(security="tls"), letters(3))]).bytes_up > plain.bytes_up


def test_without_chunking_connections_use_each_others_waiting():
    alone = Server("pipelined", is_known=True, max_connections=1)
    several = Server("pipelined", is_known=True)
    slow = play(LINE, [SmtpSession(alone, letters(12, 100))])
    fast = play(LINE, [SmtpSession(several, letters(12, 100))])
    assert slow.seconds > 12
    assert fast.seconds < 0.6 * slow.seconds
    assert len(fast.moments) == 12


def test_lockstep_takes_a_round_trip_a_command():
    server = Server("lockstep", is_known=True, max_connections=1)
    one = play(LINE, [SmtpSession(server, letters(1))]).seconds
    two = play(LINE, [SmtpSession(server, letters(2))]).seconds
    assert two - one > 4.0
    crowd = play(LINE, [SmtpSession(server, letters(1, recipients=5))]).seconds
    assert crowd - one == pytest.approx(4.0, abs=0.1)


def test_sessions_share_the_line_in_turns():
    small, large = [Letter("small", 5000)], [Letter("large", 50_000)]
    both = [SmtpSession(KNOWN, large), SmtpSession(KNOWN, small)]
    played = play(SLOWEST, both)
    alone = play(SLOWEST, [SmtpSession(KNOWN, small)]).moments["small"].ends
    assert list(played.moments) == ["small", "large"]
    longest_turn = max(SEGMENT_BYTES, 50_000 / 512) / 1000
    assert alone < played.moments["small"].ends < 1.2 * (2 * alone + longest_turn)
    assert played.moments["large"].ends > 55


def test_both_directions_are_used_at_once():
    out = SmtpSession(KNOWN, letters(20))
    back = Visit([20_000])
    together = play(LINE, [out, back]).seconds
    apart = [play(LINE, [one]).seconds for one in (SmtpSession(KNOWN, letters(20)), back)]
    assert together < max(apart) + 1
    assert sum(apart) > together + 15


def test_a_call_carries_jobs_each_way():
    played = play(LINE, [Call([Letter("job", 900, 100)], [5000])])
    assert played.bytes_up == 150 + 1020
    assert played.bytes_down == 150 + 5100
    assert played.moments["job"].ends < played.seconds


def test_nothing_to_do_takes_no_time():
    played = play(LINE, [])
    assert (played.seconds, played.bytes_up, played.moments) == (0.0, 0, {})
    assert play(LINE, [SmtpSession(KNOWN, [])]).seconds == 0.0
