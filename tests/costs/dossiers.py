"""Calls that bring dossiers, steps of work or a month's numbers: opened, and judged as records."""

from collections.abc import Mapping
from typing import Any, cast

from hub.domain.errors import Rejected
from hub.intake import admission
from hub.intake.records_endpoint import RecordCall, RecordsEndpoint
from hub.services import list_services
from hub.services.dossiers.results import NAME
from hub.soap import wsdl
from tests import dossiers
from tests.costs import filling, stage
from tests.pki import NOW
from tests.signatures import Layout

DIMENSIONS: dict[str, int | None] = {
    **filling.DIMENSIONS,
    "records": 1000,  # as many as the schema takes
    "same": 1000,  # records with one key
    "empty": 1000,  # records that say nothing
    "supplements": 100,  # of each record
    "wrong": 50,  # fields of each record that cannot be read
    "space": None,  # in a text
}
FILLER = "records"
FORMS = {"operation": ("sync", "progress", "statistic"), "place": ("record", "call")}
WORST = [
    ({"supplements": 2}, {"operation": "sync", "place": "record"}),
    ({"wrong": 3}, {"operation": "sync", "place": "record"}),
    ({}, {"operation": "statistic", "place": "record"}),
]
CONTRACT = wsdl.load_contract("dossiers")
DESK = RecordsEndpoint(CONTRACT, list_services()[NAME], cast("Any", None))


def build(counts: Mapping[str, int], form: Mapping[str, str]) -> bytes:
    have = dict.fromkeys(DIMENSIONS, 0) | dict(counts)
    filled = filling.fill(counts) if counts.keys() & filling.DIMENSIONS else ""
    made = {"sync": dossiers.sync(dossiers.hoso("K")), "progress": dossiers.progress(dossiers.tiendo("K"))}
    text = made.get(form["operation"], dossiers.statistic()).decode()
    name = {"sync": "HoSo", "progress": "TienDo", "statistic": "MStatistic"}[form["operation"]]
    start, end = text.index(f"<{name}>"), text.index(f"</{name}>") + len(name) + 3
    one = text[start:end]
    asked = "<DanhSachHoSoBoSung><NgayBoSung>20261121090000</NgayBoSung></DanhSachHoSoBoSung>" * have["supplements"]
    odd = one.replace(f"</{name}>", f"{asked}</{name}>")
    for year in ("20261120083000", "20261127170000", "20261121090000")[: have["wrong"]]:
        odd = odd.replace(year, "20261340083000")
    last = odd.replace(">K<", f">{' ' * have['space']}K<").replace(
        f"</{name}>", f"{filled if form['place'] == 'record' else ''}</{name}>"
    )
    records = "".join(odd.replace(">K<", f">K{number}<") for number in range(have["records"]))
    records += odd * have["same"] + f"<{name}/>" * have["empty"] + last
    return (text[:start] + records + (filled if form["place"] == "call" else "") + text[end:]).encode()


def finish(content: bytes, form: Mapping[str, str]) -> bytes:
    return stage.sign(Layout(content=content.decode()).template(stage.ME.token).encode())


def read(content: bytes) -> None:
    given = stage.open_call(content, described=CONTRACT, read=DESK.read).call
    assert isinstance(given, RecordCall)
    judged = (list_services()[NAME], given.content, given.message_id, "me", stage.province(), NOW, "id")
    entry = admission.judge_record(*judged)
    if entry.problems:
        raise Rejected(*entry.problems)
