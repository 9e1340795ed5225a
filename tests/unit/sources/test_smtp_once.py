"""Mail that comes a second time, since our answer was lost on its way."""

import asyncio

import pytest

from nodes import TestNode
from relaynode.queue.memory import MemoryStore
from relaynode.sources.smtp_listener import SmtpSource
from relaynode.wire.memory import pair


class Receiver:
    """A node that is told `mail`s, each in a session of its own."""

    def __init__(self, folder, *, tables=None):
        node = TestNode(folder, users=("user", "other"), tables=tables)
        self.store = MemoryStore(folder / "scratch")
        self.node = node.open(store=self.store)
        self.source = SmtpSource(
            self.node.intake,
            self.node.rules,
            hostname="bsd.home",
            networks=[],
            max_size_bytes=10**6,
            knows_again=True,
        )

    async def mail(
        self, *to, once="A1.17@a.example", content="Subject: s", sender="a@b.example", verb="DATA"
    ):
        """The answers to RCPT ... and to the content."""
        ours, client = pair("client", "server")
        serving = asyncio.ensure_future(self.source.serve(ours, "192.0.2.9"))
        body = f"{content}\r\n\r\nbody\r\n"
        given = f"DATA\r\n{body}.\r\n" if verb == "DATA" else f"BDAT {len(body)} LAST\r\n{body}"
        parameter = f" XONCE={once}" if once else ""
        commands = ["EHLO a.example", f"MAIL FROM:<{sender}>{parameter}"]
        commands += [f"RCPT TO:<{path}>" for path in to]
        await client.write(("\r\n".join(commands) + f"\r\n{given}QUIT\r\n").encode())
        said = b""
        while data := await client.read(5):
            said += data
        await serving
        lines = [line for line in said.decode().splitlines() if line[3:4] == " "]
        return [line for line in lines[3:-1] if not line.startswith("354")]

    async def queued(self):
        """Whom each message in the queue is for."""
        return [
            [one.forward_path.address for one in message.recipients]
            for message in await self.store.messages()
        ]


def play(tmp_path, scenario, **more):
    async def run():
        receiver = Receiver(tmp_path, **more)
        try:
            return await scenario(receiver)
        finally:
            await receiver.store.close()

    return asyncio.run(run())


def test_a_second_copy_is_accepted_and_not_queued_and_the_log_says_so(tmp_path, caplog):
    caplog.set_level("INFO", "relaynode")

    async def scenario(receiver):
        first = await receiver.mail("user", verb="DATA")
        second = await receiver.mail("user", verb="BDAT")
        assert await receiver.queued() == [["user"]]
        queue_id = first[-1].split()[2]
        assert second[-1] == f"250 2.0.0 {queue_id} Message was accepted before"
        assert f"not queued again: {queue_id} to <user> (smtp 192.0.2.9)" in caplog.text

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    "other",
    [{"once": "A2.17@a.example"}, {"content": "Subject: t"}, {"sender": "c@b.example"}],
    ids=str,
)
def test_what_differs_in_anything_is_another_mail(tmp_path, other):
    async def scenario(receiver):
        await receiver.mail("user")
        answer = await receiver.mail("user", **other)
        assert answer[-1].endswith("Message accepted for delivery")
        assert await receiver.queued() == [["user"], ["user"]]

    play(tmp_path, scenario)


def test_only_recipients_that_have_it_are_left_out(tmp_path):
    async def scenario(receiver):
        await receiver.mail("user")
        answer = await receiver.mail("user", "other", "Nobody1")
        assert [line[:3] for line in answer] == ["250", "250", "550", "250"]
        assert answer[-1].endswith("Message accepted for delivery")
        assert await receiver.queued() == [["user"], ["other"]]
        third = await receiver.mail("other", "user")
        assert third[-1].endswith("Message was accepted before")
        assert await receiver.queued() == [["user"], ["other"]]

    play(tmp_path, scenario)


def test_two_forward_paths_that_stand_for_one_user_bring_one_copy_each_time(tmp_path):
    async def scenario(receiver):
        await receiver.mail("user", "User@bsd.home")
        assert await receiver.queued() == [["user"]]
        await receiver.mail("user", "user", "User@bsd.home")
        assert await receiver.queued() == [["user"]]

    play(tmp_path, scenario)


def test_mail_that_was_refused_is_not_known_again(tmp_path):
    async def scenario(receiver):
        loop = "Subject: s" + "\r\nReceived: from x" * 30
        first = await receiver.mail("user", content=loop)
        second = await receiver.mail("user", content=loop)
        assert [first[-1][:10], second[-1][:10]] == ["554 5.4.6 "] * 2

    play(tmp_path, scenario)


def test_mail_that_was_thrown_away_does_not_stand_for_mail_that_would_not_be(tmp_path):
    async def scenario(receiver):
        await receiver.mail("user")
        assert await receiver.queued() == []
        (tmp_path / "tables" / "access").write_text("")
        await receiver.mail("user")
        assert await receiver.queued() == [["user"]]

    play(tmp_path, scenario, tables={"access": "Connect:192.0.2 DISCARD\n"})


def test_a_copy_that_is_held_does_not_stand_for_one_that_would_not_be(tmp_path):
    async def scenario(receiver):
        for _ in range(2):
            await receiver.mail("user")
            (message,) = await receiver.store.messages()
            assert message.state == "held"
        (tmp_path / "tables" / "access").write_text("")
        await receiver.mail("user")
        assert sorted(one.state for one in await receiver.store.messages()) == ["held", "queued"]

    play(tmp_path, scenario, tables={"access": "Connect:192.0.2 QUARANTINE:odd\n"})


def test_a_session_that_comes_while_the_first_still_commits_is_told_to_come_again(tmp_path):
    async def scenario(receiver):
        nothing_yet = receiver.store.taken

        async def too_early(mark):
            return {}

        await receiver.mail("user")
        receiver.store.taken = too_early
        answer = await receiver.mail("user")
        assert answer[-1].startswith("451 4.3.0 ")
        receiver.store.taken = nothing_yet
        answer = await receiver.mail("user")
        assert answer[-1].endswith("Message was accepted before")
        assert await receiver.queued() == [["user"]]

    play(tmp_path, scenario)


def test_long_mail_that_comes_again_leaves_no_file(tmp_path):
    async def scenario(receiver):
        content = "Subject: s\r\n\r\n" + "x" * 70 * 1024
        for _ in range(2):
            await receiver.mail("user", content=content)
        assert len([*(tmp_path / "scratch" / "content").iterdir()]) == 1
        assert [*(tmp_path / "scratch" / "incoming").iterdir()] == []

    play(tmp_path, scenario)


def test_mail_without_a_name_is_queued_as_often_as_it_comes(tmp_path):
    async def scenario(receiver):
        for _ in range(2):
            await receiver.mail("user", once="")
        assert await receiver.queued() == [["user"], ["user"]]

    play(tmp_path, scenario)
