"""A visit to a POP3 mailbox: flights, memory, unique-ids that change, large mail."""

from dataclasses import replace

import pytest

from peers.pop3_double import CLOSE
from relaynode.errors import LoginRefused
from relaynode.polls.choice import Decision
from relaynode.polls.pop3_listing import QUICK_FROM
from unit.polls.pop3_visits import NOW, letter, mailbox, play


def numbers(first, last):
    return [str(number) for number in range(first, last + 1)]


# --- flights


def test_a_known_server_gets_capa_login_and_listings_in_one_write(tmp_path):
    async def scenario(home):
        await home.visit()
        first = home.box.flights
        home.box.put("u9", letter(9))
        await home.visit()
        return first, home.box.flights, home.box.said

    first, second, said = play(tmp_path, scenario, mailbox(0))
    assert first == 3  # CAPA | login and listings | QUIT
    assert said[:5] == ["CAPA", "USER ann", "PASS secret", "UIDL", "LIST"]
    assert second == 3  # login and listings | RETR | DELE and QUIT


def test_an_empty_poll_of_a_known_server_is_one_flight_and_a_quit_nobody_waits_for(tmp_path):
    async def scenario(home):
        await home.visit()
        home.box.answers["QUIT"] = b""  # it never answers
        await home.visit()
        return home.problem, home.box.flights

    assert play(tmp_path, scenario, mailbox(3), keep=True) == (None, 2)


@pytest.mark.parametrize(
    "answers",
    [
        {"CAPA": b"-ERR what\r\n"},
        {"CAPA": b"+OK\r\nUSER\r\n.\r\n"},
    ],
)
def test_a_server_that_pipelines_no_more_is_asked_one_thing_at_a_time(tmp_path, answers):
    async def scenario(home):
        await home.visit()
        home.box.put("u2", letter(2))
        home.box.answers.update(answers)
        await home.visit()
        await home.visit()
        return await home.queued(), home.box.flights, home.box.said, home.problem

    queued, flights, said, problem = play(tmp_path, scenario, mailbox(1))
    assert queued == ["1", "2"]
    assert problem is None
    assert flights == len(said)


def test_a_server_that_refuses_what_was_presumed_is_asked_plainly_in_the_same_session(tmp_path):
    async def scenario(home):
        await home.visit()
        home.box.put("u2", letter(2))
        home.box.capabilities = ("UIDL",)
        refused = iter([b"-ERR not so fast\r\n"])
        home.box.answers["USER"] = lambda line: next(refused, None)
        sessions = home.box.sessions
        await home.visit()
        return home.problem, await home.queued(), home.box.sessions - sessions

    assert play(tmp_path, scenario, mailbox(1)) == (None, ["1", "2"], 1)


def test_a_server_that_hangs_up_on_what_was_presumed_is_called_once_more(tmp_path):
    async def scenario(home):
        await home.visit()
        home.box.put("u2", letter(2))
        early = iter([CLOSE])
        home.box.answers["CAPA"] = lambda line: next(early, None)
        sessions = home.box.sessions
        await home.visit()
        first = home.problem, await home.queued(), home.box.sessions - sessions
        await home.visit()
        return first, home.box.said

    first, said = play(tmp_path, scenario, mailbox(1))
    assert first == (None, ["1", "2"], 2)
    assert said[0] == "CAPA"


def test_a_wrong_password_costs_one_try(tmp_path):
    async def scenario(home):
        await home.visit()
        home.box.password = "other"
        await home.visit()
        return home.problem, home.box.said.count("PASS secret")

    problem, tries = play(tmp_path, scenario, mailbox(1))
    assert isinstance(problem, LoginRefused)
    assert tries == 1


@pytest.mark.parametrize("can", [True, False])
def test_apop_hides_the_password_where_nothing_better_does(tmp_path, can):
    async def scenario(home):
        if not can:
            home.box.answers["APOP"] = b"-ERR not for you\r\n"
        await home.visit()
        first = home.problem, await home.queued(), list(home.box.said)
        await home.visit()
        return first, home.box.said

    (problem, queued, said), again = play(tmp_path, scenario, mailbox(1, has_apop=True))
    assert (problem, queued) == (None, ["1"])
    assert any(line.startswith("APOP ann ") for line in said)
    assert ("PASS secret" in said) is not can
    assert any(line.startswith("APOP") for line in again) is can


@pytest.mark.parametrize("has_apop", [True, False])
def test_where_apop_is_asked_for_by_its_name_the_password_is_never_shown(tmp_path, has_apop):
    async def scenario(home):
        home.login.mechanisms = ("APOP",)
        await home.visit()
        return home.problem, home.box.said

    problem, said = play(tmp_path, scenario, mailbox(1, has_apop=has_apop))
    assert (problem is None) is has_apop
    assert any(line.startswith("APOP ann ") for line in said) is has_apop
    assert "PASS secret" not in said


@pytest.mark.parametrize("password", ["secret", "other"])
def test_the_listings_go_along_with_the_last_word_of_a_login_that_hides_the_password(
    tmp_path, password
):
    async def scenario(home):
        await home.visit()
        home.box.password = password
        await home.visit()
        return home.problem, home.box.flights, home.box.said

    capabilities = ("UIDL", "PIPELINING", "SASL CRAM-MD5")
    problem, flights, said = play(
        tmp_path, scenario, mailbox(1, capabilities=capabilities), keep=True
    )
    assert said[:2] == ["CAPA", "AUTH CRAM-MD5"]
    assert said[3:5] == ["UIDL", "LIST"]
    if password == "secret":
        assert (problem, flights) == (None, 3)  # CAPA and AUTH | the response and so on | QUIT
    else:
        assert isinstance(problem, LoginRefused)
        assert asks_for_no_mail(said)


def asks_for_no_mail(said):
    """Neither for content nor for its deletion."""
    return not any(line.startswith(("RETR", "DELE")) for line in said)


# --- large mailboxes of kept mail


def test_a_mailbox_that_has_not_changed_is_not_listed_again(tmp_path):
    async def scenario(home):
        await home.visit()
        whole = home.box.sent_bytes
        result = await home.visit()
        return whole, home.box.sent_bytes, home.box.said, result.in_mailbox, await home.queued()

    whole, again, said, count, queued = play(tmp_path, scenario, mailbox(QUICK_FROM), keep=True)
    assert said == ["CAPA", "USER ann", "PASS secret", "STAT", f"UIDL {QUICK_FROM}", "QUIT"]
    assert again < 150 < whole
    assert count == QUICK_FROM
    assert sorted(queued, key=int) == numbers(1, QUICK_FROM)


def test_only_what_is_new_is_listed(tmp_path):
    async def scenario(home):
        await home.visit()
        for round_ in range(2):
            for number in range(3):
                n = QUICK_FROM + 1 + 3 * round_ + number
                home.box.put(f"u{n}", letter(n))
            await home.visit()
            assert "LIST" not in home.box.said
        return await home.queued()

    queued = play(tmp_path, scenario, mailbox(QUICK_FROM), keep=True)
    assert sorted(queued, key=int) == numbers(1, QUICK_FROM + 6)


def change_first(box):
    box.messages[0] = ("new", letter(9999))  # of another size


def remove_one_and_add_two(box):
    del box.messages[5]
    box.messages += [("x1", letter(9998)), ("x2", letter(9999))]


def remove_last(box):
    del box.messages[-1]


def remove_all(box):
    box.messages = [("x2", letter(9999))]


def put_in_front(box):
    box.messages.insert(0, ("x2", letter(9999)))


def new_last(box):
    box.messages[-1] = ("x2", letter(999))  # of the same size


@pytest.mark.parametrize(
    "change",
    [change_first, remove_one_and_add_two, remove_last, remove_all, put_in_front, new_last],
)
def test_whatever_else_changes_in_a_large_mailbox_nothing_is_missed_or_doubled(tmp_path, change):
    async def scenario(home):
        await home.visit()
        before = {content for _, content in home.box.messages}
        change(home.box)
        await home.visit()
        await home.visit()
        wanted = before | {content for _, content in home.box.messages}
        return len(wanted), await home.queued()

    wanted, queued = play(tmp_path, scenario, mailbox(QUICK_FROM + 5), keep=True)
    assert len(queued) == len(set(queued)) == wanted


def test_once_a_day_all_of_it_is_listed(tmp_path):
    async def scenario(home):
        await home.visit()
        home.now += 86400
        await home.visit()
        return home.box.said

    assert "LIST" in play(tmp_path, scenario, mailbox(QUICK_FROM), keep=True)


def test_a_wish_that_changes_is_heard_at_once(tmp_path):
    async def scenario(home):
        await home.visit()
        home.wish(keep=False)
        await home.visit()
        return home.box.messages

    assert play(tmp_path, scenario, mailbox(QUICK_FROM), keep=True) == []


# --- wishes


def test_mail_is_deleted_after_its_days(tmp_path):
    async def scenario(home):
        await home.visit()
        home.now += 86400
        home.box.put("later", letter(QUICK_FROM + 1))
        await home.visit()
        home.now += 2 * 86400 - 1
        await home.visit()
        before = len(home.box.messages)
        home.now += 1
        await home.visit()
        return before, [uid for uid, _ in home.box.messages]

    assert play(tmp_path, scenario, mailbox(QUICK_FROM), keep=True, delete_after_days=3) == (
        QUICK_FROM + 1,
        ["later"],
    )


def test_a_limit_of_messages_leaves_the_rest_for_the_next_visit(tmp_path):
    async def scenario(home):
        first = await home.visit()
        queued = await home.queued()
        await home.visit()
        return first.left, queued, await home.queued()

    left, first, both = play(tmp_path, scenario, mailbox(3), fetch_limit=2)
    assert left == {"more than fetch_limit": 1}
    assert (first, both) == (["1", "2"], ["1", "2", "3"])


def test_deletions_are_done_for_good_after_so_many(tmp_path):
    async def scenario(home):
        home.wish(expunge=2)
        result = await home.visit()
        return result.fetched, result.deleted, home.box.sessions, home.box.messages

    assert play(tmp_path, scenario, mailbox(5)) == (5, 5, 3, [])


def test_a_server_that_never_deletes_does_not_keep_us(tmp_path):
    async def scenario(home):
        home.box.answers["QUIT"] = b"+OK all gone\r\n"
        home.wish(expunge=2)
        for _ in range(3):
            await home.visit()
        return await home.queued()

    assert play(tmp_path, scenario, mailbox(5)) == numbers(1, 5)


# --- unique-ids that are none


def test_new_unique_ids_for_old_mail_double_nothing(tmp_path):
    async def scenario(home):
        await home.visit()
        home.box.messages = [(f"x{n}", letter(n)) for n in range(1, 6)]
        home.box.put("x6", letter(6))
        result = await home.visit()
        fetched = home.box.content_bytes
        await home.visit()
        return result.known_again, await home.queued(), home.box.content_bytes - fetched

    assert play(tmp_path, scenario, mailbox(5), keep=True) == (5, numbers(1, 6), 0)


def test_a_status_line_that_the_server_adds_does_not_hide_old_mail(tmp_path):
    async def scenario(home):
        await home.visit()
        home.box.messages = [("x1", b"Status: RO\r\n" + letter(1))]
        result = await home.visit()
        return result.known_again, await home.queued()

    assert play(tmp_path, scenario, mailbox(1), keep=True) == (1, ["1"])


def test_a_mailbox_that_is_empty_for_an_hour_is_not_fetched_again(tmp_path):
    async def scenario(home):
        await home.visit()
        messages, home.box.messages = home.box.messages, []
        await home.visit()
        home.box.messages = messages
        result = await home.visit()
        return result.fetched, result.known_again, await home.queued()

    assert play(tmp_path, scenario, mailbox(3), keep=True) == (0, 0, numbers(1, 3))


@pytest.mark.parametrize("keep", [True, False])
def test_a_unique_id_that_names_another_message_now_does_not_hide_it(tmp_path, keep):
    async def scenario(home):
        await home.visit()
        home.box.messages = [("u1", letter(1234))]
        await home.visit()
        return await home.queued()

    assert play(tmp_path, scenario, mailbox(1), keep=keep) == ["1", "1234"]


def test_two_messages_with_one_unique_id_are_both_fetched_once(tmp_path):
    async def scenario(home):
        for _ in range(3):
            await home.visit()
        return await home.queued()

    box = mailbox(0)
    box.messages = [("u", letter(1)), ("u", letter(2)), ("v", letter(3))]
    assert sorted(play(tmp_path, scenario, box, keep=True)) == ["1", "2", "3"]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("capabilities", [("USER", "PIPELINING"), ("USER",)])
def test_a_server_without_unique_ids_doubles_nothing(tmp_path, keep, capabilities):
    async def scenario(home):
        home.box.cut_after = 600  # in the middle of the third message or so
        await home.visit()
        assert home.problem is not None
        cut = len(await home.queued())
        await home.visit()
        home.box.put("", letter(6))
        await home.visit()
        return cut, await home.queued(), len(home.box.messages)

    box = mailbox(5, capabilities=capabilities, answers={"UIDL": b"-ERR what\r\n"})
    for number in range(5):
        box.messages[number] = ("", letter(number + 1, b"x" * 150))
    cut, queued, left = play(tmp_path, scenario, box, keep=keep)
    assert 0 < cut < 5
    assert queued == numbers(1, 6)
    assert left == (6 if keep else 0)


# --- large mail


BIG = letter(7, b"x" * 5000)


def test_of_large_mail_the_header_comes_with_one_notice_and_then_it_waits(tmp_path):
    async def scenario(home):
        for _ in range(3):
            await home.visit()
        (offer,) = await home.store.mailboxes.offers()
        (_, notice) = sorted(home.contents(), key=len)
        return offer, notice, home.box.content_bytes, home.box.messages

    box = mailbox(1)
    box.put("big", BIG)
    offer, notice, fetched, left = play(tmp_path, scenario, box, header_first_bytes=1000)
    assert (offer.sender, offer.subject, offer.listed_bytes) == ("a@b.example", "7", len(BIG))
    assert b"relaynode fetch --get " + offer.id.encode() in notice
    assert b"a@b.example" in notice
    assert fetched == len(letter(1))
    assert left == [("big", BIG)]


@pytest.mark.parametrize(("decision", "fetched"), [(Decision.GET, True), (Decision.DELETE, False)])
def test_what_is_decided_is_done_at_the_next_visit(tmp_path, decision, fetched):
    async def scenario(home):
        await home.visit()
        (offer,) = await home.store.mailboxes.offers()
        await home.store.mailboxes.decide(offer.id, decision)
        await home.visit()
        assert await home.store.mailboxes.offers() == []
        return "7" in await home.queued(), home.box.messages

    box = mailbox(0)
    box.put("big", BIG)
    assert play(tmp_path, scenario, box, header_first_bytes=1000) == (fetched, [])


def test_a_server_without_top_has_its_large_mail_told_by_size(tmp_path):
    async def scenario(home):
        home.box.answers["TOP"] = b"-ERR what\r\n"
        await home.visit()
        await home.visit()
        return len(await home.store.mailboxes.offers()), len(await home.queued())

    box = mailbox(0)
    box.put("big", BIG)
    assert play(tmp_path, scenario, box, header_first_bytes=1000) == (1, 1)


def test_the_notice_says_how_long_it_takes_on_this_line(tmp_path):
    async def scenario(home):
        await home.visit(bytes_per_second=len(BIG) / 180)
        (notice,) = home.contents()
        return notice

    box = mailbox(0)
    box.put("big", BIG)
    assert b"about 3 minutes" in play(tmp_path, scenario, box, header_first_bytes=1000)


def test_counting_changes_nothing(tmp_path):
    async def scenario(home):
        result = await home.visit(only_counts=True)
        return result.waiting, await home.queued(), len(home.box.messages), home.box.said

    waiting, queued, left, said = play(tmp_path, scenario, mailbox(3))
    assert (waiting, queued, left) == (3, [], 3)
    assert not any(line.startswith(("RETR", "DELE", "TOP")) for line in said)


def test_one_letter_an_interval_tells_of_all_that_is_too_large(tmp_path):
    async def scenario(home):
        home.account = replace(home.account, warn_hours=24)
        counts = []
        for hours in (0, 23, 25, 26):
            home.now = NOW + hours * 3600
            await home.visit()
            counts.append(len(home.contents()))
        return counts, sorted(home.contents(), key=len)[-1]

    box = mailbox(1)
    box.put("big", BIG)
    box.put("second", BIG)
    counts, told = play(tmp_path, scenario, box, keep=True, limit_bytes=2000)
    assert counts == [2, 2, 3, 3]
    assert b"To: user\r\nSubject: 2 large messages not fetched\r\n" in told
    assert b"(%d bytes in all)" % (2 * len(BIG)) in told


def test_counting_tells_nobody_of_large_mail(tmp_path):
    async def scenario(home):
        home.account = replace(home.account, warn_hours=24)
        result = await home.visit(only_counts=True)
        return home.contents(), result.new, result.in_mailbox, result.mailbox_bytes

    box = mailbox(1)
    assert play(tmp_path, scenario, box, limit_bytes=1) == ([], 1, 1, len(letter(1)))
