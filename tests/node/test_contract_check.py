"""`lienthong check` holds WSDL, XSD and code to one another."""

import shutil
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from lxml import etree

from hub.cli import lienthong
from hub.domain.errors import Rejected
from hub.formats import xsd_schemas
from hub.node.contract_check import find_contract_mistakes, list_served_operations
from hub.report.counting import declaring
from hub.services import list_services
from hub.services.lookups import operations
from hub.soap import documents_requests, wsdl
from hub.soap.sample_calls import SampleWriter
from hub.web.endpoints import QUERIES
from tests import homes

NOON = datetime(2026, 11, 24, 5, tzinfo=UTC)
WSDL, XSD = "wsdl/lienthong/1/{}.wsdl", "xsd/lienthong/1/{}.xsd"


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A copy of what is published, which the hub takes for its own."""
    root = xsd_schemas.find_schema_root()
    for kind in ("wsdl", "xsd"):
        shutil.copytree(root / kind, tmp_path / kind)
    monkeypatch.setattr(xsd_schemas, "find_schema_root", lambda: tmp_path)
    return tmp_path


def change(path, old, new, count=-1):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), "utf-8")


def found():
    return [(mistake.path, str(mistake.wrong)) for mistake in find_contract_mistakes()]


def test_what_is_shipped_agrees():
    assert found() == []
    assert set(list_served_operations()) == set(wsdl.list_contract_names())


def test_an_operation_that_nothing_reads_and_one_that_has_gone_are_named(published):
    path = published / WSDL.format("mail")
    change(path, "SubmitMailUsage", "SubmitMailUsed")
    change(published / XSD.format("mail"), '"SubmitMailUsage', '"SubmitMailUsed')
    assert found() == [
        (WSDL.format("mail"), "SubmitMailUsed: nothing in the hub reads this operation"),
        (WSDL.format("mail"), "SubmitMailUsage: the hub reads this operation, and the WSDL does not have it"),
    ]


@pytest.mark.slow
def test_check_tells_an_operator(published, tmp_path):
    home = homes.begin(tmp_path / "tinh")
    change(
        published / WSDL.format("mail"),
        'soap12:operation soapAction="urn:lienthong:mail:1/',
        'soap12:operation soapAction="x/',
    )
    checked = CliRunner().invoke(lienthong, ["-c", str(home / "hub.toml"), "check"])
    assert checked.exit_code == 78
    assert "wsdl/lienthong/1/mail.wsdl" in checked.output
    assert "x/SubmitMailUsage" in checked.output


def test_an_element_that_the_schema_does_not_have_is_named_with_its_line(published):
    change(published / XSD.format("mail"), 'element name="SubmitMailUsageResponse"', 'element name="Khac"')
    ((path, wrong),) = found()
    assert path == WSDL.format("mail")
    assert "wsdl/lienthong/1/mail.wsdl:" in wrong
    assert "SubmitMailUsageResponse is not in the schemas" in wrong


def test_bindings_that_differ_are_named(published):
    path = published / WSDL.format("dossiers")
    change(path, 'soap12:operation soapAction="urn:lienthong:dossiers:1/GetDossier"', 'soap12:operation soapAction="x"')
    assert found() == [(WSDL.format("dossiers"), "DossiersSoap12: the action of GetDossier is x")]
    change(
        path, 'soap12:operation soapAction="x"', 'soap12:operation soapAction="urn:lienthong:dossiers:1/SyncDossiers"'
    )
    assert (WSDL.format("dossiers"), "DossiersSoap12: two operations have one action") in found()


def test_a_port_that_is_missing_is_named(published):
    text = (published / WSDL.format("mail")).read_text("utf-8")
    begin = text.index('<wsdl:port name="MailSoap12"')
    end = text.index("</wsdl:port>", begin) + len("</wsdl:port>")
    change(published / WSDL.format("mail"), text[begin:end], "")
    assert found() == [(WSDL.format("mail"), "not one port for SOAP 1.1 and one for SOAP 1.2")]


def test_a_value_that_is_not_explained_is_named(published):
    change(published / XSD.format("reports"), '<xsd:documentation xml:lang="vi">chênh lệch</xsd:documentation>', "")
    assert found() == [(XSD.format("reports"), "differs: not explained in vi")]


def test_each_query_of_a_service_is_answered():
    assert {name: each.queries for name, each in list_services().items() if each.queries} == {
        name: frozenset(queries) for name, queries in QUERIES.items()
    }


SERVED = [(service, name) for service, names in sorted(list_served_operations().items()) for name in sorted(names)]


@pytest.mark.parametrize(("service", "operation"), SERVED)
def test_what_is_said_to_be_read_is_read(service, operation):
    """A sample of each call reaches the reader of its operation, which may refuse its values, but not the operation."""
    contract = wsdl.load_contract(service)
    sample = SampleWriter.of(contract, {}).write(operation)
    if service == "documents":
        call = documents_requests.read_documents_call(sample, contract.validate(sample))
        assert type(call).__name__ == operation
    elif service == "lookups":
        assert operations.read_lookup_question(sample).rule == operations.OPERATIONS[operation]
    elif operation not in QUERIES.get(service, {}):
        reader = declaring.make_reports_service() if service == "reports" else list_services()[service]
        refused = []
        try:
            reader.read(etree.tostring(sample), NOON, "m-1")
        except Rejected as rejected:
            refused = [problem.code for problem in rejected.problems]
        assert "contract-broken" not in refused
