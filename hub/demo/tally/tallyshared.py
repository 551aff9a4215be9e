"""What the shared mail's and the officers' own files say happened, as results of the tally.  Pure; believes neither side."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from hub.demo.tally.tally import Line, TalliedResult, count_results_once

#: The milestones of what a unit's mail is counted by, as docs/reference/mail.md names them.
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
#: How the shared services (`hub.demo.partners.ngsp`) name what they took.
_PLACED: Mapping[str, str] = {
    "order": "postal-ordered",
    "civil-status": "civil-status-sent",
    "record": "judicial-record-requested",
}


def of_mail(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Read the shared mail's file (`hub.demo.partners.mailusage`): its books, a line for each unit and day."""
    for line in lines:
        if line["what"] == "usage":
            for name, amount in line["figures"].items():
                yield TalliedResult(line["unit"], "mail", (line["day"],), _FIGURES[name], amount)


def of_lookups(lines: Iterable[Line]) -> Iterator[TalliedResult]:
    """Read the officers' file (`hub.demo.partners.officer`): what was answered, once for each message; what does something, once for what it does.

    A message that was answered twice keeps the id that the hub gave it first, so that a second one is seen.
    """
    first: dict[str, str] = {}
    for line in lines:
        if line["what"] == "answered" and line["accepted"]:
            lookup = first.setdefault(line["message_id"], line["lookup"])
            yield TalliedResult(line["unit"], "lookups", (line["does"] or lookup,), _LOOKUPS[line["operation"]])


def unlike_placed(officers: Iterable[Line], services: Iterable[Line]) -> Iterator[str]:
    """Tell where what the officers had done is not what the shared services' file says they took, each once."""
    wanted = {
        (result.milestone, result.key[0])
        for result in count_results_once(of_lookups(officers)).values()
        if result.milestone in _PLACED.values()
    }
    taken: Counter[tuple[str, str]] = Counter()
    for line in services:
        if line["what"] == "placed":
            kind, _, key = line["key"].partition(":")
            taken[_PLACED[kind], key.rpartition("/")[2]] += 1  # an order stands there as CUSTOMER/NUMBER
    for name in sorted(wanted | taken.keys()):
        if (name in wanted, taken[name]) != (True, 1):
            said = "an officer's" if name in wanted else "no officer's"
            yield f"{' of '.join(name)}: {said}, taken {taken[name]} times"
