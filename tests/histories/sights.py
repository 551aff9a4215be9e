"""What may be seen of a journal, each sight compared with the story: deliveries, letters, traces, reports, the chain of events."""

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import count

import attrs
import sqlalchemy as sa

from hub.domain.model import Fact
from hub.feed.cloudevents import make_event_publication
from hub.journal import events, statuses
from hub.journal.fact_reading import fact_rows
from hub.store import transactions
from hub.workload import unit_report
from hub.workload.report_sources import ReportSources
from tests import pki
from tests.histories.history import History
from tests.histories.office import identity
from tests.opened import facts_among, facts_behind
from tests.pages import subscriber_of_the_page
from tests.recount import letter as letters
from tests.recount import places, results
from tests.recount.documents import Message
from tests.recount.places import canonical
from tests.recount.story import written


@attrs.define(eq=False)
class Sights:
    """The sights of one history."""

    history: History
    _lanes: dict[str, str] = attrs.field(factory=dict)  #: as the hub names them -> as the story does
    _delivered: frozenset[str] = frozenset()
    _signed: dict[tuple[str, str], bool] = attrs.field(factory=dict)
    _turns: Iterator[int] = attrs.field(factory=count)

    def deliveries(self) -> None:
        """Compare every delivery row with the story."""
        query = "SELECT d.*, m.received_at FROM delivery d JOIN message m ON m.id = d.message WHERE m.state = 'accepted' ORDER BY d.id"
        with transactions.read_transaction(self.history.engine) as tx:
            rows = tx.execute(sa.text(query)).mappings().all()
            total = tx.execute(sa.text("SELECT count(*) FROM delivery")).scalar()
        told = {(sent.message.id, sent.recipient): sent for sent in self.history.story.every()}
        assert len(rows) == total == len(told)
        assert [(row["message"], row["recipient"]) for row in rows] == sorted(told, key=lambda key: told[key].number)
        for row in rows:
            sent = told[row["message"], row["recipient"]]
            found = {
                key: row[key]
                for key in (
                    "partner",
                    "via",
                    "state",
                    "attempts",
                    "reason",
                    "stopped",
                    "status",
                    "answer",
                    "crashes",
                    "again",
                )
            }
            assert found == {key: getattr(sent, key) for key in found}, (found, sent)
            assert (row["due"], row["since"]) == (written(sent.due), written(sent.since)), sent
            assert self._lanes.setdefault(row["lane"], sent.message.lane) == sent.message.lane
        assert len(set(self._lanes.values())) == len(self._lanes), "two lanes of one document"
        self._check_by_itself(rows)

    def _check_by_itself(self, rows: Sequence[sa.RowMapping]) -> None:
        """Check what needs no story."""
        delivered = frozenset(row["id"] for row in rows if row["state"] == "delivered" or row["again"])
        assert self._delivered <= delivered, "delivered, and now not, though nobody sent it again"
        self._delivered = delivered
        sending = Counter((row["lane"], row["recipient"]) for row in rows if row["state"] == "sending")
        assert not [place for place, count in sending.items() if count > 1], "two under way in one lane"
        self._check_heads(rows, sending)
        for row in rows:
            assert not (row["stopped"] and row["state"] in ("waiting", "held", "fetched")), "stopped, and still to go"

    @staticmethod
    def _check_heads(rows: Sequence[sa.RowMapping], sending: Counter[tuple[str, str]]) -> None:
        """Check that the flag of the heads is what it says: it waits, nothing of its lane is under way, nothing earlier waits."""
        seen = set(sending)
        for row in rows:
            place = row["lane"], row["recipient"]
            head = row["state"] == "waiting" and place not in seen
            assert bool(row["free"]) == head, (
                "free, and must not go" if row["free"] else "its lane stands still",
                dict(row),
            )
            seen |= {place} if row["state"] == "waiting" else set()

    def letters(self) -> None:
        """Check that all that was receipted is there, once, to the byte."""
        query = "SELECT partner, message_id, sha256 FROM message WHERE state = 'accepted'"
        with transactions.read_transaction(self.history.engine) as tx:
            rows = [tuple(row) for row in tx.execute(sa.text(query))]
        assert sorted(rows) == sorted((letter.partner, letter.name, letter.sha256) for letter in self.history.letters)
        for letter in self.history.letters:
            assert self.history.octets(letter.sha256) == letter.octets

    def traces(self, unit: str, document: str | None = None, carried_by: str | None = None) -> None:
        """Compare what GetTraces gives with the story."""
        with transactions.read_transaction(self.history.engine) as tx:
            found = statuses.read_status_traces(tx, unit, document=document, carried_by=carried_by)
        seen = [(trace.document, trace.sha256) for trace in found]
        assert seen == self.history.story.traces(unit, document, carried_by), (unit, document, carried_by)

    def recount(self) -> list[results.Result]:
        """Return every result, counted again from bytes and events."""
        return results.results(self.history.story.log, self._is_signed)

    def _is_signed(self, message: Message) -> bool:
        name = message.partner, message.sha256
        if name not in self._signed:
            pem = pki.pem(identity(message.partner).certificate)
            self._signed[name] = letters.is_signed(self.history.octets(message.sha256), pem)
        return self._signed[name]

    def report(self, unit: str, period: str, found: list[results.Result]) -> None:
        """Compare every cell of the report of *unit*, its row's and its total's, and the messages behind each."""
        with transactions.read_transaction(self.history.engine) as tx:
            asked = unit_report.resolve_report_sources(tx, unit, period, "edoc")
            self._compare(asked, unit, period, found)

    def _compare(self, asked: ReportSources, unit: str, period: str, found: list[results.Result]) -> None:
        start, end = results.bounds(period)
        assert (asked.period.start, asked.period.end) == (start, end)
        report = asked.count(self.history.now)
        assert {column.key for column in asked.form.columns} == set(results.COLUMNS)
        members = places.below(canonical(unit), end)
        absent = set(members) - {row.unit for row in report.rows}
        assert len(report.rows) + len(absent) == len(members)
        assert all(places.has_ended(each, places.day(start)) for each in absent), "what ended before and counts nothing"
        rows, now = {row.unit: row for row in report.rows}, self.history.now
        with asked.open_evidence(now) as gathered:
            behind = {column: facts_among(asked, gathered, column) for column in results.COLUMNS}
        # Opened alone, as people do, a column says the same: one in each report, in turn.
        columns = sorted(results.COLUMNS)
        alone = columns[next(self._turns) % len(columns)]
        assert facts_behind(asked, alone, now) == behind[alone]
        for column in results.COLUMNS:
            cells = {member: results.behind(found, column, member, period, self.history.now) for member in members}
            every = [one for cell in cells.values() for one in cell]
            explained = [(fact.unit, fact.milestone, fact.message) for fact in behind[column]]
            if column == "last_update":
                self._check_last(report.total.times[column], explained, every)
                for member, cell in cells.items():
                    last = rows[member].times[column] if member in rows else None
                    assert last == max((one.at for one in cell), default=None)
                continue
            assert {member: rows[member].numbers[column] if member in rows else 0 for member in members} == {
                m: len(c) for m, c in cells.items()
            }, column
            assert report.total.numbers[column] == len(every), column
            assert sorted(explained) == sorted(one.name for one in every), column

    @staticmethod
    def _check_last(at: datetime | None, explained: list[tuple[str, str, str]], every: list[results.Result]) -> None:
        latest = [one for one in every if one.at == max(each.at for each in every)]
        assert at == (latest[0].at if latest else None)
        assert len(explained) == min(1, len(latest))
        assert set(explained) <= {one.name for one in latest}

    def chain(self) -> None:
        """Number every event, and verify the chain."""
        while self._number():
            pass
        with transactions.read_transaction(self.history.engine) as tx:
            assert list(events.find_broken_events(tx)) == []
            self._check_told(list(fact_rows.read_facts(tx)), chained := events.read_chained_events(tx, 0, 1_000_000))
        self._check_rebuilt(chained)

    @staticmethod
    def _check_told(facts: Sequence[Fact], chained: Sequence[events.Chained]) -> None:
        """Check that whoever reads the events alone knows every fact, and no other."""
        told = [said for said in (json.loads(event.text) for event in chained) if said.pop("event") == "fact-recorded"]
        assert sorted(map(str, facts)) == sorted(
            str(
                Fact(
                    **said
                    | {
                        "at": datetime.fromisoformat(said["at"]),
                        "due": said["due"] and date.fromisoformat(said["due"]),
                    }
                )
            )
            for said in told
        )

    def _check_rebuilt(self, chained: Sequence[events.Chained]) -> None:
        """Check that the sample subscriber, which knows the published events alone, counts the same reports."""
        program = subscriber_of_the_page()
        with contextlib.closing(sqlite3.connect(":memory:")) as kept:
            kept.executescript(program.TABLES)
            for event in chained:
                assert program.take(kept, make_event_publication(event, "urn:x").content) == "taken"
            for month in list(self.periods())[-7:-4]:
                with transactions.read_transaction(self.history.engine) as tx:
                    counted = [
                        unit_report.resolve_report_sources(tx, unit, month, "edoc").count(self.history.now)
                        for unit in ("H55", "G22")
                    ]
                for row in (row for report in counted for row in report.rows):
                    expected = dict(row.numbers) | {key: at and at.isoformat() for key, at in row.times.items()}
                    rebuilt = program.report(kept, row.unit, month, self.history.now)
                    assert rebuilt == expected | {"unit": row.unit}, month

    def periods(self) -> Iterator[str]:
        """Yield every period from the start of the history until now, and longer ones."""
        year, month = 2026, 11
        while results.bounds(f"{year}-{month:02d}")[0] <= self.history.now:
            yield f"{year}-{month:02d}"
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        yield from ("2026-Q4", "2026-H2", "2026", "2027-H1")

    def _number(self) -> int:
        with transactions.write_transaction(self.history.engine) as tx:
            return events.chain_events(tx, 50)
