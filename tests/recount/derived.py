"""What is worked out from other numbers: the summaries' columns one by one, shares and points, and the checks of II.06a.

Knows docs/reference/reports.md (“The official form, and the summaries”, “How a form is written”) and docs/reference/ii06a.md.
"""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

import attrs


@attrs.frozen
class Taken:
    """A number of another form of the same unit and period."""

    form: str
    column: str


@attrs.frozen
class Share:
    """How many of a hundred: `part` of `whole`, of which several are added up; without any it is `empty`."""

    part: tuple[str, ...]
    whole: tuple[str, ...]
    empty: Decimal | None = None


@attrs.frozen
class Points:
    """Points for a share: all from `full_at` on."""

    of: str
    full_at: int
    points: int


@attrs.frozen
class Sum:
    """Other columns added up."""

    of: tuple[str, ...]


@attrs.frozen
class Hundredths(Taken):
    """A number of another form that is told in hundredths."""


@attrs.frozen
class Worked:
    """What a clerk works out from numbers of the same page, as they are printed; nothing if one is missing or the divisor is 0."""

    of: tuple[str, ...]
    how: Callable[..., Decimal]
    divided: str = ""  #: the column by which it is divided


@attrs.frozen
class Declared:
    """What nobody counts."""


@attrs.frozen
class Graded:
    """The place of the grade for a number: from the first limit on the best."""

    of: str
    limits: tuple[int, ...]


Column = Taken | Share | Sum | Points | Worked | Declared | Graded
_QUARTER = Decimal("0.25")
_HANDLED = ("ended_in_time", "ended_late", "open_in_time", "open_late")

_OF_07A = (
    "received_direct", "received_post", "settled", "settled_in_time", "settled_late", "pending", "pending_in_time",
    "pending_overdue", "carried_over", "received_online_full", "received_online_partial", "received_online_other",
    "received_elsewhere", "settled_late_apologised", "settled_late_unapologised", "pending_overdue_apologised",
    "pending_overdue_unapologised", "paid", "paid_online", "paid_direct", "stopped", "awaiting_in_time",
    "awaiting_overdue", "refused", "withdrawn", "taken_over",
)  # fmt: skip

FORMS: dict[str, dict[str, Column]] = {
    "tonghop": {
        "dossiers_received": Taken("ii06a", "received"),
        "dossiers_online": Taken("ii06a", "received_online"),
        "dossiers_settled": Taken("ii06a", "settled"),
        "dossiers_early": Taken("ii06a", "settled_early"),
        "dossiers_on_time": Taken("ii06a", "settled_on_time"),
        "dossiers_late": Taken("ii06a", "settled_late"),
        "dossiers_in_time": Share(("dossiers_early", "dossiers_on_time"), ("dossiers_settled",)),
        "dossiers_pending": Taken("ii06a", "pending"),
        "dossiers_overdue": Taken("ii06a", "pending_overdue"),
        "documents_sent": Taken("edoc", "sent"),
        "documents_signed": Taken("edoc", "signed"),
        "documents_signed_share": Share(("documents_signed",), ("documents_sent",)),
        "documents_received": Taken("edoc", "received"),
        "documents_completed": Taken("edoc", "completed"),
        "documents_on_time": Taken("edoc", "completed_on_time"),
        "documents_in_time": Share(("documents_on_time",), ("documents_completed",)),
        "documents_unmatched": Taken("edoc", "completed_unmatched"),
        "documents_overdue": Taken("edoc", "overdue"),
        "accounts": Taken("mail", "accounts"),
        "accounts_active": Taken("mail", "active"),
        "accounts_share": Share(("accounts_active",), ("accounts",)),
        "mail_sent": Taken("mail", "sent"),
        "mail_received": Taken("mail", "received"),
    },
    "qd766": {
        "received_new": Taken("dossiers", "received"),
        "synced": Taken("dossiers", "received_synced"),
        "sync_ratio": Share(("synced",), ("received_new",)),
        **{column: Taken("dossiers", column) for column in _HANDLED},
        "on_time_ratio": Share(("ended_in_time", "open_in_time"), _HANDLED),
        "finished_timed": Taken("dossiers", "finished_timed"),
        "days_taken": Taken("dossiers", "days_taken"),
        "mean_days": Worked(
            ("days_taken", "finished_timed"), lambda days, dossiers: days / dossiers, divided="finished_timed"
        ),
        "online": Taken("ii06a", "received_online"),
        "direct": Taken("ii06a", "received_direct"),
        "online_ratio": Share(("online",), ("online", "direct")),
        "online_score": Points("online_ratio", 50, 100),
        "charged": Taken("dossiers", "received_charged"),
        "paid_online": Taken("dossiers", "received_paid_online"),
        "paid_ratio": Share(("paid_online",), ("charged",)),
        "finished": Taken("dossiers", "finished_done"),
        "with_result": Taken("dossiers", "finished_with_result"),
        "result_ratio": Share(("with_result",), ("finished",)),
        "digitised": Taken("dossiers", "finished_digitised"),
        "digitised_ratio": Share(("digitised",), ("finished",)),
        "reused": Taken("dossiers", "received_reused"),
        "reused_ratio": Share(("reused",), ("received_new",)),
        "from_store": Taken("dossiers", "received_from_store"),
        "store_ratio": Share(("from_store",), ("received_new",)),
        "identified": Taken("dossiers", "received_identified"),
        "identified_ratio": Share(("identified",), ("received_new",)),
        "overdue_ratio": Share(("ended_late", "open_late"), _HANDLED),
    },
    "tthc": {
        "received_online": Sum(("received_online_full", "received_online_partial", "received_online_other")),
        **{column: Taken("btp07a", column) for column in _OF_07A},
    },
    "nd335": {
        "work_done": Hundredths("congviec", "done_converted"),
        "work_late": Hundredths("congviec", "late_converted"),
        "work_overdue": Hundredths("congviec", "overdue_converted"),
        "work_returned": Hundredths("congviec", "returned_converted"),
        "documents_done": Taken("congviec-vanban", "done"),
        "documents_late": Taken("congviec-vanban", "late"),
        "documents_overdue": Taken("congviec-vanban", "overdue"),
        "dossiers_done": Taken("congviec-hoso", "done"),
        "dossiers_late": Taken("congviec-hoso", "late"),
        "dossiers_overdue": Taken("congviec-hoso", "overdue"),
        "done": Worked(("work_done", "documents_done", "dossiers_done"), lambda *each: sum(each, Decimal(0))),
        "due": Worked(
            ("done", "work_overdue", "documents_overdue", "dossiers_overdue"), lambda *each: sum(each, Decimal(0))
        ),
        "late": Worked(("work_late", "documents_late", "dossiers_late"), lambda *each: sum(each, Decimal(0))),
        "quantity": Worked(("done", "due"), lambda done, due: 100 * done / due, "due"),
        "quality": Worked(
            ("done", "work_returned", "due"),
            lambda done, returned, due: 100 * max(done - returned * _QUARTER, Decimal(0)) / due,
            "due",
        ),
        "progress": Worked(
            ("done", "late", "due"), lambda done, late, due: 100 * max(done - late * _QUARTER, Decimal(0)) / due, "due"
        ),
        "results": Worked(("quantity", "quality", "progress"), lambda *three: sum(three, Decimal(0)) * 7 / 30),
        "general": Declared(),
        "points": Worked(("results", "general"), lambda results, general: results + general),
        "grade": Graded("points", (90, 70, 50)),
    },
    "suckhoe": {
        "sent": Taken("edoc", "sent"),
        "failed": Taken("edoc", "failed"),
        "failed_share": Share(("failed",), ("sent",)),
        "received": Taken("edoc", "received"),
        "acknowledged": Taken("edoc", "acknowledged"),
        "acknowledged_in_time": Taken("edoc", "acknowledged_in_time"),
        "acknowledged_share": Share(("acknowledged_in_time",), ("acknowledged",)),
        "refused": Taken("edoc", "refused"),
        "overdue": Taken("edoc", "overdue"),
        "official_by_mail": Taken("mail", "official_documents"),
        "mail_refused": Taken("mail", "refused_size"),
        "reports_returned": Taken("reporting", "returned"),
    },
}


def number(form: str, column: str, base: Callable[[str, str], int]) -> int | Decimal | None:
    """Return what a cell says; *base* gives the numbers of other forms.  Shares and points have two decimals, halves going up."""
    exact = _exact(FORMS[form], column, base)
    whole = isinstance(FORMS[form][column], Taken | Sum | Graded) and not isinstance(FORMS[form][column], Hundredths)
    if whole or exact is None:
        return None if exact is None else int(exact)
    return _printed(exact)


def _printed(exact: Decimal) -> Decimal:
    return exact.copy_abs().quantize(Decimal("0.01"), ROUND_HALF_UP).copy_sign(exact)


def _exact(columns: dict[str, Column], column: str, base: Callable[[str, str], int]) -> Decimal | None:
    def added(names: tuple[str, ...]) -> Decimal:
        return sum((_exact(columns, name, base) or Decimal(0) for name in names), Decimal(0))

    match columns[column]:
        case Hundredths(form, other):
            return Decimal(base(form, other)) / 100
        case Taken(form, other):
            return Decimal(base(form, other))
        case Declared():
            return None
        case Worked(of, how, divided):
            told = [None if (each := _exact(columns, name, base)) is None else _printed(each) for name in of]
            if any(each is None for each in told) or (divided and not told[of.index(divided)]):
                return None
            return how(*told)
        case Graded(of, limits):
            number = _exact(columns, of, base)
            return None if number is None else Decimal(1 + sum(_printed(number) < limit for limit in limits))
        case Share(part, whole, empty):
            return 100 * added(part) / added(whole) if added(whole) else empty
        case Sum(of):
            return added(of)
        case Points(of, full_at, points):
            share = _exact(columns, of, base)
            return None if share is None else min(share / full_at, Decimal(1)) * points


def broken(numbers: dict[str, int], before: dict[str, int] | None) -> list[tuple[bool, int, int]]:
    """Return which checks of II.06a do not hold of one row: whether it is that with the month *before*, and both sides.

    Column 3 = 7 + 11, and column 6 = 11 of the closed month before, where there is one.
    """
    found = [(False, numbers["received"], numbers["settled"] + numbers["pending"])]
    found += [] if before is None else [(True, numbers["carried_over"], before["pending"])]
    return [each for each in found if each[1] != each[2]]
