"""What the queue holds of UUCP work, and every legal state with who moves it on.

Mail for a neighbour is not here: it waits as a message like all mail (`queue/model.py`), until a
session makes jobs of it. Such a job has the mail's copy as it is sent, so that each try offers the
same bytes, and it carries recipients: they are delivered when it is done, and free when it has
ended otherwise. A job that was not begun when the session ends is undone. The operator acts upon
the message; a job on the line goes on, one that waits is dissolved.

A job is one thing that a user asked of a neighbour. It owns one `uucp_job` row, `uucp_event` rows,
and the copy of its file if it has one, in the row or (longer than INLINE_BYTES) in the spool.

    job        means                                 content   moved on by
    ---------  ------------------------------------  --------  ---------------------------------
    waiting    due at `next_attempt_at`              kept      claim -> waiting with a claim;
                                                               hold -> held; remove -> removed
    waiting    a session is doing it now             kept      settle -> done, failed or waiting
    (claimed)                                                  with a try more; unclaim -> waiting;
                                                               reap, its owner dead -> waiting
    held       nobody may claim it                   kept      release -> waiting;
                                                               remove -> removed
    done       the neighbour has it, or we have its  dropped   prune, in time
    failed     it never will be                      dropped   prune, in time
    removed    the operator took it away             dropped   prune, in time

`number` makes the job's temporary name: the key by which the neighbour knows it again after a lost
line. It is given once and never to another job of that neighbour. A job that a dead session had
claimed is simply offered again under its name: if the neighbour has it already, it says so (SN8).

What a neighbour sends is first a part, then a file or an execution, in the same bytes and under
the same file name: no file is ever moved, only the row that names it changes.

    row        means                                 content   moved on by
    ---------  ------------------------------------  --------  ---------------------------------
    part       a file is arriving, or its line was   so far    complete -> file, execution, or a
               lost: to be continued                           file in a public directory; drop;
                                                               prune
    mark       peer and temporary name were          none      forget, at the end in order of a
               received; CY may not have arrived,              session in which the neighbour has
               or not been written down there                  seen our CY; prune
    file       a D. file nobody asks for yet         kept      complete of an execution that needs
                                                               it -> attached; prune
    file       belongs to an execution               kept      goes when that ends
    (attached)
    file       an execution waits for it             none      complete of that file -> attached;
    (awaited)                                                  goes when the execution ends

    execution  means                                 files     moved on by
    ---------  ------------------------------------  --------  ---------------------------------
    waiting    runs when its files are there, at     kept      claim, one a neighbour at a time, or
               `next_attempt_at`                               some short ones together;
                                                               hold -> held; remove -> removed
    waiting    is running now                        kept      settle -> done, failed or waiting
    (claimed)                                                  with a try more; unclaim -> waiting;
                                                               reap, its owner dead -> waiting,
                                                               `in_doubt`: it may have run
    held       nobody may run it                     kept      release -> waiting;
                                                               remove -> removed
    done       it has run                            dropped   prune, in time
    failed     refused, or it ended badly            kept      prune, in time
    removed    the operator took it away             dropped   prune, in time

What a crash leaves: every move is one transaction with the names of the files in it, so each row
is as before or as after it. `complete` commits the mark, the end of the part and the new file or
execution together, and CY is sent after it: a neighbour that did not read CY offers the file again
and is told that we have it. A command's end, the mail about it and its output's way home are one
transaction too. A file that no row names and whose writer is dead is deleted by `reap`. A
`session` of a dead owner is free. What a part holds after a crash of this program is what its file
holds; after a crash of the machine (its `boot` is another) only `held_bytes`, which were synced.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from relaynode.queue.model import Verb
from relaynode.queue.uucp.names import temp_name

if TYPE_CHECKING:
    from relaynode.queue.content import Content


class JobKind(StrEnum):
    """What a job asks for; the letter of its command on the line."""

    SEND = "send"  # S: a file of ours to the neighbour
    FETCH = "fetch"  # R: a file of the neighbour's to us
    EXECUTE = "execute"  # E, or S of the input and S of an X. file
    REQUEST = "request"  # X: the neighbour's uucp shall send files
    CALL = "call"  # nothing: only that there be a call
    MAIL = "mail"  # E as well: messages of the queue


class WorkState(StrEnum):
    """The states of jobs and executions."""

    WAITING = "waiting"
    HELD = "held"
    DONE = "done"
    FAILED = "failed"
    REMOVED = "removed"


WORK_MOVES: dict[tuple[WorkState, Verb], WorkState] = {
    (WorkState.WAITING, Verb.HOLD): WorkState.HELD,
    (WorkState.HELD, Verb.RELEASE): WorkState.WAITING,
    (WorkState.WAITING, Verb.REMOVE): WorkState.REMOVED,
    (WorkState.HELD, Verb.REMOVE): WorkState.REMOVED,
}
"""The operator's rows of the tables above; a pair that is absent is refused."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job on its way into the queue.

    `grade`: one character, `0` to `9`, `A` to `Z`, `a` to `z`, the best first. `user`: who asks,
    maybe `system!user`. `source` and `target`: the first two fields of the command. `options`: its
    letters, without `-`. `mode`: the file's permissions. `notify`: whom to tell at the neighbour,
    or where the result of an execution goes. `command`: for an execution, as it will be split at
    blanks. `content`: a copy of the file, or the standard input of an execution; None when
    `source` itself is to be sent, or nothing.
    """

    job_id: str
    neighbour: str
    kind: JobKind
    user: str
    queued_at: float
    grade: str = "N"
    source: str = ""
    target: str = ""
    options: str = ""
    mode: int = 0o644
    notify: str = ""
    command: str = ""
    content: Content | None = None


@dataclass(frozen=True, slots=True)
class MailJob:
    """A job made of mail, and the recipients it carries (`QueuedRecipient.id`)."""

    job: NewJob
    recipient_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the queue knows it, without its content. For the first fields see NewJob.

    `size_bytes`: of the copy, None if there is none. `number`: see the module. `parts_done`: how
    many of its transfers the neighbour has (an execution may take two). `tries`: how often it
    was begun without success. `is_claimed`: a session is doing it.
    """

    job_id: str
    neighbour: str
    kind: JobKind
    user: str
    queued_at: float
    grade: str
    source: str
    target: str
    options: str
    mode: int
    notify: str
    command: str
    size_bytes: int | None
    number: int
    state: WorkState
    is_claimed: bool = False
    parts_done: int = 0
    tries: int = 0
    next_attempt_at: float = 0.0
    last_error: str = ""

    @property
    def is_batch(self) -> bool:
        """Does it carry mail in a batch, rather than one mail for rmail?"""
        return self.kind is JobKind.MAIL and not self.command.startswith("rmail ")

    @property
    def temp(self) -> str:
        """The temporary name, by which the neighbour knows this job again."""
        return temp_name(self.number)


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this owner is doing, with the copy of its file if it has one."""

    job: Job
    content: Content | None


@dataclass(frozen=True, slots=True)
class WorkOutcome:
    """How a try ended for a job or an execution.

    `state`: DONE, FAILED, or WAITING for another try at `next_attempt_at` (epoch seconds). `text`:
    for people.
    """

    work_id: str
    state: WorkState
    text: str = ""
    next_attempt_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Settled:
    """What ends in one transaction, and the jobs that come of it (output on its way home)."""

    at: float
    jobs: tuple[WorkOutcome, ...] = ()
    executions: tuple[WorkOutcome, ...] = ()
    new_jobs: tuple[NewJob, ...] = ()

    @property
    def ended_jobs(self) -> list[str]:
        """Those that will not be tried again."""
        return [one.work_id for one in self.jobs if one.state is not WorkState.WAITING]


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is arriving, or was when the line was lost.

    `content_file`: its name in the spool. `target`, `expected_bytes`: what the neighbour called it
    and how long it will be (None: it did not say); an offer that differs is another file.
    `held_bytes`: so many are on the disk for good. `boot`: in which life of this machine the file
    was written, "" if that is not known.
    """

    neighbour: str
    temp: str
    content_file: str
    target: str
    expected_bytes: int | None
    held_bytes: int
    boot: str
    updated_at: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A file of this neighbour with this temporary name was received for good.

    `target`, `size_bytes`: tell it from another file that was given the same name.
    """

    neighbour: str
    temp: str
    target: str
    size_bytes: int
    received_at: float


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A D. file of a neighbour's in our spool, under the name that the neighbour gave it."""

    neighbour: str
    name: str
    content: Content
    received_at: float


@dataclass(frozen=True, slots=True)
class Need:
    """A file that an execution needs: its spool name, and what the command will find it as ("":
    as nothing but its standard input)."""

    name: str
    as_name: str = ""


@dataclass(frozen=True, slots=True)
class NewExecution:
    """A command that a neighbour wants to be run here.

    `neighbour`: who logged in, whatever the X. file says. `user`: who asks there. `command`: the
    command and its arguments, one by one. `input_name`: the spool name of its standard input, ""
    for none. `output`, `output_system`: where its standard output is to go, "" for nowhere.
    `result_address`: who is told, "" for the user. `flags`: letters of the X. file (N, Z, n, B).
    """

    execution_id: str
    neighbour: str
    user: str
    command: tuple[str, ...]
    received_at: float
    grade: str = "N"
    input_name: str = ""
    needs: tuple[Need, ...] = ()
    output: str = ""
    output_system: str = ""
    result_address: str = ""
    flags: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as the queue knows it. For the first fields see NewExecution.

    `is_missing`: a file it needs has not come yet. `in_doubt`: a program of ours died while it
    ran, so it may have been done.
    """

    new: NewExecution
    state: WorkState
    is_claimed: bool = False
    is_missing: bool = False
    in_doubt: bool = False
    tries: int = 0
    next_attempt_at: float = 0.0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class ClaimedExecution:
    """An execution that this owner is running, with its files by spool name."""

    execution: Execution
    files: dict[str, Content]


@dataclass(frozen=True, slots=True)
class Completed:
    """What a file that has arrived becomes, in one transaction.

    `mark`: None for a transfer whose temporary name is a dummy. `file`: a file for the spool.
    `execution`: a command to run. With neither it has been put into a public directory.
    """

    mark: Mark | None = None
    part: tuple[str, str] | None = None
    file: SpoolFile | None = None
    execution: NewExecution | None = None


@dataclass(frozen=True, slots=True)
class NeighbourStatus:
    """What is known of a neighbour. `code`: how the last call ended, numbered as in Taylor's files
    it (0: well). `text`: the same for people. `tries`: calls that failed one after the other. `at`:
    epoch seconds. `wait_seconds`: after `at`, before we may call again. `sequence`: the number of
    the last conversation. `is_in_session`: there is one now."""

    neighbour: str
    code: int = 0
    text: str = ""
    tries: int = 0
    at: float = 0.0
    wait_seconds: float = 0.0
    sequence: int = 0
    is_in_session: bool = False


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One session that is over. `ended`: how, for people; "" for in order."""

    neighbour: str
    is_caller: bool
    protocol: str
    began_at: float
    seconds: float
    bytes_sent: int
    bytes_received: int
    files_sent: int
    files_received: int
    errors: int
    ended: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class WorkEvent:
    """One line of the history of a job or an execution."""

    work_id: str
    at: float
    kind: str
    text: str = ""
