"""The conversation, with a line protocol that is a list, and with real ones under random bytes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relaynode.errors import LineLost, RemoteProtocolError, StoreFull
from relaynode.uucp.commands import Code, Fetch, RemoteCopy, Send
from relaynode.uucp.events import FileMoved, LogLine
from relaynode.uucp.features import BARE, NONE, OURS, TAYLORS, Features
from relaynode.uucp.handshake import Agreement
from relaynode.uucp.incoming import MAX_EXCESS_BYTES
from relaynode.uucp.line import MAIN, Channel, Closed, Data, EndOfFile, Resend, Settings
from relaynode.uucp.names import PublicPath, SpoolName
from relaynode.uucp.protocols import make_line
from relaynode.uucp.serving import MAX_GARBLED
from relaynode.uucp.session import (
    MAX_UNTAKEN_COMMANDS,
    SILENCE_SECONDS,
    Session,
    SessionSettings,
)
from relaynode.uucp.tasks import BytesSource
from relaynode.uucp.work import Ending, Job, Verdict
from uucp.fake_line import FakeLine, command, file
from uucp.memory import MemorySink, MemoryWork, fetch_job, mail_job, send_job

E = b'E D.0001 D.alphaN0001 uucp -C D.0001 0666 "" 0x5 rmail bob'


class Talk:
    """A session over a fake line, and its clock."""

    def __init__(
        self,
        work: MemoryWork,
        *,
        is_caller: bool = True,
        is_full_duplex: bool = False,
        hears_on: bool = False,
        features: Features = OURS,
        **options,
    ) -> None:
        limits = {key: options.pop(key) for key in ("max_bytes", "worst_grade") if key in options}
        agreement = Agreement("beta", "t", features, **limits)
        self.now = 0.0
        self.work = work
        self.line = FakeLine(is_full_duplex=is_full_duplex, hears_on=hears_on)
        session_settings = SessionSettings("alpha", is_caller, **options)
        self.session = Session(self.line, agreement, work, session_settings)
        self.events = self.session.start(0.0)

    def say(self, *events) -> list[object]:
        """What the session answers when the peer says this."""
        flat = [one for event in events for one in (event if isinstance(event, list) else [event])]
        self.line.put(*(command(one) if isinstance(one, bytes) else one for one in flat))
        self.events += self.session.receive(b"", self.now)
        return self.answer()

    def answer(self) -> list[object]:
        while self.session.data_to_send(self.now):
            pass
        self.events += self.session.drain_events()
        return self.line.take_said()

    def tick(self) -> list[object]:
        self.events += self.session.tick(self.now)
        return self.answer()

    @property
    def endings(self) -> list[Ending]:
        return [outcome.ending for _, outcome in self.work.outcomes]

    @property
    def logs(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, LogLine))

    @property
    def moved(self) -> list[tuple[bool, int, str]]:
        files = (event for event in self.events if isinstance(event, FileMoved))
        return [(file.is_sent, file.size_bytes, file.error) for file in files]


def slave(work: MemoryWork | None = None, **options) -> Talk:
    return Talk(work or MemoryWork(), is_caller=False, **options)


# --- sending


def test_a_mail_is_sent_and_confirmed_and_then_the_line_is_hung_up():
    talk = Talk(MemoryWork([mail_job(b"hello")]))
    assert talk.answer() == [b"E D.0001 D.alphaC0001 uucp -CR D.0001 0666 alice 0x5 rmail bob"]
    assert talk.say(b"EY") == [("begin", 0, 0, 5), ("data", 0, b"hello"), ("end", 0)]
    assert talk.endings == []
    assert talk.say(b"CY") == [b"H"]
    assert talk.endings == [Ending.DONE]
    assert talk.say(b"HY") == [b"HY", "close"]
    assert talk.session.is_over
    assert talk.moved == [(True, 5, "")]


def test_the_next_command_goes_in_the_same_flight_as_the_last_confirmation_came():
    talk = Talk(MemoryWork([send_job(b"a", 1), send_job(b"b", 2)]))
    talk.answer()
    talk.say(b"SY")
    assert talk.say(b"CY") == [b'S /home/u/file2 ~/in/file uucp -C D.0002 0666 "" 0x1']


S2 = b'S /home/u/file2 ~/in/file uucp -C D.0002 0666 "" 0x1'


def early(*jobs: Job, features: Features = TAYLORS) -> Talk:
    """A master over a line that hears on."""
    talk = Talk(MemoryWork(list(jobs)), hears_on=True, features=features)
    talk.answer()
    return talk


def test_where_the_peer_hears_on_what_follows_a_file_does_not_wait_for_its_confirmation():
    talk = early(send_job(b"a", 1), send_job(b"b", 2))
    assert talk.say(b"SY")[-2:] == [("end", 0), S2]
    assert talk.say(b"CY") == []
    assert talk.endings == [Ending.DONE]
    assert talk.say(b"SY")[-2:] == [("end", 0), b"H"]
    assert talk.say(b"CY") == []
    assert talk.say(b"HY") == [b"HY", "close"]
    assert talk.endings == [Ending.DONE] * 2


def test_words_about_files_and_answers_to_what_followed_them_are_kept_apart():
    talk = early(send_job(b"a", 1), send_job(b"b", 2), fetch_job())
    talk.say(b"SY")
    assert talk.say(b"CN5", b"SN2")[:1] != [b"H"]
    assert talk.endings == [Ending.REFUSED, Ending.REFUSED]
    talk.say(b"RY 0666", Data(MAIN, 0, b"content"), EndOfFile(MAIN))
    assert talk.endings[2:] == [Ending.DONE]


def test_a_file_that_was_followed_is_doubtful_when_the_line_breaks():
    talk = early(send_job(b"a", 1), send_job(b"b", 2))
    talk.say(b"SY")
    talk.session.interrupt("lost", 0.0)
    assert [outcome.is_doubtful for _, outcome in talk.work.outcomes] == [True, False]


def test_a_relaynode_is_not_hurried_over_such_a_line():
    talk = early(send_job(b"a", 1), send_job(b"b", 2), features=OURS)
    assert talk.say(b"SY")[-1] == ("end", 0)
    assert talk.say(b"CY") == [S2]


@pytest.mark.parametrize("has_another_form", [False, True])
def test_a_job_with_another_form_is_granted_before_the_call_ends(has_another_form):
    job = replace(mail_job(b"hello"), has_another_form=has_another_form)
    talk = Talk(MemoryWork([job]), is_full_duplex=True)
    assert (b"H" in talk.answer()) != has_another_form
    assert (b"H" in talk.say(command(b"EY", 1))) == has_another_form


def test_no_more_than_one_file_waits_for_its_confirmation():
    talk = early(*(send_job(b"a", n) for n in range(1, 5)))
    talk.say(b"SY")
    assert talk.say(b"SY")[-1] == ("end", 0)
    assert len(talk.say(b"CY")) == 1


def test_a_broken_file_goes_on_where_the_peer_says():
    talk = Talk(MemoryWork([send_job(b"0123456789")]))
    talk.answer()
    assert talk.say(b"SY 0x8") == [("begin", 0, 8, 2), ("data", 0, b"89"), ("end", 0)]
    assert "resume at 8" in talk.logs


def test_a_file_that_the_peer_has_whole_is_only_ended():
    talk = Talk(MemoryWork([send_job(b"0123456789")]))
    talk.answer()
    assert talk.say(b"SY 0xa") == [("begin", 0, 10, 0), ("end", 0)]


def test_an_empty_file_is_begun_and_ended():
    talk = Talk(MemoryWork([send_job(b"")]))
    talk.answer()
    assert talk.say(b"SY") == [("begin", 0, 0, 0), ("end", 0)]


def test_a_position_behind_the_end_is_refused():
    talk = Talk(MemoryWork([send_job(b"0123456789")]))
    talk.answer()
    with pytest.raises(RemoteProtocolError):
        talk.say(b"SY 0xb")


@pytest.mark.parametrize(
    ("reply", "ending"),
    [
        (b"SN2", Ending.REFUSED),
        (b"SN4", Ending.LATER),
        (b"SN6", Ending.LATER),
        (b"SN7", Ending.REFUSED),
        (b"SN8", Ending.DONE),
        (b"SN9", Ending.LATER),
        (b"SN10", Ending.REFUSED),
        (b"SN", Ending.REFUSED),
    ],
)
def test_what_a_refusal_means(reply, ending):
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    assert talk.say(reply) == [b"H"]
    assert talk.endings == [ending]


def test_a_file_that_could_not_be_stored_is_refused_for_ever():
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    talk.say(b"SY")
    talk.say(b"CN5")
    assert talk.endings == [Ending.REFUSED]
    assert talk.moved == [(True, 1, "the peer could not store the file")]


def test_no_file_is_sent_that_is_too_large_for_the_peer():
    talk = Talk(MemoryWork([send_job(b"a" * 513), send_job(b"a" * 512, 2)]), max_bytes=512)
    assert talk.answer() == [b'S /home/u/file2 ~/in/file uucp -C D.0002 0666 "" 0x200']
    assert talk.endings == [Ending.LATER]


def test_the_peer_may_ask_for_urgent_jobs_only():
    work = MemoryWork([send_job(b"a", grade="N"), mail_job(b"b", grade="C")])
    talk = Talk(work, worst_grade="C")
    assert len(talk.answer()) == 1
    talk.say(b"EY")
    assert talk.say(b"CY") == [b"H"]
    assert len(work.jobs) == 1


def test_a_name_that_the_peer_cannot_be_told_ends_the_job():
    talk = Talk(MemoryWork([send_job(b"a", target="~/with blank")]), features=Features.SIZES)
    assert talk.answer() == [b"H"]
    assert talk.endings == [Ending.REFUSED]


def test_a_peer_without_e_gets_data_and_an_execution_file():
    talk = Talk(MemoryWork([mail_job(b"hello")]), features=NONE)
    assert talk.answer() == [b"S D.0001 D.alphaC0001 uucp - D.0001 0666  "]
    talk.say(b"SY")
    assert talk.say(b"CY") == [b"S D.X0001 X.alphaC0001 uucp - D.X0001 0666  "]
    assert talk.endings == []
    content = b"U uucp alpha\nF D.alphaC0001\nI D.alphaC0001\nR alice\nC rmail bob\n"
    assert talk.say(b"SY")[1] == ("data", 0, content)
    assert talk.say(b"CY") == [b"H"]
    assert talk.endings == [Ending.DONE]


def test_when_the_data_came_in_an_earlier_call_the_execution_file_still_goes():
    talk = Talk(MemoryWork([mail_job(b"hello")]), features=BARE)
    talk.answer()
    (said,) = talk.say(b"SN8")
    assert said.startswith(b"S D.X0001 X.alphaC0001 ")


def test_a_peer_that_wants_its_turn_gets_it():
    talk = Talk(MemoryWork([send_job(b"a", 1), send_job(b"b", 2)]))
    talk.answer()
    talk.say(b"SY")
    assert talk.say(b"CYM") == [b"H"]
    assert talk.say(b"HN") == []
    assert talk.say(b"H")[0] == b"HN"
    assert talk.endings == [Ending.DONE]


def test_a_file_that_became_shorter_breaks_the_call():
    source = BytesSource(b"abc")
    source.size_bytes = 5
    talk = Talk(MemoryWork([Job(Send("a", "~/b", "u", "C", "D.0001"), source=source)]))
    talk.answer()
    with pytest.raises(LineLost):
        talk.say(b"SY")


def test_a_file_goes_out_only_as_the_line_takes_it():
    talk = Talk(MemoryWork([send_job(b"0123456789")]))
    talk.answer()
    talk.line.room = 4
    talk.line.put(command(b"SY"))
    talk.session.receive(b"", 0)
    assert talk.line.take_said() == []
    talk.line.room = 0
    assert talk.answer() == []


def test_the_file_is_sent_again_when_the_line_asks_for_it():
    talk = Talk(MemoryWork([send_job(b"0123456789")]))
    talk.answer()
    sent = [("begin", 0, 0, 10), ("data", 0, b"0123456789"), ("end", 0)]
    assert talk.say(b"SY") == sent
    assert talk.say(Resend(MAIN)) == sent
    talk.say(b"CY")
    assert talk.endings == [Ending.DONE]
    with pytest.raises(RemoteProtocolError):
        talk.say(Resend(MAIN))


# --- receiving


def test_a_mail_is_received_and_confirmed_when_it_is_stored():
    talk = slave()
    assert talk.say(E) == [b"EY"]
    assert talk.line.expected == [(MAIN, 0)]
    assert talk.say(file(b"hello")) == [b"CY"]
    assert talk.work.executions == [("rmail bob", b"hello")]
    assert talk.moved == [(False, 5, "")]
    assert "Receiving rmail bob (5 bytes)" in talk.logs


def test_no_word_is_given_before_the_commit():
    talk = slave(MemoryWork(decides_later=True))
    talk.say(E)
    assert talk.say(file(b"hello")) == []
    talk.work.received[0].sink.decide()
    assert talk.tick() == [b"CY"]


def test_what_cannot_be_stored_is_answered_so():
    talk = slave(MemoryWork(final=Verdict.NOT_STORED))
    talk.say(E)
    assert talk.say(file(b"hello")) == [b"CN5"]
    assert talk.moved == [(False, 5, "could not be stored")]


def test_the_mark_against_doubles_goes_when_the_peer_goes_on():
    talk = slave()
    talk.say(E)
    talk.say(file(b"hello"))
    sink = talk.work.received[0].sink
    assert not sink.is_confirmed
    assert talk.work.marks == {"D.0001"}
    talk.say(E.replace(b"0001", b"0002"))
    assert sink.is_confirmed
    assert talk.work.marks == set()


def test_the_mark_stays_when_the_line_breaks_behind_our_word():
    talk = slave()
    talk.say(E)
    talk.say(file(b"hello"))
    talk.session.interrupt("broken", 0)
    again = slave(talk.work)
    assert again.say(E) == [b"EN8"]
    assert len(talk.work.files) == 1


def test_an_old_peer_is_not_told_that_it_was_received_before():
    work = MemoryWork(marks={"D.0001"})
    talk = slave(work, features=NONE)
    assert talk.say(b"S D.0001 D.alphaN0001 uucp - D.0001 0666  ") == [b"SY"]
    assert talk.say(file(b"hello")) == [b"CY"]
    assert work.files == []


def test_a_broken_transfer_goes_on():
    talk = slave(MemoryWork(parts={"D.0001": b"hel"}))
    assert talk.say(E) == [b"EY 0x3"]
    assert talk.line.expected == [(MAIN, 3)]
    assert talk.say(file(b"lo", 3)) == [b"CY"]
    assert talk.work.files == [b"hello"]


def test_a_peer_that_cannot_restart_begins_anew():
    talk = slave(MemoryWork(parts={"D.0001": b"hel"}), features=Features.SIZES)
    assert talk.say(b"S D.0001 D.alphaN0001 uucp - D.0001 0666  ") == [b"SY"]
    talk.say(file(b"abc"))
    assert talk.work.files == [b"abc"]


def test_a_part_longer_than_the_file_is_of_no_use():
    talk = slave(MemoryWork(parts={"D.0001": b"another file"}))
    assert talk.say(E) == [b"EY"]
    talk.say(file(b"hello"))
    assert talk.work.files == [b"hello"]


def test_a_part_is_kept_when_the_line_breaks():
    talk = slave()
    talk.say(E)
    talk.say(Data(MAIN, 0, b"hel"))
    talk.session.interrupt("broken", 0)
    talk.work.keep_parts()
    assert talk.work.parts == {"D.0001": b"hel"}


def test_a_part_without_a_name_of_its_own_is_not_kept():
    talk = slave()
    talk.say(b'S a ~/b uucp - D.0 0666 "" 0x5')
    talk.say(Data(MAIN, 0, b"hel"))
    talk.session.interrupt("broken", 0)
    assert not talk.work.received[0].sink.keeps_part


def test_holes_are_refused():
    talk = slave()
    talk.say(E)
    with pytest.raises(RemoteProtocolError):
        talk.say(Data(MAIN, 1, b"ello"))


def test_data_without_a_file_is_refused():
    for event in (Data(MAIN, 0, b"x"), EndOfFile(MAIN), Resend(MAIN)):
        with pytest.raises(RemoteProtocolError):
            slave().say(event)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (b'S a /etc/passwd u - D.1 0666 "" 0x5', b"SN2"),
        (b'S a ~/../evil u - D.1 0666 "" 0x5', b"SN2"),
        (b'S a D./../../evil u - D.1 0666 "" 0x5', b"SN2"),
        (b'S a C.alphaN0001 u - D.1 0666 "" 0x5', b"SN2"),
        (b'S a ~root/x u - D.1 0666 "" 0x5', b"SN2"),
        (b'E a ~/x u - D.1 0666 "" 0x5 rmail bob', b"EN2"),
        (b'E a X.alphaN0001 u - D.1 0666 "" 0x5 rmail bob', b"EN2"),
        (b'E a C.alphaN0001 u - D.1 0666 "" 0x5 rmail bob', b"EN2"),
        (b"R /etc/passwd b u -", b"RN2"),
        (b"R ~/../x b u -", b"RN2"),
        (b"R ~/missing b u -", b"RN2"),
        (b"X ~/x gamma!y u -", b"XN"),
        (b"S a b", b"SN2"),
        (b"E a b", b"EN2"),
        (b"R a", b"RN2"),
        (b"X a", b"XN"),
    ],
)
def test_what_must_not_be_is_refused_and_noted(text, reply):
    talk = slave()
    assert talk.say(text) == [reply]
    assert talk.work.received == []
    assert talk.logs
    assert talk.say(b"H") == [b"HY", "close"]


def test_the_work_may_refuse_too():
    talk = slave(MemoryWork(refuse=lambda request: Code.TOO_LARGE_NOW))
    assert talk.say(E) == [b"EN6"]


def test_files_go_to_the_spool_or_below_the_public_folder():
    talk = slave()
    talk.say(b'S a ~/in/ u - D.0 0666 "" 0x0')
    talk.say(file(b""))
    talk.say(b'S D.X1 X.alphaN0001 u - D.0 0666 "" 0x0')
    first, second = talk.work.received
    assert first.target == PublicPath(("in",), True, "a")
    assert second.target == SpoolName("X.alphaN0001")


def test_a_file_larger_than_we_take_is_refused_before_it_comes():
    talk = slave(max_file_bytes=4)
    assert talk.say(E) == [b"EN7"]


def test_a_file_that_turns_out_too_large_is_not_stored():
    talk = slave(max_file_bytes=4, features=NONE)
    talk.say(b"S a ~/b u - D.1 0666  ")
    assert talk.say(file(b"hello")) == [b"CN5"]
    assert talk.work.files == []
    assert not talk.work.received[0].sink.keeps_part


def test_a_file_that_does_not_end_is_cut_off():
    talk = slave(max_file_bytes=4, features=NONE)
    talk.say(b"S a ~/b u - D.1 0666  ")
    with pytest.raises(RemoteProtocolError):
        talk.say(Data(MAIN, 0, bytes(MAX_EXCESS_BYTES + 5)))


def test_a_full_disk_ends_the_call():
    def refuse(request):
        raise StoreFull("no room")

    with pytest.raises(StoreFull):
        slave(MemoryWork(refuse=refuse)).say(E)


# --- fetching and copying


def test_a_file_is_fetched():
    sink = MemorySink()
    talk = Talk(MemoryWork([fetch_job("~/out", sink)]))
    assert talk.answer() == [b"R ~/out /home/u/got uucp - 0xffffffffffffffff"]
    assert talk.say(b"RY 0644 0x5") == []
    assert talk.say(file(b"hello")) == [b"CY", b"H"]
    assert bytes(sink.content) == b"hello"
    assert talk.endings == [Ending.DONE]


def test_a_fetch_may_be_refused():
    talk = Talk(MemoryWork([fetch_job()]))
    talk.answer()
    talk.say(b"RN2")
    assert talk.endings == [Ending.REFUSED]


def test_a_fetched_file_must_not_be_larger_than_was_asked():
    job = Job(Fetch("~/a", "b", "u", limit=3), sink=MemorySink())
    talk = Talk(MemoryWork([job]))
    talk.answer()
    talk.say(b"RY 0644 0x5")
    assert talk.say(file(b"hello")) == [b"CN5", b"H"]
    assert talk.endings == [Ending.REFUSED]


def test_the_peer_may_fetch_from_the_public_folder():
    talk = slave(MemoryWork(public={"out/x": b"hello"}))
    said = talk.say(b"R ~/out/x /home/u/got u - 0xffffffffffffffff")
    assert said == [b"RY 0644 0x5", ("begin", 0, 0, 5), ("data", 0, b"hello"), ("end", 0)]
    assert talk.work.fetches == []
    assert talk.say(b"CY") == []
    assert [ok for _, ok in talk.work.fetches] == [True]
    assert talk.moved == [(True, 5, "")]


def test_the_peer_may_fail_to_store_what_it_fetched():
    talk = slave(MemoryWork(public={"x": b"hello"}))
    talk.say(b"R ~/x b u -")
    talk.say(b"CN5")
    assert [ok for _, ok in talk.work.fetches] == [False]


def test_a_file_larger_than_the_peers_limit_is_not_sent():
    talk = slave(MemoryWork(public={"x": b"hello"}))
    assert talk.say(b"R ~/x b u - 0x4") == [b"RN6"]
    assert [ok for _, ok in talk.work.fetches] == [False]


def test_copies_are_asked_for_and_granted():
    talk = Talk(MemoryWork([Job(RemoteCopy("~/a*", "gamma!~/", "u", "d"))]))
    assert talk.answer() == [b"X ~/a* gamma!~/ u -d"]
    assert talk.say(b"XY") == [b"H"]
    assert talk.endings == [Ending.DONE]
    other = slave(MemoryWork(queues_copies=True))
    assert other.say(b"X ~/a* gamma!~/ u -d") == [b"XY"]
    assert len(other.work.copies) == 1


def test_copies_may_be_refused():
    talk = Talk(MemoryWork([Job(RemoteCopy("~/a*", "gamma!~/", "u", "d"))]))
    talk.answer()
    talk.say(b"XN")
    assert talk.endings == [Ending.REFUSED]


# --- roles and the end


def test_a_slave_with_work_takes_its_turn_at_once():
    talk = slave(MemoryWork([send_job(b"a")]))
    assert talk.say(b"H") == [b"HN", b'S /home/u/file1 ~/in/file uucp -C D.0001 0666 "" 0x1']
    talk.say(b"SY")
    assert talk.say(b"CY") == [b"H"]
    assert talk.say(b"HY") == [b"HY", "close"]


def test_a_slave_without_work_agrees_and_passes_over_the_masters_last_word():
    talk = slave()
    assert talk.say(b"H") == [b"HY", "close"]
    assert talk.say(b"HY", b"HY", b"nonsense") == []


def test_a_second_agreement_in_the_same_flight_does_no_harm():
    talk = Talk(MemoryWork())
    assert talk.answer() == [b"H"]
    assert talk.say(b"HY", b"HY") == [b"HY", "close"]
    assert talk.session.is_over


def test_a_slave_that_does_not_know_yet_answers_when_it_does():
    work = MemoryWork(is_thinking=True)
    talk = slave(work)
    assert talk.say(b"H") == []
    work.is_thinking = False
    work.jobs.append(send_job(b"a"))
    assert talk.tick()[0] == b"HN"


def test_a_master_that_does_not_know_yet_does_not_hang_up():
    work = MemoryWork(is_thinking=True)
    talk = Talk(work)
    assert talk.answer() == []
    work.is_thinking = False
    assert talk.tick() == [b"H"]


def test_told_to_stop_it_finishes_what_is_under_way():
    talk = Talk(MemoryWork([send_job(b"a", 1), send_job(b"b", 2)]))
    talk.answer()
    talk.session.stop_taking_work()
    talk.say(b"SY")
    assert talk.say(b"CY") == [b"H"]
    assert len(talk.work.jobs) == 1


def test_told_to_stop_it_takes_no_turn():
    talk = slave(MemoryWork([send_job(b"a")]))
    talk.session.stop_taking_work()
    assert talk.say(E) == [b"EY"]
    talk.say(file(b"hello"))
    assert talk.say(b"H") == [b"HY", "close"]


def test_told_to_refuse_it_asks_the_peer_to_come_again():
    talk = slave(MemoryWork(public={"x": b""}))
    talk.session.stop_taking_work(refuses_work=True)
    assert talk.say(E) == [b"EN4"]
    assert talk.say(b"R ~/x b u -") == [b"RN4"]
    assert talk.say(b"X a b u -") == [b"XN"]


def test_the_end_of_the_protocol_behind_h_is_no_loss():
    talk = Talk(MemoryWork())
    talk.answer()
    talk.say(Closed())
    assert talk.session.is_over


def test_the_end_of_the_protocol_in_the_middle_is_a_loss():
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    with pytest.raises(LineLost):
        talk.say(Closed())


def test_the_end_of_the_connection_is_a_loss_before_the_agreement_and_none_after():
    talk = Talk(MemoryWork())
    with pytest.raises(LineLost):
        talk.session.peer_closed(0)
    talk.answer()
    talk.say(b"HY")
    talk.session.peer_closed(0)


# --- what breaks off


def test_what_was_under_way_is_reported_as_to_be_tried_again():
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    talk.session.interrupt("broken", 0)
    ((_, outcome),) = talk.work.outcomes
    assert outcome.ending is Ending.LATER
    assert not outcome.is_doubtful


def test_what_was_sent_but_not_confirmed_is_doubtful():
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    talk.say(b"SY")
    talk.session.interrupt("broken", 0)
    ((_, outcome),) = talk.work.outcomes
    assert outcome.ending is Ending.LATER
    assert outcome.is_doubtful
    assert outcome.sent_bytes == 1


def test_a_served_file_is_given_back():
    talk = slave(MemoryWork(public={"x": b"hello"}))
    talk.say(b"R ~/x b u -")
    talk.session.interrupt("broken", 0)
    assert [ok for _, ok in talk.work.fetches] == [False]


@pytest.mark.parametrize("is_caller", [True, False])
def test_a_peer_that_falls_silent_is_given_up(is_caller):
    talk = Talk(MemoryWork([send_job(b"a")]), is_caller=is_caller)
    talk.answer()
    assert talk.session.wake_at is not None
    talk.now = SILENCE_SECONDS / 2
    talk.tick()
    talk.now = SILENCE_SECONDS + 10
    with pytest.raises(LineLost):
        talk.tick()


def test_a_peer_that_trickles_is_given_up():
    talk = slave()
    talk.say(b"S a ~/b u - D.1 0666  ")
    position = 0
    with pytest.raises(LineLost):
        for _ in range(100):
            talk.now += 60
            talk.say(Data(MAIN, position, b"x"))
            position += 1
            talk.tick()
    assert position < 20


def test_a_slow_peer_is_not_given_up():
    talk = slave()
    talk.say(b"S a ~/b u - D.1 0666  ")
    for number in range(100):
        talk.now += 50
        talk.say(Data(MAIN, number * 1000, bytes(1000)))
        talk.tick()
    assert talk.say(EndOfFile(MAIN)) == [b"CY"]


# --- what is out of turn


@pytest.mark.parametrize(
    "said", [b"SY", b"EY", b"CY", b"CN5", b"RY", b"XY", b"HY", b"HN", b"Z foo", b"nonsense"]
)
def test_a_slave_is_asked_not_answered(said):
    with pytest.raises(RemoteProtocolError):
        slave().say(said)


@pytest.mark.parametrize("said", [b"H", E, b"R a b u -", b"EY", b"SY x", b"CY", b"HY", b"RN2"])
def test_a_master_is_answered_not_asked(said):
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    with pytest.raises(RemoteProtocolError):
        talk.say(said)


@pytest.mark.parametrize("said", [b"SY", b"SN2"])
def test_a_request_is_answered_once(said):
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    talk.say(b"SY")
    with pytest.raises(RemoteProtocolError):
        talk.say(said)


def test_a_word_about_a_file_comes_behind_the_file():
    talk = Talk(MemoryWork([send_job(b"a")]))
    talk.answer()
    with pytest.raises(RemoteProtocolError):
        talk.say(b"CY")


def test_senseless_commands_are_answered_only_so_often():
    talk = slave()
    for _ in range(MAX_GARBLED):
        talk.say(b"S a")
    with pytest.raises(RemoteProtocolError):
        talk.say(b"S a")


def test_a_peer_must_take_our_answers():
    talk = slave()
    talk.line.put(*[command(b"X a b u -")] * (MAX_UNTAKEN_COMMANDS + 1))
    with pytest.raises(RemoteProtocolError):
        talk.session.receive(b"", 0)


def test_logs_hold_no_control_characters():
    talk = slave()
    talk.say(b"S /tmp/\xff\xfe ~/../\xc2\x9b u\xc2\x85 - D.1 0666")
    for event in talk.events:
        assert event.text.isascii() and event.text.isprintable()
        assert event.user.isascii() and event.user.isprintable()


# --- full duplex


def duplex(work: MemoryWork, **options) -> Talk:
    return Talk(work, is_full_duplex=True, **options)


def ours(number: int, text: bytes):
    return command(text, number)


def theirs(number: int, text: bytes):
    return command(text, number, is_ours=False)


def test_data_runs_ahead_of_the_answers_and_all_channels_are_used():
    talk = duplex(MemoryWork([send_job(b"%d" % n, n) for n in range(1, 10)]))
    said = talk.answer()
    asked = [one[0] for one in said if isinstance(one, tuple) and isinstance(one[0], int)]
    assert asked == [1, 2, 3, 4, 5, 6, 7]
    assert [one for one in said if one[0] == "end"] == [("end", n) for n in range(1, 8)]
    again = talk.say(ours(3, b"SY"), ours(3, b"CY"))
    assert again[0] == (3, b'S /home/u/file8 ~/in/file uucp -C D.0008 0666 "" 0x1')


def test_both_sides_ask_from_the_start():
    talk = duplex(MemoryWork([send_job(b"a")]), is_caller=False)
    assert talk.answer()[0] == (1, b'S /home/u/file1 ~/in/file uucp -C D.0001 0666 "" 0x1')
    assert talk.say(theirs(1, E)) == [(1, b"EY")]
    assert talk.say(file(b"hello", 0, Channel(1, False))) == [(1, b"CY")]
    talk.say(ours(1, b"SY"), ours(1, b"CY"))
    assert talk.endings == [Ending.DONE]


def test_the_caller_asks_to_end_behind_its_last_file():
    talk = duplex(MemoryWork([send_job(b"a")]))
    assert talk.answer()[-1] == b"H"
    assert talk.say(ours(1, b"SY"), ours(1, b"CY"), b"HY") == [b"HY", "close"]
    assert talk.endings == [Ending.DONE]


def test_what_had_no_word_when_the_peer_hung_up_is_tried_again():
    talk = duplex(MemoryWork([send_job(b"a")]))
    talk.answer()
    channel = Channel(1, False)
    talk.say(theirs(1, E), Data(channel, 0, b"hel"))
    assert talk.say(b"HY") == [b"HY", "close"]
    ((_, outcome),) = talk.work.outcomes
    assert outcome.ending is Ending.LATER
    assert outcome.is_doubtful
    assert talk.work.received[0].sink.is_abandoned


def test_the_caller_does_not_ask_to_end_while_there_is_more_than_it_has_channels():
    talk = duplex(MemoryWork([send_job(b"a", n) for n in range(1, 9)]))
    assert b"H" not in talk.answer()


def test_the_called_side_does_not_agree_to_end_while_something_is_under_way():
    talk = duplex(MemoryWork([send_job(b"a")]), is_caller=False)
    talk.answer()
    assert talk.say(b"H") == [b"HN", b"H"]
    assert talk.say(ours(1, b"SY"), ours(1, b"CY"), b"HY") == [b"HY", "close"]
    assert talk.endings == [Ending.DONE]


def test_the_end_waits_for_the_commit():
    talk = duplex(MemoryWork(decides_later=True), is_caller=False)
    talk.say(theirs(1, E), *file(b"hello", 0, Channel(1, False)))
    assert talk.say(b"H") == []
    talk.work.received[0].sink.decide()
    assert talk.tick() == [(1, b"CY"), b"HY", "close"]


def test_the_called_side_never_asks_to_end():
    assert duplex(MemoryWork(), is_caller=False).answer() == []


def test_a_refused_file_is_abandoned():
    talk = duplex(MemoryWork([send_job(b"a" * 100)]))
    talk.line.room = 0
    talk.answer()
    assert talk.say(ours(1, b"SN2")) == [("begin", 1, 0, 100), ("abandon", 1), b"H"]
    assert talk.endings == [Ending.REFUSED]


def test_a_refused_file_is_abandoned_even_if_all_of_it_was_given_to_the_line():
    talk = duplex(MemoryWork([send_job(b"a")]))
    talk.line.has_waiting_files = True
    assert b"H" not in talk.answer()
    assert talk.say(ours(1, b"SN2")) == [("abandon", 1)]
    talk.line.has_waiting_files = False
    assert talk.tick() == [b"H"]


def test_an_answer_with_a_position_makes_the_file_jump():
    talk = duplex(MemoryWork([send_job(bytes(100))]))
    talk.line.room = 0
    talk.answer()
    talk.line.put(ours(1, b"SY 0x5a"))
    talk.session.receive(b"", 0)
    talk.line.room = 1000
    said = talk.answer()
    assert said[:3] == [("begin", 1, 90, 10), ("data", 1, bytes(10)), ("end", 1)]


def test_a_file_that_was_begun_waits_for_the_answer():
    talk = duplex(MemoryWork([replace(send_job(b"a" * 10), was_begun=True)]))
    assert talk.answer() == [(1, b'S /home/u/file1 ~/in/file uucp -C D.0001 0666 "" 0xa')]
    assert talk.say(ours(1, b"SY 0x8"))[0] == ("begin", 1, 8, 2)


def test_a_file_that_was_begun_and_is_not_wanted_is_still_ended():
    talk = duplex(MemoryWork([replace(send_job(b"a" * 10), was_begun=True)]))
    talk.answer()
    assert talk.say(ours(1, b"SN8")) == [("begin", 1, 0, 10), ("abandon", 1), b"H"]
    assert talk.endings == [Ending.DONE]


def test_an_answer_with_a_position_that_is_passed_changes_nothing():
    talk = duplex(MemoryWork([send_job(b"a" * 10)]))
    talk.answer()
    assert talk.say(ours(1, b"SY 0x5")) == []
    talk.say(ours(1, b"CY"))
    assert talk.endings == [Ending.DONE]


def test_data_of_a_refused_file_is_passed_over():
    talk = duplex(MemoryWork(), is_caller=False)
    channel = Channel(1, False)
    refused = E.replace(b"D.alpha", b"C.alpha")
    assert talk.say(theirs(1, refused), *file(b"hello", 0, channel)) == [(1, b"EN2")]
    assert talk.say(theirs(1, E), *file(b"hello", 0, channel)) == [(1, b"EY"), (1, b"CY")]


def test_behind_the_end_of_a_refused_file_the_next_request_may_come_in_the_same_read():
    talk = duplex(MemoryWork(), is_caller=False)
    channel = Channel(1, False)
    refused = E.replace(b"D.alpha", b"C.alpha")
    both = (theirs(1, refused), *file(b"", 0, channel), theirs(1, E), *file(b"hello", 0, channel))
    assert talk.say(*both) == [(1, b"EN2"), (1, b"EY"), (1, b"CY")]


REFUSED = E.replace(b"D.alpha", b"C.alpha")


def test_a_refused_file_that_never_begins_does_not_keep_us_from_asking_to_end():
    """Taylor's uucico says no more of it if it hears the refusal in time."""
    talk = duplex(MemoryWork([send_job(b"a")]))
    talk.line.has_waiting_files = True
    talk.answer()
    assert talk.say(theirs(1, REFUSED)) == [(1, b"EN2")]
    assert talk.line.refused == [Channel(1, False)]
    talk.line.has_waiting_files = False
    assert talk.tick() == [b"H"]


def test_a_refused_file_that_has_begun_is_waited_for():
    talk = duplex(MemoryWork([send_job(b"a")]))
    talk.line.has_waiting_files = True
    talk.answer()
    talk.say(theirs(1, REFUSED), Data(Channel(1, False), 0, b"h"))
    talk.line.has_waiting_files = False
    assert talk.tick() == []
    assert talk.say(EndOfFile(Channel(1, False))) == [b"H"]


def test_a_refused_file_that_never_begins_does_not_keep_us_from_agreeing_to_end():
    talk = duplex(MemoryWork(), is_caller=False)
    assert talk.say(theirs(1, REFUSED)) == [(1, b"EN2")]
    assert talk.say(command(b"H"))[0] == b"HY"


def test_what_runs_ahead_of_a_restart_is_not_harmful():
    talk = duplex(MemoryWork(parts={"D.0001": b"hel"}), is_caller=False)
    channel = Channel(1, False)
    talk.say(theirs(1, E))
    talk.say(Data(channel, 0, b"h"), Data(channel, 3, b"lo"), EndOfFile(channel))
    assert talk.work.files == [b"hello"]


def test_what_ran_ahead_does_not_cut_a_part_that_is_whole():
    talk = duplex(MemoryWork(parts={"D.0001": b"hello"}), is_caller=False)
    channel = Channel(1, False)
    assert talk.say(theirs(1, E)) == [(1, b"EY 0x5")]
    talk.say(Data(channel, 0, b"h"), EndOfFile(channel))
    assert talk.work.files == [b"hello"]


def test_a_size_that_was_told_wrong_is_noted():
    talk = slave()
    talk.say(E)
    talk.say(file(b"hell"))
    assert "4 bytes instead of 5" in talk.logs


def test_a_channel_carries_one_thing_at_a_time():
    talk = duplex(MemoryWork(), is_caller=False)
    talk.say(theirs(1, E))
    with pytest.raises(RemoteProtocolError):
        talk.say(theirs(1, E))


@pytest.mark.parametrize("event", [ours(1, E), command(E)])
def test_requests_come_on_channels_of_the_peers(event):
    with pytest.raises(RemoteProtocolError):
        duplex(MemoryWork(), is_caller=False).say(event)


def test_urgent_files_overtake():
    work = MemoryWork([send_job(b"slow" * 10, 1, grade="Z")])
    talk = duplex(work)
    talk.line.room = 0
    talk.answer()
    work.jobs.append(mail_job(b"fast", 2, grade="A"))
    talk.tick()
    talk.line.room = 4
    talk.session.data_to_send = lambda now: b""
    talk.session._talk.files._send_piece(talk.session._talk.files._next(), 0)
    assert ("data", 2, b"fast") in talk.line.take_said()


def test_marks_go_when_the_peer_closes_behind_our_last_word():
    talk = duplex(MemoryWork(), is_caller=False)
    talk.line.close = lambda now: None
    talk.say(theirs(1, E), *file(b"hello", 0, Channel(1, False)))
    talk.say(b"H")
    assert talk.work.marks == {"D.0001"}
    talk.say(Closed())
    assert talk.work.marks == set()


# --- random

NUMBERS = st.integers(0, 7)
TEXTS = st.one_of(
    st.sampled_from(
        [
            E,
            b"SY",
            b"SY 0x3",
            b"EY",
            b"SN2",
            b"SN8",
            b"EN2",
            b"CY",
            b"CYM",
            b"CN5",
            b"H",
            b"HY",
            b"HN",
            b"RY 0644 0x5",
            b"RN2",
            b"XY",
            b"R ~/x b u -",
            b"X a b u -",
            b"S a ~/b u - D.1 0666  ",
            b"S a",
        ]
    ),
    st.binary(max_size=30),
)
CHANNELS = st.one_of(st.just(MAIN), st.builds(Channel, NUMBERS, st.booleans()))
EVENTS = st.one_of(
    st.builds(
        lambda channel, text: command(text, channel.number, is_ours=channel.is_ours),
        CHANNELS,
        TEXTS,
    ),
    st.builds(Data, CHANNELS, st.integers(0, 20), st.binary(max_size=20)),
    st.builds(EndOfFile, CHANNELS),
    st.builds(Resend, CHANNELS),
    st.just("tick"),
    st.just("stop"),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EVENTS, max_size=25), st.booleans(), st.booleans(), st.sampled_from([OURS, NONE]))
def test_whatever_is_said_in_whatever_state_ends_well_or_in_our_errors(
    events, is_caller, is_full_duplex, features
):
    jobs = [send_job(b"a"), mail_job(b"b", 2), fetch_job(), Job(RemoteCopy("a", "b", "u"))]
    work = MemoryWork(list(jobs), public={"x": b"hello"})
    talk = Talk(work, is_caller=is_caller, is_full_duplex=is_full_duplex, features=features)
    try:
        for event in events:
            if event == "tick":
                talk.now += 5
                talk.tick()
            elif event == "stop":
                talk.session.stop_taking_work()
            else:
                talk.say(event)
    except (RemoteProtocolError, LineLost) as error:
        assert str(error).isprintable()
    talk.session.interrupt("broken", talk.now)
    # Each job that was given out has been answered for, once.
    assert len(work.outcomes) == 4 - len(work.jobs)
    for received in work.received:
        sink = received.sink
        assert sink.is_abandoned or sink.is_committed


@pytest.mark.parametrize("protocol", list("tefyigGvj"))
@pytest.mark.parametrize("is_caller", [True, False])
def test_random_bytes_over_each_protocol_end_in_our_errors(protocol, is_caller):
    try:
        make_line(protocol, Settings(is_caller))
    except ModuleNotFoundError:
        pytest.skip(f"no protocol {protocol}")
    for seed in range(30):
        _talk_nonsense(protocol, is_caller, random.Random(seed))


def _talk_nonsense(protocol: str, is_caller: bool, chance: random.Random) -> None:
    work = MemoryWork([send_job(b"a" * 3000), mail_job(b"b", 2)], public={"x": b"hello"})
    line = make_line(protocol, Settings(is_caller))
    settings = SessionSettings("alpha", is_caller)
    session = Session(line, Agreement("beta", protocol, OURS), work, settings)
    now = 0.0
    try:
        session.start(now)
        for _ in range(60):
            session.data_to_send(now)
            session.receive(chance.randbytes(chance.choice((1, 10, 600))), now)
            now += chance.choice((0, 1, 20))
            session.tick(now)
    except (RemoteProtocolError, LineLost):
        pass
    session.interrupt("broken", now)
    assert len(work.outcomes) == 2 - len(work.jobs)
