"""Which units have closed, signed and handed in a report, as far as a person may see it."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from hub.domain.model import ReportState
from hub.journal import unit_registry
from hub.operations.accounts import users
from hub.operations.accounts.users import User
from hub.operations.refusals import refuse_as_absent
from hub.operations.typed_fields import read_typed_fields
from hub.report.form.book import Book
from hub.report.form.form import FormMissing
from hub.report.form.period import PeriodUnreadable, parse_period
from hub.store.transactions import Transaction
from hub.workload import closing_plan
from hub.workload.many import report_round
from hub.workload.many.report_round import ReportRound, RoundFilter
from hub.workload.revisions import EarlyStep

#: Units on one page; files taken in, and given out, at once.
PAGE, MOST = 200, 200


#: The steps in the order of a report's life.
STEPS = (*EarlyStep, *(each for each in ReportState if each is not ReportState.OPEN))


_LONGEST = 60


@attrs.frozen(kw_only=True)
class RoundSearch:
    """What the address of the page asks for."""

    typed: Mapping[str, str]  #: the fields, with what was typed into each
    wanted: RoundFilter
    first: int = 0  #: place of the first unit on the page


def read_round_search(query: Mapping[str, str]) -> RoundSearch:
    """Return what *query*, the query of the address, asks for. Unknown words choose nothing."""
    fields = ("below", "level", "kind", "step", "declared")
    typed = read_typed_fields(query, fields, _LONGEST)

    def one(name: str) -> frozenset[str]:
        return frozenset({typed[name]}) if typed[name] else frozenset()

    place = query.get("from", "")
    return RoundSearch(
        typed=typed,
        wanted=RoundFilter(
            below=typed["below"],
            levels=one("level"),
            kinds=one("kind"),
            steps=one("step"),
            declared=one("declared"),
        ),
        first=int(place) if place.isascii() and place.isdigit() and len(place) < 7 else 0,
    )


def read_visible_round(tx: Transaction, user: User, book: Book, form: str, period: str, now: datetime) -> ReportRound:
    """Return the round of the units that *user* sees. Raises `RequestRefused` if there is no such form or period."""
    try:
        span = parse_period(period, closing_plan.keep_closed_workdays(tx, book).cuts)
        if span.text != period:
            raise refuse_as_absent()
        return report_round.read_report_round(tx, book, form, period, now, users.read_visible_units(tx, user))
    except (PeriodUnreadable, FormMissing):
        raise refuse_as_absent() from None


def resolve_below(tx: Transaction, search: RoundSearch, found: ReportRound) -> RoundSearch:
    """Return *search* with the registry's code of the unit below which it looks."""
    if not search.wanted.below:
        return search
    code = unit_registry.resolve_unit_code(tx, search.wanted.below, found.period.last)
    return attrs.evolve(search, wanted=attrs.evolve(search.wanted, below=code))


def read_visible_choice(
    tx: Transaction, user: User, book: Book, form: str, period: str, now: datetime, search: RoundSearch
) -> tuple[ReportRound, ReportRound]:
    """Return the round that *user* sees, and with the units that *search* chooses. Raises `RequestRefused`."""
    found = read_visible_round(tx, user, book, form, period, now)
    return found, resolve_below(tx, search, found).wanted.choose(found)
