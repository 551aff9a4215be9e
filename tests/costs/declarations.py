"""Calls that declare a unit's figures: cells, units, notes."""

from collections.abc import Mapping
from typing import Any, cast

from hub.domain.errors import Rejected
from hub.intake import admission
from hub.intake.records_endpoint import RecordCall, RecordsEndpoint
from hub.report.counting import declaring
from hub.soap import wsdl
from tests.costs import filling, stage
from tests.pki import NOW
from tests.signatures import Layout

DIMENSIONS: dict[str, int | None] = {
    **filling.DIMENSIONS,
    "units": 5000,
    "strangers": 5000,  # units below no other
    "cells": 500,  # of the whole
    "unknown": 500,  # cells no form has
    "each": 50,  # cells of each unit
    "note": None,
    "digits": None,
}
FILLER = "units"
FORMS = {"place": ("call", "figures"), "figure": ("1", "x", "1.5")}
WORST = [
    ({"each": 50}, {"place": "call", "figure": "1"}),
    ({"each": 1, "strangers": 2000}, {"place": "call", "figure": "1"}),
    ({"unknown": 490}, {"place": "figures", "figure": "1.5"}),
]
CONTRACT = wsdl.load_contract("reports")
SERVICE = declaring.make_reports_service()
DESK = RecordsEndpoint(CONTRACT, SERVICE, cast("Any", None))
_FORM, _PERIOD, _COLUMN = "edoc", "2026-10", "sent"


def _figures(unit: str, cells: str) -> str:
    return f"<Figures>{f'<OrganId>{unit}</OrganId>' if unit else ''}{cells}</Figures>"


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    filled = filling.fill(counts) if counts.keys() & filling.DIMENSIONS else ""
    number = form["figure"] + "9" * have["digits"]
    one = f"<Cell><Column>{_COLUMN}</Column><Number>{number}</Number></Cell>"
    cells = one * (1 + have["cells"])
    cells += "".join(f"<Cell><Column>c{n}</Column><Number>1</Number></Cell>" for n in range(have["unknown"]))
    each = one + "".join(f"<Cell><Column>c{n}</Column><Number>1</Number></Cell>" for n in range(have["each"]))
    rows = "".join(_figures(f"H55.13.{n}", each) for n in range(have["units"]))
    rows += "".join(_figures(f"H56.{n}", each) for n in range(have["strangers"]))
    inside = filled if form["place"] == "figures" else ""
    return (
        f'<SubmitWorkloadReport xmlns="{declaring.NAMESPACE}"><OrganId>H55.13</OrganId><Form>{_FORM}</Form><Period>{_PERIOD}</Period>'
        f"{_figures('', cells + inside)}{rows}<Note>x{'x' * have['note']}</Note>"
        f"{filled if form['place'] == 'call' else ''}</SubmitWorkloadReport>"
    ).encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return stage.sign(Layout(content=content.decode()).template(stage.ME.token).encode())


def read(content: bytes) -> None:
    given = stage.open_call(content, described=CONTRACT, read=DESK.read).call
    assert isinstance(given, RecordCall)
    entry = admission.judge_record(SERVICE, given.content, given.message_id, "me", stage.province(), NOW, "id")
    if entry.problems:
        raise Rejected(*entry.problems)
