"""The schema of the store, version by version.

`MIGRATIONS[n]` leads from version n to n + 1; version 0 is an empty database. A migration that has
been released is never edited: a change is a new migration. All text and numbers, so that an
operator can read the queue with the sqlite3 command alone.
"""

from __future__ import annotations

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
        """CREATE TABLE seen (
            account TEXT NOT NULL,
            uid TEXT NOT NULL,
            PRIMARY KEY (account, uid)
        )""",
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
)
