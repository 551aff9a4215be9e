"""Three hubs of other provinces, each in a process and a dialect of its own, and a real hub: documents and statuses both ways."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from hub.cli.documents_client import DocumentsClient
from hub.edxml import packet
from lienthong_demo.plan import packets
from tests.homes import lay_secret
from tests.offices import Office, opened
from tests.packets import document
from tests.running import RunningHub, until

pytestmark = pytest.mark.slow

#: partner -> what its file says beside address and policy, its secrets, and what a unit there is called.
PLACES: dict[str, Any] = {
    "lgsp": ("", 'system-id = "H37.TN"', {"secret": "khoa-bi-mat"}, "H37.01"),
    "wso2": (
        "/truclienthong/v1.0.0",
        'consumer-key = "ung-dung-thai-nguyen"',
        {"consumer-secret": "khoa-ung-dung", "unit-secret": "ma-bi-mat"},
        "H47.01",
    ),
    "bkav": ("/services/eDoc", 'organ = "000.00.00.H55"', {"token": "the-lien-thong"}, "000.00.13.H53"),
}
OURS = "H55.13"
AGENCIES = "code,name,parent,mark\n" + "".join(f"{code},{code},,national\n" for *_rest, code in PLACES.values())


@attrs.frozen
class Country:
    """A hub, and the other hubs."""

    hub: RunningHub
    offices: dict[str, Office]
    folder: Path

    def put(self, name: str, content: bytes) -> str:
        """Let *content* wait for us there."""
        path = self.folder / f"{sha256(content).hexdigest()}.edxml"
        path.write_bytes(content)
        return str(self.offices[name].order("put", file=str(path))["id"])

    def messages(self) -> list[str]:
        """Return the states of all messages of the journal."""
        return [row["state"] for row in self.hub.cli("messages", "--json")]

    def delivered(self, message: str) -> bool:
        """Tell whether every delivery of *message* is."""
        return {state for state, _attempts in self.hub.states(message).values()} == {"delivered"}


def write_partner(home: Path, name: str, url: str, secrets: dict[str, str]) -> None:
    path, settings, _, code = PLACES[name]
    lines = [f'url = "{url}{path}"', f'adapter = "{name}"', f'units = ["{code}"]', 'receive = "push"']
    lines += ["[settings]", settings]
    for secret, text in secrets.items():
        lay_secret(home, name, secret, text)
        lines.append(f'{secret}-file = "{secret}"')
    lines += ["[policy]", 'transport = "plain"', 'collect = "300ms"', 'first-retry = "200ms"', 'max-retry = "400ms"']
    (home / "partners" / f"{name}.toml").write_text("\n".join([*lines, 'timeout = "120s"', ""]))


@pytest.fixture
def country(hub: RunningHub, tmp_path: Path) -> Iterator[Country]:
    """Everything, running."""
    with ExitStack() as until_the_end:
        offices = {}
        for name, (_, _, secrets, _) in PLACES.items():
            more = ("--organs", f"000.00.00.H55,{OURS}") if name == "bkav" else ()
            offices[name] = until_the_end.enter_context(opened(name, tmp_path, *more))
            write_partner(hub.home, name, offices[name].url, secrets)
        bkav = hub.home / "partners/bkav.toml"
        bkav.write_text(bkav.read_text().replace("[policy]", f'organs = "{OURS}"\n[policy]'))
        agencies = tmp_path / "agencies.csv"
        agencies.write_text(AGENCIES)
        hub.cli("units", "import", str(agencies))
        hub.start()
        yield Country(hub, offices, tmp_path)
        hub.close()


def sent_there(office: Office, name: str) -> list[str]:
    """Return the SHA-256 of what a place took: of the packet, or of the files of one that came apart."""
    noted = office.noted("sent")
    return [each for line in noted for each in (line["files"].values() if name == "bkav" else [line["sha256"]])]


def states_there(office: Office) -> list[str]:
    """Return how far each that waited for us is, by what we told."""
    return [str(each).lower() for each in office.order("documents")["documents"].values()]


def test_documents_and_statuses_go_out_and_come_in_by_every_dialect_once_each(country: Country) -> None:
    with country.hub.client("sotttt") as department:
        tell_the_story(country, department)


def tell_the_story(country: Country, department: DocumentsClient) -> None:
    offices = country.offices
    codes = {name: place[3] for name, place in PLACES.items()}

    # Out: one document for all three, while one of them is down.
    offices["wso2"].mood("unavailable")
    written = packets.write_document_packet(
        OURS, codes.values(), number="7", notation="STTTT", subject="V/v kết nối", promulgated="2026/11/20"
    )
    message = department.send(written).document_id
    until(lambda: all(sent_there(offices[name], name) for name in ("lgsp", "bkav")), "the two that are up")
    assert sent_there(offices["wso2"], "wso2") == []
    offices["wso2"].mood("normal")
    until(lambda: sent_there(offices["wso2"], "wso2"), "the third to have it")
    until(lambda: country.delivered(message), "the journal to know")
    for name in ("lgsp", "wso2"):
        (noted,) = offices[name].noted("sent")
        assert packet.read_packet(base64.b64decode(noted["packet"])).recipients == (codes[name],), "nobody else's"
    assert sent_there(offices["bkav"], "bkav") == [each.sha256 for each in packet.read_packet(written).attachments]

    # In: a document of each for our department, and the status of each about ours.
    inward, statuses = {}, {}
    for name, code in codes.items():
        inward[name] = document(name, to=OURS, number=name).replace(b"H55.13</edXML:OrganId>", b"@", 1)
        inward[name] = inward[name].replace(b"@", f"{code}</edXML:OrganId>".encode())
        answered = packets.Answered(OURS, "7/STTTT", "2026/11/20", f"{OURS},2026/11/20,7/STTTT")
        statuses[name] = packets.write_status_packet(code, "03", answered, at=datetime.now(UTC))
        country.put(name, inward[name])
        country.put(name, statuses[name])
        if name != "bkav":
            offices[name].order("double")
    for name in ("lgsp", "wso2"):
        until(lambda name=name: states_there(offices[name]) == ["done", "done"], f"{name} to know that we have them")
    until(lambda: offices["bkav"].noted("confirmed"), "bkav to know that we have it")
    until(lambda: len(department.pending(OURS)) == 6, "six messages for our department")
    waiting = [department.get(each).packet for each in department.pending(OURS)]
    for name in ("lgsp", "wso2"):
        assert {inward[name], statuses[name]} <= set(waiting)
    said = [attrs.evolve(packet.read_packet(each), deviations=()) for each in waiting]
    for content in (inward["bkav"], statuses["bkav"]):
        assert attrs.evolve(packet.read_packet(content), deviations=()) in said

    # Back: our department's status about each of theirs.
    for name, code in codes.items():
        about = packet.read_packet(inward[name])
        answered = packets.Answered(code, about.code, about.promulgation_date, about.document_id)
        department.send(packets.write_status_packet(OURS, "01", answered, at=datetime.now(UTC)))
    until(lambda: offices["bkav"].noted("status"), "a status to reach bkav")
    for name in ("lgsp", "wso2"):
        until(lambda name=name: offices[name].noted("sent")[-1]["type"] == "status", f"a status to reach {name}")

    # Nothing came twice, though two of them list everything twice.
    assert country.messages() == ["accepted"] * (1 + 6 + 3)


def test_wrong_secrets_are_told_at_once_and_nobody_hammers_until_the_right_ones_are_there(country: Country) -> None:
    hub = country.hub
    for name, (_, _, secrets, _) in PLACES.items():
        write_partner(hub.home, name, country.offices[name].url, dict.fromkeys(secrets, "sai"))
        file = hub.home / "partners" / f"{name}.toml"
        file.write_text(file.read_text().replace('max-retry = "400ms"', 'max-retry = "1h"'))
    hub.cli("reload", text=True)
    written = packets.write_document_packet(
        OURS, [place[3] for place in PLACES.values()], number="8", notation="A", subject="x", promulgated="2026/11/20"
    )
    with hub.client("sotttt") as department:
        message = department.send(written).document_id

    def stands() -> dict[str, Any]:
        return {row["code"]: row for row in hub.cli("partners", "list", "--json") if row["code"] in PLACES}

    until(lambda: {row["standing"]["breaker"] for row in stands().values()} == {"open"}, "every breaker to be open")
    assert set(hub.states(message).values()) == {("waiting", 1)}

    def unknown_at() -> list[str]:
        whole, _, _ = hub.log.read_text().rpartition("\n")
        told = [json.loads(line) for line in whole.splitlines() if '"collection-failed"' in line]
        return sorted(line["partner"] for line in told if line["credentials"])

    until(lambda: set(unknown_at()) == set(PLACES), "the log to tell of every one")
    assert unknown_at() == sorted(PLACES)  # once, and not again for an hour
    for name, (_, _, secrets, _) in PLACES.items():
        write_partner(hub.home, name, country.offices[name].url, secrets)
    hub.cli("reload", text=True)
    for name in PLACES:
        hub.cli("resume", name, text=True)
    until(lambda: country.delivered(message), "every delivery")
