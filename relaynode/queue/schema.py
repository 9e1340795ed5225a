"""The schema of the store, version by version.

`MIGRATIONS[n]` leads from version n to n + 1; version 0 is an empty database. A migration that has
been released is never edited: a change is a new migration. All text and numbers, so that an
operator can read the queue with the sqlite3 command alone.
"""

from __future__ import annotations

UUCP: tuple[str, ...] = (
    """CREATE TABLE uucp_job (
        id INTEGER PRIMARY KEY,
        job_id TEXT NOT NULL UNIQUE,
        neighbour TEXT NOT NULL,
        kind TEXT NOT NULL,
        user TEXT NOT NULL,
        queued_at REAL NOT NULL,
        grade TEXT NOT NULL,
        source TEXT NOT NULL,
        target TEXT NOT NULL,
        options TEXT NOT NULL,
        mode INTEGER NOT NULL,
        notify TEXT NOT NULL,
        command TEXT NOT NULL,
        size_bytes INTEGER,
        content BLOB,
        content_file TEXT,
        number INTEGER NOT NULL,
        state TEXT NOT NULL,
        claim TEXT,
        parts_done INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL NOT NULL DEFAULT 0,
        last_error TEXT NOT NULL DEFAULT '',
        finished_at REAL,
        UNIQUE (neighbour, number)
    )""",
    "CREATE INDEX uucp_job_waiting ON uucp_job (neighbour, grade) WHERE state = 'waiting'",
    """CREATE TABLE uucp_event (
        id INTEGER PRIMARY KEY,
        work_id TEXT NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        text TEXT NOT NULL
    )""",
    "CREATE INDEX uucp_event_of ON uucp_event (work_id)",
    """CREATE TABLE uucp_part (
        neighbour TEXT NOT NULL,
        temp TEXT NOT NULL,
        content_file TEXT NOT NULL,
        target TEXT NOT NULL,
        expected_bytes INTEGER,
        held_bytes INTEGER NOT NULL,
        boot TEXT NOT NULL,
        updated_at REAL NOT NULL,
        PRIMARY KEY (neighbour, temp)
    )""",
    """CREATE TABLE uucp_mark (
        neighbour TEXT NOT NULL,
        temp TEXT NOT NULL,
        target TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        received_at REAL NOT NULL,
        PRIMARY KEY (neighbour, temp)
    )""",
    """CREATE TABLE uucp_execution (
        id INTEGER PRIMARY KEY,
        execution_id TEXT NOT NULL UNIQUE,
        neighbour TEXT NOT NULL,
        user TEXT NOT NULL,
        command TEXT NOT NULL,
        received_at REAL NOT NULL,
        grade TEXT NOT NULL,
        input_name TEXT NOT NULL,
        output TEXT NOT NULL,
        output_system TEXT NOT NULL,
        result_address TEXT NOT NULL,
        flags TEXT NOT NULL,
        state TEXT NOT NULL,
        claim TEXT,
        in_doubt INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 0,
        next_attempt_at REAL NOT NULL DEFAULT 0,
        last_error TEXT NOT NULL DEFAULT '',
        finished_at REAL
    )""",
    "CREATE INDEX uucp_execution_waiting ON uucp_execution (grade) WHERE state = 'waiting'",
    # A file without `received_at` has not come: the execution it belongs to waits for it.
    """CREATE TABLE uucp_file (
        id INTEGER PRIMARY KEY,
        neighbour TEXT NOT NULL,
        name TEXT NOT NULL,
        execution_id TEXT REFERENCES uucp_execution (execution_id) ON DELETE CASCADE,
        as_name TEXT NOT NULL DEFAULT '',
        received_at REAL,
        size_bytes INTEGER,
        content BLOB,
        content_file TEXT
    )""",
    "CREATE INDEX uucp_file_named ON uucp_file (neighbour, name)",
    "CREATE INDEX uucp_file_of ON uucp_file (execution_id)",
    """CREATE TABLE uucp_neighbour (
        name TEXT PRIMARY KEY,
        next_number INTEGER NOT NULL,
        sequence INTEGER NOT NULL DEFAULT 0,
        session TEXT,
        code INTEGER NOT NULL DEFAULT 0,
        text TEXT NOT NULL DEFAULT '',
        tries INTEGER NOT NULL DEFAULT 0,
        at REAL NOT NULL DEFAULT 0,
        wait_seconds REAL NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE uucp_session (
        id INTEGER PRIMARY KEY,
        neighbour TEXT NOT NULL,
        is_caller INTEGER NOT NULL,
        protocol TEXT NOT NULL,
        began_at REAL NOT NULL,
        seconds REAL NOT NULL,
        bytes_sent INTEGER NOT NULL,
        bytes_received INTEGER NOT NULL,
        files_sent INTEGER NOT NULL,
        files_received INTEGER NOT NULL,
        errors INTEGER NOT NULL,
        ended TEXT NOT NULL,
        port TEXT NOT NULL
    )""",
    "CREATE INDEX uucp_session_began ON uucp_session (began_at)",
)
"""Jobs, what was received, executions and neighbours: states in `uucp/model.py`."""

ONCE: tuple[str, ...] = (
    """CREATE TABLE once (
        once_id TEXT NOT NULL,
        recipient TEXT NOT NULL,
        digest TEXT NOT NULL,
        queue_id TEXT NOT NULL,
        taken_at REAL NOT NULL,
        PRIMARY KEY (once_id, recipient, digest)
    )""",
    "CREATE INDEX once_taken ON once (taken_at)",
)
"""Mail that would be known again (`once.py`). It outlives the message."""

LINK_RUNS: tuple[str, ...] = (
    """CREATE TABLE link_run (
        id INTEGER PRIMARY KEY,
        link TEXT NOT NULL,
        began_at REAL NOT NULL,
        is_ordered INTEGER NOT NULL,
        seconds REAL NOT NULL,
        bytes_out INTEGER NOT NULL,
        bytes_in INTEGER NOT NULL,
        sent INTEGER NOT NULL,
        deferred INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        received INTEGER NOT NULL,
        deleted INTEGER NOT NULL,
        ended TEXT NOT NULL,
        problems TEXT NOT NULL,
        bytes_per_second REAL,
        round_trip_seconds REAL
    )""",
    "CREATE INDEX link_run_began ON link_run (began_at)",
)
"""What runs over links cost and carried (`link_runs.py`)."""

SEEN: tuple[str, ...] = (
    """CREATE TABLE seen (
        account TEXT NOT NULL,
        uid TEXT NOT NULL,
        PRIMARY KEY (account, uid)
    )""",
)

_MORE_OF_SEEN: tuple[str, ...] = (
    "ALTER TABLE seen ADD COLUMN taken_at REAL NOT NULL DEFAULT 0",
    # When older marks were made nobody knows: their days begin to count now.
    "UPDATE seen SET taken_at = CAST(strftime('%s', 'now') AS REAL)",
    "ALTER TABLE seen ADD COLUMN listed_bytes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE seen ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
    # Since when the mailbox does not list it any more; NULL for one that it lists.
    "ALTER TABLE seen ADD COLUMN gone_at REAL",
    # A message of which only the header came; id is what people call it by.
    """CREATE TABLE offer (
        account TEXT NOT NULL,
        uid TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE,
        listed_bytes INTEGER NOT NULL,
        sender TEXT NOT NULL,
        subject TEXT NOT NULL,
        header_text BLOB NOT NULL,
        decision TEXT NOT NULL,
        offered_at REAL NOT NULL,
        deliver_to TEXT NOT NULL,
        PRIMARY KEY (account, uid)
    )""",
    # How the last visit left an account: JSON, and no harm if it is lost.
    "CREATE TABLE mailbox (account TEXT PRIMARY KEY, state TEXT NOT NULL)",
)

MAILBOXES = (*SEEN, *_MORE_OF_SEEN)
"""What is remembered of mailboxes elsewhere (`mailboxes.py`)."""

LINK_TURNS: tuple[str, ...] = (
    """CREATE TABLE link_turn (
        link TEXT PRIMARY KEY,
        turn TEXT NOT NULL,
        given_at REAL NOT NULL
    )""",
)
"""The last turn of each link by its timetable (`turn_marks.py`): the local time that it is known
by, as in 2026-03-29 02:30, and when it was."""

LINK_DIALS: tuple[str, ...] = (
    """CREATE TABLE link_dial (
        id INTEGER PRIMARY KEY,
        link TEXT NOT NULL,
        began_at REAL NOT NULL,
        ended TEXT NOT NULL
    )""",
    "CREATE INDEX link_dial_began ON link_dial (link, began_at)",
)
"""When lines were dialled, and how that ended (`dials.py`)."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE message (
            id INTEGER PRIMARY KEY,
            queue_id TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,
            arrived_at REAL NOT NULL,
            finished_at REAL,
            source TEXT NOT NULL,
            reverse_path TEXT NOT NULL,
            body TEXT NOT NULL,
            smtputf8 INTEGER NOT NULL,
            ret TEXT NOT NULL,
            envid TEXT NOT NULL,
            trace BLOB NOT NULL,
            size_bytes INTEGER NOT NULL,
            content BLOB,
            content_file TEXT
        )""",
        """CREATE TABLE recipient (
            id INTEGER PRIMARY KEY,
            queue_id TEXT NOT NULL REFERENCES message (queue_id) ON DELETE CASCADE,
            address TEXT NOT NULL,
            notify TEXT NOT NULL,
            orcpt TEXT NOT NULL,
            expanded_from TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts INTEGER NOT NULL,
            next_attempt_at REAL NOT NULL,
            claim TEXT,
            in_doubt INTEGER NOT NULL,
            status_code INTEGER,
            status_enhanced TEXT,
            status_text TEXT,
            relay TEXT NOT NULL
        )""",
        "CREATE INDEX recipient_of ON recipient (queue_id)",
        "CREATE INDEX recipient_waiting ON recipient (queue_id) WHERE state = 'waiting'",
        "CREATE INDEX recipient_claimed ON recipient (claim) WHERE claim IS NOT NULL",
        "CREATE INDEX message_finished ON message (finished_at) WHERE finished_at IS NOT NULL",
        """CREATE TABLE event (
            id INTEGER PRIMARY KEY,
            queue_id TEXT NOT NULL REFERENCES message (queue_id) ON DELETE CASCADE,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            recipient TEXT NOT NULL,
            text TEXT NOT NULL
        )""",
        "CREATE INDEX event_of ON event (queue_id)",
        *SEEN,
        """CREATE TABLE link (
            name TEXT PRIMARY KEY,
            is_up INTEGER NOT NULL,
            since REAL NOT NULL
        )""",
    ),
    (
        "ALTER TABLE message ADD COLUMN lines INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE message ADD COLUMN body_bytes INTEGER NOT NULL DEFAULT 0",
        "UPDATE message SET body_bytes = size_bytes",
        """CREATE TABLE host_status (
            host TEXT PRIMARY KEY,
            at REAL NOT NULL,
            status_code INTEGER NOT NULL,
            status_enhanced TEXT NOT NULL,
            status_text TEXT NOT NULL
        )""",
    ),
    (
        "ALTER TABLE recipient ADD COLUMN mailer TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE recipient ADD COLUMN host TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE recipient ADD COLUMN run_as TEXT NOT NULL DEFAULT ''",
    ),
    UUCP,
    (
        # The job that carries the recipient to a neighbour; NULL for one that is free to go.
        "ALTER TABLE recipient ADD COLUMN job_id TEXT",
        "CREATE INDEX recipient_job ON recipient (job_id) WHERE job_id IS NOT NULL",
    ),
    (
        """CREATE TABLE server (
            name TEXT PRIMARY KEY,
            extensions TEXT NOT NULL,
            broken TEXT NOT NULL,
            max_recipients INTEGER,
            connections INTEGER NOT NULL,
            insists INTEGER NOT NULL
        )""",
    ),
    ONCE,
    (
        # A code of mail/reason.py.
        "ALTER TABLE recipient ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
        # How much it has aged, and when it last did (retry.py).
        "ALTER TABLE recipient ADD COLUMN aged_seconds REAL NOT NULL DEFAULT 0",
        "ALTER TABLE recipient ADD COLUMN last_attempt_at REAL NOT NULL DEFAULT 0",
        # Why it is held: 'held', 'quarantined' or 'poison'.
        "ALTER TABLE message ADD COLUMN held_for TEXT NOT NULL DEFAULT ''",
        # How often it broke us.
        "ALTER TABLE message ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0",
        # When its sender was warned that it still waits; when the postmaster was told of poison.
        "ALTER TABLE message ADD COLUMN warned_at REAL NOT NULL DEFAULT 0",
        "ALTER TABLE message ADD COLUMN told_at REAL NOT NULL DEFAULT 0",
        "CREATE INDEX message_poison ON message (id) WHERE held_for = 'poison' AND told_at = 0",
    ),
    LINK_RUNS,
    (
        # In which order it goes (policy/order.py).
        "ALTER TABLE message ADD COLUMN grade TEXT NOT NULL DEFAULT 'C'",
        "ALTER TABLE message ADD COLUMN within_seconds REAL",
    ),
    (
        # Links that a message counts for, where they have a quota.
        """CREATE TABLE message_link (
            queue_id TEXT NOT NULL REFERENCES message (queue_id) ON DELETE CASCADE,
            link TEXT NOT NULL,
            PRIMARY KEY (queue_id, link)
        ) WITHOUT ROWID""",
    ),
    _MORE_OF_SEEN,
    LINK_TURNS,
    LINK_DIALS,
    # What an interface's counters have besides the bytes of our streams.
    ("ALTER TABLE link_run ADD COLUMN overhead_bytes INTEGER NOT NULL DEFAULT 0",),
    # In place of `content`, which older messages have it in. SQLite reaches the columns behind a
    # long value through all of its pages, so this stays the last one.
    ("ALTER TABLE message ADD COLUMN inline_content BLOB",),
)
