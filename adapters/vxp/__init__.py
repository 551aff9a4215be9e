"""The national document axis (VXP): sends and collects packets and statuses, asks what became of what was sent, and
fetches its list of agencies.

Knows the operations and what each answer means for the hub. Knows no HTTP and no journal. README.md names the source of
the dialect.
"""

import itertools
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import attrs

from adapters.vxp import answers, signing
from adapters.vxp.answers import VxpAnswer, VxpListItem
from adapters.vxp.line import VxpConnection
from adapters.vxp.sent import VxpSentItem, find_sent_ids, list_later_failures, read_vxp_sent_items
from hub.domain.conversations import (
    Accepted,
    Arrival,
    Collected,
    Collection,
    Conversation,
    Judged,
    LaterFailures,
    Listing,
    Postponed,
    Refused,
    Request,
    Unavailable,
)
from hub.domain.model import Consignment, PacketKind
from hub.edxml.recipient_naming import RecipientNaming, find_told_recipients, name_recipients
from hub.language.phrases import phrase
from hub.partner.adapter_settings import AdapterNotes, Setting, Terms
from hub.partner.secret_trials import SecretTrial

_WORD, _YES_OR_NO, _CODES = r"[!-~]{1,64}", "yes|no", r"|\S+( \S+)*"
SETTINGS = (
    Setting("system-id", like=_WORD, expected=phrase('our id at the axis, such as "00.53.W00"')),
    Setting("secret", secret=True),
    Setting("from", "sender", _WORD, phrase('"sender", "system" or the code of an agency')),
    Setting("name-recipients", RecipientNaming.PACKET, "packet|header|no", phrase("packet, header or no")),
    Setting("service-type", "eDoc", _WORD),
    Setting("version", "3.0.201608", _WORD),
    Setting("hash-digits", "short", "short|full", phrase("short or full")),
    Setting("processing", "yes", _YES_OR_NO, phrase("yes or no")),
    Setting("portion", "20", "[1-9][0-9]{0,2}", phrase("a whole number from 1 to 999")),
    Setting("overlap-days", "7", "[0-9]{1,3}", phrase("a whole number from 0 to 999")),
    Setting("dates", "%Y/%m/%d", r"none|(%[YmdHMS]|[-/.:T ])+", phrase('a pattern such as "%Y/%m/%d", or "none"')),
    Setting("agencies", "getAgenciesList", "[A-Za-z0-9]{1,64}", phrase("the name of an operation")),
    Setting("sent-list", "10m", "no|[1-9][0-9]{0,4}[smh]", phrase('a duration such as "10m", or "no"')),
    Setting("sent-wait", "1m", "[0-9]{1,5}[smh]", phrase('a duration such as "1m"')),
    Setting("sent-days", "7", "[1-9][0-9]?", phrase("a whole number from 1 to 99")),
    Setting("codes-credentials", "15", _CODES, phrase("codes with a space between")),
    Setting("codes-again", "20", _CODES, phrase("codes with a space between")),
    Setting("codes-few", "21", _CODES, phrase("codes with a space between")),
    Setting("codes-recipient", "18 23", _CODES, phrase("codes with a space between")),
    Setting("codes-duplicate", "", _CODES, phrase("codes with a space between")),
)

#: How often a message is sent for which the axis reports a processing error; after that it is refused.
_FEW = 5
#: How long the hub waits before it fetches again a packet whose final status the axis did not accept.
_DEAF = timedelta(hours=1)
#: How long it is remembered which of the older days was asked last.
_REMEMBERED = timedelta(days=1)


@attrs.frozen
class VxpAxis:
    """The axis at *url*, called with our secret."""

    url: str
    secret: str = attrs.field(repr=False)
    notes: AdapterNotes
    settings: Mapping[str, str]  #: all settings, defaults included

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Send the packet so that it names only the recipients behind the axis.

        A signed packet is not changed; the header `to` names them instead. A repetition to the same recipients has the
        same octets and the same `hash-file`; the axis has nothing else to recognise it by. So after a lost answer its
        list of what was sent is asked first, and only those are sent to that it does not show, once the axis can no
        longer be working on the earlier attempt.
        """
        line, found = self._line(now), dict[str, str]()
        if consignment.unsure is not None:
            shown = yield from self._find_sent(line, consignment)
            if isinstance(shown, Unavailable):
                return shown
            found = shown or {}
            missing = [each for each in consignment.recipients if each not in found]
            if not missing:
                told = ", ".join(sorted(set(found.values())))
                return Accepted(f"docId {told}, which its list of sent messages shows", ids=found)
            until = (consignment.unsure_until or consignment.unsure) + _read_duration(self.settings["sent-wait"])
            if shown is not None and line.now < until:
                return Postponed(until, "the axis may still be working on it: its list does not show it yet")
            consignment = _reduce_consignment(consignment, missing)
            if shown is not None:
                consignment = attrs.evolve(consignment, unsure=None)
        outcome = yield from self._send(line, consignment)
        return attrs.evolve(outcome, ids={**found, **outcome.ids}) if isinstance(outcome, Accepted) else outcome

    def _send(self, line: VxpConnection, consignment: Consignment) -> Conversation:
        how = RecipientNaming(self.settings["name-recipients"])
        packet, message = name_recipients(consignment, how, keep_signed=True), consignment.message
        content = packet.content
        fields = [
            ("from", self._from(message.sender)),
            ("servicetype", self.settings["service-type"]),
            ("messagetype", _name_kind(consignment)),
            ("hash-file", signing.hash_vxp_file(content, self.settings["hash-digits"])),
        ]
        if packet.is_whole or how is RecipientNaming.HEADER:
            fields.append(("to", json.dumps(consignment.written, separators=(",", ":"))))
        answer = yield from line.ask("sendEdoc", fields, content, "octet-stream", hands_over=True)
        if isinstance(answer, Unavailable):
            return answer
        had_it = self._is(answer, "duplicate")
        if answer.good or had_it:
            named = f"docId {answer.doc_id}" if answer.doc_id else "no docId"
            told = packet.tell(f"{named}, which it had already: {answer}" if had_it else named)
            ids = dict.fromkeys(consignment.recipients, answer.doc_id) if answer.doc_id else {}
            return Accepted(told, twice=consignment.unsure is not None and not had_it, ids=ids)
        if self._is(answer, "recipient"):
            return Refused(str(answer), find_told_recipients([answer.told], consignment))
        last_word = self._is(answer, "few") and consignment.attempt >= _FEW
        return Refused(str(answer)) if last_word else self._failed(answer)

    def _find_sent(
        self, line: VxpConnection, consignment: Consignment
    ) -> Generator[Request, Any, dict[str, str] | Unavailable | None]:
        """Return the docIds by recipient under which the axis has *consignment* already.

        Returns None if the axis cannot be asked: it refuses the question, or its list shows too little.
        """
        assert consignment.unsure is not None
        if self.settings["sent-list"] == "no":
            return None
        # From the day before, so that it does not matter in which zone the axis counts its days.
        first = _find_local_day(consignment.unsure) - timedelta(days=1)
        items = yield from self._sent(
            line, _name_kind(consignment), first, _find_local_day(line.now) + timedelta(days=1)
        )
        if isinstance(items, Unavailable) or items is None:
            return items
        return find_sent_ids(items, consignment, self._from(consignment.message.sender))

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Fetch what is waiting, documents before statuses, at most `portion` items at a time.

        The cursor is the last day that was collected completely. The days before it are listed again, because the axis
        may list late. An item at which a collection broke off comes last in the next one, so that it does not delay the
        others.
        """
        line, room, flaw = self._line(now), int(self.settings["portion"]), ""
        stuck: list[str] = []
        for kind in ("edoc", "status"):
            listed = yield from self._received(line, kind, cursor)
            if isinstance(listed, Unavailable):
                return listed
            for item in self._waiting(listed, now):
                if not item.doc_id:
                    flaw = f"the list of {kind} names something without a docId that can be asked for"
                    continue
                if self.notes.broke_off_at(item.doc_id, now):
                    stuck.append(item.doc_id)
                    continue
                if not room:
                    return Collected(cursor, more=True)
                room -= 1
                broken = yield from self._take(line, item.doc_id)
                if broken is not None:
                    return broken
        for doc_id in self.notes.in_turn(stuck, now):
            broken = yield from self._take(line, doc_id)
            if broken is not None:
                return broken
        yield from self._follow_sent(line)
        return Unavailable(flaw) if flaw else Collected(_find_local_day(now).isoformat())

    def list_units(self, now: datetime) -> Listing:
        """Fetch the axis's list of all agencies. Return it as received."""
        reply = yield from self._line(now).call(self.settings["agencies"])
        answer = answers.read_vxp_reply(reply, reply.at or now)
        if isinstance(answer, Unavailable):
            return answer
        return reply.body if answer.good else self._failed(answer)

    def try_secret(self, now: datetime) -> SecretTrial:
        """List the documents that were received lately, as a collection does, and fetch none."""
        return SecretTrial(("secret",), self._received(self._line(now), "edoc", _find_local_day(now).isoformat()))

    def _follow_sent(self, line: VxpConnection) -> Generator[Request | LaterFailures, Any, None]:
        """Ask, at most once in `sent-list`, what became of the messages of the last `sent-days` days.

        One question covers one day of one kind. Each time today and yesterday are asked, and in turn one of the days
        before, so a round makes at most six. A list that cannot be had is asked for again next time.
        """
        if self.settings["sent-list"] == "no" or self.notes.recall("sent list", line.now) is not None:
            return
        self.notes.keep("sent list", "asked", line.now + _read_duration(self.settings["sent-list"]))
        today, most = _find_local_day(line.now), int(self.settings["sent-days"])
        turn = 2 + int(self.notes.recall("sent turn", line.now) or 0) % max(most - 2, 1)
        self.notes.keep("sent turn", str(turn - 1), line.now + _REMEMBERED)
        pages = [day for day in (0, 1, turn) if day < most]
        for days, kind in itertools.product(pages if self.settings["dates"] != "none" else (0,), ("edoc", "status")):
            day = today - timedelta(days=days)
            items = yield from self._sent(line, kind, day, day)
            if isinstance(items, Unavailable):
                return
            if failures := tuple(list_later_failures(items or ())):
                yield LaterFailures(failures)

    def _sent(
        self, line: VxpConnection, kind: str, first: date, last: date
    ) -> Generator[Request, Any, list[VxpSentItem] | Unavailable | None]:
        """Fetch the list of what was sent on these days. Returns None if the axis refuses it, or it is no list."""
        fields = [("servicetype", self.settings["service-type"]), ("messagetype", kind)]
        if self.settings["dates"] != "none":
            fields += [
                (name, day.strftime(self.settings["dates"])) for name, day in (("fromDate", first), ("toDate", last))
            ]
        answer = yield from line.ask("getSentEdocList", fields)
        if isinstance(answer, Unavailable):
            return answer
        if answer.good:
            return read_vxp_sent_items(answer)
        failed = self._failed(answer)
        return failed if isinstance(failed, Unavailable) else None

    def _received(
        self, line: VxpConnection, kind: str, cursor: str
    ) -> Generator[Request, Any, list[VxpListItem] | Unavailable]:
        """Fetch the list of received items; without a cursor, the whole list."""
        fields = [("servicetype", self.settings["service-type"]), ("messagetype", kind)]
        if cursor and self.settings["dates"] != "none":
            first = date.fromisoformat(cursor) - timedelta(days=int(self.settings["overlap-days"]))
            # The last day is tomorrow, so that it does not matter whether the axis includes the last day.
            for name, day in (("fromDate", first), ("toDate", _find_local_day(line.now) + timedelta(days=1))):
                fields.append((name, day.strftime(self.settings["dates"])))
        answer = yield from line.ask("getReceivedEdocList", fields)
        if isinstance(answer, Unavailable):
            return answer
        if not answer.good:
            return self._broken(answer)
        listed = answers.read_vxp_items(answer)
        return Unavailable(f"the list of {kind} is no list") if listed is None else listed

    def _waiting(self, listed: Sequence[VxpListItem], now: datetime) -> Iterator[VxpListItem]:
        """Yield the items without a final status, each once."""
        seen = set()
        for item in listed:
            deaf = self.notes.recall(f"told {item.doc_id}", now)
            if item.status not in {"done", "fail"} and item.doc_id not in seen and not deaf:
                yield item
            seen.add(item.doc_id)

    def _take(self, line: VxpConnection, doc_id: str) -> Generator[Request | Arrival, Any, Unavailable | None]:
        """Fetch one packet, hand it to the hub, and only then report its status to the axis.

        If the axis does not return the packet, its answer is handed over instead. The hub refuses and keeps it, so that
        a person finds it.
        """
        self.notes.ask(doc_id, line.now)
        answer = yield from line.ask("getEdoc", [("docId", doc_id)])
        if isinstance(answer, Unavailable):
            return answer
        if self._is(answer, "credentials", "again", "few"):
            return self._broken(answer)
        content = answers.read_vxp_packet(answer) if answer.good else None
        judged: Judged = yield Arrival(content or json.dumps(answer.fields).encode(), doc_id)
        telling = ["done" if judged.is_here else "fail"]
        if judged.is_here and self.settings["processing"] == "yes":
            telling.insert(0, "processing")
        for status in telling:
            heard = yield from line.ask("updateStatus", [("docid", doc_id), ("status", status)])
            if isinstance(heard, Unavailable):
                return heard
            if self._is(heard, "credentials", "again", "few"):
                return self._broken(heard)
            if not heard.good and status == telling[-1]:
                self.notes.keep(f"told {doc_id}", status, line.now + _DEAF)
        self.notes.have(doc_id)
        return None

    def _line(self, now: datetime) -> VxpConnection:
        return VxpConnection(self.url, self.settings["system-id"], self.secret, self.settings["version"], now)

    def _from(self, sender: str | None) -> str:
        code = self.settings["from"]
        if code == "sender" and sender:
            return sender
        return self.settings["system-id"] if code in {"sender", "system"} else code

    def _is(self, answer: VxpAnswer, *kinds: str) -> bool:
        """Tell whether the axis answered with an error code from one of these settings."""
        return not answer.good and any(answer.code in self.settings[f"codes-{kind}"].split() for kind in kinds)

    def _failed(self, answer: VxpAnswer) -> Refused | Unavailable:
        if self._is(answer, "credentials"):
            return Unavailable(str(answer), credentials=True)
        return Unavailable(str(answer)) if self._is(answer, "again", "few") else Refused(str(answer))

    def _broken(self, answer: VxpAnswer) -> Unavailable:
        """Return why a collection ends here. No answer of the axis about a list is final, so it is always Unavailable."""
        failed = self._failed(answer)
        return failed if isinstance(failed, Unavailable) else Unavailable(failed.detail)


def adapter(terms: Terms) -> VxpAxis:
    """Return the adapter of one partner. Every adapter folder has this function."""
    return VxpAxis(terms.url.rstrip("/"), terms.secrets["secret"], terms.notes, terms.settings)


def _name_kind(consignment: Consignment) -> str:
    return "status" if consignment.message.kind == PacketKind.STATUS else "edoc"


def _reduce_consignment(consignment: Consignment, recipients: Sequence[str]) -> Consignment:
    """Return *consignment* for some of its recipients."""
    codes = dict(zip(consignment.recipients, consignment.written, strict=True))
    return attrs.evolve(consignment, recipients=tuple(recipients), named=tuple(codes[each] for each in recipients))


def _read_duration(text: str) -> timedelta:
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours"}[text[-1]]: int(text[:-1])})


def _find_local_day(now: datetime) -> date:
    return now.astimezone(signing.HANOI).date()
