"""The cause of each failure: of dead deliveries, of refused messages and of refused calls.

The failures that there are get their cause here, some thousand with one statement, each found by an index.
"""

import json
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

from hub.domain.failure_causes import find_cause

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None
#: An earlier node writes its failures without a cause. They are missing in the list of failures.
part = "before"

_BLOCK = 2_000
_DEAD = "FROM delivery WHERE state != 'delivered' AND state = 'dead'"
_REFUSED = "FROM message WHERE state > ''"


def upgrade() -> None:
    """Add the columns, fill them, and create the indexes."""
    for table in ("delivery", "message", "event_index"):
        op.add_column(table, sa.Column("cause", sa.String(16)))
    _fill_deliveries()
    _fill_messages()
    _fill_calls()
    _index("ix_delivery_cause", "delivery", "state", "partner", "cause", "changed_at")
    _index("ix_delivery_cause_message", "delivery", "partner", "cause", "message")
    _index("ix_message_cause", "message", "partner", "cause", "id")
    _index("ix_event_index_cause", "event_index", "partner", "cause", "at", "serial")


def _index(name: str, table: str, *columns: str) -> None:
    where = sa.text("cause IS NOT NULL")
    op.create_index(name, table, [*columns], sqlite_where=where, postgresql_where=where)


def _fill_deliveries() -> None:
    some = (
        f"SELECT id, message, reason {_DEAD} AND partner = :partner AND message >= :after"
        " AND cause IS NULL AND stopped IS NULL ORDER BY message LIMIT :block"
    )
    for partner in _list_partners(_DEAD):
        after = ""
        while rows := _read(some, partner=partner, after=after):
            _write("delivery", "id", {row.id: find_cause(partner, row.reason or "").digest for row in rows})
            after = rows[-1].message


def _fill_messages() -> None:
    some = (
        f"SELECT id, refusal {_REFUSED} AND state = 'refused' AND partner = :partner AND id > :after"
        " ORDER BY id LIMIT :block"
    )
    for partner in _list_partners(_REFUSED):
        after = ""
        while rows := _read(some, partner=partner, after=after):
            _write("message", "id", {row.id: find_cause(partner, row.refusal or "").digest for row in rows})
            after = rows[-1].id


def _fill_calls() -> None:
    some = (
        "SELECT event_index.serial, event_index.partner, event.text FROM event_index"
        " JOIN event ON event.serial = event_index.serial"
        " WHERE event_index.name = 'call-refused' AND event_index.serial > :after"
        " ORDER BY event_index.serial LIMIT :block"
    )
    after = 0
    while rows := _read(some, after=after):
        _write("event_index", "serial", {row.serial: _find_call_cause(row.partner, row.text) for row in rows})
        after = rows[-1].serial


def _find_call_cause(partner: str | None, text: str) -> str:
    said = json.loads(text)
    return find_cause(partner, ": ".join(str(said[key]) for key in ("code", "detail") if said.get(key))).digest


def _list_partners(source: str) -> list[str]:
    found = [""]
    while (
        name := _read(f"SELECT min(partner) AS name {source} AND partner > :last", last=found[-1])[0].name
    ) is not None:
        found.append(name)
    return found[1:]


def _read(sql: str, **values: object) -> list[sa.Row[tuple[object, ...]]]:
    block = {"block": _BLOCK} if ":block" in sql else {}
    return list(op.get_bind().execute(sa.text(sql), values | block).all())


def _write(table: str, key: str, causes: Mapping[object, str]) -> None:
    statement = sa.text(f"UPDATE {table} SET cause = :cause WHERE {key} = :key")  # noqa: S608 - only our own names
    op.get_bind().execute(statement, [{"key": name, "cause": cause} for name, cause in causes.items()])
