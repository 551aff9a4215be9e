"""Records deeds of succession and undoes planned ones, and tells what of the units that end is touched by one.

Knows rows of units, deeds, deliveries and facts. Does not know partners, users or officials.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import attrs
import sqlalchemy as sa

from hub.domain.ids import make_first_id, make_id
from hub.domain.local_time import HANOI, find_local_day
from hub.domain.model import DeliveryState, Event, PacketKind
from hub.edxml import changes
from hub.journal import events, facts, unit_registry
from hub.journal.sequels import dossier_shares
from hub.journal.sequels.handovers import Handover
from hub.keeping import document_moves, dossier_moves, mail_moves
from hub.store.tables import TO_UNIT, delivery, event, message, succession, succession_part, succession_share
from hub.store.tables import unit as table
from hub.store.transactions import Transaction
from hub.units.deeds import PART, DeedOrder, Estate, Share

#: The names that a list of what is touched contains at most.
MOST_NAMES = 20


class DeedCrossedError(Exception):
    """A deed that cannot be undone, because others sent to its units, or these sent, under the old codes since it began.
    These messages belong to the successors. The arguments are their number and the first of them.
    """


@attrs.frozen(kw_only=True)
class UndoneDeed:
    """A deed that was undone, and how much its units got back that nobody had ended."""

    order: DeedOrder
    dossiers: int = 0
    documents: int = 0
    accounts: int = 0  #: mail accounts


@attrs.frozen(kw_only=True)
class RecordedDeed:
    """A deed as it was recorded."""

    id: str
    order: DeedOrder
    recorded_by: str
    recorded_at: datetime


def record_deed(tx: Transaction, order: DeedOrder, *, by: str, now: datetime) -> str:
    """Record *order*, which the registry allows (`find_order_mistakes`), and return the id of the deed.

    Its units end on its day and have its successors; a deed about the same units is replaced. Of a part they go on.
    """
    identity = make_id(now)
    common = {"deed": identity, "reference": order.reference, "recorded_by": by, "recorded_at": now}
    if order.part:
        rows = [{"unit": unit, "since": order.on} | common for unit in order.units]
        tx.execute(sa.insert(succession_part), rows)
    else:
        _end_units(tx, order, common, now)
    _delete_old_shares(tx)
    values = [
        {"deed": identity, "kind": share.kind, "value": value, "number": number, "successor": share.successor}
        for number, share in enumerate(order.shares)
        for value in sorted(share.values)
    ]
    if values:
        tx.execute(sa.insert(succession_share), values)
    events.append_events(
        tx, Event("succession-recorded", now, None, None, _describe_order(identity, order) | {"by": by})
    )
    return identity


def _end_units(tx: Transaction, order: DeedOrder, common: dict[str, object], now: datetime) -> None:
    """Write that the units of *order* end, and who continues their work. *common*: columns of each row of the deed."""
    held = {unit.code: unit for unit in unit_registry.list_unit_histories(tx)}
    successors = tuple(sorted(order.successors))
    ending = [attrs.evolve(held[code], until=order.on, successors=successors) for code in order.units]
    unit_registry.write_registry_units(tx, ending, at=now)
    tx.execute(sa.delete(succession).where(succession.c.unit.in_(order.units)))
    rows = [
        {"unit": deed.unit, "successor": deed.successor, "main": deed.main, "estates": " ".join(sorted(order.estates))}
        for deed in order.deeds
    ]
    tx.execute(sa.insert(succession), [row | common for row in rows])


def _delete_old_shares(tx: Transaction) -> None:
    """Delete the rules of deeds that are no more."""
    kept = sa.select(succession.c.deed).union(sa.select(succession_part.c.deed))
    tx.execute(sa.delete(succession_share).where(succession_share.c.deed.not_in(kept)))


def list_recorded_deeds(tx: Transaction) -> list[RecordedDeed]:
    """Return all deeds that were recorded, oldest first. Those whose units were imported with other ends are among them."""
    rows = tx.execute(
        sa.select(succession, table.c.until)
        .join(table, table.c.code == succession.c.unit)
        .order_by(succession.c.deed, succession.c.unit, succession.c.main.desc(), succession.c.successor)
    ).all()
    shares: dict[str, list[sa.Row[tuple[str, str, str, int, str]]]] = {}
    for rule in tx.execute(sa.select(succession_share)):
        shares.setdefault(rule.deed, []).append(rule)
    groups: dict[str, list[sa.Row[tuple[object, ...]]]] = {}
    for row in (*rows, *tx.execute(sa.select(succession_part).order_by(succession_part.c.unit))):
        groups.setdefault(row.deed, []).append(row)
    return [
        _collect_deed(some, dossier_shares.collect_shares(shares.get(identity, ())))
        for identity, some in sorted(groups.items())
    ]


def _collect_deed(rows: Sequence[sa.Row[Any]], shares: tuple[Share, ...]) -> RecordedDeed:
    """Return the deed of *rows*, which are of units that end or of parts of units."""
    first = rows[0]
    part = "since" in first._fields
    order = DeedOrder(
        units=tuple(dict.fromkeys(row.unit for row in rows)),
        successors=tuple(dict.fromkeys(each.successor for each in (shares if part else rows))),
        on=first.since if part else first.until or date.max,
        estates=PART if part else frozenset(map(Estate, first.estates.split())),
        reference=first.reference,
        shares=shares,
        part=part,
    )
    return RecordedDeed(id=first.deed, order=order, recorded_by=first.recorded_by, recorded_at=first.recorded_at)


def undo_deed(tx: Transaction, identity: str, *, by: str, now: datetime) -> UndoneDeed:
    """Undo the deed *identity* and return it: its units have neither an end nor successors, or their part again.

    What is open of the work that it handed over comes back, today. What a successor has done stays where it was counted.
    Raises KeyError if there is no such deed, and DeedCrossedError.
    """
    found = next((deed for deed in list_recorded_deeds(tx) if deed.id == identity), None)
    if found is None:
        raise KeyError(identity)
    order = found.order
    if order.part:
        tx.execute(sa.delete(succession_part).where(succession_part.c.deed == identity))
        undone = UndoneDeed(order=order, dossiers=dossier_moves.give_back_dossiers(tx, order, now))
    else:
        undone = _undo_ends(tx, found, now)
    _delete_old_shares(tx)
    back = {"dossiers": undone.dossiers, "documents": undone.documents, "accounts": undone.accounts}
    events.append_events(
        tx, Event("succession-undone", now, None, None, _describe_order(identity, order) | {"by": by} | back)
    )
    return undone


def _undo_ends(tx: Transaction, deed: RecordedDeed, now: datetime) -> UndoneDeed:
    """Let the units of *deed*, which end by it, go on. Raises DeedCrossedError."""
    order = deed.order
    crossed = _list_crossing(tx, order) if order.on <= find_local_day(now) else []
    if crossed:
        raise DeedCrossedError(len(crossed), crossed[:MOST_NAMES])
    held = {unit.code: unit for unit in unit_registry.list_unit_histories(tx)}
    going_on = [attrs.evolve(held[code], until=None, successors=()) for code in order.units]
    unit_registry.write_registry_units(tx, going_on, at=now)
    tx.execute(sa.delete(succession).where(succession.c.deed == deed.id))
    accounts = [each for each in mail_moves.list_account_moves(tx, now) if each.unit in order.units]
    facts.record_facts(tx, accounts)
    return UndoneDeed(
        order=order,
        dossiers=dossier_moves.give_back_dossiers(tx, order, now),
        documents=document_moves.give_back_documents(tx, order, now),
        accounts=-sum(each.amount for each in accounts),
    )


def _describe_order(identity: str, order: DeedOrder) -> dict[str, object]:
    return {
        "deed": identity,
        "units": list(order.units),
        "successors": list(order.successors),
        "since": order.on.isoformat(),
        "estates": sorted(order.estates),
        "reference": order.reference,
        "shares": list(map(str, order.shares)),
        "part": order.part,
    }


def _list_crossing(tx: Transaction, order: DeedOrder) -> list[str]:
    """Return what one of the units of *order* has sent under its code or an alias since the day of the deed, and the
    documents that were sent to it: they belong to the unit that continued its work. Oldest first.
    """
    first = make_first_id(datetime.combine(order.on, time.min, HANOI).astimezone(UTC))
    held = {unit.code: unit for unit in unit_registry.list_unit_histories(tx)}
    codes = {code for unit in order.units for code in (unit, *held[unit].aliases)}
    told = (
        sa.select(event.c.message, message.c.kind, event.c.text)
        .join(message, message.c.id == event.c.message)
        .where(message.c.id >= first, message.c.kind != PacketKind.STATUS)
        .where(event.c.text.contains('"event":"unit-succeeded"', autoescape=True))
        .order_by(message.c.id)
    )
    found: dict[str, None] = {}
    for name, kind, text in tx.execute(told):
        said = json.loads(text)
        if said["unit"] in codes and (said["place"] == "from" or (said["place"] == "to" and kind in changes.DOCUMENTS)):
            found[name] = None
    return list(found)


@attrs.frozen
class TouchedThings:
    """What of a unit a deed touches: the number of things of one sort, and the first names."""

    unit: str
    sort: str
    count: int
    names: tuple[str, ...] = ()
    to: Mapping[str, int] = attrs.field(factory=dict)  #: the number that goes to each successor


def list_touched_things(tx: Transaction, order: DeedOrder, today: date) -> list[TouchedThings]:
    """Return what the units of *order* leave open, and to whom it goes: documents on their way to them, documents and
    dossiers in hand, and mail accounts. Documents and mail go to the main successor, dossiers by the rules of *order*. Of a
    part, the dossiers that pass. As it is *today*.
    """
    if order.part:
        return [_count_dossiers(tx, unit, order) for unit in order.units]
    found = []
    for unit in order.units:
        going = sa.select(delivery.c.message).where(
            delivery.c.recipient == unit,
            TO_UNIT,
            delivery.c.state.not_in((DeliveryState.DELIVERED, DeliveryState.DEAD)),
        )
        accounts = mail_moves.find_last_accounts(tx, unit, min(order.on, today + timedelta(days=1)))
        found += [
            _count_touched(tx, unit, "documents", going.distinct()),
            _count_touched(tx, unit, "documents-in-hand", document_moves.select_documents_to_move(unit)),
            _count_dossiers(tx, unit, order),
            TouchedThings(unit, "mail", accounts.amount if accounts is not None else 0),
        ]
    main = order.successors[0]
    return [each if each.to or not each.count else attrs.evolve(each, to={main: each.count}) for each in found]


def _count_dossiers(tx: Transaction, unit: str, order: DeedOrder) -> TouchedThings:
    of = Handover(unit, order.on, (unit, *order.successors), deed="planned")
    of = of if order.part else attrs.evolve(of, heirs=order.successors, deed="")
    names, heirs = list[str](), Counter[str]()
    for key, heir in dossier_moves.list_heirs(tx, of, order.shares):
        heirs[heir] += 1
        names += [key] if len(names) < MOST_NAMES else []
    return TouchedThings(unit, "dossiers", heirs.total(), tuple(names), heirs)


def _count_touched(tx: Transaction, unit: str, sort: str, names: sa.Select[str]) -> TouchedThings:
    count = tx.scalars(sa.select(sa.func.count()).select_from(names.subquery())).one()
    first = names.order_by(names.selected_columns[0]).limit(MOST_NAMES)
    return TouchedThings(unit, sort, count, tuple(tx.scalars(first)) if count else ())
