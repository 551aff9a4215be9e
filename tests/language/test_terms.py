"""Every word that the hub keeps has a name and an explanation, in both languages, so that no reader is shown the word itself."""

import ast
import errno
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from OpenSSL import SSL
from twisted.internet import error

from hub.config.service_files import read_shipped_services
from hub.domain import lifecycle
from hub.domain.alert_severity import AlertSeverity
from hub.domain.conversations import Outcome, Refused, Unavailable
from hub.domain.failure_causes import find_cause
from hub.domain.model import (
    DOCUMENTS,
    DeliveryState,
    MessageState,
    PacketKind,
    Receive,
    ReportState,
    SignatureStanding,
    UnitKind,
    UnitLevel,
    UnitMark,
)
from hub.edxml import changes
from hub.intake.what_if import RulesEffect
from hub.journal.duties import DutyKind
from hub.journal.lineage import Relation
from hub.journal.nodes import NodeState
from hub.journal.replays import replay_rules
from hub.journal.sequels.open_work.alerts import AlertKind, AlertState
from hub.keeping.backup_runs import BackupOutcome
from hub.keeping.eras import EraBeginning
from hub.keeping.hub_alerts import AlertTransition
from hub.keeping.retention.parts import PartState
from hub.language.catalogues import open_catalogue, say_both
from hub.language.fields import name_field, open_words, read_field_names
from hub.language.phrases import Phrase
from hub.language.terms import describe_reason, find_term, name_word, read_terms
from hub.monitoring.hub_alerts.conditions import ConditionKind
from hub.monitoring.overview import Concern
from hub.node import readiness
from hub.operations.accounts.permissions import Permission, Role
from hub.operations.messages.visible_messages import OpenedContent
from hub.operations.partners.rule_trials import TrialState
from hub.partner.circuit_breaker import BreakerPosition
from hub.report.counting import declaring
from hub.report.counting.reconciling import CellVerdict
from hub.report.form.column import MILESTONES
from hub.runtime.http_client import describe_connection_error
from hub.security.crl_ocsp import RevocationStatus
from hub.services import categories, dossiers, incidents, list_services, meetings
from hub.services.dossiers.codes import load_dossier_codes
from hub.services.links.probes import LinkState
from hub.services.lookups.operations import OPERATIONS
from hub.store.schema_version import MigrationPart
from hub.workload.many.report_round import DeclarationStanding
from hub.workload.revisions import EarlyStep
from tests.conftest import ROOT
from tests.pages import DOCS, quoted, rows, sections


def given(path: str, name: str) -> Iterator[str]:
    """Yield the texts that a module of the hub gives to an argument or a variable of that name."""
    for node in ast.walk(ast.parse((ROOT / "hub" / path).read_text("utf-8"))):
        match node:
            case ast.keyword(arg=found, value=value) if found == name:
                yield from chosen(value)
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                yield from chosen(value)


def chosen(value: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression may be."""
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=first, orelse=second):
            yield from chosen(first)
            yield from chosen(second)


def kinds() -> Iterator[tuple[str, str]]:
    """Yield each service and each kind of its messages."""
    yield from ((DOCUMENTS, kind) for kind in PacketKind)
    yield from (("dossiers", kind) for kind in dossiers.KINDS.values())
    yield from (("lookups", operation.milestone) for operation in OPERATIONS.values())
    yield from (("meetings", method.lower()) for method in meetings.SchedulingMethod)
    yield from (("incidents", kind) for kind in (incidents.OPENED, incidents.CLOSED))
    yield from (("categories", name) for name in categories._COLUMNS)
    yield "reports", declaring.KIND
    yield from (
        ("publications", kind) for kind in given("services/reports.py", "kind") if kind != "signed-pdf"
    )  # which is not published
    for path in sorted((ROOT / "hub/services").rglob("*.py")):
        inside = path.relative_to(ROOT / "hub/services")
        yield from ((inside.parts[0].removesuffix(".py"), kind) for kind in given(f"services/{inside}", "kind"))


def words() -> Iterator[tuple[str, str]]:
    """Yield the scope and the word of everything that the hub names by a word."""
    for row in rows(sections(DOCS / "reference/events.md")["Events"]):  # tests/test_docs.py: those the hub makes
        yield "event", quoted(row[0])[0]
    yield from kinds()
    for service, milestones in MILESTONES.items():
        yield from ((service, milestone) for milestone in milestones)
    shipped = read_shipped_services()
    for name, defined in shipped.items():
        yield from ((name, word) for word in (*dict(defined.milestones), *(rule.kind for rule in defined.messages)))
    yield from (("service", name) for name in (DOCUMENTS, *list_services(), *shipped))
    statuses = {*lifecycle.STATUS_RANK, changes.AGREED, changes.REFUSED}
    statuses |= {each.removeprefix("status-") for each in MILESTONES[DOCUMENTS] if each.startswith("status-")}
    yield from (("status", code) for code in statuses)
    yield from (("attempt", lifecycle.DeliveryEvent(each.__name__.lower())) for each in get_args(Outcome))
    yield from (("attempt", word) for word in given("journal/queue/claim_release.py", "outcome"))
    yield from (("lookups", word) for word in given("web/lookups/endpoint.py", "ended"))
    yield from (("dossiers", each.outcome) for each in load_dossier_codes().statuses.values() if each.outcome)
    for scope, enumeration in {
        "message": MessageState,
        "delivery": DeliveryState,
        "signature": SignatureStanding,
        "verdict": CellVerdict,
        "role": Role,
        "permission": Permission,
        "node": NodeState,
        "link": LinkState,
        "breaker": BreakerPosition,
        "alert": AlertKind,
        "condition": ConditionKind,
        "severity": AlertSeverity,
        "transition": AlertTransition,
        "duty": DutyKind,
        "retention": PartState,
        "backup": BackupOutcome,
        "era": EraBeginning,
        "migration": MigrationPart,
        "concern": Concern,
        "effect": changes.Effect,
        "effect-of-rules": RulesEffect,
        "trial": TrialState,
        "revocation": RevocationStatus,
        "receive": Receive,
        "content": OpenedContent,
        "relation": Relation,
        "plan": replay_rules.PlanState,
        "item": replay_rules.ItemState,
        "replay": replay_rules.Exclusion,
    }.items():
        yield from ((scope, word) for word in enumeration)
    yield from (("alert", word) for word in AlertState)
    yield from (("replay", word) for word in (replay_rules.STOPPED, replay_rules.CORRECTED))
    yield from (("link", word) for word in given("monitoring/link_rows.py", "state"))
    yield from (("mark", mark) for mark in UnitMark if mark)  # a usual unit has none
    yield from (("unit-level", level) for level in UnitLevel if level)
    yield from (("unit-kind", kind) for kind in UnitKind if kind)
    yield from (("reports", word) for word in (*ReportState, *EarlyStep))
    yield from (("declaration", word) for word in DeclarationStanding)
    yield from (("check", name) for name in readiness.CODES)


WORDS = sorted({(scope, str(word)) for scope, word in words()})


@pytest.mark.parametrize(("scope", "word"), WORDS)
def test_a_word_has_a_name_and_an_explanation_in_both_languages(scope, word):
    term = find_term(scope, word)
    assert term is not None
    for text in (term.name, term.meaning):
        vietnamese, english = say_both(text)
        assert vietnamese
        assert vietnamese != english, "it has no translation"
    for name, meaning in zip(say_both(term.name), say_both(term.meaning), strict=True):
        assert "\n" not in name + meaning
        assert meaning[0].isupper()
        assert meaning.endswith(".")
        assert "-" not in word or word not in name, "that is a word of the hub, not of its reader"


def test_a_term_is_of_a_word_that_there_is():
    assert set(read_terms()) == {f"{scope}/{word}" for scope, word in WORDS}


@pytest.mark.parametrize("table", ["terms.json", "fields.json", "errors.json", "problems.json"])
def test_no_word_stands_twice_in_a_table(table):
    """JSON would take the second for both."""

    def once(pairs):
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    json.loads((ROOT / "hub/language" / table).read_text("utf-8"), object_pairs_hook=once)


def test_a_running_hub_names_its_words_where_no_more_file_can_be_opened(monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.EMFILE, "Too many open files")

    for each in (read_terms, read_field_names, open_catalogue):
        each.cache_clear()
    open_words()
    monkeypatch.setattr("io.open", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    assert say_both(name_word("message", "accepted"))[0] == "được nhận"
    assert say_both(name_field("partner")) == ("hệ thống", "partner")


def test_a_service_that_a_schema_defines_calls_its_words_as_the_hub_does():
    for name, service in read_shipped_services().items():
        own = (
            {"service": service.title} | {each.kind: each.name for each in service.messages} | dict(service.milestones)
        )
        for word, said in own.items():
            term = find_term("service", name) if word == "service" else find_term(name, word)
            assert term is not None
            assert say_both(term.name) == (said.vi, said.en), word


def test_two_words_of_one_scope_are_told_apart():
    for scope in {scope for scope, _ in WORDS}:
        names = [say_both(read_terms()[f"{each}/{word}"].name) for each, word in WORDS if each == scope]
        assert len(set(names)) == len(names), scope


def test_a_word_of_a_partner_is_shown_as_it_is():
    assert name_word("categories", "LayDanhMucKhac") == "LayDanhMucKhac"
    assert find_term("categories", "LayDanhMucKhac") is None


def test_a_status_reads_as_the_regulation_calls_it():
    assert [say_both(name_word("status", code))[0] for code in ("01", "02", "03", "04", "05", "06")] == [
        "đã đến",
        "từ chối tiếp nhận",
        "đã tiếp nhận",
        "phân công",
        "đang xử lý",
        "hoàn thành",
    ]
    assert name_word(DOCUMENTS, "status-02") == name_word("status", "02")


@pytest.mark.parametrize(
    ("reason", "vietnamese", "english"),
    [
        (
            "given up by root: gửi nhầm: cả hai",
            "thôi gửi, do root: gửi nhầm: cả hai",
            "given up by root: gửi nhầm: cả hai",
        ),
        ("given up: connection failed: x", "thôi gửi: không kết nối được: x", "given up: connection failed: x"),
        ("refused: {mã} 7\nhết", "bị từ chối: {mã} 7\nhết", "refused: {mã} 7\nhết"),
        ("recalled: 0193", "dừng vì bị thu hồi, thông điệp 0193", "stopped by a recall, message 0193"),
        ("HTTP 503: {busy}", "HTTP 503: {busy}", "HTTP 503: {busy}"),
        (
            "HTTP 200: unsigned: no Header",
            "HTTP 200: câu trả lời không có chữ ký đúng của đối tác: unsigned: no Header",
            "HTTP 200: the answer does not have a good signature of the partner: unsigned: no Header",
        ),
        (
            "HTTP 200: the answer fits no outcome of the mapping",
            "HTTP 200: câu trả lời không khớp kết quả nào của tệp ánh xạ",
            "HTTP 200: the answer fits no outcome of the mapping",
        ),
        (
            "an earlier version runs on nut-2",
            "phiên bản cũ còn chạy ở nut-2",
            "an earlier version runs on nut-2",
        ),
        ("DangNhap: the answer has no a/b", "DangNhap: câu trả lời không có a/b", "DangNhap: the answer has no a/b"),
    ],
)
def test_a_stored_reason_is_said_in_the_language_of_its_reader(reason, vietnamese, english):
    assert say_both(describe_reason(reason)) == (vietnamese, english)


@pytest.mark.parametrize(
    ("error", "vietnamese"),
    [
        (error.ConnectionRefusedError(111, "Connection refused"), "không kết nối được: bên kia từ chối kết nối"),
        (error.NoRouteError(113, "No route to host"), "không kết nối được: không có đường truyền đến máy đó"),
        (
            error.TCPTimedOutError(110, "Connection timed out"),
            "không kết nối được: không kết nối được trong thời gian cho phép",
        ),
        (error.TimeoutError(), "không kết nối được: không kết nối được trong thời gian cho phép"),
        (error.ConnectError(101, "Network is unreachable"), "không kết nối được: không ra được mạng đó"),
        (
            error.DNSLookupError("no results for hostname lookup: a.vn"),
            "không kết nối được: không tìm thấy tên máy chủ: a.vn",
        ),
        (error.ConnectionLost(), "kết nối bị đứt: mất kết nối"),
        (error.ConnectionDone(), "kết nối bị đứt: bên kia đã đóng kết nối"),
        (ConnectionResetError(104, "Connection reset by peer"), "bên kia đã ngắt kết nối đột ngột"),
        (SSL.Error([("SSL routines", "", "bad certificate")]), "TLS không thành: bad certificate"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)
def test_what_the_network_says_is_said_in_words_of_the_hub(error: Exception, vietnamese: str) -> None:
    reason = describe_connection_error(error)
    assert say_both(describe_reason(reason))[0] == vietnamese
    # and so it is without what differs each time, as a cause has it
    assert "connecti" not in say_both(describe_reason(find_cause("vpub", reason).text))[0].lower()


def test_the_reasons_that_the_queue_writes_are_known():
    at, day = datetime(2026, 11, 24, tzinfo=UTC), timedelta(days=1)
    ended = (Refused("r"), Unavailable("u"), Unavailable("u", ours=True))
    verdicts = [
        *(lifecycle.judge_outcome(each, since=at, now=at + day, delay=day, give_up=day, crashes=9) for each in ended),
        lifecycle.judge_interruption(at, crashes=9),
    ]
    for verdict in verdicts:
        assert verdict.state is DeliveryState.DEAD
        assert verdict.reason is not None
        said = describe_reason(verdict.reason)
        assert isinstance(said, Phrase), verdict.reason
        assert str(said) == verdict.reason
    for effect in changes.Effect:
        assert isinstance(describe_reason(f"{effect}: 0193"), Phrase)
