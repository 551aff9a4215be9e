"""Forty documents that go out by the axis and three other hubs at once: what each hub was told to bring, by its own file.

Every partner is a process behind a real port, with default settings of its adapter, but for when the axis is asked.  A hub brings a packet to everybody
whom the packet, or the call, names: so nobody may be named to two of them.
"""

import base64
import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from lienthong_demo.plan import packets
from lienthong_demo.protocol.reading import read_sample_packet
from tests.homes import lay_secret
from tests.offices import Office, opened
from tests.running import PATIENCE, RunningHub, until

pytestmark = pytest.mark.slow

OURS, NEIGHBOUR = "H55.13", "H55.14"
AXIS = ("G22", "G14", "G09")
UNKNOWN = "G99.99"  #: to the axis
#: partner -> its agencies, the path of its service, its settings, its secrets
HUBS: dict[str, tuple[tuple[str, ...], str, str, dict[str, str]]] = {
    "lgsp": (("H37.01", "H37.02"), "", 'system-id = "H37.TN"', {"secret": "khoa-bi-mat"}),
    "wso2": (
        ("H47.01", "H47.02"),
        "/truclienthong/v1.0.0",
        'consumer-key = "ung-dung-thai-nguyen"',
        {"consumer-secret": "khoa-ung-dung", "unit-secret": "ma-bi-mat"},
    ),
    "bkav": (
        ("000.00.00.H53", "000.00.13.H53"),
        "/services/eDoc",
        'organ = "000.00.00.H55"',
        {"token": "the-lien-thong"},
    ),
    "vpcp": (
        (),
        "/XrdAdapter/adapter",
        'system-id = "00.55.W00"\nsent-list = "2s"\nsent-wait = "1s"',
        {"secret": "m4u-kh0ng-dung-that"},
    ),
}
ELSEWHERE = [*AXIS, *(code for codes, *_ in HUBS.values() for code in codes)]


@attrs.frozen
class Country:
    """Our hub and the four others."""

    hub: RunningHub
    offices: Mapping[str, Office]

    def send(self, name: str, documents: Sequence[tuple[str, ...]]) -> "Letters":
        """Send one document to each of these groups of recipients, as the department."""
        letters = Letters(self)
        with self.hub.client("sotttt") as client:
            for number, recipients in enumerate(documents, 1):
                document = f"{name}-{number}"
                content = packets.write_document_packet(
                    OURS,
                    recipients,
                    number=str(number),
                    notation=name,
                    subject=f"V/v số {number}",
                    promulgated="2026/11/20",
                    document_id=document,
                )
                letters.sent[document] = recipients
                letters.ids[document] = client.send(content).document_id
        return letters


@attrs.frozen
class Letters:
    """Documents that were sent, and what became of them."""

    country: Country
    sent: dict[str, tuple[str, ...]] = attrs.field(factory=dict)  #: DocumentId -> recipients
    ids: dict[str, str] = attrs.field(factory=dict)  #: DocumentId -> the hub's id

    @property
    def abroad(self) -> set[tuple[str, str]]:
        """Return each document with each of its recipients outside the province that somebody knows."""
        both = ((document, to) for document, recipients in self.sent.items() for to in recipients)
        return {each for each in both if each[1] not in {NEIGHBOUR, UNKNOWN}}

    @property
    def unknown(self) -> set[tuple[str, str]]:
        """Return each document with the recipient that the axis does not know."""
        return {(document, UNKNOWN) for document, recipients in self.sent.items() if UNKNOWN in recipients}

    def wait(self, patience: float = PATIENCE) -> "Letters":
        """Wait until nothing is under way."""

        def is_done() -> bool:
            return not {made["state"] for made in self.deliveries().values()} & {"waiting", "sending"}

        until(is_done, "every delivery to end", patience)
        return self

    def brought(self) -> Counter[tuple[str, str]]:
        """Return how often each of them was brought to each recipient, over all hubs, by their own files."""
        found: Counter[tuple[str, str]] = Counter()
        offices = self.country.offices
        for line in offices["vpcp"].noted("parcel"):
            found[read_sample_packet(base64.b64decode(line["packet"])).document_id, line["to"]] += 1
        for name in ("lgsp", "wso2"):
            for line in offices[name].noted("sent"):
                read = read_sample_packet(base64.b64decode(line["packet"]))
                found.update((read.document_id, to) for to in ([] if line["code"] else read.recipients))
        for line in offices["bkav"].noted("sent"):
            found.update((line["document_id"], to) for to in line["organs"])
        return Counter({each: count for each, count in found.items() if each[0] in self.sent})

    def deliveries(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return the rows of the deliveries in the journal, by document and recipient."""
        documents = {name: document for document, name in self.ids.items()}
        with contextlib.closing(sqlite3.connect(self.country.hub.home / "data/hub.db")) as journal:
            journal.row_factory = sqlite3.Row
            rows = journal.execute("SELECT message, recipient, state, reason, twice FROM delivery").fetchall()
        return {(documents[row["message"]], row["recipient"]): dict(row) for row in rows if row["message"] in documents}


def write_partner(home: Path, name: str, port: int) -> None:
    """Write the partner with default settings: only what it must have, and short times."""
    units, path, settings, secrets = HUBS[name]
    lines = [f'url = "http://127.0.0.1:{port}{path}"', f'adapter = "{"vxp" if name == "vpcp" else name}"']
    lines += [f"units = {json.dumps(units)}"] if units else []
    lines += ['receive = "push"', "[settings]", settings]
    for secret, text in secrets.items():
        lay_secret(home, name, secret, text)
        lines.append(f'{secret}-file = "{secret}"')
    lines += ["[policy]", 'transport = "plain"', 'collect = "1s"', 'first-retry = "100ms"', 'max-retry = "400ms"']
    (home / "partners" / f"{name}.toml").write_text("\n".join([*lines, 'timeout = "120s"', ""]))


def open_office(name: str, folder: Path) -> Any:
    """Start the process of one partner."""
    if name == "vpcp":
        secret = folder / "vpcp.secret"
        secret.write_text(HUBS["vpcp"][3]["secret"] + "\n")
        units = ("--units", f"{OURS},{NEIGHBOUR}", "--elsewhere", ",".join(ELSEWHERE))
        return opened("vxp", folder, "--system-id", "00.55.W00", "--secret-file", str(secret), *units)
    return opened(name, folder, "--receivers", ",".join(HUBS[name][0]))


@pytest.fixture(scope="module")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    """Everything, running."""
    folder = tmp_path_factory.mktemp("several")
    hub = RunningHub(folder / "hub")
    with ExitStack() as until_the_end:
        until_the_end.callback(hub.close)
        offices = {name: until_the_end.enter_context(open_office(name, folder)) for name in HUBS}
        for name, office in offices.items():
            write_partner(hub.home, name, office.port)
        agencies = folder / "agencies.csv"
        agencies.write_text("code,name,parent,mark\n" + "".join(f"{code},{code},,national\n" for code in ELSEWHERE))
        hub.cli("units", "import", str(agencies))
        yield Country(hub.start(), offices)
        hub.close()


def draw_documents(count: int) -> list[tuple[str, ...]]:
    """Return the recipients of *count* documents: some of every hub, sometimes a neighbour, sometimes an unknown code."""
    drawn = []
    for number in range(count):
        axis = AXIS[: 1 + number % 3]
        others = [codes[: 1 + (number + place) % 2] for place, (codes, *_) in enumerate(HUBS.values()) if codes]
        chosen = [code for codes in others[number % 3 :] for code in codes]
        odd = [*([NEIGHBOUR] if number % 4 == 0 else []), *([UNKNOWN] if number % 5 == 0 else [])]
        drawn.append((*axis, *chosen, *odd))
    return drawn


def test_each_recipient_of_forty_documents_over_four_hubs_gets_each_exactly_once(country: Country) -> None:
    letters = country.send("vb", draw_documents(40)).wait()
    assert letters.brought() == Counter(letters.abroad), "none is missing, comes twice, or comes back to us"
    dead = {each: made["reason"] for each, made in letters.deliveries().items() if made["state"] == "dead"}
    assert set(dead) == letters.unknown, "one unknown code harms nobody else"
    assert all(reason.startswith("refused: 18: ") for reason in dead.values())


@pytest.mark.parametrize(
    ("count", "seed"),
    [(10, 0), pytest.param(200, 1, marks=pytest.mark.soak), pytest.param(200, 2, marks=pytest.mark.soak)],
)
def test_with_lost_answers_it_is_once_where_a_hub_can_be_asked_and_shown_as_possibly_twice_elsewhere(
    country: Country, count: int, seed: int
) -> None:
    for place, office in enumerate(country.offices.values()):
        office.order("lose", share=0.45, seed=100 * seed + place)  # some of those who cannot be asked, too
    letters = country.send(f"lost{seed}", draw_documents(count)).wait(600)
    for office in country.offices.values():
        office.order("lose", share=0.0, seed=0)
    brought, made = letters.brought(), letters.deliveries()
    assert set(brought) == letters.abroad, "nothing is lost"
    sure = {*AXIS, *HUBS["bkav"][0]}  # the axis is asked, and BKAV refuses a DocumentId that it has
    assert {each: times for each, times in brought.items() if times > 1 and each[1] in sure} == {}
    doubted = {each for each, delivery in made.items() if delivery["twice"]}
    assert {each for each, times in brought.items() if times > 1} <= doubted
    document, recipient = next(iter(doubted))
    shown = country.hub.cli("show", letters.ids[document], "--json")[0]["deliveries"]
    assert [each["twice"] for each in shown if each["recipient"] == recipient] == [True]
    assert not {each for each in doubted if each[1] in sure}
    assert {each for each, delivery in made.items() if delivery["state"] == "dead"} == letters.unknown


def test_a_receivers_later_failure_is_learnt_from_the_axis_and_can_be_replayed(country: Country) -> None:
    letters = country.send("muon", [("G22", "G14")]).wait()
    (parcel,) = [
        line
        for line in country.offices["vpcp"].noted("parcel")
        if line["to"] == "G22" and read_sample_packet(base64.b64decode(line["packet"])).document_id == "muon-1"
    ]
    country.offices["vpcp"].order("fail", docId=parcel["doc_id"])
    until(lambda: letters.deliveries()["muon-1", "G22"]["state"] == "dead", "the hub to learn of it")
    made = letters.deliveries()
    assert made["muon-1", "G22"]["reason"].startswith("failed later: ")
    assert made["muon-1", "G14"]["state"] == "delivered"
    replayed = ("replay", letters.ids["muon-1"], "--recipient", "G22", "--reason", "đã sửa", "--yes")
    country.hub.cli(*replayed, text=True)
    until(lambda: letters.deliveries()["muon-1", "G22"]["state"] == "delivered", "it to arrive")
    assert letters.brought() == {("muon-1", "G22"): 2, ("muon-1", "G14"): 1}
