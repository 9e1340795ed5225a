"""Bringing a database to the newest schema."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from relaynode.errors import StoreError, StoreVersionError
from relaynode.queue.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence


def upgrade(
    connection: sqlite3.Connection,
    name: str,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring a database to the newest schema, one transaction a version.

    Raises: StoreVersionError if it is newer than we are; StoreError if it is no queue of ours.
    """
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS schema (version INTEGER NOT NULL)")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise StoreError(f"{name}: {error}; move it away to start with an empty queue") from error
    while True:
        connection.execute("BEGIN IMMEDIATE")  # of several processes, one does the step
        try:
            row = connection.execute("SELECT version FROM schema").fetchone()
            version = 0 if row is None else row[0]
            if version > len(migrations):
                raise StoreVersionError(
                    f"{name}: its schema is version {version}, this relaynode knows versions up to"
                    f" {len(migrations)}; use the newer relaynode that wrote it"
                )
            if version == len(migrations):
                return
            for statement in migrations[version]:
                connection.execute(statement)
            connection.execute("DELETE FROM schema")
            connection.execute("INSERT INTO schema (version) VALUES (?)", (version + 1,))
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
