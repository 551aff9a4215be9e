"""The published contract of the reports service: what a stock client reads from it, and that two judges of schemas agree on it."""

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import attrs
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from zeep.exceptions import Fault

from hub.domain.errors import CallRefused
from hub.domain.model import Problem
from hub.formats import xsd_schemas
from hub.report.counting import declaring
from hub.report.counting.declaring import NAMESPACE
from hub.report.form.period import CUTS, find_month_containing, parse_period
from hub.soap import envelope, wsdl
from hub.workload.soap_operations import list_begun_periods
from tests import wsdls
from tests.declaring import declaration, octets
from tests.examples import at_most

OPERATIONS = {"SubmitWorkloadReport", "GetWorkloadReport", "GetReconciliation", "ListPeriods"}
NOON = datetime(2026, 11, 30, 5, tzinfo=UTC)
SAID = declaration({("", "sent"): 3, ("H55.13", "sent"): 2, ("H55.13", "paper_only"): 1}, by="Lan", note="đủ")


@pytest.fixture(scope="module")
def reports():
    return wsdl.load_contract("reports")


@pytest.fixture(scope="module")
def zeep():
    return wsdls.client("reports")


def test_the_wsdl_offers_exactly_the_operations_that_are_served(reports):
    wsdls.offers_exactly(reports, NAMESPACE, OPERATIONS)


def test_a_stock_client_loads_the_served_wsdl_by_its_links_alone(reports):
    wsdls.loads_by_its_links_alone(reports, "reports", OPERATIONS)


def test_the_wsdl_keeps_the_basic_profile(reports):
    wsdls.keeps_the_basic_profile(reports, "reports", OPERATIONS)


def test_what_a_stock_client_writes_is_a_valid_call_and_says_what_was_written_by_hand(reports, zeep):
    figures = [
        {"Cell": [{"Column": "sent", "Number": Decimal(3)}]},
        {"OrganId": "H55.13", "Cell": [{"Column": "sent", "Number": 2}, {"Column": "paper_only", "Number": 1}]},
    ]
    fields = {"OrganId": "H55.13", "Form": "edoc", "Period": "2026-11", "DeclaredBy": "Lan", "Note": "đủ"}
    made = zeep.create_message(zeep.service, "SubmitWorkloadReport", MessageId="m", Figures=figures, **fields)
    opened = envelope.open_envelope(made)
    reports.validate(opened.child)
    assert declaring.parse_declaration(etree.tostring(opened.child, method="c14n", exclusive=True)) == SAID


def test_a_stock_client_raises_our_faults_with_their_typed_detail(reports, zeep):
    octets = envelope.write_fault(
        NAMESPACE, [Problem("declaration-missing", "H55.13")], server=False, tracking="0192-abc"
    )
    (detail,) = envelope.open_reply(etree.fromstring(octets)).child.iterfind("detail/*")
    reports.validate(detail)
    binding = zeep.wsdl.services["Reports"].ports["ReportsSoap11"].binding
    headers = {"Content-Type": envelope.CONTENT_TYPE}
    reply = SimpleNamespace(status_code=500, headers=headers, content=octets, encoding="utf-8")
    with pytest.raises(Fault) as raised:
        binding.process_reply(zeep, binding.get("GetReconciliation"), reply)
    typed = zeep.wsdl.types.get_element(f"{{{NAMESPACE}}}FaultDetail").parse(raised.value.detail[0], zeep.wsdl.types)
    assert (typed.Code, typed.Tracking) == ("declaration-missing", "0192-abc")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        (b">2<", b">-2<", "SubmitWorkloadReport/Figures[2]/Cell[1]/Number (Giá trị): "),
        (b">2<", b">2.125<", "SubmitWorkloadReport/Figures[2]/Cell[1]/Number (Giá trị): "),
        (b">2<", b">1000000000000<", "SubmitWorkloadReport/Figures[2]/Cell[1]/Number (Giá trị): "),
        (b"<OrganId>H55.13</OrganId><Form>", b"<Form>", "SubmitWorkloadReport/OrganId (Đơn vị báo cáo): "),
        (b"<Note>", b"<Remark>", "SubmitWorkloadReport/Remark: "),
        (b">Lan<", b">" + b"L" * 201 + b"<", "SubmitWorkloadReport/DeclaredBy (Người khai): "),
    ],
)
def test_a_call_that_breaks_the_schema_is_refused_with_its_place(reports, old, new, place):
    content = octets(SAID).replace(old, new).replace(b"</Note>", b"</Remark>" if b"Remark" in new else b"</Note>")
    with pytest.raises(CallRefused) as refused:
        reports.validate(etree.fromstring(content))
    assert any(problem.code == "contract-broken" and place in str(problem.detail) for problem in refused.value.problems)


@pytest.fixture(scope="module")
def judges():
    path = xsd_schemas.find_schema_root() / "xsd/lienthong/1/reports.xsd"
    return etree.XMLSchema(file=path), xmlschema.XMLSchema(str(path))


TEXTS = st.sampled_from(["", " ", "H55.13", "x" * 201, " 1 ", "-1", "+1", "1.50", "1.505", "1e3", "é"])


@settings(max_examples=at_most(200), deadline=None)
@given(st.sampled_from([b"H55.13", b"edoc", b">2<", b">3<", b"Lan"]), TEXTS)
def test_two_judges_agree_on_what_keeps_the_schema(judges, place, text):
    ours, second = judges
    new = text.encode() if not place.startswith(b">") else b">" + text.encode() + b"<"
    element = etree.fromstring(octets(attrs.evolve(SAID, note="")).replace(place, new))
    assert ours.validate(element) == second.is_valid(element)


def test_the_periods_that_are_listed_have_begun_and_hold_what_there_is():
    begun, now = datetime(2026, 8, 20, tzinfo=UTC), NOON
    found = [span.text for span in list_begun_periods(begun, now, CUTS)]
    assert found == ["2026-09", "2026-Q3", "2026-9M", "2026-10", "2026-11", "2026-12", "2026-Q4", "2026-H2", "2026"]
    assert find_month_containing(now).text == "2026-12"
    assert all(parse_period(text).start <= now for text in found)
