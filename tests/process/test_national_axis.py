"""A real hub and the national axis: packets and statuses both ways, whatever mood the axis is in, and its list of agencies."""

import base64
import hashlib
from datetime import UTC, date, datetime

import attrs
import pytest

from lienthong_demo.plan import packets
from tests.homes import lay_secret
from tests.offices import Office, opened
from tests.running import RunningHub, until

pytestmark = pytest.mark.slow

SYSTEM = "00.55.W00"
PARTNER = """
name = "Trục liên thông văn bản quốc gia"
adapter = "vxp"
receive = "push"
url = "http://127.0.0.1:{port}/XrdAdapter/adapter"

[settings]
system-id = "00.55.W00"
secret-file = "secret"
portion = "3"
sent-wait = "2s"

[policy]
transport = "plain"
collect = "200ms"
timeout = "3s"
first-retry = "100ms"
max-retry = "400ms"
"""


@attrs.define
class Country:
    """The hub of the province and the axis above it."""

    hub: RunningHub
    axis: Office
    numbers: int = 0

    def letter(self, sender="H55.13", to=("G22",)):
        """Return a new packet."""
        self.numbers += 1
        return packets.write_document_packet(
            sender, to, number=str(self.numbers), notation="VB", subject="V/v", promulgated=date(2026, 11, 20)
        )

    def send(self, packet):
        """Send as the department; return the hub's id."""
        with self.hub.client("sotttt") as client:
            return client.send(packet).document_id

    def put(self, packet, to, kind="edoc"):
        """Let somebody in the country send it."""
        content = base64.b64encode(packet).decode()
        return self.axis.order("put", kind=kind, **{"from": "G22"}, to=to, packet=content)["docId"]

    def parcels(self, packet):
        """Return what the axis has of it, one parcel a receiver."""
        return [each for each in self.axis.order("parcels")["parcels"] if each["sha256"] == digest(packet)]

    def messages(self, *doc_ids):
        """Return the hub's messages that the axis calls by one of these."""
        said = self.hub.cli("messages", "--json", "--partner", "vpcp")
        return [message for message in said if message["message_id"] in doc_ids]

    def events(self, message):
        """Return what happened to a message, by name."""
        return [line["event"] for line in self.hub.cli("trace", message, "--json")]

    def hears(self, doc_id, status):
        """Wait until the hub has told the axis *status* of the parcel."""

        def told():
            return next(each["status"] for each in self.axis.order("parcels")["parcels"] if each["docId"] == doc_id)

        until(lambda: told() == status, f"{doc_id} to be {status}")

    def ends(self, message, state="delivered"):
        """Wait until the attempt that brings its deliveries into *state*; return how many attempts each took."""

        def settled():
            lines = self.said("delivery-settled").splitlines()
            return any(message in line and f'"state": "{state}"' in line for line in lines)

        until(settled, f"{message} to be {state}")
        stand = self.hub.states(message).values()
        assert {now for now, _ in stand} == {state}
        return [attempts for _, attempts in stand]

    def said(self, event):
        """Return the lines of the hub's log with this event."""
        return "\n".join(line for line in self.hub.log.read_text().splitlines() if event in line)

    def standing(self):
        """Return how the breaker of the axis stands."""
        return next(line for line in self.hub.cli("partners", "list", "--json") if line["code"] == "vpcp")["standing"]


def digest(packet):
    return hashlib.sha256(packet).hexdigest()


def own_id(number):
    """Return the DocumentId of the department's letter of that number."""
    return f"H55.13,2026/11/20,{number}/VB"


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    home = tmp_path_factory.mktemp("country")
    hub = RunningHub(home / "hub")
    secret = lay_secret(hub.home, "vpcp", "secret", "m4u-kh0ng-dung-that")
    units = ("--units", "H55.13,H55.14,H55.1", "--elsewhere", "G22,G14", "--national", "100")
    with opened("vxp", home, "--system-id", SYSTEM, "--secret-file", str(secret), *units) as axis:
        (hub.home / "partners/vpcp.toml").write_text(PARTNER.format(port=axis.port))
        hub.cli("check")
        try:
            yield Country(hub.start(), axis)
        finally:
            hub.close()


def test_a_document_and_its_status_go_up(country):
    letter = country.letter(to=("G22", "G14"))
    sent = country.send(letter)
    assert country.ends(sent) == [1, 1]
    assert {each["to"] for each in country.parcels(letter)} == {"G22", "G14"}
    (ended,) = [line for line in country.hub.cli("trace", sent, "--json") if line["event"] == "attempt-ended"]
    assert ended["reason"].startswith("docId "), "what the axis calls it"
    answered = packets.Answered("G22", "9/VPCP", "2026/11/20", "G22,2026/11/20,9/VPCP")
    status = packets.write_status_packet("H55.13", "03", answered, at=datetime(2026, 11, 24, 8, tzinfo=UTC))
    assert country.ends(country.send(status)) == [1]
    assert [(each["messageType"], each["to"]) for each in country.parcels(status)] == [("status", "G22")]


def test_the_axiss_refusal_is_a_dead_letter_that_says_why(country):
    sent = country.send(country.letter(to=("K99",)))
    assert country.ends(sent, "dead") == [1]
    reasons = [line.get("reason") for line in country.hub.cli("trace", sent, "--json") if line["event"] == "delivery"]
    assert reasons == ["refused: 18: the receiver K99 does not exist"]


@pytest.mark.parametrize(("mood", "times"), [("unavailable", 2), ("garbage", 2), ("slow", 1), ("mute", 1)])
def test_nothing_is_lost_or_doubled_while_the_axis_is_not_well(country, mood, times):
    country.axis.mood(mood, times=times, seconds=3.5, path="/sendEdoc")
    letter = country.letter()
    (attempts,) = country.ends(country.send(letter))
    assert attempts > 1, "an attempt met the mood"
    assert len(country.parcels(letter)) == 1


def test_a_document_and_a_status_come_down_to_the_unit(country):
    asked = country.send(country.letter())
    letter = country.letter("G22", ("H55.13", "G14"))
    answered = packets.Answered("H55.13", f"{country.numbers - 1}/VB", date(2026, 11, 20), own_id(country.numbers - 1))
    status = packets.write_status_packet("G22", "03", answered, at=datetime(2026, 11, 24, 8, tzinfo=UTC))
    down, back = country.put(letter, "H55.13"), country.put(status, "H55.13", "status")
    country.hears(down, "done")
    country.hears(back, "done")
    taken, told = sorted(country.messages(down, back), key=lambda message: message["kind"])
    assert (taken["kind"], taken["state"], taken["sha256"]) == ("document", "accepted", digest(letter))
    assert (told["kind"], told["state"]) == ("status", "accepted")
    with country.hub.client("sotttt") as client:
        waiting = client.pending("H55.13")
        assert {taken["id"], told["id"]} <= set(waiting)
        assert client.get(taken["id"]).packet == letter
    assert "status-moved" in country.events(asked)


def test_what_the_hub_refuses_fails_at_the_axis_and_is_kept(country):
    ours = country.letter("H55.14", ("H55.13",))
    unknown = country.put(country.letter("G22", ("H55.99",)), "H55.13")
    garbage, echoed = country.put(b"khong phai edXML", "H55.13"), country.put(ours, "H55.13")
    for doc_id in (unknown, garbage, echoed):
        country.hears(doc_id, "fail")
    kept = country.messages(unknown, garbage, echoed)
    assert {message["message_id"] for message in kept} == {unknown, garbage, echoed}
    assert {message["state"] for message in kept} == {"refused"}


def test_what_is_named_twice_or_while_the_axis_is_not_well_arrives_once(country):
    country.axis.order("twice", on=True)
    put = []
    for mood in ("mute", "unavailable", "garbage", "slow"):
        country.axis.mood(mood, times=2, seconds=3.2)
        put.append(country.put(country.letter("G22", ("H55.13",)), "H55.13"))
        country.hears(put[-1], "done")
    country.axis.order("twice", on=False)
    assert sorted(message["message_id"] for message in country.messages(*put)) == sorted(put)


def test_more_than_a_portion_comes_at_once(country):
    put = [country.put(country.letter("G22", ("H55.13",)), "H55.13") for _ in range(8)]
    for doc_id in put:
        country.hears(doc_id, "done")
    assert sorted(message["message_id"] for message in country.messages(*put)) == sorted(put)


def test_an_axis_that_does_not_know_us_is_said_to_and_left_alone(country):
    country.axis.mood("denied")
    letter = country.letter()
    sent = country.send(letter)
    until(lambda: "15: wrong systemId or secret" in country.said("breaker-opened"), "the breaker to open")
    assert country.standing()["failures"] == 1, "at once, and not after so many"
    until(lambda: "15: wrong systemId or secret" in country.said("collection-failed"), "the collection to say so")
    country.axis.mood("normal")
    assert country.ends(sent)
    assert len(country.parcels(letter)) == 1


def test_the_list_of_agencies_is_fetched_into_the_registry(country):
    cli = country.hub.cli
    cli("units", "fetch", "--from", "vpcp")
    known = {line["code"]: line for line in cli("units", "list", "--outside", "--json")}
    assert known["N000.007"]["parent"] == "N000.000"
    assert known["G22"]["mark"] == "national"
    country.axis.mood("unavailable")
    cli("units", "fetch", "--from", "vpcp", code=69)
    country.axis.mood("normal")
