"""The shared mail system: sends packets and notices as S/MIME-signed mail, and collects packets from a mailbox.

Knows no socket and no journal. `adapters.mail.letter` knows the content of a mail. README.md names the source of the
dialect. samples/ holds whole conversations.
"""

import re
from collections.abc import Generator, Iterator
from datetime import datetime
from typing import Any

import attrs
from cryptography import x509

from adapters.mail import letter, opening
from adapters.mail.addresses import ADDRESS, TABLE, Addresses, MailUnusable
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
from hub.domain.model import Consignment
from hub.language.phrases import phrase
from hub.partner.adapter_settings import Setting, Terms
from hub.partner.secret_trials import SecretTrial

SCHEMES = ("smtp", "smtps", "imap", "imaps")
_SIZES = {"KB": 1_000, "MB": 1_000_000, "KiB": 1 << 10, "MiB": 1 << 20}
_PEM = r"\s*(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+"
SETTINGS = (
    Setting("from", like=ADDRESS, expected=phrase("the address that mail is sent from")),
    Setting("user", "", expected=phrase("the account that signs in; empty: no sign-in")),
    Setting("password", "", expected=phrase("a file with the account's password and nothing else"), secret=True),
    Setting(
        "address",
        "",
        like=r"[^@\s]*\{unit\}[^@\s]*@[A-Za-z0-9.-]+",
        expected=phrase('an address with {unit} in it, such as "{unit}@thainguyen.gov.vn"'),
    ),
    Setting(
        "addresses", "", like=TABLE, expected=phrase("a file with a line for each unit: CODE,ADDRESS"), secret=True
    ),
    Setting("packet-address", "no", like="yes|no", expected=phrase("yes or no")),
    Setting("limit", "20MB", like=rf"[1-9][0-9]{{0,5}}({'|'.join(_SIZES)})", expected=phrase('a size such as "20MB"')),
    Setting(
        "mailbox",
        "",
        like=r"imaps?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?",
        expected=phrase("the mailbox that receives packets, such as imap://mail.thainguyen.gov.vn/INBOX"),
    ),
    Setting("refused-folder", "", like=r"[ -\[\]-~]+", expected=phrase("the name of a folder, in ASCII")),
    Setting(
        "signers",
        "",
        like=_PEM,
        expected=phrase("a file with the PEM certificates that may sign incoming mail"),
        secret=True,
    ),
)

#: The part of a collection that takes in one mail. Returns why the mail was unusable (empty: it was usable), or a
#: failure.
Taking = Generator[Request | Arrival, Any, Unavailable | str]
#: Mails taken in before the cursor is saved and the mailbox is listed again: at least `_BATCH`, or 1/`_SHARE` of those
#: waiting, at most `_LARGEST_BATCH`. Otherwise a flood of mails would have each mail listed thousands of times.
_BATCH, _SHARE, _LARGEST_BATCH = 20, 50, 200
_SIGNED_IN = 235
_UNKNOWN = {530, 534, 535, 538}  #: the server does not accept our credentials or the way we authenticate (RFC 4954, 6)
_TOO_LARGE = re.compile(r"\b5\.3\.4\b")
_NOT_HELD_UP = {200, 400, 404}  #: a full or missing folder does not stop the next mail: this one is flagged
_LISTED = re.compile(rb"\* [0-9]+ FETCH \(", re.IGNORECASE)
_UID = re.compile(rb"\bUID ([0-9]{1,10})\b", re.IGNORECASE)
_SIZE = re.compile(rb"\bRFC822\.SIZE ([0-9]{1,20})\b", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class Mail:
    """One mail system: its server at *url*, and a mailbox on it."""

    terms: Terms
    url: str  #: of its server; empty if mail is only collected
    sender: str  #: the address that mail is sent from
    addresses: Addresses
    limit: int  #: maximum octets of one mail as transmitted
    mailbox: str  #: URL of the folder that receives packets; empty without one
    refused_folder: str  #: the folder to which refused mail is moved; empty: it stays and is flagged
    trust: opening.MailTrust

    @property
    def _account(self) -> tuple[tuple[str, str], ...]:
        user = self.terms.settings.get("user", "")
        return (("User", user), ("Password", self.terms.secrets.get("password", ""))) if user else ()

    def deliver(self, consignment: Consignment, now: datetime) -> Conversation:
        """Send one mail to the addresses of all recipient units. Its Message-ID is the same on every repetition.

        No mail server is bound to recognise it, so a mail that is sent again after a lost answer may be there twice.
        """
        if not self.url:
            return Refused("only a mailbox is configured for this partner, no server to send mail")
        try:
            addresses = self.addresses.find_all(consignment)
        except MailUnusable as unusable:
            return Refused(str(unusable))
        body = letter.write_mail(consignment, self.sender, addresses, self.terms.identity, now)
        if len(body) > self.limit:
            return Refused(f"the mail has {len(body)} octets; the mail system takes {self.limit}")
        headers = (("Mail-From", self.sender), *(("Rcpt-To", each) for each in addresses), *self._account)
        reply = yield Request(self.url, body, headers, hands_over=True)
        return self._outcome(reply, twice=consignment.unsure is not None)

    @staticmethod
    def _outcome(reply: Reply, *, twice: bool) -> Outcome:
        text = " ".join(reply.body.decode("utf-8", "replace").split())[:1000]
        said = f"{reply.status} {text} ({reply.headers.get('stage', '')})"
        if reply.status in _UNKNOWN or (reply.headers.get("stage") == "auth" and reply.status >= 500):
            return Unavailable(said, credentials=True)
        if reply.headers.get("stage") == "content" and reply.status == 250:
            return Accepted(text, twice=twice)
        if reply.status == 552 or (reply.status >= 500 and _TOO_LARGE.search(text)):
            return Refused(f"too large for the mail system: {said}")
        if reply.status >= 500 and reply.headers.get("stage") in {"mail", "rcpt", "data", "content"}:
            # nothing was sent to anyone: the others of several get it without the one that is refused
            return Refused(said, () if reply.headers.get("stage") == "rcpt" else None)
        # 4yz, and any reply that is not expected at its stage
        return Unavailable(said, unknown=reply.headers.get("stage") == "content" and reply.status < 300)

    def try_secret(self, now: datetime) -> SecretTrial | None:
        """Sign in at the server and at the mailbox, and do nothing there."""
        return SecretTrial(("password",), self._sign_in()) if self._account else None

    def _sign_in(self) -> Conversation:
        if self.url:
            reply = yield Request(self.url, b"", self._account)
            if reply.status != _SIGNED_IN or not self.mailbox:
                return Accepted() if reply.status == _SIGNED_IN else self._outcome(reply, twice=False)
        reply = yield self._command("NOOP")
        return _find_flaw(reply) or Accepted()

    def watched(self) -> Request | None:
        """Return the request that names the mailbox to wait on with IDLE; None without a mailbox."""
        return Request(self.mailbox, b"IDLE", self._account) if self.mailbox else None

    def collect(self, cursor: str, now: datetime) -> Collection:
        """Take in the mails after *cursor*, `UIDVALIDITY:UID`: the packets of each signed mail.

        Then flag each mail with the result.
        """
        if not self.mailbox:
            return Unavailable("no mailbox is set: settings.mailbox")
        validity, _, last = cursor.partition(":")
        reply = yield self._command(f"UID FETCH {int(last or 0) + 1}:* (UID RFC822.SIZE)")
        if flaw := _find_flaw(reply):
            return flaw
        found = reply.headers.get("uidvalidity", "")
        if validity and found != validity:  # the mailbox was recreated: earlier UIDs mean nothing
            validity, last = found, ""
            reply = yield self._command("UID FETCH 1:* (UID RFC822.SIZE)")
            if flaw := _find_flaw(reply):
                return flaw
        seen, unusable = int(last or 0), list[str]()
        waiting = [(uid, size) for uid, size in _read_mail_list(reply.body) if uid > seen]
        batch = min(_LARGEST_BATCH, max(_BATCH, len(waiting) // _SHARE))
        for uid, size in waiting[:batch]:
            why = yield from self._take(uid, size, now)
            if isinstance(why, Unavailable):
                return why
            if why:
                unusable.append(f"mail {uid}: {why}")
            seen = uid
        return Collected(f"{found}:{seen}", more=len(waiting) > batch, unusable=tuple(unusable))

    def _take(self, uid: int, size: int, now: datetime) -> Taking:
        """Take in one mail.

        Return why it was unusable (empty: it was usable), or the failure that prevents the next one.
        """
        why = f"{size} octets; at most {self.limit}" if size > self.limit else ""
        refused = bool(why)
        if not refused:
            reply = yield self._command(f"UID FETCH {uid} (BODY.PEEK[])")
            if flaw := _find_flaw(reply):
                return flaw
            if not reply.body.strip():
                return ""  # another client has removed it
            try:
                packets = opening.open_mail_packets(reply.body, self.trust, now)
            except MailUnusable as unusable:
                packets, refused, why = (), True, str(unusable)
            for packet, name in [(packet, opening.name_packet(packet)) for packet in packets]:
                judged = yield Arrival(packet, name)
                refused = refused or not judged.accepted
        marks = r"\Seen \Flagged" if refused else r"\Seen"
        reply = yield self._command(rf"UID STORE {uid} +FLAGS.SILENT ({marks})")
        if flaw := _find_flaw(reply):
            return flaw
        if refused and self.refused_folder:
            reply = yield self._command(f'UID MOVE {uid} "{self.refused_folder}"')
            if reply.status not in _NOT_HELD_UP:
                return _find_flaw(reply) or why
        return why

    def _command(self, command: str) -> Request:
        return Request(self.mailbox, command.encode("ascii"), self._account)


def _find_flaw(reply: Reply) -> Unavailable | None:
    if reply.status == 200:
        return None
    said = f"{reply.status} {reply.headers.get('text', '')[:500]}"
    return Unavailable(said, credentials=reply.status == 401)


def _read_mail_list(body: bytes) -> list[tuple[int, int]]:
    """Return UID and size of each mail that a FETCH listed, sorted by UID."""
    found = []
    for line in body.splitlines():
        uid, size = _UID.search(line), _SIZE.search(line)
        if uid and size and _LISTED.match(line) and line.endswith(b")"):
            found.append((int(uid[1]), int(size[1])))
    return sorted(found)


def adapter(terms: Terms) -> Mail:
    """Return the adapter of one mail system."""
    said, secret = terms.settings, terms.secrets
    size = re.fullmatch(r"([0-9]+)([A-Za-z]+)", said["limit"])
    assert size is not None
    reads = terms.url.startswith("imap")
    return Mail(
        terms=terms,
        url="" if reads else terms.url,
        sender=said["from"],
        addresses=Addresses.read(
            secret.get("addresses", ""), said["address"], from_packet=said["packet-address"] == "yes"
        ),
        limit=int(size[1]) * _SIZES[size[2]],
        mailbox=said["mailbox"] or (terms.url if reads else ""),
        refused_folder=said["refused-folder"],
        trust=opening.MailTrust(tuple(_read_certificates(secret.get("signers", ""))), terms.anchors),
    )


def _read_certificates(pem: str) -> Iterator[x509.Certificate]:
    return iter(x509.load_pem_x509_certificates(pem.encode("ascii")) if pem.strip() else ())
