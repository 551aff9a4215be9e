"""Writes the province at a glance as CSV and JSON: open data, each with the same numbers as the page."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import phrase
from hub.report.glance.glance_notes import HEADINGS
from hub.report.glance.ranking import RankedUnit
from hub.report.glance.view import GlanceView
from hub.report.output.spike_lines import describe_spike
from hub.report.words import make_json_number, quote_formula

_YES, _NO = phrase("yes"), phrase("no")


def write_glance(view: GlanceView, kind: str, language: Language) -> bytes:
    """Return *view* as `csv`, `json`, `pdf` or `xlsx`. Raises KeyError for another kind.

    The libraries of the last two are large. They are imported when such a file is asked for.
    """
    match kind:
        case "csv":
            return write_csv_glance(view, language)
        case "json":
            return write_json_glance(view)
        case "pdf":
            from hub.report.glance.glance_pdf import write_pdf_glance

            return write_pdf_glance(view, language)
        case "xlsx":
            from hub.report.glance.glance_workbook import write_xlsx_glance

            return write_xlsx_glance(view, language)
    raise KeyError(kind)


def write_csv_glance(view: GlanceView, language: Language) -> bytes:
    """Return the ranking as CSV (RFC 4180, UTF-8 with BOM): a line for each unit, then its figure in each period of the
    trend. Digits without separators, a point before decimals, an empty cell where there is no number.
    """
    text = io.StringIO()
    write = csv.writer(text)
    periods = [each.text for each in view.trend]
    write.writerow([*(translate(each, language) for each in HEADINGS), *periods])
    for row in view.ranking.rows:
        said = (None if flag is None else translate(_YES if flag else _NO, language) for flag in (row.met, row.far))
        numbers = row.value, row.part if row.whole is not None else None, row.whole, row.change, row.place_before
        cells = row.place, quote_formula(row.unit.code), quote_formula(row.unit.name), *numbers, *said, *row.trend
        write.writerow(["" if cell is None else cell for cell in cells])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def write_json_glance(view: GlanceView) -> bytes:
    """Return the ranking as one JSON object on one line (docs/reference/reports.md)."""
    return json.dumps(describe_glance(view), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def describe_glance(view: GlanceView) -> dict[str, Any]:
    """Return the ranking as values of JSON. Numbers with decimals are numbers; times are ISO 8601."""
    ranking, indicator, spread = view.ranking, view.indicator, view.ranking.spread
    return {
        "form": view.form.id,
        "title": {"vi": view.form.title.vi, "en": view.form.title.en},
        "period": {
            "text": view.period.text,
            "from": view.period.first.isoformat(),
            "to": view.period.last.isoformat(),
        },
        "made_at": view.made_at.isoformat(),
        "complete": view.complete,
        "revision": view.revision,
        "indicator": {
            "key": indicator.key,
            "vi": view.name_indicator(indicator, Language.VI),
            "en": view.name_indicator(indicator, Language.EN),
            "part": list(indicator.part),
            "whole": list(indicator.whole),
            "better": indicator.better.value,
            "target": make_json_number(ranking.target),
        },
        "class": view.of_class or None,
        "under": None if view.under is None else view.under.code,
        "limited": view.limited,
        "spread": None
        if spread is None
        else {
            "low": make_json_number(spread.low),
            "middle": make_json_number(spread.middle),
            "high": make_json_number(spread.high),
            "units": spread.count,
        },
        "periods": list(ranking.periods),
        "counted": list(ranking.counted),
        "rows": [_describe_row(view, row) for row in ranking.rows],
    }


def _describe_row(view: GlanceView, row: RankedUnit) -> Mapping[str, Any]:
    return {
        "unit": row.unit.code,
        "name": row.unit.name,
        "place": row.place,
        "value": make_json_number(row.value),
        "part": make_json_number(row.part),
        "whole": make_json_number(row.whole),
        "before": make_json_number(row.before),
        "change": make_json_number(row.change),
        "place_before": row.place_before,
        "met": row.met,
        "far": row.far,
        "ended": row.ended,
        "inherited": make_json_number(row.inherited),
        "heir": row.heir,
        "trend": [make_json_number(each) for each in row.trend],
        "unusual": [
            {
                "unit": each.unit,
                "column": each.column,
                "figure": each.figure,
                "vi": translate(describe_spike(each, view.form, _name_unit(view, each.unit), Language.VI), Language.VI),
                "en": translate(describe_spike(each, view.form, _name_unit(view, each.unit), Language.EN), Language.EN),
            }
            for each in view.list_spikes(row.unit.code)
        ],
    }


def _name_unit(view: GlanceView, code: str) -> str:
    return view.names.get(code, code)
