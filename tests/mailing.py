"""What the tests of mail share: a real Postfix and Dovecot, a reactor that runs, and mails signed by OpenSSL.  Judges nothing."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from twisted.internet import reactor as installed
from twisted.internet import threads
from twisted.internet.defer import Deferred

import adapters
from hub.config import Partner
from hub.delivery.http_transport import Sender
from hub.delivery.mail_connection import MailConnector
from hub.delivery.transports import list_carriers
from hub.domain.conversations import Arrival, Judged
from hub.domain.model import Consignment, Message, MessageState, Receive
from hub.partner.adapter_settings import Terms
from hub.partner.policy import PartnerTransport, Policy
from hub.runtime.thread_pool import run_at_once
from hub.security.anchors import Anchors
from hub.security.certificates import Signer
from hub.units.live import Live, Setup
from lienthong_demo.mail.mailhost import PASSWORD, MailHost, has_mail_programs
from tests import pki
from tests.conftest import cannot_be_had, not_applicable
from tests.waiting import PATIENCE

reactor: Any = installed
BEGAN = datetime.now(UTC)
CA = pki.authority("Mail CA", BEGAN)
SERVER, HUB = CA.issue("mail server"), CA.issue("mail hub")
CLERK = CA.issue("clerk", purposes=(ExtendedKeyUsageOID.EMAIL_PROTECTION,))
TRUC, HUBS = "truc@thainguyen.gov.vn", "truc-lienthong@thainguyen.gov.vn"
CLERKS, ELSEWHERE = "vanthu.soyte@thainguyen.gov.vn", "ai-do@ngoai.example"
OTHER = "vanthu.sotttt@thainguyen.gov.vn"
CONTENT = "<edXML>gói tin</edXML>\r\n\n.\n..\n".encode()


def now():
    return datetime.now(UTC)


@contextlib.contextmanager
def mail_host(place: Path, **more) -> Iterator[MailHost]:
    """Yield a mail system that runs."""
    if os.geteuid() != 0:
        not_applicable("only root starts Postfix")
    if not has_mail_programs():
        cannot_be_had("Postfix and Dovecot", "apt-get install postfix dovecot-imapd")
    key, certificate = pki.write(place, "server", more.pop("identity", SERVER))
    with MailHost.open(key, certificate, (TRUC, HUBS, CLERKS, OTHER, ELSEWHERE), **more) as host:
        yield host


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Let the reactor run in a thread.  Once in a process: it cannot be started again."""
    started = threading.Event()
    reactor.callWhenRunning(started.set)
    thread = threading.Thread(target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    yield
    reactor.callFromThread(reactor.stop)
    thread.join(PATIENCE)


def message(content=CONTENT, **more):
    said = {"partner": "sotttt", "message_id": "m-1", "service": "documents", "kind": "document", "sha256": "0" * 64}
    said |= {"sender": "H55.13", "subject": "V/v kết nối thử", "document_id": "H55.13,2026/11/24,101/STTTT-CNTT"}
    said |= {"id": "01936f1e-7c80-7000-8000-000000000001", "state": MessageState.ACCEPTED, "received_at": now()}
    return Message(**said | {"size": len(content)} | more)


def consignment(content=CONTENT, recipients=("H55.14",), **more):
    return Consignment(message=message(content, **more), content=content, recipients=recipients, attempt=1)


@attrs.define(eq=False)
class Line:
    """One partner: the mail system, as the operator has configured it."""

    host: Any
    settings: dict[str, str] = attrs.field(factory=dict)
    secrets: dict[str, str] = attrs.field(factory=dict)
    policy: Policy = attrs.field(factory=lambda: Policy(transport=PartnerTransport.TLS, timeout=pki.DAY / 8640))
    anchors: Anchors = attrs.field(factory=lambda: Anchors([CA.certificate]))
    certificates: tuple[x509.Certificate, ...] = ()
    scheme: str = "smtp"
    address: str = "127.0.0.1"
    signer: Signer = HUB
    _sender: Any = None

    @property
    def partner(self):
        return Partner(
            code="thudientu",
            name="Thư điện tử",
            certificates=self.certificates,
            receive=Receive.PUSH,
            url=self.url(self.scheme),
            adapter="mail",
            policy=self.policy,
        )

    def url(self, scheme, rest=""):
        return f"{scheme}://{self.address}:{self.host.ports[scheme]}{rest}"

    def adapter(self):
        settings = {"from": TRUC, "user": TRUC, "mailbox": self.url("imap", "/INBOX")} | self.settings
        signers = pki.pem(CLERK.certificate).decode()
        secrets = {"password": PASSWORD, "signers": signers, "addresses": f"H55.14,{CLERKS}\nH55.13,{OTHER}"}
        assert not adapters.find_settings_flaws("mail", settings, secrets | self.secrets)
        terms = Terms(
            partner="thudientu",
            url=self.url(self.scheme),
            identity=self.signer,
            anchors=self.anchors,
            settings=settings,
            secrets=secrets | self.secrets,
        )
        return adapters.make_adapter("mail", terms)

    def post(self):
        return MailConnector(reactor, Live(Setup(cast("Any", SimpleNamespace(config=self)))), now)

    def send(self, request):
        """Have *request* carried, as the hub does; raise Unreachable when it is not."""
        if self._sender is None:
            self._sender = Sender(
                cast("Any", None), reactor, now, list_carriers(self.post(), run_at_once, now, reactor)
            )
        ask = lambda: Deferred.fromCoroutine(self._sender.send(request, self.partner))  # noqa: E731
        return threads.blockingCallFromThread(reactor, ask)

    def deliver(self, *parts, **more):
        return self.hold(self.adapter().deliver(consignment(*parts, **more), now()))[1]

    def collect(self, cursor="", judge=lambda _: Judged(accepted=True)):
        return self.hold(self.adapter().collect(cursor, now()), judge)

    def hold(self, conversation, judge=None):
        """Hold a conversation; return what arrived and how it ended."""
        arrived, answer = [], None
        try:
            while True:
                step = conversation.send(answer)
                if isinstance(step, Arrival):
                    arrived.append(step)
                    answer = judge(step)
                else:
                    answer = self.send(step)
        except StopIteration as end:
            return arrived, end.value


def mail(*packets, sender=CLERKS, text="Kính gửi Trục liên thông.\n"):
    """Return a mail with *packets* attached, unsigned, as a mail program writes it."""
    made = EmailMessage(policy=SMTP)
    made.set_content(text)
    for number, packet in enumerate(packets, 1):
        made.add_attachment(packet, maintype="application", subtype="xml", filename=f"goi-{number}.edxml")
    return made.as_bytes()


def signed(place: Path, inner: bytes, identity=CLERK, message_id="<1@soyte>", form=()):
    """Return *inner* signed by OpenSSL, with the headers of a mail around it."""
    key, certificate = pki.write(place, "clerk", identity)
    (place / "inner").write_bytes(inner)
    asked = ("openssl", "cms", "-sign", "-md", "sha256", "-binary", "-crlfeol", "-outform", "SMIME", *form)
    files = ("-signer", certificate, "-inkey", key, "-in", place / "inner")
    made = subprocess.run([*asked, *files], capture_output=True, check=True).stdout
    head = f"From: {CLERKS}\r\nTo: {TRUC}\r\nSubject: goi tin\r\nMessage-ID: {message_id}\r\n"
    return head.encode() + made
