"""Hostile partners and strangers as a process: `python -m tests.overload.attacks ORDERS`.  Does attacks for so many seconds.

What an attack sends, it sends as hard as the one that was seen to stop a hub, or harder.  The last line that it prints is a JSON
object: of each attack, how many requests were sent, and how many were answered by which status.
"""

import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import attrs

from hub.security.certificates import Identity
from tests.overload import payloads
from tests.overload.wire import GONE, Line

PATIENCE = 30.0  #: seconds that an attacker waits for an answer


@attrs.define(eq=False)
class RunningAttack:
    """An attack under way: until when, and what came of it."""

    orders: Mapping[str, Any]
    until: float = 0.0
    counts: Counter[str] = attrs.field(factory=Counter)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @property
    def goes_on(self) -> bool:
        """Whether there is time left, or nothing was sent yet."""
        return time.monotonic() < self.until or not self.counts["sent"]

    def note(self, what: object) -> None:
        """Count an answer, or what came in its place."""
        with self._lock:
            self.counts[str(what)] += 1

    def call(self, line: Line, body: bytes | None = None, path: str = "", **headers: str) -> None:
        """Send one request and count its answer."""
        self.note("sent")
        try:
            self.note(line.call(body, path, **headers)[0])
        except GONE as error:
            self.note(type(error).__name__)
            time.sleep(0.05)

    def each(self, name: str, count: int) -> Iterator[str]:
        """Yield a name of its own for each message, for as long as the attack goes on, *count* a second."""
        number, begun = 0, time.monotonic()
        while self.goes_on:
            yield f"{self.orders['name']}-{name}-{number}"
            number += 1
            time.sleep(max(0.0, begun + number / count - time.monotonic()))


Attacker = Callable[[RunningAttack, Mapping[str, Any], int], None]
#: What an attacker makes before the attack begins, so that its own work is not measured.
_PREPARED: dict[Attacker, Callable[[Mapping[str, Any]], bytes]] = {}


def identity(partner: Mapping[str, Any]) -> Identity:
    """Return a partner's key and certificate."""
    return Identity.read(Path(partner["key"]), Path(partner["certificate"]))


def send_packets(make: Callable[[str, str, str], bytes], a_second: int) -> Attacker:
    """Return the attacker of a partner that sends the packets that *make* makes, each signed and with an id of its own."""

    def attacker(running: RunningAttack, partner: Mapping[str, Any], caller: int) -> None:
        line, who = Line(partner, running.orders["soap"], PATIENCE), identity(partner)
        for name in running.each(f"{partner['code']}-{caller}", a_second):
            packet = make(partner["unit"], running.orders["recipient"], name)
            running.call(line, payloads.signed(payloads.send_document(packet, name), who))

    return attacker


def send_again(make: Callable[[Mapping[str, Any]], bytes]) -> Attacker:
    """Return the attacker of a partner that sends one body, made beforehand, again and again."""
    made: dict[str, bytes] = {}

    def prepare(partner: Mapping[str, Any]) -> bytes:
        code = partner["code"]
        if code not in made:
            made[code] = make(partner)
        return made[code]

    def attacker(running: RunningAttack, partner: Mapping[str, Any], caller: int) -> None:
        line = Line(partner, running.orders["soap"], PATIENCE)
        while running.goes_on:
            running.call(line, prepare(partner))

    _PREPARED[attacker] = prepare
    return attacker


def namespaces(partner: Mapping[str, Any]) -> bytes:
    """Return a small call whose Body declares hundreds of namespaces around a thousand elements."""
    return payloads.signed_namespaces(identity(partner))


def references(partner: Mapping[str, Any]) -> bytes:
    """Return a large signed question: it is answered afresh each time."""
    asked = f'<d:GetOrganizations xmlns:d="{payloads.DOCUMENTS}"/>'
    return payloads.header_blocks(identity(partner), asked, blocks=390_000, references=28)


def mistakes(partner: Mapping[str, Any]) -> bytes:
    """Return a signed call of nothing but mistakes, each of which is explained."""
    return payloads.full_of_mistakes(identity(partner))


def elements(_partner: Mapping[str, Any]) -> bytes:
    """Return an unsigned call of hundreds of thousands of empty elements."""
    return payloads.empty_elements(390_000)


def leave_uploads(running: RunningAttack, partner: Mapping[str, Any], caller: int) -> None:
    """Begin an upload of 39 MB, send all but the end, and wait until it is cut."""
    line = Line(partner, running.orders["soap"], PATIENCE)
    piece = b"x" * 65536
    while running.goes_on:
        try:
            with line.socket() as begun:
                running.note("sent")
                begun.sendall(_head(running, "Content-Length: 39000000"))
                for _ in range(38_500_000 // len(piece)):
                    begun.sendall(piece)
                    if not running.goes_on:
                        break
                begun.settimeout(max(0.1, running.until - time.monotonic()))
                running.note(begun.recv(4096)[9:12].decode() or "closed")
        except GONE as error:
            running.note(type(error).__name__)
            time.sleep(0.2)


def drip(running: RunningAttack, partner: Mapping[str, Any], caller: int) -> None:
    """Send a header, or a body, an octet at a time."""
    line = Line(partner, running.orders["soap"], PATIENCE)
    while running.goes_on:
        try:
            with line.socket() as begun:
                running.note("sent")
                head = _head(running, "Content-Length: 30000")
                begun.sendall(head[:60] if caller % 2 else head)
                dripped = head[60:] if caller % 2 else b"x" * 30000
                begun.settimeout(0.001)
                for octet in dripped:
                    if not running.goes_on:
                        break
                    begun.sendall(bytes([octet]))
                    if _answered(begun):
                        running.note("cut")
                        break
                    time.sleep(0.5)
        except GONE as error:
            running.note(type(error).__name__)
            time.sleep(0.2)


def _answered(line: Any) -> bool:
    try:
        line.recv(4096)
    except TimeoutError:
        return False
    return True


def _head(running: RunningAttack, *lines: str) -> bytes:
    place = urlsplit(running.orders["soap"])
    said = (f"POST {place.path} HTTP/1.1", f"Host: {place.netloc}", "Content-Type: text/xml; charset=utf-8", *lines)
    return "\r\n".join((*said, "", "")).encode()


def drop_mails(running: RunningAttack, _partner: Mapping[str, Any], _caller: int) -> None:
    """Put mail after mail into the hub's mailbox, as anyone on the Internet can."""
    octets, box = payloads.nested_mail(60, 1_900_000), Path(running.orders["mailbox"])
    for name in running.each("mail", 1):
        made = box / "tmp" / name
        made.write_bytes(octets)
        made.chmod(0o644)
        made.rename(box / "new" / name)
        running.note("sent")


def guess_passwords(running: RunningAttack, _partner: Mapping[str, Any], caller: int) -> None:
    """Try to sign in from an address of its own."""
    line = Line({"ca": running.orders["ca"]}, running.orders["admin"], PATIENCE, source=f"127.0.1.{caller + 1}")
    said = {"Content-Type": "application/x-www-form-urlencoded", "Origin": running.orders["admin"]}
    while running.goes_on:
        try:
            _, page = line.call(path="/sign-in")
            found = re.search(rb'name="proof" value="([^"]*)"', page)
            proof = found[1].decode() if found else ""
            form = urlencode({"name": "an", "password": "sai", "proof": proof}).encode()
            running.call(line, form, "/sign-in", Cookie=line.cookie, **said)
        except GONE as error:
            running.note(type(error).__name__)
            time.sleep(0.05)


def ask_readiness(running: RunningAttack, _partner: Mapping[str, Any], caller: int) -> None:
    """Ask /readyz without end."""
    line = Line({"ca": running.orders["ca"]}, running.orders["admin"], PATIENCE, source=f"127.0.1.{caller + 1}")
    while running.goes_on:
        running.call(line, None, "/readyz")


def ask_report(running: RunningAttack, partner: Mapping[str, Any], caller: int) -> None:
    """Ask for a large unit's report again and again."""
    line, who = Line(partner, running.orders["soap"].replace("/documents", "/reports"), PATIENCE * 4), identity(partner)
    asked = (
        '<r:GetWorkloadReport xmlns:r="urn:lienthong:reports:1">'
        f"<r:OrganId>{partner['unit']}</r:OrganId><r:Form>edoc</r:Form><r:Period>{running.orders['period']}</r:Period>"
        "</r:GetWorkloadReport>"
    )
    while running.goes_on:
        running.call(line, payloads.signed(asked, who))


def read_report(running: RunningAttack, partner: Mapping[str, Any], caller: int) -> None:
    """Open a large unit's report in the console again and again, signed in."""
    line = Line({"ca": running.orders["ca"]}, running.orders["admin"], PATIENCE * 4)
    cookie = running.orders["cookies"][caller]
    path = f"/reports/edoc/{partner['unit']}/{running.orders['period']}"
    while running.goes_on:
        running.call(line, None, path, Cookie=cookie)


@attrs.frozen
class Attack:
    """One attack: its attackers, and how many callers of each hostile partner (or stranger) do each."""

    what: str
    attackers: Sequence[tuple[Attacker, int]]
    by: str = "partners"  #: or `strangers`: then once, and by nobody's key


ATTACKS: Mapping[str, Attack] = {
    "calendars": Attack(
        "ten calendars of twenty dear rules in a packet; namespaces around elements",
        [(send_packets(payloads.calendars, 1), 1), (send_again(namespaces), 1)],
    ),
    "facts": Attack("twenty thousand facts in a packet of 20 kB", [(send_packets(payloads.fact_flood, 1), 1)]),
    "headers": Attack(
        "28 References over 390,000 Header blocks; 390,000 elements unsigned",
        [(send_again(references), 3), (send_again(elements), 1)],
    ),
    "mistakes": Attack("nine thousand mistakes in a call", [(send_again(mistakes), 4)]),
    "uploads": Attack("39 MB sent but for the end, and left", [(leave_uploads, 12)]),
    "mails": Attack("a mail a second of sixty nested multiparts and 1.9 million lines", [(drop_mails, 1)], "strangers"),
    "sign-in": Attack("forty addresses guess passwords", [(guess_passwords, 40)], "strangers"),
    "readiness": Attack("forty connections ask /readyz", [(ask_readiness, 40)], "strangers"),
    "dripping": Attack("headers and bodies an octet at a time", [(drip, 100)]),
    "reports": Attack(
        "two reports of a large unit by SOAP and two in the console, again and again",
        [(ask_report, 1), (read_report, 1)],
    ),
}


def run(orders: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Do the attacks, once somebody says so; return what was sent and answered in each."""
    attacks = {name: RunningAttack(orders) for name in orders["attacks"]}
    threads = [
        threading.Thread(target=attacker, args=(running, partner, caller + at * callers), daemon=True)
        for name, running in attacks.items()
        for at, partner in enumerate(orders["partners"] if ATTACKS[name].by == "partners" else [{}])
        for attacker, callers in ATTACKS[name].attackers
        for caller in range(callers)
    ]
    for name in attacks:
        for attacker, _ in ATTACKS[name].attackers:
            for partner in orders["partners"] if attacker in _PREPARED else ():
                _PREPARED[attacker](partner)
    print("ready", flush=True)
    sys.stdin.readline()
    until = time.monotonic() + orders["seconds"]
    for running in attacks.values():
        running.until = until
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.1, until + 2 - time.monotonic()))
    return {name: dict(running.counts) for name, running in attacks.items()}


if __name__ == "__main__":
    print(json.dumps(run(json.loads(sys.argv[1]))), flush=True)
