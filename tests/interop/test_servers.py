"""The hub pushes to servers of toolkits nobody here wrote: they verify its signature, and what they answer is the delivery's outcome."""

import tomllib
from urllib.parse import urlsplit

import pytest

from hub.client import Refused
from tests.conftest import not_applicable
from tests.interop.test_clients import letter
from tests.interop.toolkits import Program
from tests.running import until

pytestmark = pytest.mark.slow


@pytest.fixture
def letterbox(hub, toolkit, tmp_path):
    """Start the toolkit's server where the hub pushes to the province office; return its address and where it puts packets."""
    if toolkit.letterbox is None:
        not_applicable(f"{toolkit.name} serves nothing over TLS: see its README")
    url: str = tomllib.loads((hub.home / "partners/vpub.toml").read_text())["url"]
    files = hub.files("vpub")
    words = (urlsplit(url).port, files["key"], files["certificate"], files["ca"], hub.home / "pki/hub.crt", tmp_path)
    with Program((*toolkit.letterbox, *words), tmp_path.parent / f"{toolkit.name}-letterbox.log") as program:
        assert program.line() == "ready"
        yield url, tmp_path


def taken(where):
    return {path.name: path.read_bytes() for path in where.iterdir()}


def test_what_the_hub_pushes_is_taken_and_delivered(hub, toolkit, letterbox, signed):
    packet = signed(letter(f"{toolkit.name}-1", "H55.1", sender="H55.13"), "sotttt")
    with hub.client("sotttt") as client:
        sent = client.send(packet)
    until(lambda: hub.states(sent.document_id)["H55.1"][0] == "delivered", "the delivery")
    assert taken(letterbox[1]) == {sent.document_id: packet}


def test_what_the_partner_will_not_have_is_a_dead_letter_with_its_reason(hub, toolkit, letterbox, signed):
    with hub.client("sotttt") as client:
        sent = client.send(signed(letter(f"unwanted-{toolkit.name}", "H55.1", sender="H55.13"), "sotttt"))
    until(lambda: hub.states(sent.document_id)["H55.1"][0] == "dead", "the refusal")
    reasons = [line["reason"] for line in hub.cli("trace", sent.document_id, "--json") if line["event"] == "delivery"]
    assert reasons == ["refused: unwanted: Không nhận."]


def test_what_another_signed_is_refused(hub, toolkit, letterbox):
    url, where = letterbox
    with hub.client("sotttt", url=url) as stranger, pytest.raises(Refused):
        stranger.send(letter(f"{toolkit.name}-2", "H55.1", sender="H55.13"))
    assert taken(where) == {}
