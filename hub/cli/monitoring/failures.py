"""`lienthong failures`: lists what failed, by cause. Contains no SQL (`hub.monitoring.failures`)."""

from datetime import UTC, datetime

from hub.cli.journal import open_journal, read_view_config
from hub.cli.monitoring.commands import FAILURE_NAMES
from hub.cli.screen import NOT_FOUND, CommandStop, Screen, say, say_count, t
from hub.cli.words import say_refusal
from hub.config import Config
from hub.domain.failure_causes import NOBODY
from hub.domain.local_time import write_local_time
from hub.language.terms import describe_reason
from hub.monitoring import failures
from hub.monitoring.failures import FailureGroup, FailureList
from hub.operations.messages.search_request import is_known_partner
from hub.store import transactions
from hub.store.transactions import Transaction


def list_failure_groups(
    screen: Screen, /, partner: str | None, kind: str | None, since: datetime | None, until: datetime | None, limit: int
) -> None:
    wanted = failures.FailureFilter(
        partner=partner,
        kind=None if kind is None else failures.FailureKind(kind),
        since=since or datetime.now(UTC) - failures.BACK,
        until=until,
    )
    config = read_view_config(screen)
    with open_journal(config) as engine, transactions.read_transaction(engine) as tx:
        _refuse_unknown(tx, config, partner)
        found = failures.list_failures(tx, wanted, limit)
    _print_failures(screen, found)


def _refuse_unknown(tx: Transaction, config: Config, partner: str | None) -> None:
    """Raise `CommandStop` 4 for a partner that is not known, so that no typo looks like "none"."""
    names = {code: each.name for code, each in config.partners.items()}
    if partner and partner != NOBODY and not is_known_partner(tx, partner, names):
        raise CommandStop(t("there is no partner {code}", code=partner), NOT_FOUND)


def _print_failures(screen: Screen, found: FailureList) -> None:
    titles = {
        "state": t("state"),
        "partner": t("partner"),
        "count": t("number"),
        "first": t("first"),
        "last": t("last"),
        "reason": t("reason"),
        "cause": t("cause"),
        "example": t("example"),
    }
    rows = (_list_fields(each) if screen.json else _make_row(each) for each in found.groups)
    count = screen.table(titles, rows)
    if not count and not screen.json:
        screen.note(t("No failures."))
    if found.others:
        screen.note(t("More causes: {count}. Narrow the search, or raise -n.", count=say_count(found.others)))
    if found.unread:
        screen.note(t("Of {names} there are more causes than are read.", names=", ".join(found.unread)))


def _list_fields(group: FailureGroup) -> dict[str, object]:
    """Return what `--json` says of a group."""
    return {
        "cause": group.cause,
        "state": str(group.kind),
        "partner": group.partner,
        "codes": list(group.codes),
        "detail": group.text,
        "count": group.count,
        "more": group.more,
        "first": group.first,
        "last": group.last,
        "example": group.example,
    }


def _make_row(group: FailureGroup) -> dict[str, object]:
    refused = str(group.kind) in {"refused", "call"}
    return _list_fields(group) | {
        "state": say(FAILURE_NAMES[str(group.kind)]),
        "count": say_count(group.count) + ("+" if group.more else ""),
        "first": write_local_time(group.first),
        "last": write_local_time(group.last),
        "reason": say_refusal(group.text) if refused else say(describe_reason(group.text)),
    }
