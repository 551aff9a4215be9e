"""What became of a report where it was handed in is a fact of its unit, under the key under which it was handed in."""

import pytest

from hub.domain.errors import Rejected
from hub.domain.model import Fact
from hub.services import list_services
from hub.services.reports import make_revision_key
from hub.services.verdicts import SERVICE, ReportVerdict, write_verdict_message
from tests.pki import NOW

RETURNED = ReportVerdict(
    form="edoc", unit="H55.13", period="2026-11", revision=2, result="returned", by="baocao", reasons=["cột <sent>"]
)


def test_a_verdict_is_a_fact_of_the_service_reports():
    record = SERVICE.read(write_verdict_message(RETURNED), NOW, "m-1")
    assert record.facts == (
        Fact(
            unit="H55.13",
            service="reports",
            key=make_revision_key("edoc", "H55.13", "2026-11", 2),
            milestone="returned",
            at=NOW,
            message="m-1",
            counterpart="baocao",
            outside=True,
        ),
    )
    assert (record.sender, record.subject) == ("H55.13", "edoc 2026-11 returned: cột <sent>")
    assert record.keys == (), "bringing a verdict to somebody hands no report in"
    assert record.facts[0].milestone in list_services()["reports"].milestones


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'result="returned"', b'result="lost"'),
        (b'revision="2"', b'revision="two"'),
        (b'unit="H55.13"', b'unit=""'),
        (b"Verdict", b"Judgement"),
        (b"</Verdict>", b""),
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused(old, new):
    with pytest.raises(Rejected):
        SERVICE.read(write_verdict_message(RETURNED).replace(old, new), NOW, "m-1")


@pytest.mark.parametrize("octets", [b"<Report/>", b'<Report xmlns="urn:lienthong:report:1"/>', b"no XML"])
def test_what_is_no_sealed_report_is_none_of_reports(octets):
    with pytest.raises(Rejected):
        list_services()["reports"].read(octets, NOW, "m-1")
