"""Reads `[incidents]`: which syslog messages are incidents, and to whom they are reported.

Knows the keys. Does not know messages.
"""

import attrs

from hub.config.table import ConfigTable
from hub.formats.syslog import FACILITIES, SEVERITIES
from hub.language.phrases import phrase
from hub.services.incidents import IncidentClass, IncidentRules


@attrs.frozen(kw_only=True)
class IncidentSettings:
    """The rules for incidents from syslog."""

    rules: IncidentRules = attrs.field(factory=IncidentRules)
    report_to: tuple[str, ...] = ()  #: agencies that receive a report when an incident opens; empty: none
    report_from: str = ""  #: the unit that sends the reports
    report_severity: int = 2  #: lowest syslog severity that is reported (a smaller number is more severe)


def read_incident_settings(table: ConfigTable) -> IncidentSettings:
    """Return the settings of the table `[incidents]`. Its mistakes are collected in the table."""
    element = table.text(
        "element",
        IncidentRules().element,
        like=r"[!#-<>-\\^-~]{1,32}",
        expected=phrase('an SD-ID, such as "incident@32473"'),
    )
    closed = table.texts("closed", tuple(sorted(IncidentRules().closed)))
    report_to, report_from = table.texts("report-to", ()), table.text("report-from", "")
    severity = _read_severity(table, "report-severity", "critical")
    kinds = table.table("classes")
    classes = tuple(_read_incident_class(kinds.table(name), name) for name in kinds.pairs())
    for name in kinds.pairs():
        if not all(character.isalnum() or character == "-" for character in name):
            kinds.wrong(name, phrase("{name} does not fit", name=repr(name)), phrase("letters, digits and -"))
    if bool(report_to) != bool(report_from):
        missing = "report-from" if report_to else "report-to"
        table.wrong(missing, phrase("is missing"), phrase("report-to and report-from, or neither"))
    table.close()
    return IncidentSettings(
        rules=IncidentRules(
            element=element,
            closed=frozenset(state.lower() for state in closed),
            classes=classes or IncidentRules().classes,
        ),
        report_to=report_to,
        report_from=report_from,
        report_severity=severity,
    )


def _read_incident_class(table: ConfigTable, name: str) -> IncidentClass:
    found = IncidentClass(
        name=name,
        facilities=frozenset(_read_known_words(table, "facilities", FACILITIES)),
        apps=frozenset(table.texts("apps", ())),
        severity=_read_severity(table, "severity", "debug"),
    )
    table.close()
    return found


def _read_severity(table: ConfigTable, key: str, default: str) -> int:
    named = table.text(
        key, default, like="|".join(SEVERITIES), expected=phrase("one of {words}", words=", ".join(SEVERITIES))
    )
    return SEVERITIES.index(named or default)


def _read_known_words(table: ConfigTable, key: str, words: tuple[str, ...]) -> tuple[str, ...]:
    found = table.texts(key, ())
    for word in found:
        if word not in words:
            table.wrong(
                key, phrase("{word} is not known", word=repr(word)), phrase("one of {words}", words=", ".join(words))
            )
    return found
