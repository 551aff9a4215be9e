"""BKAV's eDoc service, the SOAP bus of other provinces and ministries: sends, fetches and confirms packets.

Knows the operations and what their answers mean. `wire` knows how calls are encoded, `parts` how a packet is split.
README.md names the source of each rule and how reliable it is.
"""

import hashlib
import json
import re
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import attrs
from lxml import etree

from adapters.bkav import fetched, parts, wire
from adapters.bkav.wire import BkavReply, Failed
from hub.domain.conversations import (
    Accepted,
    Arrival,
    Collected,
    Collection,
    Conversation,
    Outcome,
    Refused,
    Reply,
    Request,
    Unavailable,
)
from hub.domain.model import Consignment, PacketKind
from hub.edxml.recipient_naming import NamedPacket, RecipientNaming, find_told_recipients, name_recipients
from hub.language.phrases import phrase
from hub.partner.adapter_settings import AdapterNotes, Setting, Terms
from hub.partner.list_polling import FetchedDocument, settle_open_list

SETTINGS = (
    Setting("organ", like="[!-~]+", expected=phrase("the code under which the token was given, such as 000.00.00.H55")),
    Setting("token", like="[!-~]+", expected=phrase("a file with the token they gave"), secret=True),
    Setting("organs", default="", expected=phrase("codes to fetch for, separated by spaces; empty: organ only")),
    Setting("soap", default="1.1", like=r"1\.1|1\.2", expected=phrase("1.1 or 1.2")),
    Setting("attachments", default="swa", like="swa|mtom", expected=phrase("swa or mtom")),
    Setting("namespace", default=parts.EDOC, like="[!-~]+", expected=phrase("the namespace of their header parts")),
    Setting(
        "credentials-codes",
        default="Token CheckPermission",
        expected=phrase("endings of error codes that mean: credentials not accepted"),
    ),
    Setting("known-codes", default="M.Exist", expected=phrase("error codes that mean: already received")),
    Setting(
        "unknown-codes",
        default="M.SendDocument",
        expected=phrase("error codes after which the partner may have the document"),
    ),
    Setting("name-recipients", RecipientNaming.PACKET, "packet|no", phrase("packet or no")),
    Setting(
        "recipient-codes",
        default="MessageHeader.To MessageHeaderToOrganId",
        expected=phrase("endings of error codes that are about one of the recipients"),
    ),
)

#: Octets of the largest answer: a document of 20 MB is 27 MB if its parts are in base64.
_LARGEST = 64 << 20
#: Documents and statuses fetched in one collection. The next collection begins at once.
_MOST, _MOST_TRACES = 20, 200
#: Statuses of earlier lists that the cursor remembers as seen. The hub recognises any other by its id.
_REMEMBERED = 10_000
_MEDIA = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")

Asked = Generator[Request, Reply, BkavReply | Failed | Unavailable]


@attrs.frozen(kw_only=True)
class Bkav:
    """One eDoc service at *url*."""

    url: str
    settings: Mapping[str, str]
    token: str = attrs.field(repr=False)
    notes: AdapterNotes

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Send the parts of a packet by SendDocument, or a status by UpdateTraces.

        Only the packet's own DocumentId identifies a repetition to the service, and only that of a new document: a
        change or a status that is sent again after a lost answer may be there twice.
        """
        namespace, name = self.settings["namespace"], consignment.message.id
        named = name_recipients(consignment, RecipientNaming(self.settings["name-recipients"]))
        packet = parts.split_packet(named.content, namespace)
        header = [*packet.header, self._key(namespace)]
        if consignment.message.kind == PacketKind.STATUS:
            asked = self._operation("UpdateTraces")
            heard = yield from self._ask("UpdateTraces", now, asked, header=header, hands_over=True)
        else:
            parts.complete_header(packet.header, namespace)
            files = {
                content_id: (_normalise_media(packet.types.get(content_id, "")), content)
                for content_id, content in packet.files.items()
            }
            heard = yield from self._ask(
                "SendDocument",
                now,
                packet.manifest,
                header=header,
                files=files,
                boundary=f"lienthong-{name}",
                hands_over=True,
            )
        if isinstance(heard, Unavailable):
            return heard
        return (
            self._failure(heard, consignment) if isinstance(heard, Failed) else _judge_taken(heard, named, consignment)
        )

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Fetch the pending documents of each organ, then the statuses of documents it sent.

        Confirm what the hub accepted.

        A document that the hub refused is not confirmed. The cursor remembers it while the service lists it, so that it
        is not fetched again.
        """
        before = json.loads(cursor) if cursor else {"documents": {}, "traces": []}
        waiting: dict[str, list[str]] = {}
        for organ in self._organs():
            heard = yield from self._ask("GetPendingDocumentIds", now, self._operation("GetPendingDocumentIds", organ))
            if not isinstance(heard, BkavReply):
                return self._trouble(heard)
            for document_id in filter(None, heard.leaves("DocumentId")):
                waiting.setdefault(document_id, []).append(organ)
        fetch = partial(self._fetch, waiting=waiting, now=now)
        confirm = partial(self._confirm, waiting=waiting, now=now)
        settled = yield from settle_open_list(
            list(waiting), before["documents"], _MOST, fetch, confirm, self.notes, now
        )
        if isinstance(settled, Unavailable):
            return settled
        traces = yield from self._traces(before["traces"], now)
        if isinstance(traces, Unavailable):
            return traces
        seen, more = traces
        owed = dict(sorted(settled.owed.items()))
        after = json.dumps({"documents": owed, "traces": seen}) if owed or seen else ""
        return Collected(after, more or settled.fresh > _MOST)

    def _fetch(
        self, document_id: str, waiting: Mapping[str, Sequence[str]], now: datetime
    ) -> Generator[Request, Reply, FetchedDocument | Unavailable]:
        asked = self._operation("GetDocument", waiting[document_id][0], DocumentId=document_id)
        heard = yield from self._ask("GetDocument", now, asked)
        if isinstance(heard, Unavailable) or (isinstance(heard, Failed) and self._unknown(heard)):
            return self._trouble(heard)
        try:
            content = None if isinstance(heard, Failed) else fetched.build_fetched_packet(heard)
        except ValueError:
            content = None
        return FetchedDocument(content, heard.octets)

    def _confirm(
        self, document_id: str, here: bool, waiting: Mapping[str, Sequence[str]], now: datetime
    ) -> Generator[Request, Reply, bool | Unavailable]:
        """Confirm a document for every organ that it is pending for.

        *here* tells whether the hub accepted it. Returns whether the document is no longer pending for any organ.
        """
        confirmed = here
        for organ in waiting[document_id] if here else ():
            asked = self._operation("ConfirmReceived", organ, DocumentId=document_id)
            heard = yield from self._ask("ConfirmReceived", now, asked)
            if isinstance(heard, Unavailable) or (isinstance(heard, Failed) and self._unknown(heard)):
                return self._trouble(heard)
            confirmed = confirmed and isinstance(heard, BkavReply)
        return confirmed

    def _traces(
        self, before: Sequence[str], now: datetime
    ) -> Generator[Request | Arrival, Any, tuple[list[str], bool] | Unavailable]:
        """Hand over the statuses that are not in *before*.

        Return the names of all that were handed over, and whether more are waiting.

        Statuses listed after the last one handed over come first, then those listed before it. So every status gets its
        turn even if more are listed than are remembered.
        """
        listed, trouble = yield from self._listed(now)
        names = list(listed)
        known = [each for each in before if each in listed]
        at = names.index(known[-1]) + 1 if known else 0
        old = set(known)
        behind, ahead = ([each for each in some if each not in old] for some in (names[at:], names[:at]))
        fresh = [*behind, *ahead][:_MOST_TRACES]
        for name in fresh:
            yield Arrival(listed[name], f"trace-{name}")
        return trouble or ([*known, *fresh][-_REMEMBERED:], len(behind) > _MOST_TRACES)

    def _listed(self, now: datetime) -> Generator[Request, Reply, tuple[Mapping[str, bytes], Unavailable | None]]:
        """Return the statuses of every organ by name, in the order listed, and the failure that cut the list short."""
        listed: dict[str, bytes] = {}
        for organ in self._organs():
            heard = yield from self._ask("GetTraces", now, self._operation("GetTraces", organ))
            if not isinstance(heard, BkavReply):
                return listed, self._trouble(heard)
            for each in heard.every("Status", "MessageHeader"):
                content = fetched.build_status_packet(each)
                listed.setdefault(hashlib.sha256(content).hexdigest()[:32], content)
        return listed, None

    def _ask(
        self,
        action: str,
        now: datetime,
        child: etree._Element,
        *,
        header: list[etree._Element] | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        boundary: str = "lienthong",
        hands_over: bool = False,
    ) -> Asked:
        headers, body = wire.build_bkav_call(
            action,
            [*(header or ()), wire.build_token_header(self.token)],
            child,
            files or {},
            soap=self.settings["soap"],
            packing=self.settings["attachments"],
            boundary=boundary,
        )
        reply = yield Request(self.url, body, headers, reply_limit=_LARGEST, hands_over=hands_over)
        return wire.read_bkav_reply(reply, now)

    def _operation(self, name: str, organ: str = "", **fields: str) -> etree._Element:
        """Return the Body element of the operation *name*, in no namespace."""
        made = etree.Element(name)
        for field, text in {"Token": self.token, "OrganId": organ or self.settings["organ"], **fields}.items():
            etree.SubElement(made, field).text = text
        return made

    def _key(self, namespace: str) -> etree._Element:
        """Return the `Signature/KeyInfo` with organ and token, which these services read as authorisation."""
        made = etree.Element(f"{{{namespace}}}Signature", nsmap={None: namespace})  # type: ignore[dict-item]
        held = etree.SubElement(made, f"{{{namespace}}}KeyInfo")
        etree.SubElement(held, f"{{{namespace}}}OrganId").text = self.settings["organ"]
        etree.SubElement(held, f"{{{namespace}}}Token").text = self.token
        return made

    def _organs(self) -> list[str]:
        return list(dict.fromkeys(self.settings["organs"].split() or [self.settings["organ"]]))

    def _unknown(self, failed: Failed) -> bool:
        """Tell whether the failure means that the service does not accept our credentials."""
        ends = tuple(f".{each}" for each in self.settings["credentials-codes"].split())
        return any(f".{code}".endswith(ends) for code in failed.codes)

    def _failure(self, failed: Failed, consignment: Consignment) -> Outcome:
        if self._unknown(failed):
            return Unavailable(failed.told, credentials=True)
        known, unknown = (set(self.settings[f"{each}-codes"].split()) for each in ("known", "unknown"))
        # of a change, the DocumentId that the service knows is that of the document it changes
        new = consignment.message.kind == PacketKind.DOCUMENT
        if failed.codes and set(failed.codes) <= known and new and consignment.unsure is not None:
            return Accepted(failed.told)
        if set(failed.codes) & unknown:
            return Unavailable(failed.told, unknown=True)
        ends = tuple(f".{each}" for each in self.settings["recipient-codes"].split())
        if ends and failed.codes and all(f".{code}".endswith(ends) for code in failed.codes):
            return Refused(failed.told, find_told_recipients([failed.told], consignment))
        return Refused(failed.told)

    def _trouble(self, heard: Failed | Unavailable) -> Unavailable:
        if isinstance(heard, Unavailable):
            return heard
        return Unavailable(heard.told, credentials=self._unknown(heard))


def adapter(terms: Terms) -> Bkav:
    """Return the adapter of one partner. Every adapter folder has this function."""
    return Bkav(url=terms.url, settings=terms.settings, token=terms.secrets["token"], notes=terms.notes)


def _judge_taken(heard: BkavReply, named: NamedPacket, consignment: Consignment) -> Outcome:
    if not heard.leaves("IsSuccess"):
        return Unavailable("an answer without a Report", unknown=True)
    theirs = next(filter(None, heard.leaves("DocumentId")), "")
    twice = consignment.unsure is not None and consignment.message.kind != PacketKind.DOCUMENT
    return Accepted(named.tell(f"DocumentId {theirs}" if theirs else ""), twice=twice)


def _normalise_media(written: str) -> str:
    return written if _MEDIA.fullmatch(written) else "application/octet-stream"
