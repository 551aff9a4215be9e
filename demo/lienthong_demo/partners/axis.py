"""The data of a sample national document axis: agencies, sent files, and one parcel for each receiver.

Knows packets. Knows no HTTP and no signature. Written from the public documents of the real axis (standards 2.1): the
sender's docId differs from the receiver's, and each parcel's status goes from `initial` or `processing` to `done` or
`fail`. Each change is in the notebook before anyone is told, and the state is restored from the notebook.
"""

import base64
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import attrs

from lienthong_demo.plan.packets import HANOI
from lienthong_demo.protocol import reading
from lienthong_demo.protocol.notebook import Notebook, hash_content, read_notebook

#: transport status -> the statuses that a receiver may set next
STEPS = {
    "initial": {"processing", "done", "fail"},
    "processing": {"processing", "done", "fail"},
    "done": {"done"},
    "fail": {"fail"},
}


class Refusal(Exception):
    """The axis refuses the call. `code` is one of its error codes."""

    def __init__(self, code: str, told: str) -> None:
        super().__init__(told)
        self.code = code


@attrs.define
class Agency:
    """One agency of the list. It belongs to one system."""

    id: str
    code: str
    name: str
    system: str
    pid: str = ""
    locked: bool = False


@attrs.define
class AxisParcel:
    """One packet for one receiver."""

    doc_id: str
    sender_doc_id: str
    kind: str  #: edoc or status
    sender: str
    to: str
    content: bytes
    created: datetime
    updated: datetime
    status: str = "initial"

    @property
    def day(self) -> date:
        """Return the day in Hà Nội on which it arrived."""
        return self.created.astimezone(HANOI).date()


@attrs.define
class AxisState:
    """The state of the axis."""

    notebook: Notebook
    agencies: dict[str, Agency] = attrs.field(factory=dict)
    parcels: dict[str, AxisParcel] = attrs.field(factory=dict)
    sent: dict[tuple[str, str], str] = attrs.field(factory=dict)  #: sender's system and SHA-256 -> its docId
    #: the answer to the same file sent again: a `new` docId, as no source says that it is recognised; the `same` one,
    #: or an error code
    repeated: str = "new"
    _lock: threading.RLock = attrs.field(factory=threading.RLock)

    def reopen(self) -> None:
        """Restore the state from the notebook of an earlier process."""
        for line in read_notebook(self.notebook.path):
            said: Mapping[str, Any] = line
            at = datetime.fromisoformat(said["at"])
            match said["what"]:
                case "sent":
                    self.sent[said["system"], said["sha256"]] = said["doc_id"]
                case "parcel":
                    content = base64.b64decode(said["packet"])
                    self._shelve(
                        said["doc_id"], said["sender_doc_id"], said["kind"], said["from"], said["to"], content, at
                    )
                case "told":
                    parcel = self.parcels[said["doc_id"]]
                    parcel.status, parcel.updated = said["status"], at

    def add(self, code: str, system: str, name: str = "", pid: str = "") -> Agency:
        """Register an agency."""
        agency = Agency(str(len(self.agencies) + 1), code, name or f"Cơ quan {code}", system, pid)
        self.agencies[code] = agency
        return agency

    def take(self, system: str, sender: str, kind: str, content: bytes, only: Sequence[str] | None = None) -> str:
        """Accept a packet that *system* sends as the agency *sender*. Return its docId.

        *only* limits the receivers; None means all that the packet names. Raises Refusal.
        """
        with self._lock:
            agency = self.agencies.get(sender)
            if sender != system and (agency is None or agency.system != system):
                raise Refusal("19", f"the sender {sender} is not registered for {system}")
            try:
                read = reading.read_sample_packet(content)
            except ValueError as error:
                raise Refusal("22", f"no edXML: {error}") from error
            if (read.kind == "status") != (kind == "status"):
                raise Refusal("22", f"messagetype {kind}, but the packet is a {read.kind}")
            receivers = [to for to in self._receivers(read) if only is None or to in only]
            for to in receivers:
                self._check_receiver(to)
            if not receivers:
                raise Refusal("18", "no receiver")
            mark = hash_content(content)
            known = self.sent.get((system, mark))
            if known is not None and self.repeated == "same":
                return known
            if known is not None and self.repeated != "new":
                raise Refusal(self.repeated, "the same file was sent before")
            return self._spread(system, kind, read.sender, receivers, content, mark)

    def put(self, kind: str, sender: str, to: str, content: bytes) -> str:
        """Add a packet of another system for *to*. Return the receiver's docId."""
        with self._lock:
            return self._parcel(make_doc_id(), kind, sender, to, content)

    def received(self, system: str, kind: str, since: date | None, until: date | None) -> list[AxisParcel]:
        """Return the parcels for *system* that came on these days; without both days, those without a final status."""
        with self._lock:
            return [
                parcel
                for parcel in self.parcels.values()
                if parcel.kind == kind
                and self._is_of(parcel.to, system)
                and (parcel.status in {"initial", "processing"} if since is None and until is None else True)
                and (since is None or since <= parcel.day)
                and (until is None or parcel.day <= until)
            ]

    def everything(self) -> list[AxisParcel]:
        """Return every parcel."""
        with self._lock:
            return list(self.parcels.values())

    def waiting(self) -> int:
        """Return how many parcels that `put` added have no final status yet."""
        with self._lock:
            ours = set(self.sent.values())
            return sum(
                each.status in {"initial", "processing"} and each.sender_doc_id not in ours
                for each in self.parcels.values()
            )

    def outgoing(
        self, system: str, kind: str, since: date | None = None, until: date | None = None
    ) -> list[AxisParcel]:
        """Return what *system* has sent on these days, one parcel for each receiver."""
        with self._lock:
            return [
                each
                for each in self.parcels.values()
                if each.kind == kind
                and self._is_of(each.sender, system)
                and (since is None or since <= each.day)
                and (until is None or each.day <= until)
            ]

    def fail(self, doc_id: str) -> None:
        """Set a parcel's status to `fail`, as its receiver's system does that cannot take it."""
        with self._lock:
            at = datetime.now(UTC)
            self.notebook.write("told", at, doc_id=doc_id, status="fail")
            self.parcels[doc_id].status, self.parcels[doc_id].updated = "fail", at

    def open(self, system: str, doc_id: str) -> AxisParcel:
        """Return a parcel to its receiver. Raises Refusal if it is not for *system*."""
        parcel = self.parcels.get(doc_id)
        if parcel is None or not self._is_of(parcel.to, system):
            raise Refusal("100", f"there is no docId {doc_id} for {system}")
        return parcel

    def tell(self, system: str, doc_id: str, status: str) -> None:
        """Set a parcel's transport status, as its receiver reports. Raises Refusal if that step is not allowed."""
        with self._lock:
            parcel = self.open(system, doc_id)
            if status not in STEPS[parcel.status]:
                raise Refusal("100", f"{doc_id} is {parcel.status} and cannot become {status}")
            at = datetime.now(UTC)
            self.notebook.write("told", at, doc_id=doc_id, status=status)
            parcel.status, parcel.updated = status, at

    def _spread(self, system: str, kind: str, sender: str, receivers: Iterable[str], content: bytes, mark: str) -> str:
        """Make a parcel for each receiver, then record the file as sent.

        So a sender that is told of a repetition finds all parcels.
        """
        doc_id = make_doc_id()
        for to in receivers:
            self._parcel(doc_id, kind, sender, to, content)
        self.notebook.write("sent", datetime.now(UTC), doc_id=doc_id, system=system, kind=kind, sha256=mark)
        self.sent[system, mark] = doc_id
        return doc_id

    def _parcel(self, sender_doc_id: str, kind: str, sender: str, to: str, content: bytes) -> str:
        doc_id, at = make_doc_id(), datetime.now(UTC)
        body = {
            "kind": kind,
            "from": sender,
            "to": to,
            "sha256": hash_content(content),
            "packet": base64.b64encode(content).decode(),
        }
        self.notebook.write("parcel", at, doc_id=doc_id, sender_doc_id=sender_doc_id, **body)
        self._shelve(doc_id, sender_doc_id, kind, sender, to, content, at)
        return doc_id

    def _shelve(self, doc_id: str, sent: str, kind: str, sender: str, to: str, content: bytes, at: datetime) -> None:
        self.parcels[doc_id] = AxisParcel(doc_id, sent, kind, sender, to, content, at, at)

    def _receivers(self, read: reading.Reading) -> Iterator[str]:
        """Yield the receivers of a packet.

        A status of the document's own sender (13) goes to all who have the document.
        """
        if read.kind != "status":
            yield from dict.fromkeys(read.recipients)
        elif read.answered != read.sender:
            yield read.answered
        else:
            for parcel in self.parcels.values():
                if parcel.kind == "edoc" and reading.read_sample_packet(parcel.content).document_id == read.document_id:
                    yield parcel.to

    def _check_receiver(self, code: str) -> None:
        agency = self.agencies.get(code)
        if agency is None:
            raise Refusal("18", f"the receiver {code} does not exist")
        if agency.locked:
            raise Refusal("23", f"the receiver {code} is locked")

    def _is_of(self, code: str, system: str) -> bool:
        agency = self.agencies.get(code)
        return agency is not None and agency.system == system


def make_doc_id() -> str:
    """Return a new docId in the form of the real ones: 24 hex digits."""
    return os.urandom(12).hex()
