"""Says in both languages what an alert to operators is about, and what to do. Pure: sends nothing, reads nothing."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from hub.keeping.alert_notices import TEST, AlertNotice
from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase, SaidText, phrase, phrases
from hub.language.terms import name_word
from hub.monitoring.hub_alerts.conditions import ConditionKind
from hub.report.form.period import parse_period
from hub.report.words import write_moment, write_number, write_short_period

Values = Mapping[str, str | int]


def describe_condition(kind: str, values: Values) -> Phrase | str:
    """Return the sentence about a condition; the word itself if it is none of this program's."""
    write = _SENTENCES.get(kind)
    return kind if write is None else write(values)


def describe_remedy(kind: str) -> Phrase | str:
    """Return what to do about a condition; "" if there is nothing to say."""
    return _REMEDIES.get(kind, "")


def write_notice(notice: AlertNotice, language: Language) -> str:
    """Return one line: the time, the severity, the sentence, and the transition."""
    said = translate(describe_condition(notice.key.kind, notice.values), language)
    if notice.transition == TEST:
        return f"{write_moment(notice.at)} {said}"
    severity = translate(name_word("severity", str(notice.severity)), language)
    transition = translate(name_word("transition", notice.transition), language)
    return f"{write_moment(notice.at)} [{severity}] {said} ({transition})"


def write_subject(notices: Sequence[AlertNotice], language: Language) -> str:
    """Return the subject of a mail about *notices*: the sentence of the only one, else how many, and the gravest."""
    gravest = min(notices, key=lambda each: each.severity.rank)
    said = translate(describe_condition(gravest.key.kind, gravest.values), language)
    if len(notices) > 1:
        return translate(phrase("{count} alerts, such as: {first}", count=len(notices), first=said), language)
    if gravest.transition == TEST:
        return said
    return f"{said} ({translate(name_word('transition', gravest.transition), language)})"


def write_lines(notices: Sequence[AlertNotice], language: Language) -> list[str]:
    """Return the lines of a mail about *notices*: each, and once for each kind what to do."""
    lines = [write_notice(each, language) for each in notices]
    kinds = dict.fromkeys(each.key.kind for each in notices if each.transition != "ended")
    hints = [translate(hint, language) for kind in kinds if (hint := describe_remedy(kind))]
    if hints:
        lines += ["", translate(phrase("What to do:"), language), *(f"- {hint}" for hint in hints)]
    more = phrase("All alerts, and their acknowledgement: the page “Alerts” of the hub, or `lienthong alerts list`.")
    return [*lines, "", translate(more, language)]


def _say_number(values: Values, key: str = "count") -> SaidText:
    number = int(values.get(key, 0))
    return SaidText(english=write_number(number, Language.EN), vietnamese=write_number(number, Language.VI))


def _say_moment(values: Values, key: str) -> str:
    return write_moment(datetime.fromisoformat(str(values[key])))


def _say_partner_down(values: Values) -> Phrase:
    return phrase("The partner {partner} cannot be reached", partner=values["partner"])


def _say_link_down(values: Values) -> Phrase:
    return phrase("The host {link} cannot be reached", link=values["link"])


def _say_dead_letters(values: Values) -> Phrase:
    return phrases(
        "{partner}: {shown} dead letter",
        "{partner}: {shown} dead letters",
        count=int(values["count"]),
        partner=values["partner"],
        shown=_say_number(values),
    )


def _say_suspended(values: Values) -> Phrase:
    return phrases(
        "{partner}: {shown} delivery waits for a person",
        "{partner}: {shown} deliveries wait for a person",
        count=int(values["count"]),
        partner=values["partner"],
        shown=_say_number(values),
    )


def _say_waiting(values: Values) -> Phrase:
    said = {"partner": values["partner"], "shown": _say_number(values), "at": _say_moment(values, "oldest")}
    if values.get("paused"):
        return phrases(
            "{partner}: {shown} delivery waits, since {at}; sending is paused",
            "{partner}: {shown} deliveries wait, the oldest since {at}; sending is paused",
            count=int(values["count"]),
            **said,
        )
    return phrases(
        "{partner}: {shown} delivery waits, since {at}",
        "{partner}: {shown} deliveries wait, the oldest since {at}",
        count=int(values["count"]),
        **said,
    )


def _say_certificate(values: Values) -> Phrase:
    said = {"name": values["name"], "at": _say_moment(values, "end")}
    if values["owner"] == "hub":
        return phrase("The hub's certificate {name} ends on {at}", **said)
    if values["owner"] == "partner":
        return phrase("The certificate of the partner {name} ends on {at}", **said)
    return phrase("The certificate of the CA {name} ends on {at}", **said)


def _say_crl(values: Values) -> Phrase:
    return phrase("The revocation data of the CA {issuer} are overdue", issuer=values["issuer"])


def _say_disk(values: Values) -> Phrase:
    return phrase("{place}: {free} MiB are free", place=values["place"], free=_say_number(values, "mebibytes"))


def _say_returned(values: Values) -> Phrase:
    period = parse_period(str(values["period"]))
    return phrases(
        "{form} {period}: {shown} report is returned, and the next month closes on {at}",
        "{form} {period}: {shown} reports are returned, and the next month closes on {at}",
        count=int(values["count"]),
        form=values["form"],
        period=SaidText(english=period.name(Language.EN), vietnamese=period.name(Language.VI)),
        shown=_say_number(values),
        at=_say_moment(values, "closes"),
    )


def _say_chain(values: Values) -> Phrase:
    return phrase("Events have waited for their number since {at}", at=_say_moment(values, "oldest"))


def _say_node(values: Values) -> Phrase:
    return phrase("The node {name} has been silent since {at}", name=values["name"], at=_say_moment(values, "seen"))


def _say_backup(values: Values) -> Phrase:
    if not values["last"]:
        return phrase("There is no good backup")
    return phrase("The last good backup is of {at}", at=_say_moment(values, "last"))


def _say_budget(values: Values) -> Phrase:
    said = {"used": _say_number(values, "used"), "budget": _say_number(values, "budget")}
    if int(values["days"]) < 0:
        return phrase("The database uses {used} of {budget} MiB", **said)
    return phrases(
        "The database uses {used} of {budget} MiB, which last for {days} day",
        "The database uses {used} of {budget} MiB, which last for {days} days",
        count=int(values["days"]),
        days=_say_number(values, "days"),
        **said,
    )


def _say_retention(values: Values) -> Phrase:
    return phrase(
        "Messages of {month} should have gone since {at}",
        month=write_short_period(str(values["month"])),
        at=_say_moment(values, "due"),
    )


def _say_edited(values: Values) -> Phrase:
    return phrases(
        "{shown} figure or fact was edited in the database",
        "{shown} figures or facts were edited in the database",
        count=int(values["count"]),
        shown=_say_number(values),
    )


def _say_receipts(values: Values) -> Phrase:
    return phrases(
        "{shown} message that has a receipt is missing since a restore",
        "{shown} messages that have a receipt are missing since a restore",
        count=int(values["count"]),
        shown=_say_number(values),
    )


def _say_restart(values: Values) -> Phrase:
    return phrase("The node {name} must be restarted for: {settings}", name=values["name"], settings=values["settings"])


def _say_writer(values: Values) -> Phrase:
    if "busy" in values:
        return phrase(
            "The writer of the journal is busy {busy} % of the time, {part} % of it for {owner}",
            busy=_say_number(values, "busy"),
            part=_say_number(values, "part"),
            owner=values["owner"],
        )
    return phrase(
        "{partner} wants more than its share of the writer of the journal: its calls wait", partner=values["owner"]
    )


def _say_test(values: Values) -> Phrase:
    return phrase("A test of the alerts, asked for by {user}: nothing is wrong", user=values.get("by", ""))


_SENTENCES: Mapping[str, Callable[[Values], Phrase]] = {
    ConditionKind.PARTNER_DOWN: _say_partner_down,
    ConditionKind.LINK_DOWN: _say_link_down,
    ConditionKind.DEAD_LETTERS: _say_dead_letters,
    ConditionKind.SUSPENDED: _say_suspended,
    ConditionKind.WAITING: _say_waiting,
    ConditionKind.CERTIFICATE: _say_certificate,
    ConditionKind.CRL: _say_crl,
    ConditionKind.DISK: _say_disk,
    ConditionKind.RETURNED: _say_returned,
    ConditionKind.CHAIN: _say_chain,
    ConditionKind.NODE: _say_node,
    ConditionKind.BACKUP: _say_backup,
    ConditionKind.BUDGET: _say_budget,
    ConditionKind.RETENTION: _say_retention,
    ConditionKind.EDITED: _say_edited,
    ConditionKind.RECEIPTS: _say_receipts,
    ConditionKind.RESTART: _say_restart,
    ConditionKind.WRITER: _say_writer,
    TEST: _say_test,
}
_REMEDIES: Mapping[str, Phrase] = {
    ConditionKind.PARTNER_DOWN: phrase(
        "Ask the partner whether its system runs; `lienthong status` says why the hub cannot reach it. Nothing is lost."
    ),
    ConditionKind.LINK_DOWN: phrase("`lienthong links` says what the probes found."),
    ConditionKind.DEAD_LETTERS: phrase(
        "`lienthong failures` groups them by cause: correct the cause, then replay them or give them up."
    ),
    ConditionKind.SUSPENDED: phrase("Decide: `lienthong resume PARTNER`, or give the deliveries up."),
    ConditionKind.WAITING: phrase("`lienthong status` says what the partner waits for: a pause, a breaker, a lane."),
    ConditionKind.CERTIFICATE: phrase(
        "Have it renewed and put the new one beside the old one before the day of its end."
    ),
    ConditionKind.CRL: phrase(
        "Fetch a newer list by hand, or find out why the hub cannot: `lienthong check` names it."
    ),
    ConditionKind.DISK: phrase(
        "Make room, or give the hub a larger disk: a full disk stops the intake, not the deliveries."
    ),
    ConditionKind.RETURNED: phrase(
        "Remind the units of the returned reports: the page “Reports” of the hub lists them."
    ),
    ConditionKind.CHAIN: phrase("See the log for `chaining-failed`; the database may be slow or locked."),
    ConditionKind.BACKUP: phrase(
        "`lienthong backup list` says why the last one failed; make one: `lienthong backup run`."
    ),
    ConditionKind.BUDGET: phrase("`lienthong retention plan` says what may go; else enlarge the disk and the budget."),
    ConditionKind.RETENTION: phrase(
        "`lienthong retention parts` says why they wait; `lienthong archive verify` names an archive file that is missing."
    ),
    ConditionKind.RECEIPTS: phrase(
        "Ask the partners to send them again: `lienthong backup letters DIR` writes to them."
    ),
    ConditionKind.EDITED: phrase(
        "`lienthong db verify` names them; find out who had access; `lienthong report close` restores a closed month."
    ),
    ConditionKind.RESTART: phrase("Restart the node when it suits; until then the old settings stay in force."),
    ConditionKind.WRITER: phrase(
        "See on the partner's page what it sends; ask it why, or limit it with `intake-rate`. Others do not wait for it."
    ),
    ConditionKind.NODE: phrase("See whether that machine runs; the other nodes have taken over its deliveries."),
}
