"""Real packets through a real hub: accepted as they are, their exact bytes kept; the broken one is refused at its place."""

import pytest

from hub.cli.documents_client import SubmissionRefused
from tests.samples import edxml

pytestmark = pytest.mark.slow


@pytest.fixture
def anyone(hub):
    """A client that may speak for any unit, at a hub that runs."""
    hub.issue("anyone")
    hub.start()
    hub.cli("partners", "add", "anyone", "--certificate", hub.files("anyone")["certificate"], "--unit", "*")
    hub.cli("reload")
    with hub.client("anyone") as client:
        yield client


def test_every_well_formed_sample_is_accepted_and_its_exact_bytes_come_back(hub, anyone):
    samples = edxml()
    del samples["edoc"]
    for name, packet in samples.items():
        sent = anyone.send(packet)
        assert hub.cli("show", sent.document_id, "--raw", text=True).encode() == packet, name
    assert {row["kind"] for row in hub.cli("messages", "--json")} == {
        "document",
        "recall",
        "update",
        "replacement",
        "status",
    }
    assert hub.cli("messages", "--state", "refused", "--count", text=True) == "0\n"


def test_the_broken_sample_is_refused_with_its_place(hub, anyone):
    with pytest.raises(SubmissionRefused, match="line 74") as caught:
        anyone.send(edxml()["edoc"])
    assert caught.value.problems[0].code == "not-well-formed"
    (row,) = hub.cli("messages", "--state", "refused", "--json")
    assert row["refusal"].startswith("not-well-formed: line 74")
