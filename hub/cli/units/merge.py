"""`lienthong units merge`: records the deeds of units that end and of those that continue their work, shows what a deed
touches before anything is written, and undoes a planned one.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import attrs
import click
import sqlalchemy as sa

from hub.cli.journal import open_journal, read_journal_config
from hub.cli.person import name_person
from hub.cli.screen import FAILED, NOT_FOUND, USAGE, CommandStop, Screen, exit_command, say, say_count, t
from hub.config import Config
from hub.domain.errors import Rejected
from hub.domain.local_time import find_local_day
from hub.domain.model import Unit
from hub.journal import code_lists, unit_registry
from hub.journal.queue import delivery_ends
from hub.journal.sequels import dossier_shares
from hub.keeping import successions
from hub.keeping.successions import MOST_NAMES, RecordedDeed, TouchedThings
from hub.language.phrases import phrase
from hub.operations.accounts import tokens, users
from hub.report.counting.division import write_value
from hub.report.form import book
from hub.services.categories import ATTRIBUTES
from hub.store import transactions
from hub.units.deeds import PART, WORK, DeedOrder, Estate, Share, ShareKind, find_order_mistakes
from hub.units.province import Province
from hub.units.unit_index import UnitIndex

#: What a deed touches, by the sort of the things.
_SORTS = {
    "documents": phrase("documents on their way"),
    "documents-in-hand": phrase("documents in hand"),
    "dossiers": phrase("dossiers in hand"),
    "mail": phrase("mail accounts"),
    "partners": phrase("partners"),
    "users": phrase("accounts of the console"),
    "tokens": phrase("tokens of the API"),
    "officials": phrase("officials"),
}
#: The part of the work that decides about things of a sort, where it has another name.
_ESTATES = {"documents-in-hand": Estate.DOCUMENTS, "users": Estate.OFFICIALS, "tokens": Estate.OFFICIALS}


def merge_units(
    screen: Screen,
    old: tuple[str, ...],
    new: tuple[str, ...],
    day: datetime | None,
    part: bool,
    plan: bool,
    what: tuple[str, ...],
    reference: str,
    share: tuple[str, ...],
    yes: bool,
    undo: str | None,
) -> None:
    if (undo is not None or not old) and (old or new or day or part or plan or what or reference or share):
        raise CommandStop(t("--undo stands alone; a new deed needs OLD, --into and --on"), USAGE)
    if old and not (new and day):
        raise CommandStop(t("--into and --on are needed"), USAGE)
    config = read_journal_config(screen)
    with open_journal(config) as engine:
        if undo is not None:
            _undo_succession(screen, config, engine, undo)
        elif day is None:
            _list_successions(screen, engine)
        else:
            estates = frozenset(map(Estate, what)) or (PART if part else WORK)
            order = DeedOrder(
                units=old,
                successors=new,
                on=day.date(),
                estates=estates,
                reference=reference.strip(),
                shares=tuple(map(_read_share, share)),
                part=part,
            )
            _order_succession(screen, config, engine, order, plan=plan, yes=yes)


def _read_share(text: str) -> Share:
    """Return the rule that is typed as *text*, NEW:KIND=VALUE."""
    successor, _, rule = text.partition(":")
    kind, _, value = rule.partition("=")
    values = [write_value(value)]
    if kind == ShareKind.KEYS and value:
        try:
            values = Path(value).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandStop(t("{file} cannot be read: {error}", file=value, error=error), USAGE) from error
    named = frozenset(value.strip() for value in values) - {""}
    if not successor or kind not in list(ShareKind) or not named:
        raise CommandStop(t("{text} is no rule, such as H55.45:field=TP-HT", text=text), USAGE)
    return Share(successor, ShareKind(kind), named)


def _list_known(tx: sa.Connection, config: Config) -> dict[ShareKind, set[str]]:
    """Return the fields and the procedures of the province's list of public services and of the lists of the portal."""
    listed = book.read_book(config.reports).listed
    known = {
        ShareKind.FIELD: {write_value(service.field) for service in listed},
        ShareKind.PROCEDURE: {write_value(service.code) for service in listed},
    }
    for kind, codes in known.items():
        published = code_lists.read_code_list(tx, ATTRIBUTES[kind])
        codes.update(map(write_value, published.names if published is not None else ()))
    return known


def _order_succession(
    screen: Screen, config: Config, engine: sa.Engine, order: DeedOrder, *, plan: bool, yes: bool
) -> None:
    """Show what *order* touches and, unless it is only planned, record it once the person agrees."""
    with transactions.read_transaction(engine) as tx:
        units = {unit.code: unit for unit in unit_registry.list_registry_units(tx, order.on, outside=True)}
        recorded = [each.order for each in successions.list_recorded_deeds(tx)]
        mistakes = [*find_order_mistakes(order, units, recorded)] or [
            *dossier_shares.find_unknown_values(tx, order.units, order.shares, _list_known(tx, config))
        ]
        if mistakes:
            screen.mistakes(mistakes)
            exit_command(FAILED)
        touched = successions.list_touched_things(tx, order, find_local_day(datetime.now(UTC)))
        if not order.part:
            touched += _list_people(tx, config, units, order)
    touched.sort(key=lambda each: (order.units.index(each.unit), list(_SORTS).index(each.sort)))
    _show_touched(screen, order, touched)
    for code in () if order.part else _find_unreceived(config, units, order):
        screen.note(t("No system receives for {code} on that day.", code=code))
    if plan:
        screen.note(t("Nothing was written."))
        return
    if not yes and not (sys.stdin.isatty() and click.confirm(t("Record this deed?"))):
        screen.note(t("Nothing was written; add --yes to run it."))
        exit_command(FAILED)
    with transactions.write_transaction(engine) as tx:
        identity = successions.record_deed(tx, order, by=name_person(), now=datetime.now(UTC))
    screen.row(
        {"deed": identity},
        t("Recorded: {identity}. A running hub uses it after `lienthong reload`.", identity=identity),
    )


def _show_touched(screen: Screen, order: DeedOrder, touched: list[TouchedThings]) -> None:
    rows = [
        {
            "unit": each.unit,
            "touched": each.sort,
            "count": each.count,
            "names": list(each.names),
            "handed_over": handed,
            "to": dict(each.to) if handed else {},
        }
        for each in touched
        for handed in (_ESTATES.get(each.sort, each.sort) in order.estates,)
    ]
    if screen.json:
        for row in rows:
            screen.row(row, "")
        return
    answers = {True: t("yes"), False: t("no")}
    shown = [
        {
            **row,
            "touched": say(_SORTS[str(row["touched"])]),
            "count": say_count(each.count),
            "handed_over": answers[bool(row["handed_over"])],
            "to": [f"{code}: {say_count(count)}" for code, count in sorted(each.to.items()) if row["to"]],
        }
        for row, each in zip(rows, touched, strict=True)
        if each.count
    ]
    titles = {
        "unit": t("unit"),
        "touched": t("touched"),
        "count": t("count"),
        "handed_over": t("handed over"),
        "to": t("goes to"),
        "names": t("the first of them"),
    }
    if not screen.table(titles, shown):
        screen.note(t("Nothing is touched."))


def _list_people(
    tx: sa.Connection, config: Config, units: dict[str, Unit], order: DeedOrder
) -> Iterator[TouchedThings]:
    """Yield the partners, accounts, tokens and officials that are configured with each of the units that end."""
    people = config.officials.people if config.officials else {}
    named = {
        "partners": [(each.code, each.units) for each in config.partners.values()],
        "users": [(each.name, each.units) for each in users.list_users(tx)],
        "tokens": [(each.name, each.units) for each in tokens.list_tokens(tx)],
        "officials": [(each.code, each.units) for each in people.values()],
    }
    for code in order.units:
        codes = {code, *units[code].aliases}
        for sort, holders in named.items():
            names = sorted(name for name, theirs in holders if codes & set(theirs))
            yield TouchedThings(code, sort, len(names), tuple(names[:MOST_NAMES]))


def _find_unreceived(config: Config, units: dict[str, Unit], order: DeedOrder) -> list[str]:
    """Return the successors for which no system will receive on the day of *order*."""
    after = units | {
        code: attrs.evolve(units[code], until=order.on, successors=order.successors) for code in order.units
    }
    routes = Province.of(config, UnitIndex.of(after.values(), order.on, order.deeds)).routes
    found = []
    for code in order.successors:
        try:
            routes.route(code, order.on)
        except Rejected:
            found.append(code)
    return found


def _list_successions(screen: Screen, engine: sa.Engine) -> None:
    with transactions.read_transaction(engine) as tx:
        found = successions.list_recorded_deeds(tx)
    titles = {
        "deed": t("deed"),
        "on": t("day"),
        "units": t("units"),
        "successors": t("successors"),
        "estates": t("handed over"),
        "part": t("a part"),
        "shares": t("rules"),
        "reference": t("decision"),
        "recorded_by": t("recorded by"),
    }
    screen.table(titles, map(_describe_succession, found))


def _describe_succession(deed: RecordedDeed) -> dict[str, object]:
    return {
        "deed": deed.id,
        "on": None if deed.order.on == date.max else deed.order.on,
        "part": deed.order.part,
        "units": list(deed.order.units),
        "successors": list(deed.order.successors),
        "estates": sorted(deed.order.estates),
        "shares": list(map(str, deed.order.shares)),
        "reference": deed.order.reference,
        "recorded_by": deed.recorded_by,
        "recorded_at": deed.recorded_at,
    }


def _undo_succession(screen: Screen, config: Config, engine: sa.Engine, identity: str) -> None:
    now = datetime.now(UTC)
    try:
        with transactions.write_transaction(engine) as tx:
            undone = successions.undo_deed(tx, identity, by=name_person(), now=now)
            deliveries = _give_back_deliveries(tx, config, undone.order, now)
    except KeyError:
        raise CommandStop(t("there is no deed {identity}", identity=identity), NOT_FOUND) from None
    except successions.DeedCrossedError as error:
        count, names = error.args
        raise CommandStop(
            t(
                "the deed cannot be undone: since it began, documents were sent under the old codes or to them, and belong "
                "to the successors ({count}: {names}). To let the units go on, import them without `until` and "
                "`successors`, and record a deed back: lienthong units merge SUCCESSOR --into UNIT --on DAY",
                count=say_count(count),
                names=", ".join(names),
            ),
            FAILED,
        ) from None
    screen.row(
        {
            "deed": identity,
            "undone": True,
            "dossiers": undone.dossiers,
            "documents": undone.documents,
            "accounts": undone.accounts,
            "deliveries": deliveries,
        },
        t(
            "Undone: {units} go on as before. Given back: dossiers {dossiers}, documents {documents}, mail accounts {accounts}, on "
            "their way {deliveries}. A running hub uses it after `lienthong reload`.",
            units=", ".join(undone.order.units),
            dossiers=say_count(undone.dossiers),
            documents=say_count(undone.documents),
            accounts=say_count(undone.accounts),
            deliveries=say_count(deliveries),
        ),
    )


def _give_back_deliveries(tx: sa.Connection, config: Config, order: DeedOrder, now: datetime) -> int:
    """Hand over what is on its way to the units of *order*, which go on, to the partners that receive for them."""
    today = find_local_day(now)
    routes = Province.of(config, unit_registry.read_unit_index(tx, today)).routes
    ways, total = routes.list_routes(order.units, today), 0
    while moved := delivery_ends.hand_over_deliveries(tx, ways, (), now):
        total += moved
    return total
