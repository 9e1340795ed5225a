"""Visits to an IMAP mailbox: what is fetched, in how few flights, and what a cut costs."""

import asyncio
import random
from collections import Counter

import pytest

from relaynode.errors import LoginRefused
from relaynode.mail.status import temporary
from relaynode.polls.fetched import Fetched
from relaynode.sources.intake import Rejected
from unit.polls.imap_home import Home, letter
from unit.polls.imap_server import Box


def box_of(count, size=20, **more):
    box = Box(**more)
    for number in range(count):
        box.put(letter(number, size))
    return box


def run(coroutine):
    return asyncio.run(coroutine)


# --- what is fetched


def test_all_is_fetched_and_deleted_the_bytes_are_the_servers(tmp_path):
    box = box_of(5)
    box.put(letter(9, 200_000))
    home = Home(tmp_path, box)
    result = run(home.visit())
    assert home.error is None and result.problems == []
    assert (result.fetched, result.deleted, result.waiting) == (6, 6, 6)
    assert run(home.contents()) == [letter(n) for n in range(5)] + [letter(9, 200_000)]
    assert box.folders["INBOX"] == {}


def test_the_whole_visit_of_a_few_small_messages_takes_three_flights(tmp_path):
    box = box_of(3)
    home = Home(tmp_path, box)
    run(home.visit())
    login, fetch, remove = box.flights()
    assert login == [
        'LOGIN "ann" "secret"',
        'SELECT "INBOX"',
        "UID FETCH 1:* (UID RFC822.SIZE FLAGS)",
        "COMPRESS DEFLATE",
    ]
    assert fetch == ["UID FETCH 1:3 (UID BODY.PEEK[])"]
    assert remove == [
        "UID STORE 1:3 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 1:3",
        "LOGOUT",
    ]


def test_an_empty_mailbox_takes_two_flights(tmp_path):
    box = Box()
    home = Home(tmp_path, box)
    run(home.visit())
    assert [len(flight) for flight in box.flights()] == [4, 1]
    assert box.flights()[1] == ["LOGOUT"]


def test_on_a_private_line_the_question_what_it_can_do_costs_no_flight(tmp_path):
    box = box_of(1, greets_with_them=False)
    home = Home(tmp_path, box, tls="tls")
    run(home.visit())
    assert home.error is None
    assert box.flights()[0][:3] == ["CAPABILITY", 'LOGIN "ann" "secret"', 'SELECT "INBOX"']


def test_on_an_open_line_the_password_waits_for_what_the_server_can_do(tmp_path):
    box = box_of(1, greets_with_them=False)
    run(Home(tmp_path, box).visit())
    assert box.flights()[0] == ["CAPABILITY"]


def test_small_messages_come_first(tmp_path):
    box = Box()
    for number, size in enumerate((300_000, 40_000, 20)):
        box.put(letter(number, size))
    home = Home(tmp_path, box)
    run(home.visit())
    assert run(home.subjects()) == [2, 1, 0]


def test_kept_mail_is_fetched_once_and_marked_as_read(tmp_path):
    box = box_of(3)
    home = Home(tmp_path, box, keep=True)
    assert run(home.visit()).fetched == 3
    assert [mail.flags for mail in box.folders["INBOX"].values()] == [{"\\Seen"}] * 3
    box.put(letter(3))
    assert run(home.visit()).fetched == 1
    assert len(box.folders["INBOX"]) == 4


def test_of_many_kept_messages_only_the_new_ones_are_listed(tmp_path):
    box = box_of(100)
    home = Home(tmp_path, box, keep=True)
    run(home.visit())
    box.put(letter(100))
    del box.folders["INBOX"][5]
    box.said.clear()
    assert run(home.visit()).fetched == 1
    assert box.flights()[0][2:4] == [
        "UID SEARCH RETURN (ALL) ALL",
        "UID FETCH 101:* (UID RFC822.SIZE FLAGS)",
    ]
    assert run(home.store.mailboxes.marks("isp"))["INBOX/7/5"].gone_at is not None
    assert home.line.down < 2500


def test_a_message_that_could_not_be_taken_is_found_again_among_many_kept_ones(
    tmp_path, monkeypatch
):
    box = box_of(40)
    home = Home(tmp_path, box, keep=True)
    addressed = Fetched.addressed
    untaken = box.folders["INBOX"][3].content.partition(b"\r\n\r\n")[0]

    def busy(fetched, header):
        if header.rstrip() == untaken:
            raise Rejected(temporary("not now"))
        return addressed(fetched, header)

    monkeypatch.setattr(Fetched, "addressed", busy)
    result = run(home.visit())
    assert result.fetched == 39 and "not now" in result.problems[0]
    monkeypatch.undo()
    assert run(home.visit()).fetched == 1


def test_what_somebody_else_has_read_or_deleted_is_left(tmp_path):
    box = box_of(1)
    box.put(letter(1), flags={"\\Seen"})
    box.put(letter(2), flags={"\\Deleted"})
    home = Home(tmp_path, box)
    run(home.visit())
    assert run(home.subjects()) == [0]
    assert list(box.folders["INBOX"]) == [2, 3]


def test_without_uidplus_all_deleted_messages_go_if_they_are_all_ours(tmp_path):
    box = box_of(3, capabilities="IMAP4rev1")
    home = Home(tmp_path, box)
    assert run(home.visit()).deleted == 3
    assert box.folders["INBOX"] == {}


def test_without_uidplus_nothing_is_expunged_that_somebody_else_has_marked(tmp_path):
    box = box_of(3, capabilities="IMAP4rev1")
    box.put(letter(3), flags={"\\Deleted"})
    home = Home(tmp_path, box)
    assert run(home.visit()).deleted == 0
    assert len(box.folders["INBOX"]) == 4
    assert run(home.visit()).fetched == 0  # ours are known, and marked again


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 MOVE UIDPLUS", "IMAP4rev1 UIDPLUS"])
def test_messages_are_moved_instead_of_being_deleted(tmp_path, capabilities):
    box = box_of(3, capabilities=capabilities)
    box.folders["Done"] = {}
    home = Home(tmp_path, box, move_to="Done")
    assert run(home.visit()).deleted == 3
    assert box.folders["INBOX"] == {} and len(box.folders["Done"]) == 3


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 MOVE UIDPLUS", "IMAP4rev1 UIDPLUS"])
def test_where_they_cannot_be_moved_to_they_stay_and_are_not_fetched_again(tmp_path, capabilities):
    box = box_of(3, capabilities=capabilities)
    home = Home(tmp_path, box, move_to="Nowhere")
    assert "no such folder" in run(home.visit()).problems[0]
    assert len(box.folders["INBOX"]) == 3
    assert run(home.visit()).fetched == 0


def test_several_folders_are_fetched_and_one_that_is_not_there_is_named(tmp_path):
    box = box_of(2)
    box.put(letter(7), "Lists")
    home = Home(tmp_path, box, folders=("INBOX", "Nowhere", "Lists"))
    result = run(home.visit())
    assert run(home.subjects()) == [0, 1, 7]
    assert box.folders == {"INBOX": {}, "Lists": {}}
    assert len(result.problems) == 1 and "SELECT of Nowhere refused" in result.problems[0]


def test_a_first_folder_that_is_not_there_does_not_end_the_visit(tmp_path):
    box = box_of(0)
    box.put(letter(7), "Lists")
    home = Home(tmp_path, box, folders=("Nowhere", "Lists"))
    run(home.visit())
    assert home.error is None and run(home.subjects()) == [7]


def test_what_was_kept_is_known_again_when_the_server_gives_new_uids(tmp_path):
    box = box_of(2)
    home = Home(tmp_path, box, keep=True)
    run(home.visit())
    for mail in box.folders["INBOX"].values():
        mail.flags.clear()
    box.validity = 8
    result = run(home.visit())
    assert (result.fetched, result.known_again) == (0, 2)
    assert run(home.subjects()) == [0, 1]
    assert set(run(home.store.mailboxes.marks("isp"))) == {"INBOX/8/1", "INBOX/8/2"}


def test_marks_of_another_folder_stay_when_one_is_listed(tmp_path):
    box = box_of(1)
    box.put(letter(7), "Lists")
    home = Home(tmp_path, box, folders=("INBOX", "Lists"), keep=True)
    run(home.visit())
    run(home.visit())
    marks = run(home.store.mailboxes.marks("isp"))
    assert {uid: mark.gone_at for uid, mark in marks.items()} == {
        "INBOX/7/1": None,
        "Lists/7/2": None,
    }


def test_of_a_large_message_the_header_comes_first_and_once(tmp_path):
    async def play():
        box = box_of(1)
        box.put(letter(5, 300_000))
        home = Home(tmp_path, box, header_first_bytes=100_000)
        result = await home.visit()
        assert (result.fetched, result.offered) == (1, 1)
        assert home.line.down < 2000
        assert (await home.visit()).offered == 0
        (offer,) = await home.store.mailboxes.offers("isp")
        assert (offer.uid, offer.subject) == ("INBOX/7/2", "5")
        await home.store.mailboxes.decide(offer.id, "get")
        assert (await home.visit()).fetched == 1
        assert letter(5, 300_000) in await home.contents()
        assert box.folders["INBOX"] == {}

    run(play())


def test_an_offer_that_is_turned_down_is_deleted_unread(tmp_path):
    async def play():
        box = Box()
        box.put(letter(5, 300_000))
        home = Home(tmp_path, box, header_first_bytes=100_000)
        await home.visit()
        (offer,) = await home.store.mailboxes.offers("isp")
        await home.store.mailboxes.decide(offer.id, "delete")
        result = await home.visit()
        assert (result.fetched, result.deleted) == (0, 1)

    run(play())


def test_a_look_counts_and_changes_nothing(tmp_path):
    box = box_of(3)
    home = Home(tmp_path, box)
    result = run(home.visit(only_counts=True))
    assert (result.waiting, result.fetched, result.in_mailbox) == (3, 0, 3)
    assert [mail.flags for mail in box.folders["INBOX"].values()] == [set()] * 3


def test_what_the_server_told_at_the_last_login_is_made_use_of_before_it_tells_again(tmp_path):
    box = box_of(3, greets_with_them=False, tells_at_login=True)
    home = Home(tmp_path, box, tls="tls")
    run(home.visit())
    box.said.clear()
    run(home.visit())
    assert box.flights()[0][-1] == "COMPRESS DEFLATE"


def test_compression_that_is_no_longer_there_ends_nothing(tmp_path):
    box = box_of(1, greets_with_them=False, tells_at_login=True)
    home = Home(tmp_path, box, tls="tls")
    run(home.visit())
    box.capabilities = "IMAP4rev1"
    box.put(letter(2))
    result = run(home.visit())
    assert home.error is None and (result.fetched, result.deleted) == (1, 1)


def test_a_wrong_password_is_a_refused_login(tmp_path):
    home = Home(tmp_path, Box(password="other"))
    run(home.visit())
    assert isinstance(home.error, LoginRefused) and home.error.status.is_permanent
    assert "secret" not in str(home.error)


@pytest.mark.parametrize("listed", [100, 190_000, 500_000])
def test_a_wrong_size_in_the_listing_does_no_harm(tmp_path, listed):
    box = Box()
    box.put(letter(1, 200_000), listed_bytes=listed)
    home = Home(tmp_path, box)
    run(home.visit())
    assert home.error is None
    assert run(home.contents()) == [letter(1, 200_000)]


def test_a_server_that_tells_the_uid_behind_the_content_is_understood(tmp_path):
    box = box_of(3, uid_is_late=True)
    box.put(letter(3, 200_000))
    box.put(letter(4, 200_000))
    home = Home(tmp_path, box)
    run(home.visit())
    assert home.error is None and run(home.subjects()) == [0, 1, 2, 3, 4]


# --- cuts


def test_a_large_message_that_is_cut_ten_times_costs_hardly_more_than_its_bytes(tmp_path):
    async def play():
        content = letter(1, 2_000_000)
        box = Box(capabilities="IMAP4rev1 UIDPLUS")
        box.put(content)
        home = Home(tmp_path, box)
        total = 0
        for _ in range(10):
            await home.visit(cut_down=len(content) // 11)
            assert home.error is not None
            total += home.line.down
        await home.visit()
        total += home.line.down
        assert await home.contents() == [content]
        assert total < 1.02 * len(content)
        assert list((tmp_path / "partial").rglob("*.*")) == []

    run(play())


def test_a_partial_of_a_message_that_is_gone_is_swept_away(tmp_path):
    async def play():
        box = Box()
        box.put(letter(1, 400_000))
        home = Home(tmp_path, box)
        await home.visit(cut_down=50_000)
        assert len(list((tmp_path / "partial").rglob("*.kept"))) == 1
        box.folders["INBOX"].clear()
        await home.visit()
        assert list((tmp_path / "partial").rglob("*.*")) == []

    run(play())


@pytest.mark.parametrize("capabilities", ["IMAP4rev1 UIDPLUS", Box().capabilities, "IMAP4rev1"])
def test_a_cut_anywhere_loses_nothing_and_doubles_nothing(tmp_path, capabilities):
    async def play():
        chance = random.Random(20261122)
        whole = Home(tmp_path / "whole", mixed_box(capabilities))
        await whole.visit()
        down, up = whole.line.down, whole.line.up
        for trial in range(17):
            home = Home(tmp_path / str(trial), mixed_box(capabilities))
            spent = 0
            for _ in range(2):
                place = chance.randrange(down + up)
                await home.visit(
                    **{"cut_down": place} if place < down else {"cut_up": place - down}
                )
                spent += home.line.down
            await home.visit()
            assert home.error is None
            assert Counter(await home.contents()) == Counter(MIXED)
            assert home.box.folders["INBOX"] == {}
            # Twice the listing, and two messages that were cut.
            assert spent + home.line.down <= down + 2 * (2500 + 10_000)

    run(play())


MIXED = [letter(number, 3000) for number in range(8)] + [letter(9, 90_000)]


def mixed_box(capabilities):
    box = Box(capabilities=capabilities)
    for content in MIXED:
        box.put(content)
    return box


def test_one_letter_tells_of_what_is_too_large_in_all_folders(tmp_path):
    box = Box()
    for folder in ("INBOX", "Other"):
        box.put(letter(1, 9000), folder)
    home = Home(tmp_path, box, folders=("INBOX", "Other"), limit_bytes=5000)
    home.warn_hours = 24

    async def scenario():
        for _ in range(2):
            await home.visit()
        return await home.contents()

    (told,) = asyncio.run(scenario())
    assert b"Subject: 2 large messages not fetched" in told
