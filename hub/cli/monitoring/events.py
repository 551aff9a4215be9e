"""`lienthong events`: lists what the journal tells that no message leads to. Contains no SQL."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import click

from hub.cli.journal import open_journal, read_view_config
from hub.cli.monitoring.repeating import repeat
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, t
from hub.cli.words import say_fields, say_word
from hub.config import Config
from hub.domain.failure_causes import read_cause_name
from hub.domain.local_time import write_local_time
from hub.journal import event_index
from hub.journal.event_index import EventFilter, ListedEvent
from hub.language.terms import find_term
from hub.operations.accounts import users
from hub.store import transactions
from hub.store.transactions import Transaction

#: Events of a list, unless the user says how many.
_NEWEST = 20
#: Seconds between two looks for new events.
_AGAIN = 1.0
#: A transaction may commit an event this long after one with a higher serial. So long the serials before are read again.
_SLACK = timedelta(seconds=30)
#: Fields that the list shows in columns of their own.
_SHOWN = frozenset({"at", "event", "partner", "link", "user", "by"})


def list_events(screen: Screen, /, limit: int | None, follow: bool, **options: Any) -> None:
    wanted = event_index.EventFilter(**options)
    if follow and wanted.until is not None:
        raise click.UsageError(t("--follow and --until exclude each other"))
    config = read_view_config(screen)
    with open_journal(config) as engine:
        with transactions.read_transaction(engine) as tx:
            _refuse_unknown(tx, config, wanted)
            last = event_index.read_last_serial(tx)
            most = limit or (None if screen.json and not follow else _NEWEST)
            if not follow:
                _print_list(screen, _walk_events(tx, wanted, most), most)
                return
            newest = list(_walk_events(tx, wanted, most))
        _print_table(screen, reversed(newest))

        def read(after: int) -> list[ListedEvent]:
            with transactions.read_transaction(engine) as tx:
                return event_index.find_new_events(tx, wanted, after)

        follower = EventFollower(read, last, {one.cursor.serial for one in newest})
        repeat(lambda: _print_table(screen, follower.find_new(datetime.now(UTC))), _AGAIN)


@attrs.define
class EventFollower:
    """Finds each new event once, in the order of writing.

    Of two transactions the one with the higher serial may commit first. So the serials of the last `_SLACK` are read
    again, and those already told are left out.
    """

    _read: Callable[[int], list[ListedEvent]]  #: returns the events beyond a serial
    _after: int  #: up to this serial everything was told
    _told: set[int]  #: serials beyond that, or before, that were told already
    _marks: list[tuple[datetime, int]] = attrs.field(factory=list, init=False)  #: time, and highest serial seen then

    def find_new(self, now: datetime) -> list[ListedEvent]:
        """Return the events that were not returned before."""
        found = [one for one in self._read(self._after) if one.cursor.serial not in self._told]
        self._told |= {one.cursor.serial for one in found}
        self._marks.append((now, max(self._told, default=self._after)))
        while self._marks and self._marks[0][0] <= now - _SLACK:
            _, reached = self._marks.pop(0)
            self._after = max(self._after, reached)
        self._told = {serial for serial in self._told if serial > self._after}
        return found


def _refuse_unknown(tx: Transaction, config: Config, wanted: EventFilter) -> None:
    """Raise `CommandStop` 4 for a name, a partner or an account that is not known, so that no typo looks like "none"."""
    if wanted.name and find_term("event", wanted.name) is None:
        names = ", ".join(event_index.list_event_names(tx))
        raise CommandStop(
            t("there is no event {name}; the journal has: {known}", name=wanted.name, known=names), NOT_FOUND
        )
    if wanted.cause and read_cause_name(wanted.cause) is None:
        raise CommandStop(t("{value} is no cause; `lienthong failures` shows all", value=wanted.cause), NOT_FOUND)
    partner = wanted.partner
    known = (event_index.NOBODY, *config.partners, *event_index.list_event_partners(tx)) if partner else ()
    if partner and partner not in known:
        raise CommandStop(t("there is no partner {code}", code=partner), NOT_FOUND)
    user = wanted.user
    if user and users.find_user(tx, user) is None and not event_index.has_event_user(tx, user):
        raise CommandStop(t("there is no user {name}", name=user), NOT_FOUND)


def _walk_events(tx: Transaction, wanted: EventFilter, most: int | None) -> Iterable[ListedEvent]:
    """Yield at most *most* events (None: all), newest first."""
    before, left = None, most
    while True:
        page = event_index.find_events(tx, wanted, 500 if left is None else min(left, 500), before)
        yield from page.found
        left = None if left is None else left - len(page.found)
        before = page.more
        if before is None or left == 0:
            return


def _print_list(screen: Screen, found: Iterable[ListedEvent], most: int | None) -> None:
    count = _print_table(screen, found)
    if not count and not screen.json:
        screen.note(t("No events."))
    elif count == most and not screen.json:
        screen.note(t("These are the newest {count}; -n shows more.", count=count))


def _print_table(screen: Screen, found: Iterable[ListedEvent]) -> int:
    return print_events(screen, (one.fields for one in found))


def print_events(screen: Screen, found: Iterable[Mapping[str, Any]]) -> int:
    """Print events as a table, or with --json as they were hashed. Return how many there were."""
    titles = {
        "at": t("time"),
        "event": t("event"),
        "partner": t("partner"),
        "user": t("account"),
        "told": t("what it says"),
    }
    rows = (fields if screen.json else _make_row(fields) for fields in found)
    return screen.table(titles, rows)


def _make_row(fields: Mapping[str, Any]) -> dict[str, object]:
    people = [str(fields[key]) for key in ("user", "by") if fields.get(key)]
    return {
        "at": write_local_time(datetime.fromisoformat(fields["at"])),
        "event": say_word("event", fields["event"]),
        "partner": fields.get("partner") or fields.get("link"),
        "user": " ← ".join(dict.fromkeys(people)),
        "told": say_fields({key: value for key, value in fields.items() if key not in _SHOWN}),
    }
