"""A unit declares its figures to a hub that runs, with a stock SOAP client and with a workbook; exactly what is wrong comes back."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import openpyxl
import pytest
from lxml import etree
from requests import Session
from zeep import Client, Settings
from zeep.exceptions import Fault
from zeep.transports import Transport

from hub.report.form.folder import read_form_folder
from hub.report.form.period import find_month_containing
from hub.report.workbooks.template_workbook import is_typed_column
from hub.security.anchors import Anchors
from hub.security.certificates import load_certificate
from hub.security.wss_verify import unseal_document
from lienthong_demo.plan.packets import write_document_packet
from tests.conftest import DATABASES
from tests.declaring import filled, saved
from tests.process.test_zeep import Signed
from tests.running import RunningHub

pytestmark = pytest.mark.slow

EDOC = next(form for form in read_form_folder() if form.id == "edoc")
PERIOD = find_month_containing(datetime.now(UTC)).text


@pytest.fixture
def client(hub: RunningHub) -> Iterator[Any]:
    """Return a way to make a zeep client of the reports service for a partner."""
    hub.start()
    sessions = []

    def of(partner: str, version: str = "11") -> Any:
        files, session = hub.files(partner), Session()
        sessions.append(session)
        session.trust_env = False
        session.verify = str(files["ca"])
        session.cert = (str(files["certificate"]), str(files["key"]))
        wsse = Signed(files["key"], files["certificate"], hub.home / "pki/hub.crt")
        address = hub.soap.replace("documents", "reports")
        settings = Settings(strict=True, xml_huge_tree=True)
        made = Client(f"{address}?wsdl", transport=Transport(session=session), wsse=wsse, settings=settings)
        return made.bind("Reports", f"ReportsSoap{version}")

    yield of
    for session in sessions:
        session.close()


def send(hub: RunningHub, count: int) -> None:
    """Let H55.1 send so many documents to H55.13."""
    with hub.client("vpub") as office:
        for number in range(count):
            packet = write_document_packet(
                "H55.1", ["H55.13"], number=str(number), notation="VP", subject="A", promulgated=date(2026, 11, 20)
            )
            office.send(packet, f"m{number}")


def counted(hub: RunningHub, unit: str = "H55.1") -> dict[tuple[str, str], int]:
    """Return every number of the report: the total's, then each row's."""
    (said,) = hub.cli("report", unit, PERIOD, "--format", "json")
    keys = [column["key"] for column in said["columns"] if column["kind"] != "time"]
    rows = [("", said["total"]), *((row["unit"], row) for row in said["rows"])]
    return {(code, key): row[key] for code, row in rows for key in keys}


def figures(cells: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for (unit, column), number in cells.items():
        rows.setdefault(unit, []).append({"Column": column, "Number": number})
    return [{"OrganId": unit or None, "Cell": cells} for unit, cells in rows.items()]


def codes(fault: Fault) -> str:
    return etree.tostring(fault.detail).decode()


def planted(right: dict[tuple[str, str], int], seed: int) -> dict[tuple[str, str], int]:
    chance = random.Random(seed)
    return {cell: right[cell] + chance.randint(1, 9) for cell in chance.sample(sorted(right), 10)}


@pytest.mark.parametrize("hub", DATABASES, indirect=True)
@pytest.mark.parametrize("version", ["11", "12"])
def test_ten_planted_errors_come_back_by_soap_as_exactly_those_ten_cells(hub, client, version):
    office = client("vpub", version)
    send(hub, 3)
    right = counted(hub)
    assert right["", "sent"] == 3
    wrong = planted(right, int(version))
    fields = {"OrganId": "H55.1", "Form": "edoc", "Period": PERIOD}
    sent = office.SubmitWorkloadReport(
        MessageId="khai-1",
        **fields,
        DeclaredBy="Nguyễn Thị Lan",
        Figures=[*figures({**right, **wrong}), {"OrganId": "H55.1", "Cell": [{"Column": "paper_only", "Number": 5}]}],
        Note="đã rà soát",
    )
    assert sent.Report.IsSuccess is True
    assert sent.Receipt.MessageId == "khai-1"

    found = office.GetReconciliation(**fields)
    unequal = [cell for cell in found.Cell if cell.Verdict != "equal"]
    assert {(cell.OrganId or "", cell.Column): cell.Declared for cell in unequal} == wrong
    assert found.Differing == 10
    assert found.Cell[:10] == unequal, "those that are not equal come first"
    assert len(found.Cell) == len(right)
    for cell in unequal:
        number = right[cell.OrganId or "", cell.Column]
        assert (cell.Counted, cell.Difference) == (number, cell.Declared - number)
        assert (cell.Verdict == "no-evidence") is (cell.Behind.Facts == 0)
        assert len(cell.Behind.DocumentId) == cell.Behind.Messages
        assert cell.Behind.Complete is True
        assert {hub.cli("trace", message, "--json")[0]["event"] for message in cell.Behind.DocumentId} <= {
            "message-accepted"
        }
    said = found.Declaration
    assert (said.DocumentId, said.Partner, said.DeclaredBy, said.Note, said.Earlier) == (
        sent.DocumentId, "vpub", "Nguyễn Thị Lan", "đã rà soát", 0,
    )  # fmt: skip
    assert [(line.OrganId, line.Line, line.Declared) for line in found.Manual] == [("H55.1", "paper_only", 5)]

    again = office.SubmitWorkloadReport(MessageId="khai-2", **fields, Figures=figures(right))
    assert again.Report.IsSuccess is True
    found = office.GetReconciliation(**fields)
    assert (found.Differing, found.Undeclared, found.Declaration.Earlier) == (0, 0, 1), "the newest counts"
    assert found.Declaration.DocumentId == again.DocumentId
    assert {row["id"] for row in hub.cli("messages", "--json") if row["kind"] == "declaration"} == {
        sent.DocumentId, again.DocumentId,
    }  # fmt: skip
    assert counted(hub) == right, "a declaration counts for nothing"


def test_who_may_declare_and_ask_and_what_is_refused(hub, client):
    office, department = client("vpub"), client("sotttt")
    fields = {"OrganId": "H55.1", "Form": "edoc", "Period": PERIOD}
    with pytest.raises(Fault) as caught:
        office.GetReconciliation(**fields)
    assert "declaration-missing" in codes(caught.value)
    for ask in (department.GetReconciliation, department.GetWorkloadReport):
        with pytest.raises(Fault) as caught:
            ask(**fields)
        assert "not-yours" in codes(caught.value)
    for changes, code in (({"Form": "x"}, "form-unknown"), ({"Period": "2026-13"}, "period-unreadable")):
        with pytest.raises(Fault) as caught:
            office.GetWorkloadReport(**{**fields, **changes})
        assert code in codes(caught.value)
    with pytest.raises(Fault) as caught:
        office.ListPeriods(Form="x")
    assert "form-unknown" in codes(caught.value)

    def refused(partner: Any, cells: dict[tuple[str, str], int], **changes: Any) -> list[tuple[str, str]]:
        answer = partner.SubmitWorkloadReport(**{**fields, "Figures": figures(cells), **changes})
        assert (answer.Report.IsSuccess, answer.DocumentId) == (False, None)
        return [(error.Code, error.Description) for error in answer.Report.ErrorList.Error]

    assert refused(department, {("", "sent"): 1})[0][0] == "sender-not-allowed"
    ((code, said),) = refused(office, {("H55.1", "sennt"): 1})
    assert (code, "[H55.1, sennt: " in said) == ("column-unknown", True)
    assert refused(office, {("H55.13", "sent"): 1})[0][0] == "unit-not-below"
    assert refused(office, {("", "sent"): 1}, Period="2026-13")[0][0] == "period-unreadable"
    assert refused(office, {("", "sent"): 1}, Form="x")[0][0] == "form-unknown"
    assert refused(office, {("", "sent"): 1}, Period="2999")[0][0] == "R.Period"
    good = {**fields, "MessageId": "m", "Figures": figures({("", "sent"): 1})}
    first, second = office.SubmitWorkloadReport(**good), office.SubmitWorkloadReport(**good)
    assert first.DocumentId == second.DocumentId
    assert refused(office, {("", "sent"): 2}, MessageId="m")[0][0] == "id-reused"


def test_the_counted_report_comes_sealed_and_the_periods_are_listed(hub, client):
    office = client("vpub")
    send(hub, 1)
    got = office.GetWorkloadReport(OrganId="H55.1", Form="edoc", Period=PERIOD)
    anchors = Anchors([load_certificate(hub.home / "pki/ca.crt")])
    assert unseal_document(got.Content, anchors, datetime.now(UTC))[1] == load_certificate(hub.home / "pki/hub.crt")
    assert (got.OrganId, got.Ended) == ("H55.1", False)
    total: Any = etree.fromstring(got.Content).find("{*}Total")
    assert {each.get("column"): int(each.text) for each in total.iterfind("{*}Number")}["sent"] == 1
    listed = {(each.Form, each.Period): each for each in office.ListPeriods()}
    assert {form for form, _ in listed} == {form.id for form in read_form_folder()}
    assert listed["edoc", PERIOD].State == "open"
    assert {each.Form for each in office.ListPeriods(Form="edoc")} == {"edoc"}


def test_ten_errors_typed_into_the_template_come_back_from_the_command_line(hub):
    hub.start()
    send(hub, 2)
    template = hub.home / "mau.xlsx"
    hub.cli("report", "template", "H55", PERIOD, "-o", template)
    keys = {column.key for column in EDOC.columns if is_typed_column(column)}
    right = {(unit, key): number for (unit, key), number in counted(hub, "H55").items() if unit and key in keys}
    wrong = planted(right, 3)
    template.write_bytes(filled(template.read_bytes(), {**right, **wrong}, [("by:", "Lan")]))
    (declared,) = hub.cli("report", "declare", "H55", PERIOD, template, "--json")
    assert hub.cli("report", "declare", "H55", PERIOD, template, "--json") == [declared], "once"
    found = hub.cli("report", "reconcile", "H55", PERIOD, "--json")
    unequal = [cell for cell in found if cell["verdict"] != "equal"]
    assert {(cell["unit"], cell["column"]): cell["declared"] for cell in unequal} == wrong
    assert found[:10] == unequal
    assert len(found) == len(right)
    shown = hub.cli("report", "reconcile", "H55", PERIOD, text=True)
    assert len([line for line in shown.splitlines() if "chênh lệch  " in line or "không có căn cứ" in line]) >= 10
    (row,) = hub.cli("messages", "--partner", "hub", "--json")
    assert (row["id"], row["kind"], row["state"]) == (declared["message"], "declaration", "accepted")
    assert any(line.get("by") == declared["by"] for line in hub.cli("trace", declared["message"], "--json"))
    assert b"Lan" in hub.cli("show", declared["message"], "--raw", text=True).encode()


def test_a_workbook_that_is_wrong_is_refused_with_every_cell_and_nothing_is_written(hub):
    template = hub.home / "mau.xlsx"
    hub.cli("report", "template", "H55.1", PERIOD, "-o", template)
    template.write_bytes(filled(template.read_bytes(), {("H55.1", "recalls"): "ba", ("H55.1", "updates"): 1.5}))
    wrong = hub.cli("report", "declare", "H55.1", PERIOD, template, "--json", code=1)
    assert [row["kind"] for row in wrong] == ["mistake", "mistake"]
    assert all(row["cell"].startswith("Báo cáo!") and row["vi"] and row["en"] for row in wrong)
    template.write_bytes(saved(openpyxl.Workbook()))
    assert hub.cli("report", "declare", "H55.1", PERIOD, template, "--json", code=1)[0]["cell"] == ""
    assert hub.cli("messages", "--json") == []
    hub.cli("report", "reconcile", "H55.1", PERIOD, code=4)
    hub.cli("report", "reconcile", "H55.1", code=2)
    hub.cli("report", "template", "H55.1", PERIOD, code=2)
    hub.cli("report", "template", "nobody", PERIOD, "-o", template, code=4)
    assert openpyxl.load_workbook(BytesIO(template.read_bytes()))
