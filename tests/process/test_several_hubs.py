"""Forty documents that go out by the axis and three other hubs at once: what each hub was told to bring, by its own file.

Every partner is a process behind a real port, with default settings of its adapter.  A hub brings a packet to everybody
whom the packet, or the call, names: so nobody may be named to two of them.
"""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from hub.demo.plan import packets
from hub.demo.protocol.reading import read_sample_packet
from tests.offices import Office, opened
from tests.running import RunningHub, until

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
        'system-id = "00.55.W00"',
        {"secret": "m4u-kh0ng-dung-that"},
    ),
}
ELSEWHERE = [*AXIS, *(code for codes, *_ in HUBS.values() for code in codes)]


@attrs.frozen
class Country:
    """Our hub and the four others."""

    hub: RunningHub
    offices: Mapping[str, Office]
    sent: dict[str, tuple[str, ...]] = attrs.field(factory=dict)  #: DocumentId -> recipients
    ids: dict[str, str] = attrs.field(factory=dict)  #: DocumentId -> the hub's id

    def send(self, documents: Sequence[tuple[str, ...]]) -> None:
        """Send one document to each of these groups of recipients, as the department."""
        with self.hub.client("sotttt") as client:
            for number, recipients in enumerate(documents, 1):
                content = packets.write_document_packet(
                    OURS,
                    recipients,
                    number=str(number),
                    notation="VB",
                    subject=f"V/v số {number}",
                    promulgated="2026/11/20",
                    document_id=f"vb-{number}",
                )
                self.sent[f"vb-{number}"] = recipients
                self.ids[f"vb-{number}"] = client.send(content).document_id

    def wait(self) -> None:
        """Wait until nothing is under way."""

        def open_deliveries() -> bool:
            rows = self.hub.cli("messages", "--json", "--delivery-state", "waiting", "--count", text=True)
            under_way = self.hub.cli("messages", "--json", "--delivery-state", "sending", "--count", text=True)
            return int(rows) == int(under_way) == 0

        until(open_deliveries, "every delivery to end", 90)

    def brought(self) -> Counter[tuple[str, str]]:
        """Return how often each document was brought to each recipient, over all hubs."""
        found: Counter[tuple[str, str]] = Counter()
        for line in self.offices["vpcp"].noted("parcel"):
            found[read_sample_packet(base64.b64decode(line["packet"])).document_id, line["to"]] += 1
        for name in ("lgsp", "wso2"):
            for line in self.offices[name].noted("sent"):
                read = read_sample_packet(base64.b64decode(line["packet"]))
                found.update((read.document_id, to) for to in ([] if line["code"] else read.recipients))
        for line in self.offices["bkav"].noted("sent"):
            found.update((line["document_id"], to) for to in line["organs"])
        return found

    def doubted(self) -> set[tuple[str, str]]:
        """Return what is shown as possibly twice, by document and recipient."""
        found = set()
        for document, name in self.ids.items():
            shown = self.hub.cli("show", name, "--json")[0]["deliveries"]
            found |= {(document, each["recipient"]) for each in shown if each["twice"]}
        return found

    def dead(self) -> dict[tuple[str, str], str]:
        """Return the reason of each dead delivery, by document and recipient."""
        found: dict[tuple[str, str], str] = {}
        for document, name in self.ids.items():
            shown = self.hub.cli("show", name, "--json")[0]["deliveries"]
            found |= {(document, each["recipient"]): each["reason"] for each in shown if each["state"] == "dead"}
        return found


def write_partner(home: Path, name: str, port: int) -> None:
    """Write the partner with default settings: only what it must have, and short times."""
    units, path, settings, secrets = HUBS[name]
    lines = [f'url = "http://127.0.0.1:{port}{path}"', f'adapter = "{"vxp" if name == "vpcp" else name}"']
    lines += [f"units = {json.dumps(units)}"] if units else []
    lines += ['receive = "push"', "[settings]", settings]
    for secret, text in secrets.items():
        (home / f"{name}.{secret}").write_text(text + "\n")
        lines.append(f'{secret}-file = "{name}.{secret}"')
    lines += ["[policy]", 'transport = "plain"', 'collect = "1s"', 'first-retry = "100ms"', 'max-retry = "400ms"']
    (home / "partners" / f"{name}.toml").write_text("\n".join([*lines, 'timeout = "20s"', ""]))


def open_office(name: str, folder: Path, home: Path) -> Any:
    """Start the process of one partner."""
    if name == "vpcp":
        secret = folder / "vpcp.secret"
        secret.write_text(HUBS["vpcp"][3]["secret"] + "\n")
        units = ("--units", f"{OURS},{NEIGHBOUR}", "--elsewhere", ",".join(ELSEWHERE))
        return opened("vxp", folder, "--system-id", "00.55.W00", "--secret-file", str(secret), *units)
    return opened(name, folder, "--receivers", ",".join(HUBS[name][0]))


@pytest.fixture
def country(hub: RunningHub, tmp_path: Path) -> Iterator[Country]:
    """Everything, running."""
    with ExitStack() as until_the_end:
        offices = {name: until_the_end.enter_context(open_office(name, tmp_path, hub.home)) for name in HUBS}
        for name, office in offices.items():
            write_partner(hub.home, name, office.port)
        agencies = tmp_path / "agencies.csv"
        agencies.write_text("code,name,parent,mark\n" + "".join(f"{code},{code},,national\n" for code in ELSEWHERE))
        hub.cli("units", "import", str(agencies))
        hub.start()
        yield Country(hub, offices)
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
    country.send(draw_documents(40))
    country.wait()
    abroad = {(document, to) for document, recipients in country.sent.items() for to in recipients if to != NEIGHBOUR}
    unknown = {each for each in abroad if each[1] == UNKNOWN}
    assert country.brought() == Counter(abroad - unknown), "none is missing, comes twice, or comes back to us"
    dead = country.dead()
    assert set(dead) == unknown, "one unknown code harms nobody else"
    assert all(reason.startswith("refused: 18: ") for reason in dead.values())


def test_with_lost_answers_it_is_once_where_a_hub_can_be_asked_and_shown_as_possibly_twice_elsewhere(
    country: Country,
) -> None:
    for name, office in country.offices.items():
        office.order("lose", share=0.3, seed=len(name))
    country.send(draw_documents(12))
    country.wait()
    for office in country.offices.values():
        office.order("lose", share=0.0, seed=0)
    brought = country.brought()
    sure = {*AXIS, *HUBS["bkav"][0]}  # the axis is asked, BKAV refuses a DocumentId that it has
    wanted = {
        (document, to)
        for document, recipients in country.sent.items()
        for to in recipients
        if to not in {NEIGHBOUR, UNKNOWN}
    }
    assert set(brought) == wanted, "nothing is lost"
    assert {each: count for each, count in brought.items() if each[1] in sure and count != 1} == {}
    doubted = country.doubted()
    assert {each for each, count in brought.items() if count > 1} <= doubted
    assert doubted
    assert not {each for each in doubted if each[1] in sure}
    assert set(country.dead()) == {each for each in country.dead() if each[1] == UNKNOWN}
