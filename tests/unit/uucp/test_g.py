"""Protocols g, G and v: packets, the start, what is sent again when, and files over bad lines."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaynode.errors import LineLost, LocalProtocolError, RemoteProtocolError
from relaynode.uucp.line import (
    MAIN,
    MAX_COMMAND_BYTES,
    Closed,
    Command,
    Data,
    EndOfFile,
    Remark,
    Settings,
    Started,
)
from relaynode.uucp.lines.g import LineCapitalG, LineG, LineV
from relaynode.uucp.lines.g_content import MAX_WAITING_BYTES
from relaynode.uucp.lines.g_packet import (
    FIELD_SIZES,
    HEADER_BYTES,
    MAX_FIELD_BYTES,
    ControlPacket,
    DamagedPacket,
    DataPacket,
    PacketReader,
    Skipped,
    Type,
    field_sum,
    short_content,
    short_field,
)
from relaynode.uucp.lines.g_parameters import MAX_IN_FLIGHT_BYTES
from uucp.line_sim import LineSim, Quality

RECORDED = json.loads((Path(__file__).parents[2] / "uucp" / "vectors.json").read_text())
VECTORS = [vector for vector in RECORDED["vectors"] if vector["protocol"] in "gGv"]
LINES = {"g": LineG, "G": LineCapitalG, "v": LineV}
COMMAND = b'E D.0001 D.alphaN0001 uucp -C D.0001 0666 "" 0x48 rmail bob'
CLOSE_TWICE = 2 * ControlPacket(Type.CLOSE).encode()


def line(is_caller=True, kind=LineG, **parameters):
    named = {name.replace("_", "-"): str(value) for name, value in parameters.items()}
    return kind(Settings(is_caller, named))


def control(name, value=0):
    return ControlPacket(Type[name], value).encode()


def data(number, content, acknowledges=0, size=64):
    """A full packet, filled up with NULs; a short one for a file."""
    field = content.ljust(size, b"\0")
    return DataPacket(number, acknowledges, field, False, field_sum(field)).encode()


def piece(number, content, acknowledges=0, size=64):
    field = short_field(content, size)
    return DataPacket(number, acknowledges, field, True, field_sum(field)).encode()


def packets(said):
    """What a side has sent; nothing in it is damaged."""
    found = PacketReader().read(said)
    assert b"".join(packet.encode() for packet in found) == said
    return found


def numbers(said):
    return [packet.number for packet in packets(said) if isinstance(packet, DataPacket)]


def started(is_caller=True, kind=LineG, *, window=7, size=64, seconds=0.1, **parameters):
    """A line whose peer has asked for this; the start ends at 1, each answer took `seconds`."""
    one = line(is_caller, kind, **parameters)
    one.start(1 - 3 * seconds)
    one.data_to_send()
    stages = (("INITA", window), ("INITB", FIELD_SIZES.index(size)), ("INITC", window))
    for left, (name, value) in zip((2, 1, 0), stages, strict=True):
        events = one.receive(control(name, value), 1 - left * seconds)
        one.data_to_send()
    assert events == [Started()]
    return one


# --- packets


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_recorded_packet_is_read_and_written(vector):
    wire = bytes.fromhex(vector["hex"])
    (packet,) = packets(wire)
    if isinstance(packet, DataPacket) and packet.is_short:
        assert f"{len(packet.content)} valid bytes" in vector["meaning"]
        assert short_field(packet.content, len(packet.field)) == packet.field


@pytest.mark.parametrize("size", FIELD_SIZES)
def test_a_short_field_holds_anything_smaller_than_it(size):
    content = random.Random(size).randbytes(size)
    for length in {0, 1, size // 2, size - 129, size - 128, size - 127, size - 1}:
        if 0 <= length < size:
            assert short_content(short_field(content[:length], size)) == content[:length]


@pytest.mark.parametrize(
    "field", [b"\x00" * 64, b"\x41" + b"x" * 63, b"\xff\x7f" + b"x" * 62, b"\x80\x00" + b"x" * 62]
)
def test_a_short_field_with_a_senseless_length_is_refused(field):
    with pytest.raises(RemoteProtocolError):
        short_content(field)


@given(st.binary(max_size=300), st.integers(0, 7), st.integers(0, 7), st.integers(1, 30))
def test_a_stream_is_read_the_same_however_it_is_cut(content, number, acknowledges, cut):
    wire = b"noise" + control("RR", 3) + piece(number, content[:60], acknowledges) + b"\x10\x10"
    wire += data(number, content[:64]) + control("RJ", acknowledges)
    whole = PacketReader().read(wire)
    reader = PacketReader()
    parts = [one for at in range(0, len(wire), cut) for one in reader.read(wire[at : at + cut])]
    assert [one for one in parts if not isinstance(one, Skipped)] == [
        one for one in whole if not isinstance(one, Skipped)
    ]
    assert sum(one.size_bytes for one in parts if isinstance(one, Skipped)) == 7


@pytest.mark.parametrize("at", range(HEADER_BYTES))
def test_a_damaged_header_is_no_packet(at):
    for wire in (control("RR", 5), data(1, b"x" * 64)):
        damaged = bytearray(wire)
        damaged[at] ^= 0x24
        found = PacketReader().read(bytes(damaged) + bytes(MAX_FIELD_BYTES))
        assert not [one for one in found if isinstance(one, ControlPacket | DataPacket)]


def test_a_damaged_field_is_told_by_its_number():
    damaged = bytearray(data(5, b"x" * 64))
    damaged[40] ^= 1
    assert PacketReader().read(bytes(damaged)) == [DamagedPacket(5)]


def test_a_part_that_is_never_completed_can_be_dropped():
    reader = PacketReader()
    assert reader.read(data(1, b"", size=4096)[:20] + control("RR", 2)) == []
    assert reader.drop_part()[-1] == ControlPacket(Type.RR, 2)
    assert not reader.has_part


# --- the start


def test_the_caller_says_each_stage_and_waits_for_its_answer():
    one = line(packet_size=1024, window=5)
    one.start(0)
    assert one.data_to_send() == control("INITA", 5)
    assert one.receive(control("INITA", 3), 1) == []
    assert one.data_to_send() == control("INITB", 5)
    assert one.receive(control("INITB", 1), 2) == []
    assert one.data_to_send() == control("INITC", 5)
    assert one.receive(control("INITC", 3), 3) == [Started()]
    assert one.data_to_send() == b""


def test_the_called_side_answers_and_says_nothing_by_itself():
    one = line(is_caller=False, packet_size=64)
    one.start(0)
    assert one.data_to_send() == b""
    for name, value, answer in (("INITA", 7, 7), ("INITB", 4, 1), ("INITC", 7, 7)):
        assert one.receive(control("RR", 1), 1) == []
        events = one.receive(control(name, value), 1)
        assert one.data_to_send() == control(name, answer)
    assert events == [Started()]


def test_the_called_side_leaves_out_what_comes_before_its_turn():
    one = line(is_caller=False)
    one.start(0)
    assert one.receive(control("INITB", 1) + control("INITC", 7), 1) == []
    assert one.data_to_send() == b""


def test_the_caller_repeats_a_stage_and_then_begins_again_and_then_gives_up():
    one = line(init_retries=2, startup_retries=2, init_timeout=10)
    one.start(0)
    one.receive(control("INITA", 7), 0)
    one.data_to_send()
    said = []
    for now in (10, 20, 30):
        assert one.wake_at == now
        assert one.tick(now) == []
        said += [packet.type.name for packet in packets(one.data_to_send())]
    assert said == ["INITB", "INITA", "INITA"]
    with pytest.raises(LineLost):
        one.tick(40)


def test_an_answer_that_comes_twice_changes_nothing():
    one = line()
    one.start(0)
    one.receive(control("INITA", 7) * 2, 0)
    assert packets(one.data_to_send())[-1].type is Type.INITB
    assert one.receive(control("INITA", 7), 1) == []
    assert one.data_to_send() == b""


def test_the_called_side_answers_again_until_it_was_sent_data():
    one = started(is_caller=False)
    assert one.receive(control("INITC", 7), 2) == []
    assert one.data_to_send() == control("INITC", 7)
    one.receive(control("INITA", 7), 3)
    assert one.data_to_send() == control("INITA", 7)
    one.receive(data(1, b"H"), 4)
    one.data_to_send()
    one.receive(control("INITA", 7), 5)
    assert one.data_to_send() == b""


@pytest.mark.parametrize("sign", [control("RJ", 0), control("RR", 0)])
def test_a_peer_that_has_begun_has_answered(sign):
    one = line()
    one.start(0)
    one.receive(control("INITA", 7), 0)
    one.receive(control("INITB", 1), 0)
    assert one.receive(sign, 11) == [Started()]


def test_a_called_side_that_is_not_asked_gives_up():
    one = line(is_caller=False)
    one.start(0)
    assert one.wake_at == 320
    with pytest.raises(LineLost):
        one.tick(320)


@pytest.mark.parametrize(
    ("seconds", "size"), [(0.01, 1024), (0.6, 1024), (1.4, 1024), (1.5, 64), (3.6, 64)]
)
@pytest.mark.parametrize("is_caller", [True, False])
def test_large_packets_are_asked_for_if_the_round_trip_is_short(is_caller, seconds, size):
    one = line(is_caller)
    one.start(0)
    one.receive(control("INITA", 7), seconds)
    one.receive(control("INITB", 1), 2 * seconds)
    (asked,) = [one for one in packets(one.data_to_send()) if one.type is Type.INITB]
    assert FIELD_SIZES[asked.value] == size


def test_small_packets_are_asked_for_if_the_bytes_come_in_slowly():
    one = line()
    one.start(0)
    answer = control("INITA", 7)
    for at, byte in enumerate(answer):  # 300 bit/s: Taylor would wait 34 s for a large one
        one.receive(bytes((byte,)), 0.2 + at / 30)
    (_, asked) = packets(one.data_to_send())
    assert FIELD_SIZES[asked.value] == 128


def test_no_more_is_asked_for_than_taylors_buffer_holds():
    one = line(packet_size=4096, window=7)
    one.start(0)
    assert one.data_to_send() == control("INITA", 3)


def test_no_more_is_under_way_than_taylors_buffer_holds():
    one = started(window=7, size=4096)
    one.send_data(MAIN, bytes(100_000), 1)
    assert len(one.data_to_send()) <= MAX_IN_FLIGHT_BYTES
    assert one.room == 0


@pytest.mark.parametrize(("letter", "size"), [("G", 256), ("v", 1024)])
def test_the_variants_ask_for_their_sizes(letter, size):
    one = line(kind=LINES[letter])
    one.start(0)
    one.receive(control("INITA", 7), 3)
    (_, asked) = packets(one.data_to_send())
    assert FIELD_SIZES[asked.value] == size


def test_the_users_window_and_size_replace_what_the_peer_asks_for():
    one = started(window=7, size=64, remote_window=2, remote_packet_size=128)
    one.send_data(MAIN, bytes(1000), 1)
    assert [len(packet.field) for packet in packets(one.data_to_send())] == [128, 128]


@pytest.mark.parametrize(
    "parameters",
    [
        {"window": "8"},
        {"window": "0"},
        {"window": "x"},
        {"packet-size": "100"},
        {"packet-size": "8192"},
        {"remote-packet-size": "1"},
        {"short-packets": "perhaps"},
        {"colour": "red"},
    ],
)
def test_a_wrong_parameter_is_refused_with_what_would_be_right(parameters):
    with pytest.raises(ValueError, match=r"number from|is one of|yes or no|has no parameter"):
        LineG(Settings(True, parameters))


@pytest.mark.parametrize(("text", "is_short"), [("true", True), ("Y", True), ("no", False)])
def test_a_truth_is_read_by_its_first_letter(text, is_short):
    one = started(size=1024, short_packets=text)
    one.send_command(MAIN, b"H", 1)
    assert len(packets(one.data_to_send())[0].field) == (32 if is_short else 1024)


# --- content


def test_a_command_is_text_and_nuls():
    one = started()
    one.send_command(MAIN, COMMAND, 1)
    assert one.data_to_send() == data(1, COMMAND)


def test_toward_a_peer_with_large_packets_a_command_has_the_smallest():
    one = started(size=1024)
    one.send_command(MAIN, b"H", 1)
    one.send_command(MAIN, COMMAND, 1)
    one.send_command(MAIN, b"x" * 1023, 1)
    assert [len(packet.field) for packet in packets(one.data_to_send())] == [32, 64, 1024]


def test_a_long_command_comes_out_in_one_piece():
    one, other = started(), started(is_caller=False)
    text = b"E " + b"r" * 300
    one.send_command(MAIN, text, 1)
    assert other.receive(one.data_to_send(), 1) == [Command(MAIN, text)]


def test_a_command_with_a_nul_is_our_defect():
    with pytest.raises(LocalProtocolError):
        started().send_command(MAIN, b"a\0b", 1)


def test_nothing_is_said_before_the_start():
    one = line()
    one.start(0)
    with pytest.raises(LocalProtocolError):
        one.send_command(MAIN, b"H", 0)


def test_what_stands_behind_the_nul_of_a_command_means_nothing():
    one = started(is_caller=False)
    assert one.receive(data(1, b"H\0garbage"), 1) == [Command(MAIN, b"H")]


def test_a_file_may_follow_a_command_in_the_same_read():
    one = started()
    wire = data(1, b"RY 0644") + piece(2, b"content") + piece(3, b"")
    assert one.receive(wire, 2) == [Command(MAIN, b"RY 0644")]
    assert one.wake_at == 2
    one.expect_file(MAIN, 100)
    assert one.tick(2) == [Data(MAIN, 100, b"content"), EndOfFile(MAIN)]
    assert one.wake_at > 2


def test_a_file_ends_with_an_empty_packet():
    one = started()
    one.begin_file(MAIN, 0, 10)
    one.send_data(MAIN, b"0123456789", 1)
    assert one.data_to_send() == b""
    one.end_file(MAIN, 1)
    assert one.data_to_send() == piece(1, b"0123456789") + piece(2, b"")


def test_a_full_packet_has_a_nul_at_its_end():
    # without it one damaged byte in a hundred passes: the checksum hardly sees the first byte
    one = started()
    one.send_data(MAIN, b"x" * 64, 1)
    assert one.data_to_send() == piece(1, b"x" * 62)


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 512])
def test_all_packets_of_capital_g_have_the_size_that_was_asked_for(length):
    one = started(kind=LineCapitalG, size=256)
    one.send_command(MAIN, b"H", 1)
    one.send_data(MAIN, b"x" * length, 1)
    one.end_file(MAIN, 1)
    sent = packets(one.data_to_send())
    assert {len(packet.field) for packet in sent} == {256}
    assert [packet.is_short for packet in sent[1 : 1 + length // 256]] == [False] * (length // 256)
    assert b"".join(packet.content for packet in sent[1:]) == b"x" * length


def test_room_is_what_the_window_lets_through():
    one = started(window=3)
    assert one.room == 3 * 62
    one.send_data(MAIN, b"x" * one.room, 1)
    assert one.room == 0
    assert len(numbers(one.data_to_send())) == 3
    one.receive(control("RR", 2), 2)
    assert one.room == 2 * 62


def test_the_rest_of_a_file_is_sent_when_packets_become_smaller():
    one = started(window=2, size=1024)
    one.send_data(MAIN, b"x" * 1900, 1)
    one.data_to_send()
    one.receive(control("RJ", 0), 2)
    one.receive(control("RR", 1), 3)
    assert b"".join(packet.content for packet in packets(one.data_to_send())[1:]) == b"x" * 510
    assert one.room == 510 - (1900 - 1022 - 510)


# --- acknowledgements


def test_what_came_is_acknowledged():
    one = started(is_caller=False)
    one.receive(data(1, b"a") + data(2, b"b"), 2)
    assert one.data_to_send() == control("RR", 2)
    assert one.data_to_send() == b""


def test_an_acknowledgement_travels_in_a_packet_where_there_is_one():
    one = started(is_caller=False)
    one.receive(data(1, b"S a b"), 2)
    one.send_command(MAIN, b"SY", 2)
    assert one.data_to_send() == data(1, b"SY", acknowledges=1)


def test_packets_wait_for_room_in_the_window():
    one = started(window=2)
    for text in (b"a", b"b", b"c", b"d"):
        one.send_command(MAIN, text, 1)
    assert numbers(one.data_to_send()) == [1, 2]
    one.receive(control("RR", 1), 2)
    assert numbers(one.data_to_send()) == [3]
    one.receive(data(1, b"x", acknowledges=3), 3)
    assert one.data_to_send() == data(4, b"d", acknowledges=1)


def test_the_eighth_packet_has_number_0():
    one = started()
    for number in (1, 2, 3, 4, 5, 6, 7, 0, 1):
        one.send_command(MAIN, b"x", 1)
        assert numbers(one.data_to_send()) == [number]
        one.receive(control("RR", number), 2)


def test_an_acknowledgement_of_what_was_not_sent_is_left_out():
    one = started()
    one.send_command(MAIN, b"a", 1)
    one.data_to_send()
    one.receive(control("RR", 5) + control("RR", 0), 2)
    assert one.wake_at is not None
    one.tick(one.wake_at)
    assert numbers(one.data_to_send()) == [1]


# --- damage


def test_a_rejected_packet_and_all_after_it_are_sent_again():
    one = started()
    for text in (b"a", b"b", b"c"):
        one.send_command(MAIN, text, 1)
    one.data_to_send()
    assert isinstance(one.receive(control("RJ", 1), 2)[0], Remark)
    assert numbers(one.data_to_send()) == [2, 3]
    assert (one.counts.sent, one.counts.resent, one.counts.rejected) == (5, 2, 1)


def test_a_rejection_that_cannot_be_about_the_last_copy_is_left_out():
    one = started(seconds=0.1)
    one.send_command(MAIN, b"a", 1)
    one.send_command(MAIN, b"b", 1)
    one.data_to_send()
    one.receive(control("RJ", 0), 1.5)
    one.data_to_send()
    assert one.receive(control("RJ", 0), 1.52) == []
    assert one.data_to_send() == b""
    one.receive(control("RJ", 0), 1.7)
    assert numbers(one.data_to_send()) == [1, 2]


def test_one_packet_may_be_asked_for_alone():
    one = started()
    for text in (b"a", b"b", b"c"):
        one.send_command(MAIN, text, 1)
    one.data_to_send()
    one.receive(control("SRJ", 2), 2)
    assert numbers(one.data_to_send()) == [2]


def test_a_damaged_packet_is_rejected_at_once():
    one = started(is_caller=False)
    damaged = bytearray(data(2, b"b"))
    damaged[30] ^= 4
    one.receive(data(1, b"a") + damaged, 2)
    assert one.data_to_send() == control("RJ", 1)
    assert one.counts.damaged == 1


def test_a_missing_packet_is_noticed_by_the_one_after_it_and_rejected_once():
    one = started(is_caller=False)
    one.receive(data(1, b"a") + data(3, b"c"), 2)
    assert one.data_to_send() == control("RJ", 1)
    one.receive(data(4, b"d") + data(5, b"e"), 2.1)
    assert one.data_to_send() == b""
    assert one.counts.out_of_order == 3


def test_a_packet_that_is_missing_again_is_rejected_again():
    one = started(is_caller=False)
    one.receive(data(3, b"c") + data(4, b"d"), 2)
    assert one.data_to_send() == control("RJ", 0)
    one.receive(data(3, b"c"), 3)  # they begin anew, without 1 and 2
    assert one.data_to_send() == control("RJ", 0)


def test_a_rejection_is_not_said_if_the_packet_has_come_meanwhile():
    one = started(is_caller=False)
    one.receive(data(2, b"b") + data(1, b"a") + data(2, b"b"), 2)
    assert one.data_to_send() == control("RR", 2)


def test_a_copy_is_acknowledged_again_but_not_while_the_first_is_on_its_way():
    # Taylor takes an acknowledgement that is no news for a rejection
    one = started(is_caller=False, seconds=1)
    one.receive(data(1, b"a"), 5)
    assert one.data_to_send() == control("RR", 1)
    one.receive(data(1, b"a"), 5.5)
    assert one.data_to_send() == b""
    one.receive(data(1, b"a"), 15)
    assert one.data_to_send() == control("RR", 1)
    assert one.counts.received == 1


def test_after_a_time_out_the_oldest_packet_is_sent_and_the_rest_if_that_was_missing():
    one = started()
    for text in (b"a", b"b", b"c"):
        one.send_command(MAIN, text, 1)
    one.data_to_send()
    events = one.tick(one.wake_at)
    assert isinstance(events[0], Remark)
    assert numbers(one.data_to_send()) == [1]
    one.receive(control("RR", 1), 100)
    assert numbers(one.data_to_send()) == [2, 3]


def test_after_a_time_out_nothing_more_is_sent_if_only_the_acknowledgement_was_lost():
    one = started()
    for text in (b"a", b"b", b"c"):
        one.send_command(MAIN, text, 1)
    one.data_to_send()
    one.tick(one.wake_at)
    one.data_to_send()
    one.receive(control("RR", 3), 100)
    assert one.data_to_send() == b""


def test_a_peer_that_acknowledges_nothing_is_given_up():
    one = started(retries=3)
    one.send_command(MAIN, b"a", 1)
    waits = []
    for _ in range(3):
        waits.append(one.wake_at)
        one.tick(one.wake_at)
    with pytest.raises(LineLost):
        one.tick(one.wake_at)
    assert waits == sorted(waits)


def test_a_peer_that_is_silent_is_asked_and_then_given_up():
    one = started(retries=3)
    for _ in range(3):
        one.tick(one.wake_at)
        assert one.data_to_send() == control("RJ", 0)
    with pytest.raises(LineLost):
        one.tick(one.wake_at)


def test_a_peer_that_asks_whether_we_are_there_is_told_so():
    one = started()
    one.receive(control("RJ", 0), 10)
    assert one.data_to_send() == control("RR", 0)


def test_a_packet_whose_end_is_lost_is_rejected_soon():
    one = started(is_caller=False)
    one.receive(data(1, b"a")[:50], 2)
    assert one.wake_at == 6
    one.tick(6)
    assert one.data_to_send() == control("RJ", 0)
    assert one.receive(data(1, b"a"), 7)[-1] == Command(MAIN, b"a")


def test_noise_between_packets_is_left_out_but_not_for_ever():
    one = started(garbage=1000)
    for _ in range(3):
        one.receive(bytes(900) + control("RR", 0), 2)
    with pytest.raises(RemoteProtocolError):
        one.receive(bytes(1001), 2)


def test_too_many_errors_end_the_call():
    one = started(is_caller=False, errors=10)
    damaged = bytearray(data(1, b"a"))
    damaged[30] ^= 4
    with pytest.raises(LineLost):
        for now in range(2, 20):
            one.receive(bytes(damaged), now)


def test_errors_are_forgiven_for_what_arrives_well():
    one = started(is_caller=False, errors=3, error_decay=2)
    for now in range(2, 40):
        first, second = 2 * now - 3, 2 * now - 2
        damaged = bytearray(data(first % 8, b"a"))
        damaged[30] ^= 4
        one.receive(bytes(damaged), now)
        one.data_to_send()
        one.receive(data(first % 8, b"a") + data(second % 8, b"a"), now)
        one.tick(now)
    assert one.counts.damaged == 38


# --- hostile peers


def test_a_command_without_an_end_is_refused():
    one = started(is_caller=False)
    with pytest.raises(RemoteProtocolError):
        for number in range(1, 2 + MAX_COMMAND_BYTES // 64):
            one.receive(data(number % 8, b"x" * 64), 2)


def test_a_peer_that_does_not_wait_for_answers_is_refused():
    one = started(is_caller=False)
    with pytest.raises(RemoteProtocolError):
        for number in range(1, MAX_WAITING_BYTES // 32, 2):
            one.receive(data(number % 8, b"H") + data((number + 1) % 8, b"H"), 2)


# --- the end


def test_the_end_is_said_twice_behind_all_else_and_awaited():
    one = started()
    one.send_command(MAIN, b"HY", 1)
    one.close(1)
    assert one.data_to_send() == data(1, b"HY") + CLOSE_TWICE
    assert one.receive(control("CLOSE"), 2) == [Closed()]
    assert one.data_to_send() == b""
    assert one.wake_at is None
    assert one.receive(control("CLOSE") + b"\x10OOOOOO\0", 2) == []


def test_the_end_waits_for_room_in_the_window():
    one = started(window=1)
    one.send_command(MAIN, b"a", 1)
    one.send_command(MAIN, b"b", 1)
    one.close(1)
    assert one.data_to_send() == data(1, b"a")
    one.receive(control("RR", 1), 2)
    assert one.data_to_send() == data(2, b"b") + CLOSE_TWICE


def test_a_peer_that_does_not_answer_the_end_is_not_waited_for():
    one = started()
    one.close(1)
    assert one.wake_at >= 11
    assert one.tick(one.wake_at) == [Closed()]
    assert one.data_to_send() == CLOSE_TWICE


def test_an_end_that_nobody_asked_for_is_answered():
    one = started()
    assert one.receive(control("CLOSE"), 2) == [Closed()]
    assert one.data_to_send() == CLOSE_TWICE


def test_the_last_command_and_the_end_may_come_together():
    one = started()
    assert one.receive(data(1, b"HY") + data(2, b"HY") + CLOSE_TWICE + b"\x10OO", 2) == [
        Command(MAIN, b"HY")
    ]
    assert one.tick(2) == [Command(MAIN, b"HY")]
    assert one.tick(2) == [Closed()]
    assert one.tick(2) == []


def test_a_start_that_is_ended_ends():
    one = line()
    one.start(0)
    one.close(0)
    assert one.data_to_send() == control("INITA", 7) + CLOSE_TWICE
    assert one.receive(control("CLOSE"), 1) == [Closed()]


# --- recorded calls


@pytest.mark.parametrize("letter", "gGv")
@pytest.mark.parametrize("is_caller", [True, False])
def test_a_recorded_call_is_followed(letter, is_caller):
    ours, theirs = ("caller->", "called->") if is_caller else ("called->", "caller->")
    side = Recorded(letter, is_caller)
    for wire in _recorded(letter, theirs):
        side.take(wire)
    assert side.is_closed
    words = _words(b"".join(_recorded(letter, ours)))
    if is_caller:  # its peer's end came in one piece with its HY, and nothing is said after that
        words = words.removesuffix(b"HY")
    assert _words(side.said) == words


def _recorded(letter, direction):
    """What one side has said, from the start of the protocol on, in its pieces."""
    name = f"mail_{letter}"
    pieces = [
        bytes.fromhex(one["hex"])
        for one in RECORDED["sessions"][name]
        if one["direction"].startswith(direction)
    ]
    (first,) = [at for at, piece in enumerate(pieces) if control("INITA", 7) in piece]
    start = pieces[first].index(control("INITA", 7))
    return [pieces[first][start:], *pieces[first + 1 :]]


def _words(said):
    """The contents of all packets, however they are cut."""
    found = [packet for packet in PacketReader().read(said) if isinstance(packet, DataPacket)]
    return b"".join(packet.content.rstrip(b"\0") for packet in found)


class Recorded:
    """Our side of the recorded call: one mail from the caller."""

    def __init__(self, letter, is_caller):
        self.line = LINES[letter](Settings(is_caller))
        self.is_closed = False
        self.content = _mail(letter)
        self._is_caller = is_caller
        self.line.start(0)
        self.said = self.line.data_to_send()

    def take(self, wire):
        events = self.line.receive(wire, 0)
        while events:
            for event in events:
                self._answer(event)
            events = self.line.receive(b"", 0)
        self.said += self.line.data_to_send()

    def _answer(self, event):
        match event:
            case Started():
                if self._is_caller:
                    self._say(COMMAND)
            case Command(text=text):
                self._answer_command(text)
            case Data(position=0, content=content):
                assert self.content.startswith(content)
            case EndOfFile():
                self._say(b"CY")
            case Closed():
                self.is_closed = True

    def _answer_command(self, text):
        match text:
            case b"EY":
                self.line.send_data(MAIN, self.content, 0)
                self.line.end_file(MAIN, 0)
            case b"CY":
                self._say(b"H")
            case b"H":
                self._say(b"HY")
                self._say(b"HY")
            case b"HY":
                if self._is_caller:
                    self._say(b"HY")
                self.line.close(0)
            case _:
                assert text == COMMAND
                self._say(b"EY")
                self.line.expect_file(MAIN, 0)

    def _say(self, text):
        self.line.send_command(MAIN, text, 0)


def _mail(letter):
    found = PacketReader().read(b"".join(_recorded(letter, "caller->")))
    contents = [packet.content for packet in found if isinstance(packet, DataPacket)]
    return b"".join(contents[1 : contents.index(b"")])


# --- files over lines of every kind


class Transfer:
    """A file from the caller to the called side, over a line that is simulated."""

    def __init__(self, size, quality, *, kind=LineG, seed=0, caller=None, called=None):
        self.content = random.Random(size).randbytes(size)
        self.received = bytearray()
        self.sim = LineSim(
            line(True, kind, **caller or {}), line(False, kind, **called or {}), quality, seed=seed
        )
        self.sim.caller.on_event = self._caller
        self.sim.called.on_event = self._called
        self.sim.caller.work = self._work
        self._position = None

    def run(self):
        ends = (self.sim.caller, self.sim.called)
        self.sim.start()
        self.sim.run(lambda: all(Closed() in end.events for end in ends), 1_000_000)
        assert bytes(self.received) == self.content
        return self.sim

    def _caller(self, event):
        one, now = self.sim.caller.line, self.sim.now
        match event:
            case Started():
                one.send_command(MAIN, COMMAND, now)
            case Command(text=b"EY"):
                one.begin_file(MAIN, 0, len(self.content))
                self._position = 0
            case Command(text=b"CY"):
                one.close(now)

    def _called(self, event):
        one, now = self.sim.called.line, self.sim.now
        match event:
            case Command():
                one.expect_file(MAIN, 0)
                one.send_command(MAIN, b"EY", now)
            case Data(position=position, content=content):
                assert position == len(self.received)
                self.received += content
            case EndOfFile():
                one.send_command(MAIN, b"CY", now)

    def _work(self):
        one, now = self.sim.caller.line, self.sim.now
        if self._position is None:
            return
        while self._position < len(self.content) and (room := one.room):
            content = self.content[self._position : self._position + room]
            one.send_data(MAIN, content, now)
            self._position += len(content)
        if self._position == len(self.content):
            one.end_file(MAIN, now)
            self._position = None


SIZES = [0, 1, 61, 62, 63, 64, 65, 1021, 1022, 1023, 1024, 4096]


@pytest.mark.parametrize("kind", LINES.values(), ids=LINES)
@pytest.mark.parametrize("size", [*SIZES, 1 << 20])
def test_a_file_arrives(kind, size):
    sim = Transfer(size, Quality(), kind=kind).run()
    assert sim.caller.line.counts.resent == 0


@pytest.mark.parametrize("window", [1, 3, 7])
@pytest.mark.parametrize("packet_size", [32, 64, 4096])
def test_a_file_arrives_with_every_window_and_size(window, packet_size):
    asked = {"window": window, "packet_size": packet_size}
    Transfer(100_000, Quality(), called=asked).run()


@pytest.mark.parametrize("kind", LINES.values(), ids=LINES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("packet_size", [None, 64, 1024, 4096])
def test_over_a_slow_line_nothing_is_sent_twice(kind, size, packet_size):
    asked = {"packet_size": packet_size} if packet_size else {}
    slow = Quality(bits_per_second=200, delay_seconds=1.5)
    sim = Transfer(size, slow, kind=kind, caller=asked, called=asked).run()
    for end in (sim.caller, sim.called):
        counts = end.line.counts
        assert (counts.resent, counts.out_of_order, counts.rejected) == (0, 0, 0)
        assert not [event for event in end.events if isinstance(event, Remark)]


@pytest.mark.parametrize(("rate", "delay", "most"), [(128_000, 0.3, 1.6), (33_600, 0.1, 1.05)])
def test_a_long_file_keeps_the_line_busy(rate, delay, most):
    quality = Quality(bits_per_second=rate, delay_seconds=delay)
    sim = Transfer(1 << 20, quality).run()
    assert sim.now < most * (8 << 20) / rate
    assert sim.caller.line.counts.resent == 0


NOISES = {
    "damage": {"damage": 3e-4},
    "drop": {"drop": 3e-4},
    "double": {"duplicate": 3e-4},
    "all": {"damage": 1e-4, "drop": 1e-4, "duplicate": 1e-4},
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [0, 1, 1024, 60_000])
def test_a_file_arrives_over_a_bad_line(noise, seed, size):
    quality = Quality(bits_per_second=33_600, delay_seconds=0.1, **noise)
    sim = Transfer(size, quality, seed=seed).run()
    if size == 60_000:
        assert sim.caller.line.counts.resent > 0
        assert any(isinstance(event, Remark) for event in sim.caller.events)


def test_a_long_file_arrives_over_a_bad_line():
    quality = Quality(bits_per_second=33_600, delay_seconds=0.1, **NOISES["all"])
    sim = Transfer(1 << 20, quality).run()
    assert sim.there.carried_bytes < 2.5 * (1 << 20)


@pytest.mark.parametrize("seed", range(10))
def test_a_start_over_a_very_bad_line_comes_about_or_is_given_up(seed):
    quality = Quality(bits_per_second=9600, delay_seconds=0.1, damage=0.02, drop=0.02)
    transfer = Transfer(0, quality, seed=seed)
    try:
        transfer.run()
    except (LineLost, RemoteProtocolError):
        assert transfer.sim.now < 3600


# --- whatever comes


def _new(is_caller):
    one = line(is_caller)
    one.start(0)
    return one


def _sending():
    one = started(size=1024)
    one.send_data(MAIN, bytes(one.room), 1)
    return one


def _receiving():
    one = started(is_caller=False)
    one.receive(data(1, b"S") + data(2, b"x")[:30], 1)
    one.expect_file(MAIN, 0)
    return one


def _closing():
    one = started()
    one.close(1)
    return one


def _closed():
    one = started()
    one.receive(control("CLOSE"), 1)
    return one


STATES = {
    "called, new": lambda: _new(is_caller=False),
    "caller, new": lambda: _new(is_caller=True),
    "open": lambda: started(is_caller=False),
    "sending": _sending,
    "receiving": _receiving,
    "closing": _closing,
    "closed": _closed,
}

NUMBERS = st.integers(0, 7)

PIECES = st.one_of(
    st.binary(max_size=80),
    st.builds(control, st.sampled_from([one.name for one in Type]), NUMBERS),
    st.builds(data, NUMBERS, st.binary(max_size=32), NUMBERS, st.sampled_from([32, 64])),
    st.builds(piece, NUMBERS, st.binary(max_size=31), NUMBERS, st.just(32)),
    st.builds(
        lambda field, number: DataPacket(number, 0, field, True, field_sum(field)).encode(),
        st.binary(min_size=32, max_size=32),
        NUMBERS,
    ),
)


@pytest.mark.parametrize("state", STATES)
@settings(max_examples=150, deadline=None)
@given(pieces=st.lists(st.tuples(PIECES, st.floats(0, 100)), max_size=25))
def test_whatever_comes_nothing_is_raised_but_our_errors(state, pieces):
    one, now = STATES[state](), 1.0
    try:
        for wire, seconds in pieces:
            one.receive(wire, now)
            now += seconds
            if one.wake_at is not None and one.wake_at <= now:
                one.tick(now)
            one.data_to_send()
            assert one.room >= 0
    except (LineLost, RemoteProtocolError):
        return


@pytest.mark.parametrize("state", STATES)
def test_a_flood_of_anything_ends_or_keeps_little(state):
    chance = random.Random(1)
    one = STATES[state]()
    try:
        for now in range(1, 300):
            one.receive(chance.randbytes(10_000), now)
            assert len(one.data_to_send()) < 40_000
    except (LineLost, RemoteProtocolError):
        return
    assert state == "closed"
