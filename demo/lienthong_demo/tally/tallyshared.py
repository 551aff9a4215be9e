"""Counts mail usage and lookups from the files of the shared mail and the officers. Pure. Trusts neither side."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from lienthong_demo.tally.tally import Line, TalliedResult, count_results_once

#: The milestone of each counted figure of a unit's mail, as docs/reference/mail.md names them.
_FIGURES: Mapping[str, str] = {
    "AccountsIssued": "accounts-issued",
    "AccountsActive": "accounts-active",
    "SentInternal": "sent-internal",
    "SentExternal": "sent-external",
    "ReceivedInternal": "received-internal",
    "ReceivedExternal": "received-external",
    "RefusedSize": "refused-size",
    "OverQuota": "over-quota",
    "OfficialDocuments": "official-documents",
}
#: The milestones of the lookups, as docs/reference/lookups.md names them.
_LOOKUPS: Mapping[str, str] = {
    "LookupEnterprise": "lookup-enterprise",
    "LookupCategory": "lookup-category",
    "VerifyCitizen": "verify-citizen",
    "OrderPostalReturn": "postal-ordered",
    "RegisterCivilStatus": "civil-status-sent",
    "RequestJudicialRecord": "judicial-record-requested",
}
#: The milestones of the shared services' records, by their kind (`lienthong_demo.partners.ngsp`).
_PLACED: Mapping[str, str] = {
    "order": "postal-ordered",
    "civil-status": "civil-status-sent",
    "record": "judicial-record-requested",
}


def tally_mail(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the shared mail's file (`lienthong_demo.partners.mailusage`): one line for each unit and day."""
    for line in lines:
        if line["what"] == "usage":
            for name, amount in line["figures"].items():
                yield TalliedResult(line["unit"], "mail", (line["day"],), _FIGURES[name], amount)


def tally_lookups(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Yield the results in the officers' file (`lienthong_demo.partners.officer`).

    A lookup counts once for each message, an operation with an effect once for its effect. A message that was answered
    twice keeps the id of the hub's first answer, so that a second id is noticed.
    """
    first: dict[str, str] = {}
    for line in lines:
        if line["what"] == "answered" and line["accepted"]:
            lookup = first.setdefault(line["message_id"], line["lookup"])
            yield TalliedResult(line["unit"], "lookups", (line["does"] or lookup,), _LOOKUPS[line["operation"]])


def compare_orders(officers: Iterable[Line], services: Iterable[Line]) -> Iterator[str]:
    """Yield the differences between what the officers ordered and what the shared services recorded, each once."""
    wanted = {
        (result.milestone, result.key[0])
        for result in count_results_once(tally_lookups(officers)).values()
        if result.milestone in _PLACED.values()
    }
    taken: Counter[tuple[str, str]] = Counter()
    for line in services:
        if line["what"] == "placed":
            kind, _, key = line["key"].partition(":")
            taken[_PLACED[kind], key.rpartition("/")[2]] += 1  # an order is recorded as CUSTOMER/NUMBER
    for name in sorted(wanted | taken.keys()):
        if (name in wanted, taken[name]) != (True, 1):
            said = "an officer's" if name in wanted else "no officer's"
            yield f"{' of '.join(name)}: {said}, taken {taken[name]} times"
