"""A hub of a made-up province at work, for its screens: partners in files, documents of three months, failures, plans, reports to sign.

And one in which nothing has happened. Knows no browser and no address.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from hub.config.upkeep.backup import BackupSettings
from hub.config.values import ConsoleSettings, ReplaySettings
from hub.console.keeping.backups_page import SeenFolder, look_at_folder
from hub.console.keeping.retention_page import SeenArchives, look_for_archives
from hub.console.keeping.upgrades_page import look_for_copies
from hub.domain.alert_severity import AlertSeverity
from hub.domain.conversations import Reply, Request
from hub.domain.ids import make_first_id
from hub.domain.lifecycle import AttemptVerdict, DeliveryEvent
from hub.domain.model import DeliveryState, Event, Fact, Problem, Unit
from hub.edxml.sample import make_sample_packet
from hub.formats.spool import Octets
from hub.journal import events, facts, messages, nodes, unit_registry
from hub.journal.queue import claims, partner_state
from hub.journal.queue.claims import AttemptExchange
from hub.journal.replays import replay_plans
from hub.journal.replays.replay import ReplayChoice
from hub.journal.replays.replay_rules import PlanState
from hub.journal.searching.message_filter import MessageFilter
from hub.keeping import backup_runs, eras, hub_alerts
from hub.keeping.backups.claims import EraClaim
from hub.keeping.backups.witness import WitnessSize
from hub.keeping.eras import EraBeginning
from hub.keeping.hub_alerts import ConditionRound, HubAlertKey, MetCondition, TransitionRules
from hub.keeping.retention import parts
from hub.keeping.retention.parts import PartEvent
from hub.language.phrases import phrase
from hub.node import init_province
from hub.operations.accounts.permissions import Role
from hub.operations.partners.rule_trials import TrialState
from hub.partner.circuit_breaker import Breaker, BreakerPosition
from hub.partner.kept_exchange import keep_exchange
from hub.partner.rate_limit import Rate
from hub.report.form.book import read_shipped_book
from hub.report.form.period import parse_period
from hub.runtime.disk_reader import DiskReader
from hub.security import sample_pki
from hub.security.age_files import parse_recipient
from hub.security.certificates import Identity
from hub.store import transactions
from hub.store.tables import archive as archive_table
from hub.units.live import Setup
from hub.workload import closing
from tests.cli.test_cli_corrected import PACKET, REFUSAL, WRONG
from tests.cli.test_cli_partner import KEPT
from tests.console.test_console_codes import enrol
from tests.console.test_console_messages import attempts
from tests.console.test_console_partners import Office, form_of
from tests.console.test_console_signing import get, hand_in
from tests.console_town import HOST, KEYS, Browser, Town
from tests.declaring import filled
from tests.journal.test_open_work import settle, tell
from tests.officials import BINH, by_signxml, official, officials
from tests.openid import PROVIDER, SsoSite
from tests.pki import pem
from tests.province import NOW, entry
from tests.province import document as packet
from tests.refused_batches import refuse_batch

TRACKING = "0193aaaa-0000-7000-8000-000000000001"
#: The month that has ended, and the one that runs.
ENDED, RUNNING = "2026-11", "2026-12"

UNITS = (
    Unit("H55", "UBND tỉnh Sông Ngân"),
    Unit("H55.01", "Ban Dân tộc và Tôn giáo", "H55"),
    Unit("H55.1", "Văn phòng UBND tỉnh", "H55"),
    Unit("H55.1.1", "Trung tâm Phục vụ hành chính công", "H55.1"),
    Unit("H55.12", "Sở Nội vụ", "H55"),
    Unit("H55.13", "Sở Khoa học và Công nghệ", "H55", aliases=("000.00.13.H55",)),
    Unit("H55.13.1", "Trung tâm Chuyển đổi số", "H55.13"),
    Unit("H55.13.2", "Trung tâm Kiểm định và Đo lường", "H55.13"),
    Unit("H55.14", "Sở Tài chính", "H55"),
    Unit("H55.14.1", "Trung tâm Tư vấn đầu tư", "H55.14"),
    Unit(
        "H55.15",
        "Ban Quản lý dự án đầu tư xây dựng các công trình giao thông, nông nghiệp và phát triển nông thôn tỉnh Sông Ngân",
        "H55",
    ),
    Unit("H55.20", "Sở Công Thương và Du lịch", "H55", until=date(2026, 7, 1)),
    Unit("H55.30", "Sở Tư pháp", "H55"),
    Unit("H55.32", "UBND phường Bến Sen", "H55"),
    Unit("H55.32.10", "Trạm Y tế phường Bến Sen", "H55.32"),
    Unit("H55.33", "UBND xã Mường Hạc", "H55"),
    Unit("H55.33.21", "Trường Tiểu học Mường Hạc", "H55.33"),
    Unit("H55.81", "Sở Y tế", "H55"),
    Unit("H55.82", "Bệnh viện đa khoa Sông Ngân", "H55.81"),
    Unit("H55.83", "Trung tâm Kiểm soát bệnh tật", "H55.81"),
    *(Unit(f"H55.{40 + number}", f"UBND xã Sông Ngân {number}", "H55") for number in range(1, 31)),
)
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "vpub": "Hệ thống văn bản Văn phòng UBND tỉnh (mẫu)",
        "sotttt": "Hệ thống văn bản các sở (mẫu)",
        "vpcp": "Trục liên thông văn bản quốc gia (mẫu)",
    }
)
_SUBJECTS = (
    "V/v triển khai chữ ký số chuyên dùng trong cơ quan nhà nước",
    "Kế hoạch chuyển đổi số năm 2027",
    "Báo cáo tình hình giải ngân vốn đầu tư công quý IV",
    "V/v cử cán bộ tham gia tập huấn an toàn thông tin",
    "Giấy mời họp giao ban tháng 11",
    "V/v rà soát thủ tục hành chính thuộc phạm vi quản lý",
    "Quyết định ban hành quy chế tiếp nhận, xử lý văn bản điện tử",
)
#: Codes and names of fields of work.
_FIELDS = (
    ("BTXH", "Bảo trợ xã hội"),
    ("CT", "Chứng thực"),
    ("DD", "Đất đai"),
    ("HT", "Hộ tịch"),
    ("HTX", "Thành lập và hoạt động của tổ hợp tác, hợp tác xã, liên hiệp hợp tác xã"),
    ("TDKT", "Thi đua – khen thưởng"),
    ("", ""),
)
#: Sender and recipient of the documents that go about.
_WAYS = (
    ("H55.13", "H55.1"),
    ("H55.12", "H55.1"),
    ("H55.81", "H55.1"),
    ("H55.14", "H55.12"),
    ("H55.1", "H55.12"),
    ("H55.32", "H55.1"),
    ("H55.13.1", "H55.12"),
    ("H55.33", "H55.32"),
)
_REFUSED_AS = (
    Problem("R.edXML.edXMLEnvelope.edXMLHeader.MessageHeader.Subject", "line 12: too long"),
    Problem("unit-unknown", "H55.99"),
)
_ASKED = Request("https://vanban.songngan.example/edoc", b"other", (("SOAPAction", "SendDocument"),))
_LONG = b"<soap:Fault>" + b"<detail>the queue of the receiving system is full, try again later</detail>" * 40


#: How the hub is backed up; the public key is that of docs/howto/back-up.md.
BACKUP = BackupSettings(
    folder=Path("/sao-luu/lienthong"),
    recipients=(parse_recipient("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"),),
    every=timedelta(days=1),
    at=timedelta(hours=1),
    keep=14,
    configuration=True,
    keys=False,
)


@attrs.define
class ScreenTown:
    """The hub at work: its office, and the ids of what happened."""

    office: Office
    ids: dict[str, str] = attrs.field(factory=dict)
    _number: int = 0

    @property
    def town(self) -> Town:
        """Return the journal and the clock."""
        return self.office.town

    @cached_property
    def _routes(self) -> Any:
        return self.office.live.province.routes

    def bring(
        self,
        sender: str,
        *to: str,
        at: datetime,
        subject: str = "",
        content: bytes | None = None,
        problems: tuple[Problem, ...] = (),
    ) -> str:
        """Journal a document; return the hub's id of it."""
        self._number += 1
        number, partner = self._number, "vpub"
        for code, each in self.office.live.config.partners.items():
            if sender in each.units:
                partner = code
        subject = subject or _SUBJECTS[number % len(_SUBJECTS)]
        said = packet(sender, *to, document_id=f"{sender},{at:%Y/%m/%d},{number}/CV")
        said = attrs.evolve(
            said,
            code=f"{number}/CV-{'VP' if partner == 'vpub' else 'SO'}",
            subject=subject,
            promulgation_date=f"{at:%Y/%m/%d}",
        )
        at += timedelta(microseconds=number)
        made = entry(
            packet(),
            number,
            at=at,
            partner=partner,
            id=make_first_id(at),
            message_id=f"songngan-{number:05d}",
            content=content or write_packet(sender, to[0], subject, at, number),
            problems=problems,
            **({"receipt": None} if problems else {}),
        )
        made = attrs.evolve(
            made, packet=said, routes=() if problems else self._routes.route_all(partner, to, at.date())
        )
        with transactions.write_transaction(self.town.engine) as tx:
            messages.record_message(tx, made, self._routes)
        return made.id

    def deliver(self, at: datetime, *replies: tuple[int, bytes], partner: str = "vpub", word: str = "") -> None:
        """Make one attempt after another, each five minutes after the last; the last one ends it, well or with *word*."""
        for number, (code, body) in enumerate(replies, 1):
            now = at + timedelta(minutes=5 * number, seconds=1)
            kept = keep_exchange(
                _ASKED, Reply(code, body, {"server": "axis", "date": f"{now:%a, %d %b %Y %H:%M:%S} GMT"}), ()
            )
            exchange = AttemptExchange(
                request_sha256=hashlib.sha256(at.isoformat().encode()).hexdigest(),
                reply_sha256=hashlib.sha256(body).hexdigest(),
                reply_status=code,
                call_ms=1234,
                kept=kept,
            )
            ended = now + timedelta(seconds=2)
            verdict, outcome = AttemptVerdict(DeliveryState.WAITING, f"HTTP {code}", ended), DeliveryEvent.UNAVAILABLE
            if number == len(replies):
                dead = AttemptVerdict(DeliveryState.DEAD, word)
                good = AttemptVerdict(DeliveryState.DELIVERED, word="VPUB-000817")
                verdict, outcome = (dead, DeliveryEvent.REFUSED) if word else (good, DeliveryEvent.ACCEPTED)
            with transactions.write_transaction(self.town.engine) as tx:
                (one,) = claims.claim_deliveries(tx, partner, now, limit=1, holder="nut-1", lease=timedelta(seconds=60))
                assert claims.settle_claim(tx, claims.EndedAttempt(one, outcome, verdict, exchange, ended))

    def deliver_all(self, at: datetime, partner: str = "vpub", dead: int = 0) -> None:
        """Let a partner refuse so many deliveries, and accept everything else that is due."""
        with transactions.write_transaction(self.town.engine) as tx:
            taken = claims.claim_deliveries(tx, partner, at, limit=1000, holder="nut-1", lease=timedelta(minutes=1))
            for place, one in enumerate(taken):
                verdict, outcome = AttemptVerdict(DeliveryState.DELIVERED), DeliveryEvent.ACCEPTED
                if place < dead:
                    verdict = AttemptVerdict(DeliveryState.DEAD, "refused: E06: sai định dạng")
                    outcome = DeliveryEvent.REFUSED
                assert claims.settle_claim(tx, claims.EndedAttempt(one, outcome, verdict, AttemptExchange(), at))

    def plan(self, key: str, *, goes: bool = False, partner: str = "vpub", rate: str | None = "600/m") -> str:
        """Make a plan to send again what went to *partner*."""
        with transactions.write_transaction(self.town.engine) as tx:
            choice = ReplayChoice.of(MessageFilter(), None, partner, again=True, made_at=self.town.now)
            made = replay_plans.make_plan(
                tx,
                choice,
                key=key,
                reason="Hệ thống văn bản khôi phục từ bản sao lưu hôm qua",
                by="thao",
                now=self.town.now,
                goes=goes,
                rate=None if rate is None else Rate.read(rate),
                stop_after=10,
            )
        return made.id

    def step(self, plan: str, steps: int, *, limit: int = 200, over: int | None = None, at: datetime = NOW) -> None:
        """Take steps of a plan as a node does."""
        for _ in range(steps):
            with transactions.write_transaction(self.town.engine) as tx:
                found = replay_plans.take_step(tx, plan, self._routes, at, approve_over=over, limit=limit)
            if found is None or found.state not in (PlanState.PLANNING, PlanState.RUNNING):
                return

    def list_attempts(self, message: str) -> list[str]:
        """Return the names of the first and the last attempt to deliver a message."""
        found = attempts(self._open(f"/messages/{message}"), message)
        return [found[place].rpartition("/")[2] for place in (0, -1)]

    def find_item(self, message: str) -> str:
        """Return the address of what was told of the document *message*."""
        return next(each for each in self._open(f"/messages/{message}").links() if each.startswith("/item?"))

    def read_form(self, place: str) -> dict[str, str]:
        """Return what the form of a partner's settings sends as it is shown."""
        return form_of(self._open(place))

    def _open(self, place: str) -> Browser:
        browser = self.browser("minh")
        assert browser.get(place).status == 200, place
        return browser

    def browser(self, name: str, address: str = "10.20.0.15") -> Browser:
        """Return a browser in which that person is signed in."""
        browser = Browser(self.town, address)
        assert browser.sign_in(name).status == 303
        return browser


def write_packet(sender: str, to: str, subject: str, at: datetime, number: int) -> bytes:
    """Return a document of the made-up province."""
    content = make_sample_packet(sender, to, subject, at.date(), number=number, notation="CV")
    return content.replace("Thái Nguyên".encode(), "Sông Ngân".encode())


def make_office(home: Path) -> Office:
    """Return the office of a new hub in *home*, whose officials sign reports."""
    init_province.write_province(home, init_province.choose_ports(17630, 17753), NOW - timedelta(days=200))
    hub = home / "hub.toml"
    hub.write_text(
        hub.read_text("utf-8").replace("Trục liên thông tỉnh (mẫu)", "Trục liên thông tỉnh Sông Ngân (mẫu)"), "utf-8"
    )
    for code, name in _NAMES.items():
        file = home / f"partners/{code}.toml"
        text = file.read_text("utf-8")
        (old,) = [line for line in text.splitlines() if line.startswith("name = ")]
        file.write_text(text.replace(old, f'name = "{name}"'), "utf-8")
    identity = Identity.read(home / "pki/ca.key", home / "pki/ca.crt")
    assert isinstance(identity.key, RSAPrivateKey)
    ca = sample_pki.Authority(identity.key, identity.certificate)
    _, ending = ca.issue("soyte", NOW - timedelta(days=3628))
    (home / "partners/soyte.crt").write_bytes(pem(ending))
    (home / "partners/soyte.toml").write_text(KEPT, "utf-8")
    office = Office(home)
    office.town.now = NOW
    office.town.checks = {
        "database": ("unavailable", "/var/run/postgresql/.s.PGSQL.5432: không trả lời"),
        "disk": ("ok", ""),
        "clock": ("ok", ""),
    }
    with transactions.write_transaction(office.engine) as tx:
        unit_registry.write_registry_units(tx, UNITS)
    _ = office.reload()
    SsoSite(office.town)
    everywhere = tuple(each.code for each in UNITS)
    heads = officials(official(units=everywhere), official("binh", BINH, name="Trần Thị Bình", units=everywhere))
    province = office.live.province
    config = attrs.evolve(
        province.config,
        officials=heads,
        backup=BACKUP,
        archive=Path("/luu-tru"),
        console=ConsoleSettings(
            client_certificates=True, url=f"https://{HOST}", providers={"sso": PROVIDER}, keys=KEYS
        ),
        replay=ReplaySettings(),
    )
    office.live.setup = Setup(attrs.evolve(province, config=config))
    return office


def make_screen_town(home: Path) -> ScreenTown:
    """Return the hub in *home* after three months of work."""
    made = ScreenTown(make_office(home))
    town = made.town
    _work_for_months(made)
    _exchange(made)
    _fail(made)
    _tell(made)
    _alert(made)
    _let_go(made)
    _back_up(made)
    for name, role, units in (
        ("minh", Role.ADMINISTRATOR, ()),
        ("hanh", Role.APPROVER, ()),
        ("lan", Role.CLERK, ("H55.13", "H55.14", "H55.81", "H55.12")),
        ("quang", Role.READER, ("H55.13",)),
        ("thao", Role.ENGINEER, ()),
        ("hoang", Role.READER, ("H55.33",)),
        ("tuan", Role.READER, ("H55.12",)),
    ):
        town.add(name, *units, role=role)
    enrol(town, "tuan")
    _sign(made)
    _correct(made)
    _replay(made)
    _try_rules(made)
    _receive(made)
    _hinder(made)
    _be_late(made)
    return made


def _try_rules(made: ScreenTown) -> None:
    """Try a policy that demands signed packets. One trial is done, one runs, one has failed."""
    person = made.browser("minh")
    person.get("/what-if")
    assert person.post("/what-if", tries="rules", signature="both").status == 303
    (done,) = person.pages.parts.trials._trials.values()
    assert done.changes, done.why
    runs, failed = (attrs.evolve(done, id=make_first_id(NOW + timedelta(hours=each))) for each in (1, 2))
    runs.state, runs.left = TrialState.RUNNING, 3
    failed.state, failed.why, failed.changes = (
        TrialState.FAILED,
        phrase("It took longer than {seconds} s.", seconds=600),
        [],
    )
    made.town.trials = [done, runs, failed]
    made.ids |= {"trial": done.id, "trial-runs": runs.id, "trial-failed": failed.id}


def _correct(made: ScreenTown) -> None:
    """Correct two refused documents; the second correction is not sent yet."""
    ids, engineer = made.ids, made.browser("minh")
    for number, name in enumerate((b"15", b"16")):
        right, wrong = (each.replace(b"15/SNV", name + b"/SNV") for each in (PACKET, WRONG))
        at = NOW - timedelta(minutes=50 - number)
        original = made.bring("H55.13", "H55.12", at=at, content=wrong, problems=REFUSAL)
        engineer.get(f"/replays/correct/{original}")
        form: dict[str, Any] = {"key": original, "reason": "Sai loại nghiệp vụ", "packet": Octets.of(right)}
        place = engineer.post(f"/replays/correct/{original}", **form).location
        assert place is not None, engineer.page
        if number == 0:
            ids["corrected"] = original
            engineer.get(place)
            assert engineer.post(place, do="start").status == 303, engineer.page
        else:
            ids["correction"] = place.rpartition("/")[2]


def _replay(made: ScreenTown) -> None:
    """Make plans, one in each state."""
    ids, operator = made.ids, made.browser("minh")
    for name in ("planning", "planned", "running", "paused", "cancelled", "finished", "awaiting"):
        ends = name == "finished"
        ids[name] = made.plan(
            name, goes=name == "awaiting", partner="vpcp" if ends else "vpub", rate=None if ends else "600/m"
        )
        if name != "planning":
            made.step(ids[name], 9, over=20 if name == "awaiting" else None)

    def press(name: str, *what: str) -> None:
        for each in what:
            operator.get(f"/replays/{ids[name]}")
            assert operator.post(f"/replays/{ids[name]}", do=each).status == 303, operator.page

    press("running", "start")
    for seconds in (1, 2, 3):
        made.step(ids["running"], 1, limit=20, at=NOW + timedelta(seconds=seconds))
    press("paused", "start")
    made.step(ids["paused"], 1, limit=12)
    press("paused", "pause")
    press("cancelled", "cancel")
    press("finished", "start")
    made.step(ids["finished"], 9)
    made.deliver_all(NOW + timedelta(minutes=1), "vpcp", dead=2)


def _work_for_months(made: ScreenTown) -> None:
    """Exchange documents in three months."""
    for month, count in ((8, 14), (9, 22), (10, 18), (11, 30)):
        for number in range(count):
            sender, to = _WAYS[(number * number) % len(_WAYS)]
            made.bring(sender, to, at=datetime(2026, month, 3 + number % 9, 2 + number % 6, number, tzinfo=UTC))
        made.deliver_all(datetime(2026, month, 13, 3, 0, tzinfo=UTC))


def _receive(made: ScreenTown) -> None:
    """Receive dossiers of several fields of work, some of them settled."""
    found = []
    for unit, fields in (("H55.41", _FIELDS), ("H55.13", _FIELDS[3:]), ("H55.13.1", _FIELDS[4:])):
        for number in range(40):
            code, name = fields[number * number % len(fields)]
            fact = Fact(
                unit=unit,
                service="dossiers",
                key=f"{unit}-2611-{number:04d}",
                milestone="received",
                at=datetime(2026, 11, 2, tzinfo=UTC),
                message=made.ids["message"],
                day=date(2026, 11, 1 + number % 9),
                due=date(2026, 11, 5 + number % 12),
                attributes=(("channel", "online" if number % 3 else "direct"), ("field", code), ("field_name", name)),
            )
            end = attrs.evolve(fact, milestone="finished", day=date(2026, 11, 11), attributes=(("outcome", "done"),))
            found += [fact, end] if number % 4 else [fact]
    with transactions.write_transaction(made.town.engine) as tx:
        facts.insert_facts(tx, found, None)


def _exchange(made: ScreenTown) -> None:
    """Deliver a document in three attempts, and have another one wait."""
    begin = NOW - timedelta(hours=3)
    made.ids["message"] = made.bring("H55.13", "H55.1", at=begin, subject=_SUBJECTS[0])
    made.deliver(begin, (503, _LONG), (500, b"<error>no</error>"), (200, b"<taken/>"))
    for number in range(12):
        made.bring("H55.14", "H55.12", "H55.33", at=NOW - timedelta(minutes=150 - number))
    made.deliver_all(NOW - timedelta(minutes=100))
    made.bring("H55.1", "H55.81", at=NOW - timedelta(minutes=95))


def _be_late(made: ScreenTown) -> None:
    """Give units work that is late, ends soon, or waits; one has a long name."""
    told, today = NOW - timedelta(days=100), NOW.date()
    long = "Thành lập và hoạt động của tổ hợp tác, hợp tác xã, liên hiệp hợp tác xã"
    with transactions.write_transaction(made.town.engine) as tx:
        for number in range(14):
            unit, late = ("H55.41", "H55.15", "H55.83")[number % 3], timedelta(days=9 - number)
            of = (("field", f"L{number % 2}"), ("field_name", long if number % 2 else "Đất đai"))
            key, due = f"{unit}-26.1109-{number:04d}", today - late
            tell(tx, unit, "dossiers", key, "received", told, day=due - timedelta(days=20), due=due, attributes=of)
        kind = (("kind", "bao-cao"), ("officer", "CB-07"))
        tell(tx, "H55.30", "work", "VB-0117", "assigned", told, day=today, due=today, attributes=kind)
        settle(tx)


def _fail(made: ScreenTown) -> None:
    """Refuse documents and calls, and let deliveries die."""
    for number in range(4):
        at = NOW - timedelta(minutes=80 - number)
        made.ids["dead"] = made.bring("H55.12" if number % 2 else "H55.14", "H55.1", at=at)
        word = ("refused: E05: no unit H55.1", "refused: E06: sai định dạng")[number % 2]
        made.deliver(at - timedelta(minutes=5), (200, b"<refused/>"), word=word)
    at = NOW - timedelta(minutes=40)
    content = write_packet("H55.13", "H55.99", "Báo cáo " + "rất dài " * 40, NOW, 71)
    made.ids["refused"] = made.bring(
        "H55.13", "H55.99", at=at, subject="Báo cáo kết quả cải cách hành chính", content=content, problems=_REFUSED_AS
    )
    unformed = (Problem("not-well-formed", "line 1: no element found"),)
    made.ids["broken"] = made.bring("H55.14", "H55.1", at=at + timedelta(minutes=1), content=b"<a>", problems=unformed)
    made.ids["mistakes"] = refuse_batch(made.town.engine, at + timedelta(minutes=2))
    for number in range(9):
        made.bring("H55.13", "G22.1", at=NOW - timedelta(minutes=30 - number))
    made.deliver_all(NOW - timedelta(minutes=19), "vpcp", dead=3)
    made.bring("H55.13", "G22.1", at=NOW - timedelta(minutes=18))


def _tell(made: ScreenTown) -> None:
    """Tell what no message leads to: refused calls, a link that is down."""
    call = {"operation": "SendDocument", "code": "certificate-unknown", "tracking": TRACKING}
    with transactions.write_transaction(made.town.engine) as tx:
        events.append_events(
            tx,
            Event("call-refused", NOW - timedelta(minutes=25), body=call),
            Event(
                "call-refused",
                NOW - timedelta(minutes=24),
                body=call
                | {"partner": "vpub", "code": "not-yours", "detail": "H55.13", "tracking": TRACKING[:-1] + "2"},
            ),
            Event(
                "link-down", NOW - timedelta(days=2), body={"link": "vpcp", "node": "nut-1", "place": "10.0.8.1:443"}
            ),
        )
        node = nodes.Node(name="nut-1", host="truc-1", version="1.0", schema="1", started_at=NOW - timedelta(days=3))
        nodes.record_heartbeat(tx, node, NOW)


def _alert(made: ScreenTown) -> None:
    """Raise alerts of each kind of standing: new, acknowledged and ended."""
    dead = MetCondition(
        key=HubAlertKey("dead-letters", "vpub"),
        severity=AlertSeverity.ERROR,
        values={"partner": "vpub", "count": 3},
    )
    waits = MetCondition(
        key=HubAlertKey("waiting-long", "vpub"),
        severity=AlertSeverity.WARNING,
        values={"partner": "vpub", "count": 7, "oldest": "2026-11-24T06:20:00Z", "paused": 0},
    )
    disk = MetCondition(
        key=HubAlertKey("disk-low", "/var/lib/lienthong", "n1"),
        severity=AlertSeverity.CRITICAL,
        values={"place": "/var/lib/lienthong", "mebibytes": 12},
    )
    rules = TransitionRules(settle=timedelta())
    with transactions.write_transaction(made.town.engine) as tx:
        for met, minutes in (((dead, waits, disk), 90), ((dead, waits), 30)):
            kinds = {"dead-letters", "waiting-long", "disk-low"}
            found = ConditionRound(met=met, judged=kinds, node="n1", shared=True)
            hub_alerts.write_steps(tx, found, NOW - timedelta(minutes=minutes), rules)
        hub_alerts.acknowledge_alerts(tx, [waits.key], by="minh", note="gọi điện cho vpub", now=NOW)


def _let_go(made: ScreenTown) -> None:
    """Announce a month, and let another have gone."""
    with transactions.write_transaction(made.town.engine) as tx:
        for number, (month, what) in enumerate(
            (("2024-08", PartEvent.CUT), ("2024-08", PartEvent.FINISH), ("2024-09", PartEvent.FINISH)), 1
        ):
            at = NOW - timedelta(days=100 - 30 * number)
            id_ = f"0198f1c2-0000-7000-8000-{number:012}"
            name = f"archive-{month}-{id_}.zip"
            row = {
                "id": id_,
                "period": month,
                "path": f"/luu-tru/{name}",
                "size": 31_457_280,
                "sha256": f"{number}" * 64,
            }
            counts = {"messages": 1200, "events": 8400, "octets": 1200}
            tx.execute(sa.insert(archive_table).values(row | counts | {"made_at": at}))
            parts.announce_part(tx, month, messages=1200, octets=9_000_000, due_at=at, by="hub", now=at)
            parts.move_part(tx, number, PartEvent.ARCHIVE, at, archive=id_)
            given_up = {
                "archive": id_,
                "file": name,
                "sha256": "1" * 64,
                "gone": 700,
                "by": "minh",
                "reason": "hỏng đĩa",
            }
            parts.move_part(tx, number, what, at, said=given_up if what is PartEvent.CUT else None)
        due = NOW + timedelta(days=14)
        parts.announce_part(tx, "2024-10", messages=1500, octets=12_000_000, due_at=due, by="hub", now=NOW)
        parts.note_reason(tx, 4, "a month is being closed", NOW)


def _back_up(made: ScreenTown) -> None:
    """Let backups be made, one of them at the second try; and restore one. The folders are those of another machine."""
    night = datetime(2026, 11, 23, 18, tzinfo=UTC)
    sizes, file = dict[str, int](), ""
    with transactions.write_transaction(made.town.engine) as tx:
        for days in reversed(range(8)):
            at = night - timedelta(days=days)
            if days == 2:
                begun = str(backup_runs.begin_backup_run(tx, "nut-1", at, at))
                reason = "it was made, but not sent: ssh: connect to host tinh-khac port 22: No route to host"
                backup_runs.fail_backup_run(tx, begun, at + timedelta(minutes=7), reason)
            due, attempt = (at, 2 if days == 2 else 1) if days != 4 else (None, 1)
            at += timedelta(hours=1, minutes=7) if days == 2 else timedelta(hours=8 * (days == 4), seconds=3)
            begun = str(backup_runs.begin_backup_run(tx, "nut-1", at, due, attempt))
            file, octets = f"lienthong-H55-{at:%Y%m%dT%H%M%SZ}.tar.gz.age", 734_003_200 - days * 9_437_184
            end = at + timedelta(minutes=6, seconds=8 * days)
            backup_runs.end_backup_run(
                tx, begun, end, made_at=at, file=file, octets=octets, number=900_000 - days, restored=days != 6
            )
            sizes |= {file: octets} if days != 7 else {}
        first = eras.ensure_era(tx, NOW - timedelta(days=200))
        era = eras.begin_era(
            tx,
            night + timedelta(hours=1),
            because=EraBeginning.RESTORED,
            reason="hỏng đĩa",
            by="minh",
            backup=file,
            after=first.number,
            witnessed=(night - timedelta(hours=1), night + timedelta(minutes=59)),
        )
    claim = EraClaim(era=era.number, id=era.id, node="nut-1", seen_at=NOW - timedelta(seconds=40), stopped=False)
    witness = WitnessSize(octets=41_943_040, written_at=NOW - timedelta(seconds=1))
    folder = SeenFolder(sizes=sizes, claim=claim, witness=witness)
    archives = SeenArchives(
        {f"0198f1c2-0000-7000-8000-{number:012}": "there" if number == 3 else "absent" for number in (1, 2, 3)}
    )
    copies = ["/var/lib/lienthong/hub.db.before-upgrade-0042"]
    said = {"old_version": "0042", "new_version": "0060", "seconds": 41.5, "rehearsed": True, "by": "minh"}
    with transactions.write_transaction(made.town.engine) as tx:
        events.append_events(tx, Event("journal-upgraded", NOW - timedelta(days=9), body=said | {"copy": copies[0]}))
    looks: Mapping[object, object] = {
        look_at_folder: folder,
        look_for_archives: archives,
        look_for_copies: copies,
    }
    made.town.disk = DiskReader(lambda step, *_: succeed(looks[step]), Clock())


def _hinder(made: ScreenTown) -> None:
    """Pause one partner, and let the breaker of another open: nothing is sent to them any more."""
    with transactions.write_transaction(made.town.engine) as tx:
        partner_state.pause_partner(
            tx, "vpcp", reason="Bảo trì máy chủ đến 17 giờ", by="minh", now=NOW - timedelta(hours=1)
        )
        opened = Breaker(
            position=BreakerPosition.OPEN, failures=5, opened=1, until=NOW + timedelta(minutes=5), reason="HTTP 503"
        )
        partner_state.move_breaker(tx, "vpub", lambda _before: opened, NOW - timedelta(minutes=3))


def _sign(made: ScreenTown) -> None:
    """Take reports to each of their steps: H55.13 signed, H55.14 given out, H55.81 to be taken; H55.12 has declared."""
    with transactions.write_transaction(made.town.engine) as tx:
        for month in ("2026-08", "2026-09", "2026-10", ENDED):
            closing.close_month(tx, read_shipped_book(), "edoc", parse_period(month), made.town.now, "hub")
    clerk = made.browser("lan")
    for unit in ("H55.13", "H55.14"):
        octets = get(clerk, f"/signing/edoc/{unit}/{ENDED}")
    octets = get(clerk, f"/signing/edoc/H55.13/{ENDED}")
    assert hand_in(clerk, by_signxml(octets), f"/signing/edoc/H55.13/{ENDED}").status == 303, clerk.page
    clerk.get(f"/signing/edoc/H55.13/{ENDED}")
    made.ids["report"] = [link[10:] for link in clerk.links() if link.startswith("/messages/")][-1]
    place = f"/declarations/edoc/H55.12/{ENDED}"
    template = clerk.get(f"{place}.xlsx").content
    said = {
        ("H55.12", key): number for key, number in (("sent_inside", 15), ("received_inside", 40), ("not_signed", 3))
    }
    clerk.get(place)
    assert clerk.post(place, file=Octets.of(filled(template, said))).status == 303, clerk.page
