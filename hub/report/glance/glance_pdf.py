"""Writes the province at a glance as PDF: pages for leaders to read and keep. Tagged; PDF/A-2a and PDF/UA-1.

Decides the texts; `glance.typ` does the layout. Counts nothing. The same view gives the same bytes.
"""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

from hub.language.catalogues import translate
from hub.language.languages import Language
from hub.language.phrases import Phrase
from hub.report.glance.drawing import draw_trend
from hub.report.glance.glance_notes import write_glance_head, write_glance_notes, write_notices
from hub.report.glance.ranking import RankedUnit
from hub.report.glance.view import GlanceView
from hub.report.output.pdf import REGIONS, compile_pages, make_printable
from hub.report.words import NONE, write_number

_HERE = Path(__file__).parent


def write_pdf_glance(view: GlanceView, language: Language) -> bytes:
    """Return the PDF, A4 across. A character that the fonts lack is shown as □. Texts are never interpreted as markup. A
    RuntimeError of typst would be an error of the hub.
    """
    return compile_pages(_HERE / "glance.typ", {"glance": json.dumps(_give_glance(view, language), ensure_ascii=False)})


def _give_glance(view: GlanceView, language: Language) -> dict[str, Any]:
    """Return the input of `glance.typ`."""

    def t(id: str, /, **arguments: object) -> str:  # noqa: A002 - what gettext calls it
        return translate(Phrase(id, arguments), language)

    head = [make_printable(each) for each in write_glance_head(view, language)]
    made = view.made_at.astimezone(UTC)
    parts = [t("Part"), t("Whole")] if view.indicator.whole else []
    headings = [
        t("Place"), t("Unit"), t("Figure"), *parts, t("Change"), t("Place before"), t("Trend"), t("Remarks"),
    ]  # fmt: skip
    return {
        "language": language,
        "region": REGIONS[language],
        "title": f"{head[1]}, {view.period.name(language)}",
        "author": t("The interconnection hub"),
        "description": f"{view.form.id} {view.indicator.key} {view.period.text}",
        "date": {
            "year": made.year, "month": made.month, "day": made.day,
            "hour": made.hour, "minute": made.minute, "second": made.second,
        },
        "footer": make_printable(f"{head[1]} · {view.period.name(language)} · {head[3]}"),
        "page": t("Page"),
        "head": head,
        "headings": [make_printable(each) for each in headings],
        "widths": [12, 0, 24, *([20] * len(parts)), 22, 16, 34, 52],
        "rows": [_give_row(view, row, language) for row in view.ranking.rows],
        "notes": [make_printable(each) for each in write_glance_notes(view, language)],
        "words": t("Notes"),
    }  # fmt: skip


def _give_row(view: GlanceView, row: RankedUnit, language: Language) -> dict[str, Any]:
    parts = [write_number(row.part, language), write_number(row.whole, language)] if view.indicator.whole else []
    value, change = view.write_value(row.value, language), view.write_change(row.change, language)
    said = "; ".join(
        f"{period} {write_number(each, language)}" for period, each in zip(view.ranking.periods, row.trend, strict=True)
    )
    return {
        "place": NONE if row.place is None else str(row.place),
        "name": make_printable(row.unit.name),
        "code": make_printable(row.unit.code),
        "cells": [make_printable(each) for each in (value, *parts, change, _write_place(row.place_before))],
        "svg": draw_trend(row.trend, view.ranking.periods, language),
        "alt": make_printable(said),
        "remarks": make_printable(write_notices(view, row, language)),
    }


def _write_place(place: int | None) -> str:
    return NONE if place is None else str(place)
