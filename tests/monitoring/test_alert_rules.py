"""The alert rules of packaging/monitoring: each fires when it should and, in a province that is well, none does. By promtool."""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from hub.config.alerting.operator_alerts import AlertLimits
from hub.domain.measures import DEFINED
from hub.monitoring.hub_alerts.conditions import CERTIFICATE_DAYS, RETENTION_LATE, ConditionKind
from tests.alert_rules import WRITTEN, name_rule, write_rules
from tests.conftest import cannot_be_had
from tests.pages import DOCS, quoted, rows, sections
from tests.waiting import PROGRAM

PLACE = Path(__file__).resolve().parent.parent.parent / "packaging/monitoring"
RULES = [
    rule for group in yaml.safe_load((PLACE / "rules.yml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
LABELS = re.compile(r"{{ \$labels\.(\w+) }}")

#: alert -> the series by which it fires, with one value a minute; the minute; the labels that it then has
FIRES = {
    "LienThongDown": ({'up{job="lienthong",instance="h1"}': "0x10"}, 5, {"job": "lienthong", "instance": "h1"}),
    "LienThongNotReady": (
        {'lienthong_ready{instance="h1",reason="disk"}': "0x10"},
        6,
        {"instance": "h1", "reason": "disk"},
    ),
    "LienThongRestartPending": (
        {'lienthong_ready{instance="h1",reason="restart"}': "0x1500"},
        1470,
        {"instance": "h1", "reason": "restart"},
    ),
    "LienThongWriterBusy": (
        {'lienthong_ready{instance="h1",reason="writer"}': "0x10"},
        5,
        {"instance": "h1", "reason": "writer"},
    ),
    "LienThongReceiptsAwaited": (
        {'lienthong_ready{instance="h1",reason="receipts"}': "0x90"},
        70,
        {"instance": "h1", "reason": "receipts"},
    ),
    "LienThongPartnersKeptOut": (
        {'lienthong_ready{instance="h1",reason="revocation"}': "0x10"},
        6,
        {"instance": "h1", "reason": "revocation"},
    ),
    "LienThongHubError": (
        {'lienthong_intake_calls_total{partner="sotttt",service="documents",code="hub-error"}': "0x2 1x10"},
        8,
        {"partner": "sotttt", "service": "documents"},
    ),
    "LienThongUnavailable": (
        {'lienthong_intake_calls_total{partner="sotttt",service="documents",code="disk-low"}': "0+6x20"},
        15,
        {"code": "disk-low"},
    ),
    "LienThongRefusals": (
        {
            'lienthong_intake_messages_total{partner="sotttt",service="documents",result="accepted"}': "0+60x120",
            'lienthong_intake_messages_total{partner="sotttt",service="documents",result="not-yours"}': "0+20x120",
            'lienthong_intake_messages_total{partner="vpub",service="documents",result="accepted"}': "0+60x120",
        },
        60,
        {"partner": "sotttt", "service": "documents"},
    ),
    "LienThongStrangers": (
        {'lienthong_intake_calls_total{partner="",service="documents",code="certificate-unknown"}': "0+90x60"},
        45,
        {},
    ),
    "LienThongIntakeSlow": (
        {
            'lienthong_intake_call_seconds_bucket{partner="a",service="documents",le="2.5"}': "0+1x60",
            'lienthong_intake_call_seconds_bucket{partner="a",service="documents",le="5.0"}': "0+60x60",
            'lienthong_intake_call_seconds_bucket{partner="a",service="documents",le="+Inf"}': "0+60x60",
        },
        30,
        {"service": "documents"},
    ),
    "LienThongPartnerDown": (
        {'lienthong_breaker{instance="h1",partner="vpub",position="closed"}': "0x30"},
        15,
        {"partner": "vpub"},
    ),
    "LienThongPartnerPaused": (
        {'lienthong_partner_paused{instance="h1",partner="vpub"}': "1x1600"},
        1500,
        {"partner": "vpub"},
    ),
    "LienThongDeadLetters": (
        {
            'up{job="lienthong",instance="h1"}': "1x100",
            'lienthong_deliveries{instance="h1",partner="vpub",state="dead"}': "2x70 5x30",
            'lienthong_deliveries{instance="h2",partner="vpub",state="dead"}': "2x70 5x30",
            'lienthong_deliveries{instance="h1",partner="vpcp",state="dead"}': "7x100",
        },
        80,
        {"partner": "vpub"},
    ),
    "LienThongSuspended": (
        {'lienthong_deliveries{instance="h1",partner="vpub",state="suspended"}': "1x90"},
        70,
        {"partner": "vpub"},
    ),
    "LienThongWaitingLong": (
        {'lienthong_deliveries_oldest_age_seconds{instance="h1",partner="vpub",state="waiting"}': "4000x20"},
        10,
        {"partner": "vpub"},
    ),
    "LienThongNotFetched": (
        {'lienthong_deliveries_oldest_age_seconds{instance="h1",partner="vpub",state="held"}': "300000x20"},
        10,
        {"partner": "vpub"},
    ),
    "LienThongDeliverySlow": (
        {
            'lienthong_delivery_lag_seconds_bucket{partner="vpub",le="900.0"}': "0+1x60",
            'lienthong_delivery_lag_seconds_bucket{partner="vpub",le="3600.0"}': "0+60x60",
            'lienthong_delivery_lag_seconds_bucket{partner="vpub",le="+Inf"}': "0+60x60",
        },
        50,
        {"partner": "vpub"},
    ),
    "LienThongLeasesExpired": ({'lienthong_leases_expired_total{instance="h1"}': "0x5 3x20"}, 10, {}),
    "LienThongCommitSlow": (
        {
            'lienthong_commit_seconds_bucket{instance="h1",le="1.0"}': "0+1x60",
            'lienthong_commit_seconds_bucket{instance="h1",le="2.5"}': "0+60x60",
            'lienthong_commit_seconds_bucket{instance="h1",le="+Inf"}': "0+60x60",
        },
        30,
        {"instance": "h1"},
    ),
    "LienThongCommitFailed": (
        {'lienthong_commits_failed_total{instance="h1"}': "0x3 1x10"},
        5,
        {"instance": "h1"},
    ),
    "LienThongChainBehind": ({'lienthong_events_unchained_oldest_age_seconds{instance="h1"}': "100x10"}, 5, {}),
    "LienThongFactsBehind": ({'lienthong_duties_outstanding_oldest_age_seconds{instance="h1"}': "1000x20"}, 15, {}),
    "LienThongFeedBehind": ({'lienthong_feed_unpublished_oldest_age_seconds{instance="h1"}': "400x20"}, 10, {}),
    "LienThongCertificateEnds30Days": (
        {'lienthong_certificate_expiry_timestamp_seconds{instance="h1",of="hub"}': "1728000x5"},
        1,
        {"of": "hub"},
    ),
    "LienThongCertificateEnds7Days": (
        {'lienthong_certificate_expiry_timestamp_seconds{instance="h1",of="vpub"}': "432000x5"},
        1,
        {"of": "vpub"},
    ),
    "LienThongCertificateEnds1Day": (
        {'lienthong_certificate_expiry_timestamp_seconds{instance="h1",of="vpub"}': "3600x5"},
        1,
        {"of": "vpub"},
    ),
    "LienThongCrlStale": (
        {
            'lienthong_crl_issued_timestamp_seconds{instance="h1",issuer="CA"}': "-86400x20",
            'lienthong_crl_expiry_timestamp_seconds{instance="h1",issuer="CA"}': "3600x20",
        },
        15,
        {"issuer": "CA"},
    ),
    "LienThongOcspStale": (
        {'lienthong_ocsp_expiry_timestamp_seconds{instance="h1",issuer="CA"}': "1800x20"},
        15,
        {"issuer": "CA"},
    ),
    "LienThongDiskLow": (
        {
            'lienthong_disk_free_bytes{instance="h1"}': "15x10",
            'lienthong_disk_reserve_bytes{instance="h1"}': "10x10",
        },
        7,
        {"instance": "h1"},
    ),
    "LienThongDiskFillsUp": (
        {
            'lienthong_disk_free_bytes{instance="h1"}': "100000-30x100",
            'lienthong_disk_reserve_bytes{instance="h1"}': "10x100",
        },
        90,
        {"instance": "h1"},
    ),
    "LienThongWorkersEnd": ({'lienthong_workers_ended_total{instance="h1"}': "0+1x10"}, 10, {"instance": "h1"}),
    "LienThongFilesLow": (
        {
            'process_open_fds{job="lienthong",instance="h1"}': "90x10",
            'process_max_fds{job="lienthong",instance="h1"}': "100x10",
        },
        7,
        {"job": "lienthong", "instance": "h1"},
    ),
    "LienThongVersionsDiffer": (
        {
            'lienthong_build_info{instance="h1",version="2026.11.0"}': "1x1600",
            'lienthong_build_info{instance="h2",version="2026.12.0"}': "1x1600",
        },
        1500,
        {},
    ),
    "LienThongLinkDown": (
        {'lienthong_link_up{instance="h1",link="vpub"}': "0x10"},
        6,
        {"instance": "h1", "link": "vpub"},
    ),
    "LienThongLinkCertificateEnds": (
        {'lienthong_link_certificate_expiry_timestamp_seconds{instance="h1",link="vpub"}': "86400x5"},
        1,
        {"link": "vpub"},
    ),
    "LienThongBackupOld": (
        {'lienthong_backup_last_good_timestamp_seconds{instance="h1"}': "-200000x30"},
        15,
        {},
    ),
    "LienThongBackupFailed": ({'lienthong_backup_failed{instance="h1"}': "1x90"}, 70, {}),
    "LienThongRetentionLate": ({'lienthong_retention_overdue_seconds{instance="h1"}': "172000+60x90"}, 80, {}),
    "LienThongSyslogFailed": (
        {'lienthong_syslog_total{instance="h1",became="failed"}': "0x3 2x10"},
        5,
        {"instance": "h1"},
    ),
} | {
    name: ({f'lienthong_alerts{{instance="h1",kind="{kind}",severity="error"}}': "_x2 1x5"}, 4, {"severity": "error"})
    for kind in ConditionKind
    if (name := name_rule(kind)) and kind not in WRITTEN
}
#: A province that is well, for 26 hours, with a value every minute. Its partner was down for a while, as partners are.
WELL = {
    'up{job="lienthong",instance="h1"}': "1x1600",
    'lienthong_ready{instance="h1",reason="disk"}': "1x1600",
    'lienthong_ready{instance="h1",reason="restart"}': "0x60 1x1540",
    'lienthong_ready{instance="h1",reason="revocation"}': "1x1600",
    'lienthong_ready{instance="h1",reason="links"}': "0x1600",
    'lienthong_ready{instance="h1",reason="receipts"}': "0x50 1x1550",  # the node serves: that is no critical alert
    'lienthong_ready{instance="h1",reason="writer"}': "0x1 1x1599",
    'lienthong_intake_calls_total{partner="sotttt",service="documents",code="ok"}': "0+600x1600",
    'lienthong_intake_calls_total{partner="sotttt",service="documents",code="hub-busy"}': "0x100 5x1500",
    'lienthong_intake_calls_total{partner="",service="documents",code="certificate-unknown"}': "0+1x1600",
    'lienthong_intake_messages_total{partner="sotttt",service="documents",result="accepted"}': "0+600x1600",
    'lienthong_intake_messages_total{partner="sotttt",service="documents",result="not-yours"}': "0+20x1600",
    'lienthong_intake_call_seconds_bucket{partner="sotttt",service="documents",le="0.05"}': "0+590x1600",
    'lienthong_intake_call_seconds_bucket{partner="sotttt",service="documents",le="+Inf"}': "0+600x1600",
    'lienthong_breaker{instance="h1",partner="vpub",position="closed"}': "1x1500 0x5 1x95",
    'lienthong_partner_paused{instance="h1",partner="vpub"}': "1x100 0x1500",
    'lienthong_deliveries{instance="h1",partner="vpub",state="dead"}': "3x1600",
    'lienthong_deliveries{instance="h1",partner="vpub",state="suspended"}': "1x30 0x1570",
    'lienthong_deliveries_oldest_age_seconds{instance="h1",partner="vpub",state="waiting"}': "30x1600",
    'lienthong_deliveries_oldest_age_seconds{instance="h1",partner="vpub",state="dead"}': "900000x1600",
    'lienthong_deliveries_oldest_age_seconds{instance="h1",partner="vpub",state="held"}': "86400x1600",
    'lienthong_delivery_lag_seconds_bucket{partner="vpub",le="5.0"}': "0+590x1600",
    'lienthong_delivery_lag_seconds_bucket{partner="vpub",le="+Inf"}': "0+600x1600",
    'lienthong_leases_expired_total{instance="h1"}': "3x1600",
    'lienthong_commit_seconds_bucket{instance="h1",le="0.05"}': "0+590x1600",
    'lienthong_commit_seconds_bucket{instance="h1",le="+Inf"}': "0+600x1600",
    'lienthong_commits_failed_total{instance="h1"}': "2x1600",
    'lienthong_events_unchained_oldest_age_seconds{instance="h1"}': "1x1600",
    'lienthong_duties_outstanding_oldest_age_seconds{instance="h1"}': "10x1600",
    'lienthong_feed_unpublished_oldest_age_seconds{instance="h1"}': "1x1600",
    'lienthong_certificate_expiry_timestamp_seconds{instance="h1",of="hub"}': "8640000x1600",
    'lienthong_crl_issued_timestamp_seconds{instance="h1",issuer="CA"}': "0x1600",
    'lienthong_crl_expiry_timestamp_seconds{instance="h1",issuer="CA"}': "604800x1600",
    'lienthong_ocsp_expiry_timestamp_seconds{instance="h1",issuer="CA"}': "604800x1600",
    'lienthong_disk_free_bytes{instance="h1"}': "100000x1600",
    'lienthong_disk_reserve_bytes{instance="h1"}': "10x1600",
    'lienthong_workers_ended_total{instance="h1"}': "0x800 1x800",
    'process_open_fds{job="lienthong",instance="h1"}': "50x1600",
    'process_max_fds{job="lienthong",instance="h1"}': "100x1600",
    'lienthong_build_info{instance="h1",version="2026.11.0"}': "1x1600",
    'lienthong_build_info{instance="h2",version="2026.12.0"}': "1x30",
    'lienthong_link_up{instance="h1",link="vpub"}': "1x1600",
    'lienthong_link_certificate_expiry_timestamp_seconds{instance="h1",link="vpub"}': "8640000x1600",
    'lienthong_syslog_total{instance="h1",became="failed"}': "1x1600",
    'lienthong_backup_last_good_timestamp_seconds{instance="h1"}': "0x1600",
    'lienthong_backup_failed{instance="h1"}': "1x30 0x1570",
    'lienthong_alerts{instance="h1",kind="partner-down",severity="error"}': "1x1600",
    'lienthong_retention_overdue_seconds{instance="h1"}': "0x60 0+60x1540",
}


def expected(rule, labels):
    """Return the alert of *rule* with *labels*, as promtool writes it."""
    words = {name: LABELS.sub(lambda found: labels[found[1]], text) for name, text in rule["annotations"].items()}
    return {"exp_labels": {**labels, **rule.get("labels", {})}, "exp_annotations": words}


def one_test(series, minute, alerts):
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": found} for name, found in alerts.items()
        ],
    }


def promtool(*words):
    if shutil.which("promtool") is None:
        cannot_be_had("promtool", "install the package prometheus")
    return subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, check=False, timeout=PROGRAM)


@pytest.fixture
def judged(tmp_path):
    """Return what promtool says of some tests of the rules."""

    def judge(*tests, every=1):
        shutil.copy(PLACE / "rules.yml", tmp_path)
        asked = {"rule_files": ["rules.yml"], "evaluation_interval": f"{every}m", "tests": list(tests)}
        (tmp_path / "tests.yml").write_text(json.dumps(asked), "utf-8")  # JSON is YAML
        ran = promtool("test", "rules", tmp_path / "tests.yml")
        return ran.returncode, ran.stdout + ran.stderr

    return judge


@pytest.mark.slow
def test_each_alert_fires_with_its_labels_and_words(judged):
    assert set(FIRES) == {rule["alert"] for rule in RULES}
    soon: list[object] = []
    late: list[object] = []
    for rule in RULES:
        series, minute, labels = FIRES[rule["alert"]]
        (soon if minute < 300 else late).append(one_test(series, minute, {rule["alert"]: [expected(rule, labels)]}))
    for tests, every in ((soon, 1), (late, 30)):
        code, said = judged(*tests, every=every)
        assert code == 0, said


@pytest.mark.slow
def test_in_a_province_that_is_well_none_fires(judged):
    well = one_test(WELL, 15, {rule["alert"]: [] for rule in RULES})
    later = [{**each, "eval_time": f"{minute}m"} for minute in (90, 700, 1560) for each in well["alert_rule_test"]]
    code, said = judged({**well, "alert_rule_test": [*well["alert_rule_test"], *later]}, every=5)
    assert code == 0, said


def test_a_partners_first_dead_letter_fires_too(judged):
    series = {
        'up{job="lienthong",instance="h1"}': "1x100",
        'lienthong_deliveries{instance="h1",partner="vpub",state="dead"}': "_x65 1x20",
    }
    (rule,) = [each for each in RULES if each["alert"] == "LienThongDeadLetters"]
    code, said = judged(one_test(series, 70, {rule["alert"]: [expected(rule, {"partner": "vpub"})]}))
    assert code == 0, said


def test_the_first_error_of_the_hub_fires_though_its_counter_begins_with_it(judged):
    error = 'lienthong_intake_calls_total{instance="h1",partner="vpub",service="documents",code="hub-error"}'
    (rule,) = [each for each in RULES if each["alert"] == "LienThongHubError"]
    fires = {rule["alert"]: [expected(rule, {"partner": "vpub", "service": "documents"})]}
    watched = {'up{job="lienthong",instance="h1"}': "1x100", error: "_x30 1x70"}
    began = {'up{job="lienthong",instance="h1"}': "_x30 1x70", error: "_x30 1x70"}
    code, said = judged(
        one_test(watched, 32, fires),
        one_test(watched, 60, {rule["alert"]: []}),
        one_test(began, 32, {rule["alert"]: []}),
    )
    assert code == 0, said


def test_the_rules_are_what_promtool_takes():
    ran = promtool("check", "rules", PLACE / "rules.yml")
    assert ran.returncode == 0, ran.stderr


def test_the_rules_of_conditions_are_those_of_today():
    written = (PLACE / "rules.yml").read_text("utf-8")
    assert written == write_rules(written), "run ./dev words"


def test_each_condition_of_the_hub_has_a_rule():
    names = {rule["alert"] for rule in RULES}
    assert {name for each in WRITTEN.values() for name in each} <= names
    assert {name_rule(kind) for kind in ConditionKind if kind not in WRITTEN} <= names


@pytest.mark.parametrize(
    ("alert", "limit"),
    [
        ("LienThongWaitingLong", AlertLimits().waiting),
        ("LienThongChainBehind", AlertLimits().chain),
        ("LienThongRetentionLate", RETENTION_LATE),
        *(
            (f"LienThongCertificateEnds{days}Day{'s' * (days > 1)}", timedelta(days=days))
            for days, _ in CERTIFICATE_DAYS
        ),
    ],
)
def test_a_rule_has_the_limit_of_its_condition(alert, limit):
    (rule,) = [each for each in RULES if each["alert"] == alert]
    first = rule["expr"].partition(" and ")[0]
    number, _, unit = re.split(r" [<>] ", first)[1].partition(" * ")
    assert int(number) * int(unit or 1) == limit.total_seconds()


def names_used():
    """Return the metrics that the rules and the dashboard name."""
    told = [rule["expr"] for rule in RULES]
    board = json.loads((PLACE / "dashboard.json").read_text("utf-8"))
    told += [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return {name for text in told for name in re.findall(r"\b(?:lienthong|process)_\w+", text)}


def test_rules_and_dashboard_name_only_metrics_that_there_are():
    page = [
        name
        for text in sections(DOCS / "reference/metrics.md").values()
        for row in rows(text)
        for name in quoted(row[0])
    ]
    series = {f"{each.name}{end}" for each in DEFINED if each.limits for end in ("_bucket", "_sum", "_count")}
    assert names_used() - {*page, *series} == set()


def test_every_metric_of_the_hub_is_on_the_dashboard_or_in_a_rule():
    page = {
        name
        for text in sections(DOCS / "reference/metrics.md").values()
        for row in rows(text)
        for name in quoted(row[0])
        if name.startswith("lienthong_")
    }
    used = names_used()
    assert {name for name in page if not any(each.startswith(name) for each in used)} == set()


def test_the_page_says_what_to_do_about_each_alert():
    for page in ("howto/monitoring.md", "vi/howto/monitoring.md"):
        told = [name for text in sections(DOCS / page).values() for row in rows(text) for name in quoted(row[0])]
        assert sorted(name for name in told if name.startswith("LienThong")) == sorted(rule["alert"] for rule in RULES)
