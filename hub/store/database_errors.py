"""What an error of the database means: lost connection, damage, a busy moment, a statement at fault."""

import sqlite3

import sqlalchemy as sa

from hub.domain.errors import Unready

#: Error code of a journal whose file is damaged, as an examination has found (hub.store.damage_watch). It is not used
#: any more: parts may look intact, and a write would make it worse.
DAMAGED = "journal-damaged"


class FileDoubted(Unready):
    """SQLite took what it read for damage: the file is damaged, or the disk did not read it."""


def describe_unready(error: sa.exc.DBAPIError) -> Unready:
    """Return the `Unready` that a caller gets for this database error."""
    if is_damage_error(error):
        return FileDoubted("journal-unavailable", str(error.orig))
    return Unready("journal-unavailable", str(error.orig))


def is_connection_lost(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the connection broke or could not be opened. The result of a commit in progress is then unknown."""
    if error.connection_invalidated:
        return True
    state = _read_sql_state(error)
    unanswered = not state and error.orig is not None and type(error.orig).__module__.startswith("psycopg")
    return isinstance(error, sa.exc.OperationalError) and (unanswered or state.startswith(("08", "57P", "53300")))


def is_damage_error(error: BaseException) -> bool:
    """Tell whether SQLite found that its file is not a database or is damaged (SQLITE_CORRUPT, SQLITE_NOTADB)."""
    code = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_transient_error(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the error is transient: the transaction was aborted for a deadlock, a conflict or a lock timeout."""
    return _read_sql_state(error) in ("40001", "40P01", "55P03")


def is_statement_error(error: sa.exc.DBAPIError) -> bool:
    """Tell whether the statement itself is wrong and would fail on any connection: an unfit value, a duplicate key."""
    if (
        error.connection_invalidated
        or isinstance(error, sa.exc.InterfaceError | sa.exc.InternalError)
        or is_damage_error(error)
    ):
        return False
    return not isinstance(error, sa.exc.OperationalError) or _read_sql_state(error).startswith("54")


def _read_sql_state(error: sa.exc.DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
