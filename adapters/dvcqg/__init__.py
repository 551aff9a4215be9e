"""The National Public Service Portal: sends dossiers and their progress, collects procedures and code lists.

Knows the portal's services. Knows no HTTP. README.md names the source of the dialect and how reliable it is. samples/
holds whole conversations.
"""

import hashlib
import json
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from typing import Self

import attrs

from adapters.dvcqg import dossiers
from adapters.dvcqg.dossiers import Item, PortalCall, Word
from adapters.dvcqg.session import PortalAnswer, PortalEndpoint, PortalSession, write_portal_json
from hub.domain.conversations import (
    Accepted,
    Arrival,
    Collected,
    Collection,
    Conversation,
    Postponed,
    Refused,
    Reply,
    Request,
    Unavailable,
)
from hub.domain.errors import Rejected
from hub.domain.model import Consignment
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms

_PATH = r"[\w./-]+"
_WORDS = r"(\w+=\w+([ ,]+\w+=\w+)*)?"
SETTINGS = (
    Setting("username"),
    Setting("password", secret=True),
    Setting("madonvi", expected=phrase("the hub's code at the portal")),
    Setting(
        "integrate", like=_PATH, expected=phrase("the path of the writing services, as the portal's operators gave it")
    ),
    Setting("share", like=_PATH, expected=phrase("the path of the list services, as the portal's operators gave it")),
    Setting("login", "mapi/login", like=_PATH, expected=phrase("the path of the login")),
    Setting("dstcode", "VN:GOV:000.00.00.G22:vpcpdvcprovider", expected=phrase("the portal's X-Road code")),
    Setting("session", "1200", like=r"[1-9]\d{0,5}", expected=phrase("how long a session is remembered, in seconds")),
    Setting(
        "ended",
        "session, phiên làm việc",
        expected=phrase("texts in an answer that mean: session ended; separated by commas"),
    ),
    Setting("batch", "20", like=r"[1-9]\d?|100", expected=phrase("dossiers in one call, 1 to 100")),
    Setting(
        "lists",
        "LayDanhSachTTHC LayDanhMucLinhVuc LayDanhMucCoQuan",
        like=r"Lay\w+( Lay\w+)*",
        expected=phrase("lists"),
    ),
    Setting(
        "per-unit",
        "no",
        like="yes|no",
        expected=phrase("yes: madonvi is the reporting unit's own code in what is written"),
    ),
    Setting("loai-doi-tuong", "", like=_WORDS, expected=phrase("ours=theirs, for LoaiDoiTuong: 1=0 2=1")),
    Setting("trang-thai", "", like=_WORDS, expected=phrase("ours=theirs, for TrangThaiHoSo and TrangThai")),
)
#: Calls in one conversation. A longer message continues in another conversation, so that it does not hold its slot for
#: ever.
CALLS = 40
#: Why dossiers were refused; empty if all were accepted.
Refusals = list[str]
_SHOWN = 2000  #: characters of what was refused that are told


@attrs.frozen
class _Progress:
    """What of a message is through, as the journal keeps it from one conversation to the next."""

    size: int  #: the most items of a batch: with another size the batches are others
    through: int = 0  #: batches that the portal has answered
    going: bool = False  #: the next one was about to be sent
    refused: int = 0  #: items that were refused
    told: str = ""  #: why, as much as is told

    @classmethod
    def read(cls, kept: str | None, size: int) -> Self | None:
        """Return what was *kept*; None if nothing was, or of batches of another *size*."""
        found = None if kept is None else cls(*json.loads(kept))
        return found if found is not None and found.size == size else None

    def write(self) -> str:
        """Return it as the journal keeps it."""
        return json.dumps(attrs.astuple(self))

    def go_on(self, refusals: Refusals) -> Self:
        """Return the progress after the next batch, of which *refusals* were refused."""
        told = "; ".join(filter(None, (self.told, *refusals)))[:_SHOWN]
        return attrs.evolve(
            self, through=self.through + 1, going=False, refused=self.refused + len(refusals), told=told
        )


@attrs.define
class _Bringing:
    """The delivery of one message: what is through, and whether a part of it may be at the portal twice."""

    session: PortalSession
    call: PortalCall
    unsure: bool  #: an attempt before this one may have brought the batch that is sent now
    progress: _Progress
    twice: bool = False  #: a part of it may be there twice

    def note_sending(self, *, known: bool) -> str | None:
        """Note that the batch is sent now, and return what the journal is to keep before; None: as it has.

        *known*: the portal has what is in it, and knows that it is an update.
        """
        self.twice = self.twice or (self.unsure and not known)
        if self.progress.going or not self.progress.through:  # nothing is through, so nothing is to be kept
            return None
        self.progress = attrs.evolve(self.progress, going=True)
        return self.progress.write()


@attrs.frozen
class DvcqgPortal:
    """The portal reached through one door."""

    endpoint: PortalEndpoint
    word: Word
    madonvi: str
    per_unit: bool  #: dossiers are sent under the code of the unit that reports
    integrate: str
    share: str
    batch: int
    lists: tuple[str, ...]
    keeps_progress = True

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Send the dossiers of a message in batches.

        The outcome is refused if any was; its text names each refused dossier.
        """
        try:
            call = dossiers.read_dossier_message(consignment.content, self.word)
        except (Rejected, ValueError) as error:
            return Refused(str(error))
        session, before = PortalSession(self.endpoint, now), _Progress.read(consignment.progress, self.batch)
        unsure = consignment.unsure is not None and (before is None or before.going)
        bringing = _Bringing(session, call, unsure, attrs.evolve(before or _Progress(self.batch), going=False))
        batches = tuple(dossiers.cut_batches(call.items, self.batch, once=call.service == "DongBoHoSoMC"))
        for batch in batches[bringing.progress.through :]:
            through = bringing.progress
            if session.calls >= CALLS:
                return Postponed(
                    now, f"{through.through} of {len(batches)} batches are there", progress=through.write()
                )
            said = yield from self._bring(bringing, batch)
            if isinstance(said, Unavailable):
                return said
            bringing.progress, bringing.unsure = bringing.progress.go_on(said), before is None and unsure
        refused, told = bringing.progress.refused, bringing.progress.told
        if refused:
            return Refused(f"{refused} of {len(call.items)}: {told}"[:_SHOWN])
        return Accepted(f"{len(call.items)} of {len(call.items)}", twice=bringing.twice)

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Fetch each list and hand over those that changed since *cursor*.

        An error that the portal returns instead is handed over too.
        """
        session, known = PortalSession(self.endpoint, now), _read_cursor(cursor)
        for name in self.lists:
            told = yield from session.ask(self.share, {"madonvi": self.madonvi, "service": name})
            if isinstance(told, Unavailable):
                return told
            content = _keep_list(name, told)
            times, before = known.get(name, (0, ""))
            digest = hashlib.sha256(content).hexdigest()[:32]
            if digest != before:
                known[name] = times + 1, digest
                yield Arrival(content, f"{name}-{times + 1}-{digest}", "categories")
        return Collected(_write_cursor(known))

    def _bring(self, bringing: _Bringing, items: Sequence[Item]) -> Generator[Request, Reply, Refusals | Unavailable]:
        """Send *items* in one call, or in two if the portal has some of the dossiers already.

        If a call is refused, each of its items is sent alone.
        """
        session, call = bringing.session, bringing.call
        groups: Mapping[str, list[Item]] = {"": list(items)}
        if call.service == "DongBoHoSoMC":
            groups = {"False": [], "True": []}
            for item in items:
                there = yield from self._there(session, call, item)
                if isinstance(there, Unavailable):
                    return there
                groups[str(there)].append(item)
        refusals = Refusals()
        for updating, group in groups.items():
            if not group:
                continue
            told = yield from self._send(bringing, updating, group)
            if isinstance(told, Unavailable):
                return told
            if told.taken:
                continue
            if len(group) == 1:
                refusals.append(f"{dossiers.read_dossier_number(group[0])}: {told.text}")
                continue
            for item in group:  # some may have been accepted: each is looked up again
                said = yield from self._bring(bringing, (item,))
                if isinstance(said, Unavailable):
                    return said
                refusals += said
        return refusals

    def _send(
        self, bringing: _Bringing, updating: str, group: Sequence[Item]
    ) -> Generator[Request, Reply, PortalAnswer | Unavailable]:
        """Send *group* in one call. *updating*: the text of `isUpdating`; empty: the service has none.

        After a lost answer the portal may have got a new dossier from that attempt since it was looked up. If it refuses
        a dossier that is alone, it is asked once more, and sent an update.
        """
        session, call = bringing.session, bringing.call
        how = {"isUpdating": updating} if updating else {}
        body = {"madonvi": self._organ(call), "service": call.service, **how, "data": list(group)}
        progress = bringing.note_sending(known=updating == "True")
        told = yield from session.ask(self.integrate, body, hands_over=True, progress=progress)
        refused = isinstance(told, PortalAnswer) and not told.taken
        if not (refused and updating == "False" and len(group) == 1 and bringing.unsure):
            return told
        there = yield from self._there(session, call, group[0])
        if isinstance(there, Unavailable):
            return there
        return (yield from self._send(bringing, "True", group)) if there else told

    def _there(
        self, session: PortalSession, call: PortalCall, item: Item
    ) -> Generator[Request, Reply, bool | Unavailable]:
        """Tell whether the portal has the dossier, so that a lost answer does not cause a second one."""
        body = {"madonvi": self._organ(call), "service": "TraCuuHoSo", "mahoso": dossiers.read_dossier_number(item)}
        told = yield from session.ask(self.integrate, body)
        return told if isinstance(told, Unavailable) else bool(told.rows)

    def _organ(self, call: PortalCall) -> str:
        return call.organ if self.per_unit else self.madonvi


def adapter(terms: Terms) -> DvcqgPortal:
    """Return the adapter of one partner. Every adapter folder has this function."""
    settings = terms.settings
    states = settings["trang-thai"]
    kinds = {"LoaiDoiTuong": settings["loai-doi-tuong"], "TrangThaiHoSo": states, "TrangThai": states}
    return DvcqgPortal(
        PortalEndpoint.of(terms),
        dossiers.read_word_settings(kinds),
        settings["madonvi"],
        settings["per-unit"] == "yes",
        settings["integrate"],
        settings["share"],
        int(settings["batch"]),
        tuple(settings["lists"].split()),
    )


def _keep_list(name: str, told: PortalAnswer) -> bytes:
    """Return a list as it is kept, or the error returned instead.

    The rows are sorted, so that equal rows give equal octets.
    """
    if told.taken and told.rows is not None:
        return write_portal_json({"service": name, "result": sorted(map(dict, told.rows), key=write_portal_json)})
    return write_portal_json({"service": name, "refused": told.text})


def _read_cursor(cursor: str) -> dict[str, tuple[int, str]]:
    """Parse `NAME:TIMES:DIGEST …`: how often a list changed, and the digest of the latest."""
    parts = (each.split(":") for each in cursor.split())
    return {name: (int(times), digest) for name, times, digest in parts}


def _write_cursor(known: Mapping[str, tuple[int, str]]) -> str:
    return " ".join(f"{name}:{times}:{digest}" for name, (times, digest) in sorted(known.items()))
