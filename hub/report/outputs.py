"""How a report is written: CSV, HTML and JSON with the same numbers.  Knows languages and layouts; does not count.

Every output takes the names of units by code; a unit without one is called by its code.
"""

import csv
import json
from collections.abc import Mapping
from datetime import date, datetime
from io import StringIO
from itertools import groupby
from pathlib import Path

import attrs
import jinja2

from hub.report.counting import Report, Row
from hub.report.form import Column, Form, Kind
from hub.report.period import HANOI

#: What makes a spreadsheet take a text for a formula, the full-width forms included.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # fmt: skip


def as_json(report: Report, names: Mapping[str, str]) -> str:
    """Return one JSON object on one line; the keys are in docs/reference/reports.md.  Times are ISO 8601 in UTC."""
    form, period = report.form, report.period
    content = {
        "unit": report.total.unit,
        "name": name(report.total, names),
        "form": form.id,
        "title": attrs.asdict(form.title),
        "basis": attrs.asdict(form.basis),
        "counted": attrs.asdict(form.counted),
        "parameters": dict(form.parameters),
        "period": {
            "text": period.text,
            "from": period.first.isoformat(),
            "to": period.last.isoformat(),
            "start": period.start.isoformat(),
            "end": period.end.isoformat(),
            "ended": report.ended,
        },
        "made_at": report.made_at.isoformat(),
        "columns": [
            {
                "key": column.key,
                "vi": column.heading.vi,
                "en": column.heading.en,
                "group": None if column.group is None else attrs.asdict(column.group),
                "kind": column.kind.value,
                "sum": list(column.sum),
            }
            for column in form.columns
        ],
        "total": _plain(report.total, form),
        "rows": [{"unit": row.unit, "name": name(row, names), **_plain(row, form)} for row in report.rows],
    }
    return json.dumps(content, ensure_ascii=False)


def as_csv(report: Report, names: Mapping[str, str], language: str = "vi") -> bytes:
    """Return CSV (RFC 4180) in UTF-8 with a BOM, which spreadsheets need to see that it is UTF-8: headings, total, a row a unit.

    Numbers are bare digits, times are Hà Nội's.  A text that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    english = language == "en"
    lead = (
        ["No.", "Period", "From", "To", "Unit code", "Unit"]
        if english
        else ["STT", "Kỳ báo cáo", "Từ ngày", "Đến ngày", "Mã đơn vị", "Đơn vị"]
    )
    period = [report.period.name(language), report.period.first.isoformat(), report.period.last.isoformat()]
    written = StringIO()
    table = csv.writer(written)
    table.writerow([_safe(heading) for heading in lead + [_full(column, language) for column in report.form.columns]])
    for number, row in [("Total" if english else "Tổng cộng", report.total), *enumerate(report.rows, 1)]:
        texts = [_safe(text) for text in (*period, row.unit, name(row, names))]
        table.writerow([number, *texts, *(_cell(row, column) for column in report.form.columns)])
    return b"\xef\xbb\xbf" + written.getvalue().encode()


def as_html(report: Report, names: Mapping[str, str], language: str = "vi") -> str:
    """Return one page of HTML that asks nothing of the network and runs nothing: to read, and to print on A4 across."""
    return _TEMPLATES.get_template("report.html.jinja").render(
        report=report,
        form=report.form,
        period=report.period,
        names=names,
        language="en" if language == "en" else "vi",
        groups=groups(report.form.columns),
        sums=sums(report.form.columns),
    )


def number(value: int, language: str = "vi") -> str:
    """Write a whole number as people of *language* do: `1.234.567`, in English `1,234,567`."""
    return f"{value:,}" if language == "en" else f"{value:,}".replace(",", ".")


def day(value: date) -> str:
    """Write a date as dd/MM/yyyy."""
    return f"{value:%d/%m/%Y}"


def moment(value: datetime) -> str:
    """Write an instant as dd/MM/yyyy HH:mm in Hà Nội."""
    return f"{value.astimezone(HANOI):%d/%m/%Y %H:%M}"


def name(row: Row, names: Mapping[str, str]) -> str:
    """Return what the unit of *row* is called."""
    return names.get(row.unit, row.unit)


def groups(columns: tuple[Column, ...]) -> list[tuple[Column, int]]:
    """Return the first column of each run of columns with one group heading, and its length; 0 for a column without a group."""
    runs: list[tuple[Column, int]] = []
    for group, members in groupby(columns, key=lambda column: column.group):
        found = list(members)
        runs += [(column, 0) for column in found] if group is None else [(found[0], len(found))]
    return runs


def sums(columns: tuple[Column, ...]) -> list[str]:
    """Return what stands under the headings, as official forms have it: `(1)`, `(2)`, `(3)=(1)+(2)`."""
    numbers = {column.key: f"({place})" for place, column in enumerate(columns, 1)}
    return [
        numbers[column.key] + ("=" + "+".join(numbers[key] for key in column.sum) if column.sum else "")
        for column in columns
    ]


def _plain(row: Row, form: Form) -> dict[str, int | str | None]:
    plain: dict[str, int | str | None] = {}
    for column in form.columns:
        if column.kind is Kind.TIME:
            at = row.times[column.key]
            plain[column.key] = None if at is None else at.isoformat()
        else:
            plain[column.key] = row.numbers[column.key]
    return plain


def _cell(row: Row, column: Column) -> int | str:
    if column.kind is not Kind.TIME:
        return row.numbers[column.key]
    at = row.times[column.key]
    return "" if at is None else f"{at.astimezone(HANOI):%Y-%m-%d %H:%M:%S}"


def _full(column: Column, language: str) -> str:
    heading = column.heading.say(language)
    return heading if column.group is None else f"{column.group.say(language)}: {heading}"


def _safe(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(FORMULA) else text


_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {"number": number, "day": day, "moment": moment}
_TEMPLATES.globals["TIME"] = Kind.TIME
