"""The shared mail system against a real Postfix and a real Dovecot: out, in, and every way in which they can say no."""

import contextlib
import hashlib
import json
import socket
import subprocess
import threading
import time
from datetime import date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
import zeep
from click.testing import CliRunner
from cryptography import x509
from twisted.internet import threads

from hub.cli import lienthong
from hub.config.alerting.alerts import AlertAddress
from hub.delivery.imap_idle import MailWatch
from hub.domain.conversations import Accepted, Collected, Judged, Refused, Unavailable
from hub.domain.model import Problem
from hub.partner.policy import PartnerTransport, Policy
from hub.runtime.http_client import Unreachable
from hub.security.anchors import Anchors
from hub.store import transactions
from hub.units.live import Live, Setup
from lienthong_demo.mail.mailhost import PASSWORD, obey_mail_order
from lienthong_demo.protocol.client import Wire
from lienthong_demo.protocol.signing import PartnerIdentity, WireSignature
from tests import databases, mailing, packets, pki
from tests.mailing import CA, CLERK, CLERKS, CONTENT, HUBS, OTHER, TRUC, Line, mail, reactor, signed
from tests.monitoring.test_late_alerts import open_office
from tests.running import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def reactor_runs():
    with mailing.running():
        yield


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with mailing.mail_host(tmp_path_factory.mktemp("mail")) as made:
        yield made


@pytest.fixture
def line(host):
    return Line(host)


def arrived(host, account, count=1):
    """Return the mails that have arrived since the test began."""
    return until(lambda: len(found := host.box(account)) >= count and found, f"{count} mails for {account}")


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_packet_goes_out_by_starttls_or_tls_and_openssl_verifies_what_arrives(host, tmp_path, scheme):
    line, before = Line(host, scheme=scheme), len(host.box(CLERKS))
    assert isinstance(line.deliver(), Accepted)
    assert isinstance(line.deliver(), Accepted)
    last = arrived(host, CLERKS, before + 2)[-2:]
    assert len({mail["Message-ID"] for mail in last}) == 1
    octets = last[0].as_bytes()
    (tmp_path / "ca.crt").write_bytes(pki.pem(CA.certificate))
    asked = ("openssl", "cms", "-verify", "-CAfile", tmp_path / "ca.crt", "-purpose", "any")
    verified = subprocess.run(asked, input=octets, capture_output=True, check=False)
    assert verified.returncode == 0, verified.stderr
    text, packet = (part for part in last[0].walk() if part.get_content_type() in {"text/plain", "application/xml"})
    assert packet.get_payload(decode=True) == CONTENT
    assert "Trục liên thông" in text.get_payload(decode=True).decode()


def test_an_alert_reaches_the_unit_once_with_a_password_under_tls(host, line, tmp_path):
    office, before = (
        open_office(transactions.open_journal(databases.sqlite(tmp_path / "hub.db"))),
        len(host.box(CLERKS)),
    )
    address = AlertAddress(unit="H55.13", address=CLERKS)
    office.settings = attrs.evolve(office.settings, addresses=(address,))
    office.url, office.carry = line.url("smtp"), line.send
    office.account, office.secrets = {"from": TRUC, "user": TRUC}, {"password": PASSWORD}
    office.tell("H55.13", "V1", date(2026, 11, 25))
    office.look(office.node(), office.node("hai"))
    (mail,) = arrived(host, CLERKS, before + 1)[before:]
    assert mail["From"] == TRUC
    assert "V1" in mail.get_payload(decode=True).decode()
    assert office.ended() == ["sent"]
    office.engine.dispose()


def test_every_unit_of_a_push_gets_it_or_none_does(host, line):
    before = len(host.box(CLERKS))
    assert isinstance(line.deliver(recipients=("H55.14", "H55.13")), Accepted)
    arrived(host, OTHER)
    arrived(host, CLERKS, before + 1)
    line.secrets = {"addresses": f"H55.14,{CLERKS}\nH55.13,khong-co@thainguyen.gov.vn"}
    refused = line.deliver(recipients=("H55.14", "H55.13"))
    assert isinstance(refused, Refused)
    assert "550 5.1.1" in refused.detail
    assert "khong-co" in refused.detail
    assert len(host.box(CLERKS)) == before + 1


def told(host, what):
    """Return how often Postfix has told of a caller that he came (`connect from`) or went."""
    return host.log().count(f"]: {what} ")


@pytest.mark.parametrize("why", ["another CA", "another name", "not the one configured", "over"])
def test_a_server_with_a_wrong_certificate_is_told_nothing(tmp_path, host, why):
    until(
        lambda: told(host, "connect from") == told(host, "disconnect from"),
        "the log to tell of those before to its end",
    )
    line, begun = Line(host), host.log().count("sasl")
    if why == "another CA":
        line.anchors = Anchors([pki.authority("Another CA", mailing.BEGAN).certificate])
    elif why == "not the one configured":
        line.certificates = (CLERK.certificate,)
    elif why == "another name":
        line.address, line.host = "127.0.0.2", SimpleNamespace(ports=_forwarded(host.ports))
    else:
        ended = CA.issue("over", begins=mailing.BEGAN - 9 * pki.DAY, ends=mailing.BEGAN - pki.DAY)
        with (
            mailing.mail_host(tmp_path, identity=ended) as other,
            pytest.raises(Unreachable, match="certificate verify failed"),
        ):
            Line(other).deliver()
        return
    with pytest.raises(Unreachable, match="certificate verify failed"):
        line.deliver()
    with pytest.raises(Unreachable, match="certificate verify failed"):
        line.collect()
    assert host.log().count("sasl") == begun


def _forwarded(ports):
    """Let the same servers answer under another address; return their ports there."""
    there = {}
    for name in ("smtp", "imap"):
        listening = socket.create_server(("127.0.0.2", 0))
        there[name] = listening.getsockname()[1]
        threading.Thread(target=_forward, args=(listening, ports[name]), daemon=True).start()
    return there


def _forward(listening, port):
    with listening:
        here, _ = listening.accept()
    with here, socket.create_connection(("127.0.0.1", port)) as there:
        back = threading.Thread(target=_pump, args=(there, here))
        back.start()
        _pump(here, there)
        back.join()


def _pump(one, other):
    with contextlib.suppress(OSError):
        while octets := one.recv(65536):
            other.sendall(octets)
        other.shutdown(socket.SHUT_WR)


def test_the_secret_is_tried_by_signing_in_and_no_mail_comes_of_it(host, line):
    before = len(host.box(CLERKS)), len(host.box(TRUC))
    for scheme in ("smtp", "smtps"):
        line.scheme = scheme
        _, end = line.hold(line.adapter().try_secret(mailing.now()).conversation)
        assert not isinstance(end, Unavailable), end
    assert (len(host.box(CLERKS)), len(host.box(TRUC))) == before
    line.secrets = {"password": "sai"}
    _, end = line.hold(line.adapter().try_secret(mailing.now()).conversation)
    assert isinstance(end, Unavailable)
    assert end.credentials


def test_a_wrong_password_is_for_a_person_to_put_right_and_nothing_to_try_again_at_once(line):
    line.secrets = {"password": "sai"}
    refused = line.deliver()
    assert isinstance(refused, Unavailable)
    assert refused.credentials
    assert refused.detail.startswith("535 5.7.8")
    _, refused = line.collect()
    assert refused.credentials
    assert "AUTHENTICATIONFAILED" in refused.detail


def test_no_password_is_said_on_a_connection_without_tls(host):
    line = Line(host, policy=Policy(transport=PartnerTransport.PLAIN))
    with pytest.raises(Unreachable, match="neither AUTH PLAIN nor AUTH LOGIN"):
        line.deliver()  # Postfix takes none there either
    with pytest.raises(Unreachable, match="offers no STARTTLS"):
        _with_server(b"220 mail\r\n", b"250-mail\r\n250 AUTH PLAIN LOGIN\r\n")
    with pytest.raises(Unreachable, match="something before TLS begins"):
        _with_server(b"220 mail\r\n", b"250-mail\r\n250 STARTTLS\r\n", b"220 go\r\n250-mail\r\n250 AUTH PLAIN\r\n")
    with pytest.raises(Unreachable, match="does not speak SMTP"):
        _with_server(b"HTTP/1.1 200 OK\r\n")


def test_a_server_that_never_ends_a_line_or_says_too_much_is_hung_up_on():
    with pytest.raises(Unreachable, match="a line is longer than"):
        _with_server(b"2" * 20_000)
    with pytest.raises(Unreachable, match="does not speak SMTP"):
        _with_server(b"220-more\r\n" * 300)
    plain = Policy(transport=PartnerTransport.PLAIN)
    signed_in = (b"* OK\r\n", b"L1 OK\r\n", b"L2 OK\r\n", b"L3 OK\r\n")
    for said, why in (
        (b"* 1 FETCH {99999999}\r\n", "sends more than"),
        (b"{0}\r\n" * 200, "or 100 literals"),
        (b"L9 OK\r\n", "does not speak IMAP"),
        (b"* BYE\r\n", "closes the connection"),
    ):
        with pytest.raises(Unreachable, match=why):
            _with_server(*signed_in, said, deed=Line.collect, policy=plain, secrets={"password": "khac"})


def _with_server(*replies, deed=Line.deliver, **more):
    """Do *deed* with a server that gives *replies* whatever it hears; it must never hear the password."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard = []

        def serve():
            here, _ = listening.accept()
            with here, contextlib.suppress(ConnectionError):
                for reply in replies:
                    here.sendall(reply)
                    heard.append(here.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        host = SimpleNamespace(ports={"smtp": port, "imap": port})
        try:
            return deed(Line(host, **more))
        finally:
            thread.join(10)
            assert not any(word in octets for octets in heard for word in (b"AUTH", PASSWORD.encode()))


def test_a_server_that_is_away_is_tried_again_and_takes_it_when_it_is_back(host, line):
    host.stop("smtp", "imap")
    for deed in (line.deliver, line.collect):
        with pytest.raises(Unreachable, match="connection failed"):
            deed()
    host.start()
    assert isinstance(line.deliver(), Accepted)
    assert isinstance(line.collect()[1], Collected)


def test_the_limit_of_20_mb_is_kept_here_and_the_servers_own_is_understood(host, line):
    too_much = b"x" * 15_000_000  # a third more as it travels
    begun = told(host, "connect from")
    refused = line.deliver(too_much)
    assert isinstance(refused, Refused)
    assert "the mail system takes 20000000" in refused.detail
    assert told(host, "connect from") == begun
    line.settings = {"limit": "40MB"}
    refused = line.deliver(too_much)
    assert isinstance(refused, Refused)
    assert refused.detail.startswith("too large for the mail system: 552 5.3.4")
    line.settings = {}
    before = len(host.box(CLERKS))
    assert isinstance(line.deliver(b"x" * 14_000_000), Accepted)
    big = arrived(host, CLERKS, before + 1)[-1]
    assert any(
        len(part.get_payload(decode=True) or b"") == 14_000_000 for part in big.walk() if not part.is_multipart()
    )


def test_signed_mail_brings_packets_in_once_and_all_else_is_marked_and_moved(host, line, tmp_path):
    host.make_folder(TRUC, "Tu choi")
    line.settings = {"refused-folder": "Tu choi"}
    _, start = line.collect()
    good = signed(tmp_path, mail(CONTENT))
    host.submit(CLERKS, [TRUC], good)
    arrived(host, TRUC, 1)  # else the next may overtake it
    host.submit(CLERKS, [TRUC], good.replace(b"<1@soyte>", b"<2@soyte>"))  # the same packet once more
    arrived(host, TRUC, 2)
    host.receive("ai-do@ngoai.example", [TRUC], b"From: ai-do@ngoai.example\r\n" + mail(CONTENT))
    arrived(host, TRUC, 3)
    found, ended = line.collect(start.cursor)
    assert [each.content for each in found] == [CONTENT, CONTENT]
    assert len({each.message_id for each in found}) == 1
    assert ended.more is False
    assert [why.partition(" is signed")[0] for why in ended.unusable] == ["mail 3: neither the mail nor the packet"]
    assert line.collect(ended.cursor) == ([], attrs.evolve(ended, unusable=()))
    assert [r"\Seen" in each for each in host.flags(TRUC)] == [True, True]
    (moved,) = host.flags(TRUC, "Tu choi")
    assert r"\Flagged" in moved
    host.submit(CLERKS, [TRUC], good)
    until(lambda: len(host.box(TRUC)) >= 3, "one mail more")
    found, ended = line.collect(ended.cursor, lambda _: Judged(accepted=False, problems=(Problem("unit-unknown"),)))
    assert len(found) == 1
    assert len(host.flags(TRUC, "Tu choi")) == 2
    again, _ = line.collect("1:1")  # a cursor of a mailbox that is no more: everything comes again, under the same ids
    assert {each.message_id for each in again} == {each.message_id for each in found}


def test_a_mail_that_comes_is_told_of_at_once_before_and_after_the_server_was_away(host, line, tmp_path):
    woken: list[str] = []
    line.policy = Policy(transport=PartnerTransport.TLS, collect=pki.DAY, first_retry=pki.DAY / 864000)
    said: Any = SimpleNamespace(config=SimpleNamespace(partners={"thudientu": line.partner}))
    live = Live(Setup(said, {"thudientu": line.adapter()}))
    watch = MailWatch(live, line.post(), woken.append, reactor, lambda: 0.5)
    threads.blockingCallFromThread(reactor, watch.startService)
    try:
        for _ in range(2):
            until(lambda: woken, "the watch to begin")
            time.sleep(0.1)  # it says IDLE
            woken.clear()
            host.submit(CLERKS, [TRUC], signed(tmp_path, mail(CONTENT)))
            assert until(lambda: woken, "the watch to wake, which looks once a day unless it is told")[0] == "thudientu"
            woken.clear()
            host.stop("imap")
            host.start("imap")
    finally:
        threads.blockingCallFromThread(reactor, watch.stopService)


def test_who_conducts_the_mail_system_gives_it_orders(host, tmp_path):
    (tmp_path / "mail").write_bytes(b"Subject: mot viec\r\n\r\nx\r\n")
    before = len(host.box(OTHER))
    order = {"do": "submit", "account": CLERKS, "to": [OTHER], "file": str(tmp_path / "mail")}
    assert obey_mail_order(host, order) == {"submitted": True}
    arrived(host, OTHER, before + 1)
    mails: Any = obey_mail_order(host, {"do": "box", "account": OTHER})["mails"]
    assert [each["Subject"] for each in mails[before:]] == ["mot viec"]
    assert obey_mail_order(host, {"do": "stop", "what": "imap"}) == {"stop": "imap"}
    assert obey_mail_order(host, {"do": "start", "what": "imap"}) == {"start": "imap"}
    assert "User quota" in str(obey_mail_order(host, {"do": "logs"})["quotas"])
    assert "error" in obey_mail_order(host, {"do": "dance"})


PARTNER = """
name = "Thư điện tử dùng chung"
adapter = "mail"
receive = "push"
url = "smtp://127.0.0.1:{smtp}"
units = ["H55.77"]

[settings]
from = "{truc}"
user = "{truc}"
password-file = "partners/thudientu.password"
addresses-file = "partners/thudientu.addresses"
signers-file = "partners/thudientu.signers"
mailbox = "imap://127.0.0.1:{imap}/INBOX"

[policy]
transport = "tls"
collect = "1h"
first-retry = "200ms"
"""


@pytest.fixture
def with_mail(hub, host, tmp_path):
    """A hub that runs, with the mail system as the partner of H55.77, which has nothing else."""
    place = hub.home / "partners"
    (place / "thudientu.toml").write_text(PARTNER.format(truc=HUBS, **host.ports))
    for name, text in (("password", PASSWORD), ("addresses", f"H55.77,{CLERKS}\n")):
        (place / f"thudientu.{name}").write_text(text)
    (place / "thudientu.signers").write_bytes(pki.pem(CLERK.certificate))
    (tmp_path / "ca.crt").write_bytes(pki.pem(CA.certificate))
    (tmp_path / "units.csv").write_text("code,name,parent\nH55.77,Xã mẫu,H55\n")
    hub.cli("trust", "add", tmp_path / "ca.crt")
    hub.cli("units", "import", tmp_path / "units.csv")
    hub.start()
    return hub


def test_a_hub_brings_packets_to_a_unit_by_mail_and_takes_in_at_once_what_the_unit_sends(with_mail, host, tmp_path):
    hub, before = with_mail, len(host.box(CLERKS))
    packet = packets.letter("H55.13", ["H55.77"], document_id="D-mail-1")
    with hub.client("sotttt") as client:
        sent = client.send(packet)
    (mail_,) = arrived(host, CLERKS, before + 1)[before:]
    (attached,) = (part for part in mail_.walk() if part.get_content_type() == "application/xml")
    assert attached.get_payload(decode=True) == packet
    until(lambda: hub.states(sent.document_id) == {"H55.77": ("delivered", 1)}, "the delivery to be settled")
    answer = packets.letter("H55.77", ["H55.13"], document_id="D-mail-2", number="2")
    host.submit(CLERKS, [HUBS], signed(tmp_path, mail(answer)))
    (row,) = until(
        lambda: by_mail(hub), "the mail to be taken in, which is looked for once an hour unless the hub is told"
    )
    assert (row["state"], row["sha256"]) == ("accepted", hashlib.sha256(answer).hexdigest())
    host.submit(CLERKS, [HUBS], signed(tmp_path, mail(answer), message_id="<again@soyte>"))
    foreign = packets.letter("H55.13", ["H55.14"], document_id="D-mail-3", number="3")
    host.submit(CLERKS, [HUBS], signed(tmp_path, mail(foreign)))  # of a unit that this mail does not stand for
    rows = until(lambda: len(found := by_mail(hub)) > 1 and found, "what is not its own to be refused")
    told = {row["sha256"]: (row["refusal"] or "").partition(":")[0] for row in rows}
    assert told == {row["sha256"]: "", hashlib.sha256(foreign).hexdigest(): "sender-not-allowed"}


def by_mail(hub):
    """Return the messages that came in by mail."""
    return [row for row in hub.cli("messages", "--json") if row["partner"] == "thudientu"]


def typed(hub, *words, code=0, text=False):
    """Run `lienthong` in this process, which is faster; return its JSON lines, or its text."""
    ran = CliRunner().invoke(lienthong, [*map(str, words), "-c", str(hub.config)])
    assert ran.exit_code == code, ran.output
    return ran.stdout if text else [json.loads(line) for line in ran.stdout.splitlines()]


def usage_of(hub, **fields):
    """Hand in usage as sotttt, with stock zeep."""
    files = hub.files("sotttt")
    identity = PartnerIdentity.load(files["key"], files["certificate"])
    certificate = x509.load_pem_x509_certificate((hub.home / "pki/hub.crt").read_bytes())
    session = Wire(files["key"], files["certificate"], files["ca"]).session()
    address = hub.soap.replace("documents", "mail")
    client = zeep.Client(
        f"{address}?wsdl", transport=zeep.Transport(session=session), wsse=WireSignature(identity, certificate)
    )
    return client.service.SubmitMailUsage(**fields)


def test_the_use_of_mail_comes_by_soap_or_from_the_logs_once_a_day_and_no_address_with_it(hub, host, tmp_path):
    hub.start()
    day = datetime.now(ZoneInfo("Asia/Ho_Chi_Minh")).date()
    figures = {"OrganId": "H55.13", "AccountsIssued": 30, "SentInternal": 12}
    said = usage_of(hub, OrganId="H55.13", Day=day.isoformat(), Usage=[figures])
    assert said.Report.IsSuccess
    said = usage_of(hub, OrganId="H55.13", Day=day.isoformat(), Usage=[figures | {"OrganId": "H55.12"}])
    assert [error.Code for error in said.Report.ErrorList.Error] == ["sender-not-allowed"]

    before = host.log().count("status=sent")
    host.submit(CLERKS, [TRUC, mailing.ELSEWHERE], b"Subject: rieng tu\r\n\r\nnoi dung\r\n")
    host.receive(mailing.ELSEWHERE, [CLERKS], b"Subject: tu ngoai\r\n\r\nnoi dung\r\n")
    until(lambda: host.log().count("status=sent") >= before + 3, "the log to say so")
    (tmp_path / "mail.log").write_text(host.log())
    (tmp_path / "quota.txt").write_text(host.quotas())
    (tmp_path / "directory.csv").write_text("*.soyte@thainguyen.gov.vn,H55.14\nthainguyen.gov.vn,H55\n")
    counting: tuple[object, ...] = (
        "mail",
        "usage",
        "--day",
        day,
        "--directory",
        tmp_path / "directory.csv",
        "--zone",
        "UTC",
    )
    counting = (*counting, "--quotas", tmp_path / "quota.txt", tmp_path / "mail.log", "--json")
    counted = {row["unit"]: row for row in typed(hub, *counting)}
    assert counted["H55.14"]["accounts-issued"] == 1
    assert counted["H55.14"]["accounts-active"] == 1
    assert counted["H55.14"]["sent-external"] >= 1
    assert counted["H55.14"]["received-external"] >= 1
    assert not typed(hub, "messages", "--partner", "hub", "--json")
    typed(hub, *counting, "--yes")
    typed(hub, *counting, "--yes")
    (row,) = typed(hub, "messages", "--partner", "hub", "--json")
    assert (row["service"], row["state"]) == ("mail", "accepted")
    content = typed(hub, "show", row["id"], "--raw", text=True)
    assert not [word for word in ("@", "soyte", "truc", "rieng", "127.0.0.1") if word in content]
    (tmp_path / "mail.log").write_text(host.log().replace("soyte", "khac"))  # another count of the same day
    assert typed(hub, *counting, "--yes", code=1)
    typed(hub, *counting, "--yes", "--correction", "ghi nhầm đơn vị")
    month = day + timedelta(days=17) if day.day > 14 else day
    report = typed(hub, "report", "H55", f"{month:%Y-%m}", "--form", "mail", "--format", "json")
    rows = {row["unit"]: row for row in report[0]["rows"]}
    assert rows["H55.13"]["sent_internal"] == 12
    assert rows["H55.14"]["sent"] == 0
