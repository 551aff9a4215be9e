"""Meetings and incidents in the day of the province: sets up the hub for them, and compares the results.

Knows hub.toml, a partner's file and the forms' columns. Plays nothing itself.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from hub.runtime.free_ports import find_free_ports
from lienthong_demo.command.enrolling import enrol_partner
from lienthong_demo.run.stage import Site
from lienthong_demo.tally import eventtally, tally

Line = Mapping[str, Any]

#: By form: each column with the milestone that the partners' files give for it.
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "meetings": {
        "called": "called",
        "cancelled": "cancelled",
        "held": "held",
        "accepted": "accepted",
        "declined": "declined",
        "attended": "there",
    },
    "incidents": {
        "opened_grave": "grave",
        "opened_other": "other",
        "opened": "opened",
        "closed": "closed",
        "closing_seconds": "closing-seconds",
        "open": "open",
    },
}
FORMS = tuple(_COLUMNS)

_SETTINGS = """
[syslog]
port = {port}

[incidents]
report-to = ["{agency}"]
report-from = "{unit}"
report-severity = "critical"

[incidents.classes.endpoint]
facilities = ["local0"]
apps = ["edr"]
severity = "warning"
"""


def open_event_systems(site: Site, watchman: str, units: Sequence[str], unit: str, agency: str) -> None:
    """Let the hub receive syslog from *watchman*, which monitors *units*.

    The hub reports grave incidents to *agency* in the name of *unit*.
    """
    text = site.config.read_text("utf-8")
    (port,) = find_free_ports(1)
    site.config.write_text(text + _SETTINGS.format(port=port, agency=agency, unit=unit), "utf-8")
    enrol_partner(site, watchman, "Hệ thống giám sát (mẫu)", units, calls=("incidents",))


def compare_event_facts(
    notebooks: Mapping[str, list[Line]],
    watchman: str,
    facts: Iterable[Line],
    rows: Callable[[str], list[Line]],
    first: date,
    today: date,
) -> list[str]:
    """Return the differences of facts and forms of meetings and incidents from the partners' files.

    *rows* returns a form's rows.
    """
    systems = [*notebooks["sotttt"], *notebooks["vpub"]]
    results = [*eventtally.tally_calendars(systems), *eventtally.tally_watchman(notebooks[watchman])]
    beside = [*eventtally.tally_meetings(systems, first, today), *eventtally.tally_incidents(notebooks[watchman])]
    expected = tally.sum_results(tally.count_results_once([*results, *beside]).values())
    differences = [
        *tally.compare_facts(results, facts, frozenset(FORMS), _key),
        *eventtally.compare_incident_reports(notebooks[watchman], notebooks["vpcp"]),
    ]
    for form, columns in _COLUMNS.items():
        differences += tally.compare_report(rows(form), expected, form, columns, form)
    return differences


def _key(fact: Line) -> tuple[str, ...]:
    """Return a fact's key as the partners' files write it: a meeting's UID (and SEQUENCE), or an incident's id."""
    key = json.loads(fact["key"])
    if fact["service"] != "meetings" or len(key) < 3:
        return (str(key[0]),)
    return key[0], f"{int(key[2].split()[0])}"
