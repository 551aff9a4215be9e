"""Counts the public services that had a dossier, out of the dossiers by procedure of another form. Knows the list of
services that are in force. Counts no facts.

A service counts once, whichever units have its dossiers: so a report has one row, for the unit and all below it, and its
table a row for each field under each level.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime

import attrs

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.language.sorting import make_code_sort_key
from hub.report.counting import deriving, division
from hub.report.counting.checks import CheckFinding
from hub.report.counting.counting import DividedRow, Report, Row
from hub.report.counting.deriving import Number
from hub.report.counting.division import BEYOND, UNSTATED, Values, write_value
from hub.report.counting.table import write_row
from hub.report.form.column import Wording
from hub.report.form.form import LEVEL, PROCEDURE, Check, Form
from hub.report.form.period import Period
from hub.report.form.service_list import PublicService, ServiceLevel

_NAMED = 20  #: the maximum codes that a finding names


def count_used_services(
    form: Form,
    period: Period,
    made_at: datetime,
    unit: str,
    bases: Mapping[str, Report],
    listed: Mapping[str, PublicService],
) -> Report:
    """Return the report of *unit* and all units below it by *form*, whose columns count services (`Column.least`).

    *bases*: the reports of the forms that it takes from, whose rows are divided by procedure. *listed*: the services in
    force, by code. A dossier's procedure is the service of the same code, else the one of which the code is continued by
    a full stop, the longest: provinces continue the national code, as in `2.000815.000.00.00.H55`. What is no listed
    service is a finding.
    """
    counted = {name: _sum_by_service(report, listed) for name, report in bases.items()}
    table: dict[Values, dict[str, int]] = {(): {}}
    for code, service in listed.items():
        sums = {
            column.key: int(counted[column.taken[0]].has_at_least(column.least, column.taken[1], code))
            for column in form.columns
            if column.taken is not None and column.least is not None
        }
        path = (service.level.value, write_value(service.field))
        for depth in range(len(path) + 1):
            division.add_sums(table.setdefault(path[:depth], {}), sums)
    total = _write_row(form, unit, table.pop(()))
    names = {write_value(service.field): service.field_name for service in listed.values() if service.field_name}
    order = list(ServiceLevel)
    return Report(
        form=form,
        period=period,
        made_at=made_at,
        total=total,
        rows=(total,),
        findings=tuple(found for each in counted.values() for found in each.find_unlisted()),
        by=(LEVEL, "field"),
        divided=tuple(
            DividedRow(
                path=path, unit="", values=path, name=_name_service(path, names), row=_write_row(form, "", table[path])
            )
            for path in sorted(
                table, key=lambda path: (order.index(ServiceLevel(path[0])), *map(make_code_sort_key, path[1:]))
            )
        ),
    )


def select_services(listed: Iterable[PublicService], period: Period) -> dict[str, PublicService]:
    """Return the services that are in force on some day of *period*, by code as rows spell it; of a code with several
    entries the last.
    """
    found = [each for each in listed if each.is_in_force(period.first, period.last)]
    return {write_value(each.code): each for each in sorted(found, key=lambda each: each.since or date.min)}


def _write_row(form: Form, unit: str, sums: Mapping[str, int]) -> Row:
    taken = {column.key: sums.get(column.key, 0) for column in form.columns if column.taken is not None}
    return Row(unit, numbers=deriving.derive_row_numbers(form, taken), times={})


def _name_service(path: Values, fields: Mapping[str, str]) -> Wording | None:
    if len(path) == 1:
        return ServiceLevel(path[0]).name_said
    return Wording(fields[path[1]], fields[path[1]]) if path[1] in fields else None


@attrs.define
class _Dossiers:
    """The numbers of a form by service, and by procedure what is no service in force."""

    services: Mapping[str, Mapping[str, Number]]
    unlisted: Mapping[str, Mapping[str, Number]]

    def has_at_least(self, least: int, column: str, service: str) -> bool:
        """Return whether the number of *column* of *service* is at least *least*."""
        return (self.services[service][column] or 0) >= least if service in self.services else not least

    def find_unlisted(self) -> Iterator[CheckFinding]:
        """Yield the finding that dossiers are of procedures that are not in the list, unless there are none."""
        codes = sorted(code for code, numbers in self.unlisted.items() if any(numbers.values()))
        if not codes:
            return
        named = ", ".join("–" if code == UNSTATED else code for code in codes[:_NAMED])
        named += " …" if codes[_NAMED:] else ""
        said = phrase(
            "Dossiers of {count} procedures that are no service in force ({codes})", count=len(codes), codes=named
        )
        check = Check(says=Wording(translate(said, Language.VI), translate(said, Language.EN)), left=(), right=())
        many = sum(int(max(each or 0 for each in self.unlisted[code].values())) for code in codes)
        yield CheckFinding(unit=None, check=check, left=many, right=0)


def _sum_by_service(report: Report, listed: Mapping[str, PublicService]) -> _Dossiers:
    services: dict[str, dict[str, int]] = {}
    unlisted: dict[str, dict[str, int]] = {}
    for each in report.divisions.values():
        place = each.by.index(PROCEDURE)
        for values, numbers in each.sums.items():
            code = _find_service(values[place], listed)
            sums = unlisted if code is None else services
            division.add_sums(sums.setdefault(code or values[place], {}), numbers)
    return _Dossiers(
        *(
            {code: write_row(report.form, "", sums).numbers for code, sums in found.items()}
            for found in (services, unlisted)
        )
    )


def _find_service(procedure: str, listed: Mapping[str, PublicService]) -> str | None:
    code = "" if procedure in (UNSTATED, BEYOND) else procedure
    while code and code not in listed:
        code = code.rpartition(".")[0]
    return code or None
