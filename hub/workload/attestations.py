"""Attests closed months with the hub's own key, and finds what somebody edited in the database behind the hub's back.

An attestation is a signed statement of one closing, or of one revision of rows: the hashes of the rows, of the closing and
of the month's world, and the head of the event chain before it. It is written in the transaction of what it attests, and the
event of that names it. Attestations are numbered without a gap, and each contains the hash of the one before it. The last
number and its hash are also kept in a file outside the database (`AttestationTrust.head`), so that none can be cut off.

Beside the statement a copy of the rows is kept, from which edited figures are named and restored.

Knows the rows as they stand in the database, as text: a value that cannot be read is a difference like any other. Does not
know how they are counted. Months that were closed by a version without attestations are attested once, as they are found
then (`adopt_month`, `begin_attestations`); whatever is closed later without an attestation is a finding.
"""

import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy as sa

from hub.config.durable_files import replace_file
from hub.domain.model import Event
from hub.journal import events
from hub.keeping import eras
from hub.report.counting import closed, marks
from hub.report.counting.counting import Cells
from hub.report.counting.marks import TamperedPart, Tampering
from hub.report.form.form import Form
from hub.report.form.toml import read_form_toml
from hub.security.attesting import AttestationTrust, SignedStatement, is_believed, sign_statement
from hub.security.certificates import Signer
from hub.store import transactions
from hub.store.tables import attestation as table
from hub.store.transactions import Transaction

#: The hash before the first attestation.
_NONE = "0" * 64
#: The first schema version with attestations.
SCHEMA = "0066"
#: Units that one query names.
_NAMED = 500
#: Units that the event of a restored month names at most.
_MOST_NAMED = 100
#: What the attestation is of that says: from now on nothing is closed without one.
_BEGUN = "begun"

# The tables without types: their values are read and restored as they stand.
_CLOSING_COLUMNS = ("first_day", "last_day", "closed_at", "closed_by", "definition", "sha256")
_WORLD_COLUMNS = ("last_day", "closed_at", "sha256", "world")
ROW_COLUMNS = (
    "numbers",
    "times",
    "facts",
    "evidence",
    "made_at",
    "reason",
    "diff",
    "division",
    "made_by",
    "late",
)
_closing = sa.table("closing", *map(sa.column, ("form", "period", *_CLOSING_COLUMNS)))
_world = sa.table("closed_month", *map(sa.column, ("period", *_WORLD_COLUMNS)))
_row = sa.table("closed_row", *map(sa.column, ("form", "period", "unit", "revision", *ROW_COLUMNS)))

# Written once: building a query takes longer than its answer.
_READ_CLOSING = sa.select(*(_closing.c[name] for name in _CLOSING_COLUMNS)).where(
    _closing.c.form == sa.bindparam("form"), _closing.c.period == sa.bindparam("period")
)
_READ_WORLD = sa.select(*(_world.c[name] for name in _WORLD_COLUMNS)).where(_world.c.period == sa.bindparam("period"))
_READ_MONTH = (
    sa.select(table.c.number, table.c.statement, table.c.signature, table.c.certificate)
    .where(table.c.form == sa.bindparam("form"), table.c.period == sa.bindparam("period"))
    .order_by(table.c.number)
)
_READ_ROWS = sa.select(_row.c.period, _row.c.unit, _row.c.revision, *(_row.c[name] for name in ROW_COLUMNS))
_COUNT = sa.select(sa.func.count(), sa.func.max(table.c.number)).select_from(table)

RowName = tuple[Any, Any]  #: unit and revision of a row
Raw = tuple[Any, ...]  #: the columns of a row, as they stand
StoredRows = Mapping[str, Mapping[RowName, Raw]]  #: the rows of months, by month


@attrs.frozen
class AttestationHead:
    """The last attestation of a journal."""

    era: str  #: the era of the journal; "": none has begun
    number: int  #: 0: there is none
    sha256: str  #: of its statement


@attrs.frozen
class _Attestation:
    """An attestation as it is stored."""

    number: int
    signed: SignedStatement

    @property
    def said(self) -> Mapping[str, Any]:
        """What it states. Raises ValueError if it cannot be read."""
        return _read_statement(self.signed.text)

    def is_of(self, trust: AttestationTrust | None) -> bool:
        """Return whether it is whole, at its place, and of this hub. Without *trust* its signature is not looked at."""
        try:
            said = self.said
            at = datetime.fromisoformat(said["at"])
        except (ValueError, KeyError, TypeError):
            return False
        return said["number"] == self.number and (trust is None or is_believed(trust, self.signed, at))


@lru_cache(64)
def read_closed_form(definition: str) -> Form:
    """Return the form of which a closing keeps the text *definition*."""
    return read_form_toml(definition.encode(), "closing", None)


@lru_cache(32)  # a statement is read again for each page of its month
def _read_statement(text: str) -> Mapping[str, Any]:
    said = json.loads(text)
    if not isinstance(said, dict):
        raise ValueError("not an object")  # noqa: TRY004 - it is read, not passed
    return said


@lru_cache(32)
def _read_row_hashes(text: str) -> Mapping[str, Sequence[tuple[RowName, str]]]:
    """Return the rows that a statement is of, with their hashes, by unit."""
    found: dict[str, list[tuple[RowName, str]]] = {}
    for unit, revision, digest in _read_statement(text)["rows"]:
        found.setdefault(unit, []).append(((unit, revision), digest))
    return found


def attest_closing(tx: Transaction, signer: Signer, form: str, period: str, now: datetime) -> tuple[int, str]:
    """Attest the closing of the month *period* of *form*, which this transaction has written. Return number and SHA-256.

    Raises Unready if the key cannot be used now.
    """
    return _attest_rows(tx, signer, "closed", form, period, _read_rows(tx, form, period), now)


def attest_rows(
    tx: Transaction, signer: Signer, form: str, period: str, rows: Collection[RowName], now: datetime
) -> tuple[int, str]:
    """Attest the *rows* of a closed month, which this transaction has written. Return number and SHA-256.

    Raises Unready if the key cannot be used now.
    """
    found = _read_rows(tx, form, period, {unit for unit, _ in rows})
    return _attest_rows(tx, signer, "revised", form, period, {name: found[name] for name in rows}, now)


def has_begun(tx: Transaction) -> bool:
    """Return whether nothing is closed any more without an attestation."""
    begun = sa.select(table.c.number).where(table.c.form == "", table.c.period == "").limit(1)
    return tx.execute(begun).first() is not None


def list_unattested_months(tx: Transaction) -> list[tuple[str, str]]:
    """Return form and month of each closing without an attestation, in the order of months."""
    known = sa.exists().where(table.c.form == _closing.c.form, table.c.period == _closing.c.period)
    query = sa.select(_closing.c.form, _closing.c.period).where(~known)
    return [(row.form, row.period) for row in tx.execute(query.order_by(_closing.c.period, _closing.c.form))]


def adopt_month(tx: Transaction, signer: Signer, form: str, period: str, now: datetime) -> None:
    """Attest a month as it is, which an earlier version has closed. Nothing is done once attestations have begun, or if it
    is attested.
    """
    if not has_begun(tx) and not _read_attestations(tx, form, period):
        _attest_rows(tx, signer, "adopted", form, period, _read_rows(tx, form, period), now)


def begin_attestations(tx: Transaction, signer: Signer, now: datetime) -> bool:
    """State that from now on nothing is closed without an attestation. Return False if that was stated before."""
    if has_begun(tx):
        return False
    adopted = int(tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0)
    number, digest = _attest_rows(tx, signer, _BEGUN, "", "", {}, now)
    body = {"months": adopted, "attestation": [number, digest]}
    events.append_events(tx, Event("attestations-begun", now, body=body))
    return True


def _attest_rows(
    tx: Transaction, signer: Signer, of: str, form: str, period: str, rows: Mapping[RowName, Raw], now: datetime
) -> tuple[int, str]:
    transactions.lock_names(tx, ["attestation"])
    head = read_head(tx)
    ordered = sorted(rows.items(), key=repr)
    closing, world = (None, None) if of in ("revised", _BEGUN) else _read_closing(tx, form, period)
    lines = [[closing, world], *([*name, *raw] for name, raw in ordered)]
    copy = zlib.compress("\n".join(map(_write_attested_json, lines)).encode(), 1)
    said = {
        "number": head.number + 1,
        "previous": head.sha256,
        "at": now.isoformat(),
        "of": of,
        "form": form,
        "period": period,
        "chain": list(events.read_chain_head(tx)),
        "closing": closing and _hash_values(closing),
        "world": world and _hash_values(world),
        "rows": [[*name, _hash_values((*name, *raw))] for name, raw in ordered],
        "copy": sha256(copy).hexdigest(),
    }
    signed = sign_statement(signer, _write_attested_json(said))
    kept = {"number": said["number"], "form": form, "period": period, "statement": signed.text}
    kept |= {"signature": signed.signature, "certificate": signed.certificate, "copy": copy}
    tx.execute(sa.insert(table), [kept])
    return head.number + 1, _hash_text(signed.text)


def read_head(tx: Transaction) -> AttestationHead:
    """Return the last attestation."""
    era = _read_era(tx)
    row = tx.execute(sa.select(table.c.number, table.c.statement).order_by(table.c.number.desc()).limit(1)).first()
    return (
        AttestationHead(era, 0, _NONE) if row is None else AttestationHead(era, row.number, _hash_text(row.statement))
    )


def _read_era(tx: Transaction) -> str:
    known = eras.list_eras(tx)
    return known[-1].id if known else ""


def keep_head(file: Path, head: AttestationHead) -> None:
    """Keep *head* outside the database. Raises OSError."""
    replace_file(file, _write_attested_json(attrs.asdict(head)).encode(), 0o600)


def read_kept_head(file: Path) -> AttestationHead | None:
    """Return the head that is kept outside the database; None if there is none, or this account may not read it.

    Raises OSError, ValueError.
    """
    try:
        said = json.loads(file.read_bytes())
        return AttestationHead(said["era"], said["number"], said["sha256"])
    except (FileNotFoundError, PermissionError):
        return None


def find_lost_attestations(tx: Transaction, kept: AttestationHead | None) -> list[Tampering]:
    """Return a finding if an attestation is missing: between others, or after the last. *kept*: `read_kept_head`.

    Of another era of the journal *kept* says nothing: a person has put the journal back, and said so.
    """
    count, last = tx.execute(_COUNT).one()
    whole = count == (last or 0)
    if whole and kept is not None and kept.number and kept.era == _read_era(tx):
        text = tx.scalar(sa.select(table.c.statement).where(table.c.number == kept.number))
        whole = text is not None and _hash_text(text) == kept.sha256
    return [] if whole else [Tampering(form="", period="", part=TamperedPart.ATTESTATION)]


def find_tampering(
    tx: Transaction,
    trust: AttestationTrust | None,
    form: str,
    periods: Iterable[str],
    units: Collection[str] | None = None,
    stored: StoredRows | None = None,
) -> list[Tampering]:
    """Return what of the months *periods* of *form* is not as it is attested; of rows only those of *units* (None: all).

    *stored*: the rows of some of these months, of *units*, if they were read. Months that are not closed have no findings.
    """
    stored = stored or {}
    found = list[Tampering]()
    for period in periods:
        kept = _read_attestations(tx, form, period)
        if not kept:
            closed_here = sa.select(_closing.c.form).where(_closing.c.form == form, _closing.c.period == period)
            if tx.execute(closed_here.limit(1)).first() is not None and has_begun(tx):
                found.append(Tampering(form=form, period=period, part=TamperedPart.CLOSING))
            continue
        there = stored[period] if period in stored else _read_rows(tx, form, period, units)
        found += _compare_attested(tx, trust, form, period, kept, units, there)
    return found


def find_report_tampering(
    tx: Transaction,
    trust: AttestationTrust | None,
    form: str,
    periods: Sequence[str],
    units: Collection[str],
    stored: StoredRows,
) -> list[Tampering]:
    """Return what of the closed months *periods* of *form* somebody edited, as far as a report of *units* says it. *stored*:
    the rows that the report is made of.

    Its cost depends on the rows, and not on the facts behind them.
    """
    kept = None if trust is None or trust.head is None else read_kept_head(trust.head)
    return [*find_lost_attestations(tx, kept), *find_tampering(tx, trust, form, periods, units, stored)]


def _compare_attested(
    tx: Transaction,
    trust: AttestationTrust | None,
    form: str,
    period: str,
    kept: Sequence[_Attestation],
    units: Collection[str] | None,
    there: Mapping[RowName, Raw],
) -> Iterator[Tampering]:
    good = [each for each in kept if each.is_of(trust) and (each.said["form"], each.said["period"]) == (form, period)]
    if len(good) < len(kept):
        yield Tampering(form=form, period=period, part=TamperedPart.ATTESTATION)
    first = next((each.said for each in good if each.said["closing"]), None)
    closing, world = _read_closing(tx, form, period)
    if first is None or closing is None or _hash_large(*closing) != first["closing"]:
        yield Tampering(form=form, period=period, part=TamperedPart.CLOSING)
    if first is not None and (world and _hash_large(*world)) != first["world"]:
        yield Tampering(form=form, period=period, part=TamperedPart.WORLD)
    attested = dict[RowName, str]()
    for each in good:
        rows = _read_row_hashes(each.signed.text)
        attested |= {name: digest for unit in (rows if units is None else units) for name, digest in rows.get(unit, ())}
    wrong = [
        name
        for name in attested.keys() | there.keys()
        if name not in there or attested.get(name) != _hash_row(*name, *there[name])
    ]
    (kept_closing, _), copies = _read_copies(tx, good) if wrong else ((None, None), {})
    for name in sorted(wrong, key=repr):
        cells = _name_cells(kept_closing, copies.get(name), there.get(name))
        unit, revision = name
        yield Tampering(
            form=form,
            period=period,
            part=TamperedPart.ROW,
            unit=str(unit),
            revision=revision if isinstance(revision, int) else 0,
            cells=cells,
        )


def _name_cells(closing: Raw | None, was: Raw | None, now: Raw | None) -> tuple[marks.ChangedCell, ...]:
    """Return the cells that differ between a row as attested and as found (None: it is missing); empty if one is unreadable.

    *closing*: as attested, with the text of the form.
    """
    if closing is None:
        return ()
    form = read_closed_form(closing[_CLOSING_COLUMNS.index("definition")])
    try:
        before, after = (_read_values(form, raw) for raw in (was, now))
        return marks.find_changed_values(form, before, after)
    except (ValueError, TypeError, AttributeError, KeyError):
        return ()


def _read_values(form: Form, raw: Raw | None) -> marks.Values:
    cells = Cells.none(form) if raw is None else closed.read_cells(form, json.loads(raw[0]), json.loads(raw[1]))
    return cells.sums, cells.times


def restore_attested(
    tx: Transaction,
    trust: AttestationTrust | None,
    form: str,
    period: str,
    by: str,
    now: datetime,
    units: Collection[str] | None = None,
) -> list[Tampering]:
    """Restore the closing, the world and the rows of *units* (None: all) as they are attested. Return what was edited.

    Appends an event that names them. What no attestation vouches for is removed; where an attestation itself was edited or
    is missing, nothing is restored from it.
    """
    kept = _read_attestations(tx, form, period)
    there = _read_rows(tx, form, period, units)
    wrong = list(_compare_attested(tx, trust, form, period, kept, units, there)) if kept else []
    if not wrong:
        return []
    good = [each for each in kept if each.is_of(trust)]
    (closing, world), copies = _read_copies(tx, good)
    parts = {each.part for each in wrong}
    if TamperedPart.CLOSING in parts and closing is not None:
        _replace_values(
            tx, _closing, {"form": form, "period": period}, dict(zip(_CLOSING_COLUMNS, closing, strict=True))
        )
    if TamperedPart.WORLD in parts and world is not None:
        _replace_values(tx, _world, {"period": period}, dict(zip(_WORLD_COLUMNS, world, strict=True)))
    for name in there.keys() | copies.keys():
        if there.get(name) != copies.get(name) and (units is None or name[0] in units):
            place = {"form": form, "period": period, "unit": name[0], "revision": name[1]}
            _replace_values(
                tx, _row, place, dict(zip(ROW_COLUMNS, copies[name], strict=True)) if name in copies else None
            )
    named = sorted({each.unit for each in wrong if each.unit})
    body: dict[str, Any] = {"form": form, "period": period, "by": by, "parts": sorted(parts)}
    body |= {"units": named[:_MOST_NAMED]} | {"more": len(named[_MOST_NAMED:])}
    events.append_events(tx, Event("closing-restored", now, body=body))
    return wrong


def _replace_values(
    tx: Transaction, of: sa.TableClause, place: Mapping[str, Any], values: Mapping[str, Any] | None
) -> None:
    """Put *values* at *place*, whatever stands there; None: nothing."""
    tx.execute(sa.delete(of).where(*(of.c[name] == value for name, value in place.items())))
    if values is not None:
        tx.execute(sa.insert(of), [{**place, **values}])


def _read_attestations(tx: Transaction, form: str, period: str) -> list[_Attestation]:
    rows = tx.execute(_READ_MONTH, {"form": form, "period": period})
    return [_Attestation(row.number, SignedStatement(*map(str, row[1:]))) for row in rows]


def list_attested_months(tx: Transaction) -> list[tuple[str, str]]:
    """Return form and month of each month that is closed or attested, in order."""
    closings = sa.select(_closing.c.form, _closing.c.period)
    attested = sa.select(table.c.form, table.c.period).where(table.c.form != "")
    return sorted((str(form), str(period)) for form, period in tx.execute(closings.union(attested)))


def find_broken_attestations(tx: Transaction, trust: AttestationTrust | None) -> Iterator[int]:
    """Yield the number of each attestation that is not of this hub, not behind the one before it, or has another copy."""
    previous, expected = _NONE, 1
    query = sa.select(
        table.c.number,
        table.c.statement,
        table.c.signature,
        table.c.certificate,
        table.c.copy,
        table.c.form,
        table.c.period,
    ).order_by(table.c.number)
    with tx.execute(query.execution_options(yield_per=100)) as rows:
        for row in rows:
            found = _Attestation(row.number, SignedStatement(*map(str, row[1:4])))
            follows = found.is_of(trust) and row.number == expected and found.said["previous"] == previous
            if (
                not follows
                or not _is_copy(row.copy, found.said["copy"])
                or (row.form, row.period) != (found.said["form"], found.said["period"])
            ):
                yield row.number
            previous, expected = _hash_text(found.signed.text), row.number + 1


def find_changed_links(tx: Transaction) -> Iterator[int]:
    """Yield the number of each event whose hash is not that of the chain when an attestation was made.

    Events that have gone into archive files are left out; the link over them has the hash of the last.
    """
    asked = dict[int, str]()
    for text in tx.scalars(sa.select(table.c.statement)):
        try:
            number, digest = _read_statement(str(text))["chain"]
        except (ValueError, KeyError, TypeError):
            continue  # `find_broken_attestations` tells of it
        asked[number] = digest
    hashes = events.read_link_hashes(tx, asked)
    last, _ = events.read_chain_head(tx)
    for number, digest in sorted(asked.items()):
        if hashes.get(number, digest) != digest or number > last:
            yield number


def _read_closing(tx: Transaction, form: str, period: str) -> tuple[Raw | None, Raw | None]:
    """Return the columns of the closing and of the month's world, as they stand."""
    closing = tx.execute(_READ_CLOSING, {"form": form, "period": period}).first()
    world = tx.execute(_READ_WORLD, {"period": period}).first()
    return (None if closing is None else tuple(closing)), (None if world is None else tuple(world))


def read_stored_rows(
    tx: Transaction, form: str, periods: Iterable[str], units: Collection[str] | None = None
) -> dict[str, dict[RowName, Raw]]:
    """Return the rows of the months *periods* as they stand, in every revision, by month; of *units* (None: all)."""
    found: dict[str, dict[RowName, Raw]] = {period: {} for period in periods}
    query = _READ_ROWS.where(_row.c.form == form, _row.c.period.in_(list(found)))
    if units is not None and len(units) <= _NAMED:
        query = query.where(_row.c.unit.in_(list(units)))
    wanted = None if units is None else frozenset(units)
    for row in tx.execute(query) if found else ():
        period, unit, revision, *raw = row
        if wanted is None or unit in wanted:
            found[period][unit, revision] = tuple(raw)
    return found


def _read_rows(tx: Transaction, form: str, period: str, units: Collection[str] | None = None) -> dict[RowName, Raw]:
    return read_stored_rows(tx, form, [period], units)[period]


def _read_copies(
    tx: Transaction, good: Sequence[_Attestation]
) -> tuple[tuple[Raw | None, Raw | None], dict[RowName, Raw]]:
    """Return the closing, the world and the rows that *good* attest, from their copies. What differs from its hash is left out."""
    closing, world, rows = None, None, dict[RowName, Raw]()
    query = sa.select(table.c.number, table.c.copy).where(table.c.number.in_([each.number for each in good]))
    copies: dict[int, bytes] = {row.number: row.copy for row in tx.execute(query)}
    for each in good:
        try:
            (first, second), *lines = map(json.loads, zlib.decompress(copies[each.number]).decode().split("\n"))
        except (zlib.error, ValueError, TypeError):
            continue
        if first is not None and _hash_values(first) == each.said["closing"]:
            closing = tuple(first)
        if second is not None and _hash_values(second) == each.said["world"]:
            world = tuple(second)
        digests = {(unit, revision): digest for unit, revision, digest in each.said["rows"]}
        for unit, revision, *raw in lines:
            if digests.get((unit, revision)) == _hash_values((unit, revision, *raw)):
                rows[unit, revision] = tuple(raw)
    return (closing, world), rows


#: Made once: to make one takes as long as to write a row.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=repr)


def _write_attested_json(value: object) -> str:
    return _ENCODER.encode(value)


@lru_cache(32, typed=True)  # the text of a form and the world of a month are read again for each report of the month
def _hash_large(*values: Any) -> str:
    return _hash_values(values)


@lru_cache(2048, typed=True)  # two pages of a whole province; of values of other types the hash is another
def _hash_row(*values: Any) -> str:
    return _hash_values(values)


def _hash_values(values: Sequence[Any]) -> str:
    return _hash_text(_write_attested_json(list(values)))


def _is_copy(octets: object, digest: str) -> bool:
    return isinstance(octets, bytes | memoryview) and sha256(octets).hexdigest() == digest


def _hash_text(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
