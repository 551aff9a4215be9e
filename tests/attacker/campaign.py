"""The campaign: fires attacks one by one and judges each by what the hub believes afterwards.

Knows the oracle.  After each attack the recipient partner is asked what waits for it; whatever appeared must be, byte for byte, what the
honest key signed for this very attack, and nothing at all where the variant must be refused.  Then the honest message that the attack was
made from is sent, and must be accepted.  Now and then the operator's `lienthong messages` is read, and every accepted row must be one that
an honest key signed.  A fault's text is never believed.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attacker.honest import (
    Form,
    Identity,
    Letter,
    Paper,
    Sealing,
    call,
    frame,
    plain_call,
    seal,
    seal_packet,
    send_document,
)
from tests.attacker.wire import PATIENCE, Answer, Line, context

REFUSE = "refuse"  # nothing of it may be taken
SAME = "same"  # it may be taken, if what the hub keeps is what the honest key signed
ALIVE = "alive"  # an honest sender's own mischief: only crashes, hangs and hub-error count
SLOW = 5.0  # seconds


@dataclass
class Shot:
    """What is sent: an HTTP body, or whole pieces of a connection."""

    body: bytes = b""
    headers: dict[str, str] | None = None
    via: Identity | None = None
    pieces: list[bytes] | None = None
    linger: float = 0.0
    expect: str | None = None  # instead of the attack's
    may_close: bool = False  # a closed connection is answer enough
    may_wait: bool = False  # the request is not whole: the hub may wait for the rest until its own time is over


@dataclass
class Attack:
    family: str
    name: str
    source: str  # the paper, advisory or chapter it comes from
    wins: str  # what acceptance would look like
    shoot: Callable[["Case"], Iterable[Shot] | Shot | None]
    expect: str = REFUSE
    role: str = "sender"
    form: Form = field(default_factory=Form)
    control: bool = True


@dataclass
class Finding:
    attack: str
    source: str
    what: str
    code: str
    request: bytes

    def __str__(self) -> str:
        return f"{self.attack} ({self.source}): {self.what}; the hub said {self.code}"


class Case:
    """One honest message for one attack, and the evil one that it should smuggle in."""

    def __init__(self, campaign: "Campaign", attack: Attack, number: int) -> None:
        self.campaign, self.attack, self.number = campaign, attack, number
        self.form = attack.form
        self.sender = campaign.roles[attack.role]
        self.message_id = f"{campaign.tag}-{number:05d}-honest"
        self.evil_id = f"{campaign.tag}-{number:05d}-evil"
        self.paper = Paper(self.sender.unit, campaign.unit, campaign.first + number)
        self.evil_paper = self.paper.but(subject="thu gia mao", number=campaign.first + 50_000 + number)
        self.evil_packet = self.evil_paper.octets()
        if attack.role in {"packet", "both", "vxp"}:
            self.packet = seal_packet(self.paper.text(), self.sender)
        else:
            self.packet = self.paper.octets()
        self.honest = send_document(self.message_id, self.packet)
        self.evil = send_document(self.evil_id, self.evil_packet)
        self.base = self.message(self.honest)

    def role(self, name: str) -> Identity:
        return self.campaign.roles[name]

    def message(self, operation: str, how: Sealing | None = None, form: Form | None = None, **framing: Any) -> bytes:
        """A call, signed by the honest key as the partner's policy wants it, or as `how` says."""
        form = form or self.form
        if self.attack.role in {"packet", "vxp"} and how is None:
            return plain_call(operation, form)
        return seal(frame(form, self.sender, operation, **framing), form, self.sender, how)

    def letter(self) -> Letter:
        return Letter(self.base)

    def seal(self, **how: Any) -> bytes:
        return self.message(self.honest, Sealing(**how))


class Canary:
    """Listens where the attacks say that keys, schemas and parts can be fetched.  Nobody may ever come."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.visits = 0
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        while True:
            try:
                visitor, _ = self.socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits
        self.socket.close()


LEAKS = re.compile(rb'Traceback|File "|/site-packages|lxml\.|sqlite3?\.|sqlalchemy|psycopg|object at 0x|/hub/\w+\.py')


class Campaign:
    """All attacks against one hub."""

    def __init__(
        self,
        url: str,
        ca: Path,
        roles: dict[str, Identity],
        *,
        units: list[str],
        hub: Path | None = None,
        tag: str = "atk",
        extras: dict[str, Any] | None = None,
        show: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.url, self.ca, self.roles, self.hub, self.tag, self.show = url, ca, roles, hub, tag, show
        self.units, self.unit = units, units[0]
        self.extras = extras or {}
        self.first = int(time.time()) % 100_000 * 1000
        self.lines: dict[tuple[str, str], Line] = {}
        self.known: set[str] = set()
        self.fetched = 0
        self.signed: set[tuple[str, str]] = set()  # (message id, SHA-256) that honest keys signed and the hub took
        self.own: set[str] = set()  # message ids that an ALIVE attack signs itself
        self.findings: list[Finding] = []
        self.tally: dict[str, Counter[str]] = {}
        self.notes: list[str] = []
        self.last: tuple[str, bytes] = ("", b"")
        self.count = 0
        self.canary = Canary()
        self.speaks_multipart = False
        self.audits = 0

    def close(self) -> None:
        for line in self.lines.values():
            line.close()
        self.canary.close()

    # --- talking -----------------------------------------------------------------------------------------------

    def line(self, identity: Identity) -> Line:
        key = (identity.name, str(identity.certificate_file))
        if key not in self.lines:
            self.lines[key] = Line(self.url, context(self.ca, identity.certificate_file, identity.key_file))
        return self.lines[key]

    def ask(self, identity: Identity, operation: str, name: str) -> Answer:
        """An honest call of ours."""
        form = Form()
        if identity.name in {"packet", "vxp"}:
            return self.line(identity).post(plain_call(operation, form), form.headers(name))
        return self.line(identity).post(seal(frame(form, identity, operation), form, identity), form.headers(name))

    def pending(self) -> set[str]:
        answer = self.ask(
            self.roles["recipient"], call("GetPendingDocumentIds", OrganId=self.unit), "GetPendingDocumentIds"
        )
        if not answer.answered:
            raise RuntimeError(f"the recipient's honest call was not answered: {answer.code} {answer.body[:400]!r}")
        return set(answer.values("DocumentId"))

    def document(self, document_id: str) -> tuple[str, bytes]:
        answer = self.ask(self.roles["recipient"], call("GetDocument", DocumentId=document_id), "GetDocument")
        found, packet = answer.values("MessageId"), answer.values("Packet")
        return (found[0] if found else "?"), base64.b64decode(packet[0]) if packet else b""

    def drain(self) -> None:
        """Confirms what waits, so that the list stays short."""
        for document_id in sorted(self.pending()):
            self.document(document_id)
            self.ask(self.roles["recipient"], call("ConfirmReceived", DocumentId=document_id), "ConfirmReceived")
        self.known = self.pending()

    # --- judging -----------------------------------------------------------------------------------------------

    def find(self, attack: Attack, what: str, answer: Answer, request: bytes) -> None:
        made = Finding(f"{attack.family}/{attack.name}", attack.source, what, answer.code, request)
        self.findings.append(made)
        self.show(f"FINDING {made}")

    def fire(self, case: Case, shot: Shot) -> Answer:
        line = self.line(shot.via or case.sender)
        if shot.pieces is not None:
            return line.raw(shot.pieces, linger=shot.linger, patience=1 if shot.may_wait else PATIENCE)
        return line.post(shot.body, case.form.headers() if shot.headers is None else shot.headers)

    def run(self, attack: Attack, *, control: bool = True) -> None:
        if attack.role not in self.roles:
            self.tally.setdefault(attack.family, Counter())["not fired"] += 1
            return
        self.count += 1
        case = Case(self, attack, self.count)
        made = attack.shoot(case)
        shots = [] if made is None else [made] if isinstance(made, Shot) else list(made)
        tally = self.tally.setdefault(attack.family, Counter())
        honest = (case.message_id, hashlib.sha256(case.packet).hexdigest())
        for shot in shots:
            expect = shot.expect or attack.expect
            visits = self.canary.visits
            answer = self.fire(case, shot)
            request = shot.body or b"".join(shot.pieces or [])[:200_000]
            tally["variants"] += 1
            tally["code " + answer.code] += 1
            self.manners(attack, answer, request, shot)
            if self.canary.visits != visits:
                self.find(attack, "the hub went out and fetched something", answer, request)
            if expect == ALIVE:
                self.own.add(case.message_id)
                self.own.add(case.evil_id)
            if expect == REFUSE and answer.answered:
                self.find(attack, f"carried out; acceptance means: {attack.wins}", answer, request)
            if not answer.answered:
                tally["refused"] += 1
            self.believe(case, attack, expect, honest, answer, request)
        if (
            control and attack.control and attack.expect != ALIVE
        ):  # there the id may be taken, by other bytes of its own
            self.honest(case, attack, honest)
        self.notice()

    def manners(self, attack: Attack, answer: Answer, request: bytes, shot: Shot) -> None:
        """What no answer may do, whatever was asked."""
        if answer.code == "hub-error":
            self.find(attack, "the hub failed on its own account", answer, request)
        if answer.lost == "timeout" or answer.seconds > SLOW:
            if not shot.may_wait:
                self.find(attack, f"no answer within {answer.seconds:.1f} s", answer, request)
        elif answer.lost and not shot.may_close:
            self.find(attack, "no answer at all", answer, request)
        if LEAKS.search(answer.body):
            self.find(attack, "the answer shows internals", answer, request)

    def believe(
        self, case: Case, attack: Attack, expect: str, honest: tuple[str, str], answer: Answer, request: bytes
    ) -> None:
        """Compares what waits for the recipient with what an honest key signed."""
        waiting = self.pending()
        if gone := self.known - waiting:
            self.find(attack, f"{len(gone)} documents no longer wait for the recipient", answer, request)
        for document_id in waiting - self.known:
            _, packet = self.document(document_id)
            kept = hashlib.sha256(packet).hexdigest()
            if expect == REFUSE:
                whose = "the honest bytes" if kept == honest[1] else "bytes that nobody signed"
                self.find(
                    attack,
                    f"a document reached the recipient, {whose}; acceptance means: {attack.wins}",
                    answer,
                    request,
                )
            elif expect == SAME and kept != honest[1]:
                self.find(attack, f"the recipient got bytes that nobody signed: {packet[:80]!r}", answer, request)
            elif expect == SAME and answer.values("MessageId") != [case.message_id]:
                self.find(attack, f"taken under another id: {answer.values('MessageId')}", answer, request)
            if expect == SAME:
                self.signed.add(honest)
        self.known = waiting

    def honest(self, case: Case, attack: Attack, honest: tuple[str, str]) -> None:
        """The message the attack was made from, unharmed: it must be accepted now."""
        answer = self.line(case.sender).post(case.base, case.form.headers())
        if not answer.accepted:
            self.find(attack, f"the honest message was not accepted afterwards: {answer.code}", answer, case.base)
        elif answer.values("Sha256") != [honest[1]]:
            self.find(attack, "the honest message was accepted as other bytes", answer, case.base)
        self.signed.add(honest)
        self.known |= set(answer.values("DocumentId")[:1])

    def take(self, case: Case, answer: Answer) -> None:
        """An honest message of a case, sent ahead of its attack."""
        self.signed.add((case.message_id, hashlib.sha256(case.packet).hexdigest()))
        self.known |= set(answer.values("DocumentId")[:1])

    def plant(self, case: Case) -> str:
        """The hub's id of a document that waits for the recipient; where none does, the honest message of *case* is sent."""
        if not self.known:
            self.take(case, self.line(case.sender).post(case.base, case.form.headers()))
        return min(self.known)

    def notice(self) -> None:
        if len(self.known) >= 60:
            if len(self.units) > 1:
                self.units.append(self.units.pop(0))
                self.unit = self.units[0]
                self.known = self.pending()
            if len(self.known) >= 30:
                self.drain()

    # --- the operator's side -----------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        if self.hub is None:
            return []
        command = [*self.extras.get("lienthong", ["lienthong"]), "-c", str(self.hub / "hub.toml"), "--json", "messages"]
        made = subprocess.run(command, capture_output=True, check=True, text=True, env={**os.environ, "LANG": "en"})
        return [json.loads(row) for row in made.stdout.splitlines()]

    def audit(self) -> None:
        """What the journal holds as accepted is what honest keys signed, once each; the process lives."""
        if self.hub is None:
            return
        self.audits += 1
        attack = Attack("journal", "audit", "the operator's own list", "an accepted row nobody signed", lambda _: None)
        accepted = [
            row for row in self.rows() if row["state"] == "accepted" and str(row["message_id"]).startswith(self.tag)
        ]
        for row in accepted:
            pair = (row["message_id"], row["sha256"])
            if pair not in self.signed and row["message_id"] not in self.own:
                self.find(attack, f"the journal holds {pair} of {row['partner']} as accepted", Answer(), b"")
        taken = Counter((row["partner"], row["message_id"]) for row in accepted)
        for pair, times in taken.items():
            if times > 1:
                self.find(attack, f"{pair} is accepted {times} times", Answer(), b"")
        if self.pid is not None and not Path(f"/proc/{self.pid}").exists():
            self.find(attack, "the hub's process is gone", Answer(), b"")

    @property
    def pid(self) -> int | None:
        file = None if self.hub is None else self.hub / "data" / "hub.pid"
        return int(file.read_text().split()[0]) if file is not None and file.exists() else None

    def memory(self) -> int:
        """The hub's peak of resident memory in MB, 0 where it cannot be seen."""
        try:
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        except OSError:
            return 0
        return int(found[1]) // 1024 if found else 0

    def settle(self) -> None:
        """Begins from what waits now."""
        self.known = self.pending()
        self.drain()

    def table(self) -> Iterator[str]:
        yield f"{'class':<18}{'variants':>9}{'refused':>9}{'not fired':>11}  codes seen"
        for family, tally in self.tally.items():
            codes = ", ".join(
                f"{name.removeprefix('code ')} {times}"
                for name, times in tally.most_common()
                if name.startswith("code ")
            )
            yield f"{family:<18}{tally['variants']:>9}{tally['refused']:>9}{tally['not fired']:>11}  {codes}"
        total = sum(tally["variants"] for tally in self.tally.values())
        refused = sum(tally["refused"] for tally in self.tally.values())
        yield f"{'all':<18}{total:>9}{refused:>9}"
