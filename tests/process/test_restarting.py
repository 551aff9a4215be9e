"""Restarting histories: begun by the program of an earlier release, finished by today's; on one journal, through kills and stops.

While an upgrade only adds, the earlier program goes on with the newer journal in between, as somebody who went back to it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import pytest

from hub.cli.documents_client import Sent
from lienthong_demo.plan.packets import Answered, write_document_packet, write_status_packet
from tests.conftest import DATABASES
from tests.releases.kept import KeptRelease, list_releases
from tests.running import RunningHub, until

pytestmark = pytest.mark.slow

#: Whose document it is, who sends it, and to whom: the office is pushed to, the departments fetch.
SENDERS = {"sotttt": ("H55.13", ["H55.1"]), "vpub": ("H55.1", ["H55.13", "H55.14"])}


class Story:
    """One hub under changing programs, and the partners' own record of it."""

    def __init__(self, hub: RunningHub, old: Path, random: Random) -> None:
        self.hub, self.old, self.random = hub, old, random
        self.sent: dict[str, tuple[str, bytes, Sent]] = {}  #: by message id: the partner, the packet, the first answer
        self.fetched: Counter[tuple[str, str]] = Counter()  #: unit and document id
        self.answered: set[str] = set()  #: message ids of the office's documents that the department has taken up

    def run(self, program: Path | None) -> None:
        """Start the hub with the program in that directory, or with today's."""
        if program is None:
            self.hub.env.pop("PYTHONPATH", None)
        else:
            self.hub.env["PYTHONPATH"] = str(program)
        self.hub.start()

    def end(self) -> None:
        """Stop the hub or pull the plug."""
        if self.random.random() < 0.5:
            self.hub.kill()
        else:
            self.hub.stop()

    def open_office(self) -> None:
        """The office can be reached."""
        if "vpub" not in self.hub.letterboxes:
            self.hub.letterbox("vpub")

    def close_office(self) -> None:
        """The office cannot be reached: what is for it waits."""
        if "vpub" in self.hub.letterboxes:
            self.hub.close_letterbox("vpub")

    def send(self) -> None:
        """A new document."""
        partner = self.random.choice(sorted(SENDERS))
        unit, to = SENDERS[partner]
        name = f"{partner}-{len(self.sent)}"
        packet = write_document_packet(
            unit, to, number=str(len(self.sent) + 1), notation="X", subject=name, promulgated=date(2026, 11, 20)
        )
        with self.hub.client(partner) as client:
            self.sent[name] = (partner, packet, client.send(packet, name))

    def repeat(self) -> None:
        """What was sent before is sent again, whoever received it then."""
        name = self.random.choice(sorted(self.sent))
        partner, packet, first = self.sent[name]
        with self.hub.client(partner) as client:
            again = client.send(packet, name)
        assert (again.document_id, again.receipt) == (first.document_id, first.receipt)

    def answer(self) -> None:
        """The department says that it has taken up a document, which an earlier program may have brought it."""
        known = [
            (int(name.partition("-")[2]) + 1, sent.document_id)
            for name, (partner, _, sent) in self.sent.items()
            if partner == "vpub" and self.fetched["H55.13", sent.document_id] and name not in self.answered
        ]
        if known:
            number, _document = self.random.choice(known)
            self.answered.add(f"vpub-{number - 1}")
            about = Answered("H55.1", f"{number}/X", date(2026, 11, 20), f"H55.1,2026/11/20,{number}/X")
            packet = write_status_packet("H55.13", "03", about, at=datetime.now(UTC))
            with self.hub.client("sotttt") as client:
                client.update(packet, f"status-{number}")

    def fetch(self) -> None:
        """The department takes what waits, and may forget to say so."""
        with self.hub.client("sotttt") as client:
            for unit in ("H55.13", "H55.14"):
                for document in client.pending(unit):
                    packet = client.get(document).packet
                    assert hashlib.sha256(packet).hexdigest() in {sent.sha256 for *_, sent in self.sent.values()}
                    self.fetched[unit, document] += 1
                    if self.random.random() < 0.7:
                        client.confirm(document, unit)

    def play(self, steps: int) -> None:
        """Let so many things happen."""
        self.send()
        for _ in range(steps):
            deed = self.random.choice(
                [self.send, self.send, self.repeat, self.fetch, self.answer, self.open_office, self.close_office]
            )
            deed()

    def upgrade(self) -> bool:
        """Upgrade the journal; tell whether the earlier program still runs on it."""
        self.hub.env.pop("PYTHONPATH", None)
        (done,) = self.hub.cli("db", "upgrade", "--json")
        return done["before"] != done["after"] and done["copy"] is None

    def finish(self) -> None:
        """Nothing is lost, nothing counts twice, and each receipt is the one that was given first."""
        self.open_office()
        for name in sorted(self.sent):
            self.repeat_of(name)
        office = {sent.document_id: sent.sha256 for partner, _, sent in self.sent.values() if partner == "sotttt"}
        theirs = {sent.document_id for partner, _, sent in self.sent.values() if partner == "vpub"}
        expects = len(office) + len(self.answered)

        def received() -> dict[str, str]:  # what a killed hub had pushed may come again, with the same id
            return {note["document_id"]: note["sha256"] for note in self.hub.received("vpub")}

        until(lambda: len(received()) >= expects, "what is for the office")
        assert office.items() <= received().items()
        assert len(received()) == expects
        # what a hub pushed just before it was killed is settled when the next one has sent it again
        until(lambda: all(self.hub.states(each)["H55.1"][0] == "delivered" for each in office), "their settling")
        with self.hub.client("sotttt") as client:
            for unit in ("H55.13", "H55.14"):
                for document in client.pending(unit):
                    client.get(document)
                    self.fetched[unit, document] += 1
                    client.confirm(document, unit)
        assert set(self.fetched) == {(unit, document) for unit in ("H55.13", "H55.14") for document in theirs}
        facts = self.hub.cli("report", "--facts", "--json")
        counted = Counter((fact["unit"], fact["message_id"], fact["milestone"]) for fact in facts)
        assert set(counted.values()) == {1}
        for name, (partner, _, _sent) in self.sent.items():
            unit, to = SENDERS[partner]
            expected = {(unit, name, "sent"), *((each, name, "received") for each in to)}
            assert expected <= set(counted), name
        assert self.hub.cli("messages", "--state", "accepted", "--count", text=True).strip() == str(
            len(self.sent) + len(self.answered)
        )
        self.hub.cli("db", "verify")

    def repeat_of(self, name: str) -> None:
        """Send one again."""
        partner, packet, first = self.sent[name]
        with self.hub.client(partner) as client:
            assert client.send(packet, name).receipt == first.receipt


@pytest.fixture(params=list_releases(), ids=lambda release: release.version)
def release(request: pytest.FixtureRequest) -> KeptRelease:
    """Each release that is kept."""
    found: KeptRelease = request.param
    return found


@pytest.fixture
def begun(request: pytest.FixtureRequest, release: KeptRelease, tmp_path: Path) -> Iterator[tuple[RunningHub, Path]]:
    """A hub's directory that the program of that release has made, and where this program is."""
    program = release.unpack_program(tmp_path / "program")
    on_postgresql = request.node.callspec.params["database"] == "postgresql"
    fresh = request.getfixturevalue("postgresql").database(empty=True) if on_postgresql else nullcontext()
    with fresh as database:
        hub = RunningHub(tmp_path / "hub", database or "sqlite:///data/hub.db", env={"PYTHONPATH": str(program)})
        yield hub, program
        hub.close()


@pytest.mark.parametrize("database", DATABASES)
def test_what_an_earlier_release_began_is_finished_by_today_s(begun: tuple[RunningHub, Path], database: str) -> None:
    play(*begun, Random(2026), steps=6)


@pytest.mark.soak
@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("seed", range(10))
def test_many_histories_that_an_earlier_release_began(begun: tuple[RunningHub, Path], database: str, seed: int) -> None:
    play(*begun, Random(seed), steps=25)


def play(hub: RunningHub, old: Path, random: Random, *, steps: int) -> None:
    """Let the old program begin, today's go on; if the journal allows it, the old one again; and today's finish."""
    story = Story(hub, old, random)
    story.run(old)
    story.play(steps)
    story.end()
    both = story.upgrade()
    for program in (None, old, None) if both else (None,):
        story.run(program)
        story.play(steps)
        story.end()
    story.run(None)
    story.finish()
    assert hub.stop() in {0, -15, 143}
