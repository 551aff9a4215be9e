"""The page of the alerts: who sees what, and the acknowledgement with its note."""

import re
from datetime import timedelta

import pytest

from hub import config
from hub.domain.alert_severity import AlertSeverity
from hub.domain.model import Receive
from hub.keeping import hub_alerts
from hub.keeping.hub_alerts import ConditionRound, HubAlertKey, MetCondition, TransitionRules
from hub.operations.accounts.permissions import Role
from hub.store import transactions
from tests.api_callers import Program
from tests.console.test_console_access import visit
from tests.console_town import Browser, Town


def raise_alerts(town: Town) -> None:
    """Raise alerts about two partners and about a disk."""
    met = [
        MetCondition(
            key=HubAlertKey("dead-letters", code),
            severity=AlertSeverity.ERROR,
            values={"partner": code, "count": 3},
        )
        for code in ("vpub", "sotttt")
    ]
    disk = MetCondition(
        key=HubAlertKey("disk-low", "/x", "n"),
        severity=AlertSeverity.CRITICAL,
        values={"place": "/x", "mebibytes": 12},
    )
    found = ConditionRound(met=[*met, disk], judged={"dead-letters", "disk-low"}, node="n", shared=True)
    with transactions.write_transaction(town.engine) as tx:
        hub_alerts.write_steps(tx, found, town.now - timedelta(hours=1), TransitionRules())


@pytest.fixture
def alerted(town: Town) -> Town:
    town.partners = {
        code: config.Partner(code=code, name=code, certificates=(), receive=Receive.PUSH) for code in ("vpub", "sotttt")
    }
    raise_alerts(town)
    return town


def standing(town: Town) -> dict[str, tuple[str, str]]:
    with transactions.read_transaction(town.engine) as tx:
        found = hub_alerts.read_alerts(tx)
    return {each.key.about: (each.acknowledged_by, each.acknowledged_note) for each in found}


def open_page(town: Town, role: Role, partners: tuple[str, ...] = ("*",)) -> Browser:
    town.add("an", role=role, partners=partners)
    browser = visit(town, "an")
    browser.get("/alerts")
    return browser


def test_the_page_shows_the_gravest_first_and_what_to_do(alerted):
    page = open_page(alerted, Role.ENGINEER).page
    assert page.index("12 MiB") < page.index("3 ")
    assert "lienthong failures" in page


def test_an_engineer_acknowledges_one_with_a_note(alerted):
    browser = open_page(alerted, Role.ENGINEER)
    browser.post("/alerts", condition="dead-letters", about="vpub", node="", note=" gọi\n vpub ")
    assert standing(alerted) == {"vpub": ("an", "gọi vpub"), "sotttt": ("", ""), "/x": ("", "")}
    browser.get("/alerts")
    assert "gọi vpub" in browser.page
    browser.post("/alerts", all="1")
    assert [by for by, _ in standing(alerted).values()] == ["an", "an", "an"]


def test_the_first_page_names_the_gravest_of_the_alerts_that_nobody_has_acknowledged(alerted):
    browser = open_page(alerted, Role.ENGINEER)
    browser.get("/")
    assert "3 cảnh báo chưa ai xác nhận</a>: /x: còn trống 12 MiB" in browser.page
    browser.post("/alerts", condition="disk-low", about="/x", node="n")
    browser.get("/")
    assert "2 cảnh báo chưa ai xác nhận</a>: sotttt: 3" in browser.page
    browser.post("/alerts", all="1")
    browser.get("/")
    assert "chưa ai xác nhận" not in browser.page


def test_an_alert_leads_to_the_page_on_which_somebody_sees_to_it(alerted):
    """Whoever may see alerts may open it."""
    conditions: dict[str, dict[str, str | int]] = {
        "partner-down": {"partner": "vpub"},
        "dead-letters": {"partner": "vpub", "count": 3},
        "certificate": {"owner": "partner", "name": "vpub", "end": "2027-01-02T03:04:05Z"},
        "crl-stale": {"issuer": "CA"},
        "returned-reports": {"form": "edoc", "period": "2026-11", "count": 1, "closes": "2027-01-02T03:04:05Z"},
        "chain-behind": {"oldest": "2027-01-02T03:04:05Z"},
        "backup-old": {"last": ""},
        "node-lost": {"name": "h", "seen": "2027-01-02T03:04:05Z"},
        "retention-late": {"month": "2026-08", "due": "2027-01-02T03:04:05Z"},
        "budget-tight": {"used": 9, "budget": 10, "days": 3},
        "receipts-awaited": {"count": 3},
        "restart-pending": {"name": "n", "settings": "workers"},
        "writer-busy": {"owner": "sotttt"},
    }
    met = [
        MetCondition(key=HubAlertKey(kind, "x"), severity=AlertSeverity.WARNING, values=values)
        for kind, values in conditions.items()
    ]
    found = ConditionRound(met=met, judged=set(conditions), node="n", shared=True)
    with transactions.write_transaction(alerted.engine) as tx:
        hub_alerts.write_steps(tx, found, alerted.now, TransitionRules())
    browser = open_page(alerted, Role.APPROVER)
    table = browser.page.partition("<main")[2]
    places = {link.replace("&amp;", "&") for link in re.findall(r'rowheader" scope="row"><a href="([^"]*)"', table)}
    assert places == {
        "/partners/vpub",
        "/failures?partner=vpub",
        "/failures?partner=sotttt",
        "/partners",
        "/month/edoc/2026-11?step=returned",
        "/backups",
        "/upgrades",
        "/retention",
        "/readiness",
        "/",
    }
    for place in places - {"/partners/vpub"}:  # this partner has no file
        assert browser.get(place).status == 200, place


def test_what_has_ended_meanwhile_is_not_acknowledged(alerted):
    browser = open_page(alerted, Role.OPERATOR)
    browser.post("/alerts", condition="chain-behind", about="", node="")
    assert {by for by, _ in standing(alerted).values()} == {""}


def test_an_account_of_one_partner_sees_and_acknowledges_its_alerts_only(alerted):
    browser = open_page(alerted, Role.ENGINEER, partners=("vpub",))
    assert "vpub" in browser.page
    assert "sotttt" not in browser.page
    browser.post("/alerts", condition="dead-letters", about="sotttt", node="")
    assert standing(alerted)["sotttt"] == ("", "")
    browser.get("/alerts")
    browser.post("/alerts", all="1")
    assert {about for about, (by, _) in standing(alerted).items() if by} == {"vpub", "/x"}


def test_the_certificate_of_another_partner_is_about_that_partner(alerted):
    ending = [
        MetCondition(
            key=HubAlertKey("certificate", f"partner {code}"),
            severity=AlertSeverity.WARNING,
            values={"owner": "partner", "name": code, "end": "2027-01-02T03:04:05Z"},
        )
        for code in ("vpub", "sotttt")
    ]
    found = ConditionRound(met=ending, judged={"certificate"}, node="n", shared=True)
    with transactions.write_transaction(alerted.engine) as tx:
        hub_alerts.write_steps(tx, found, alerted.now, TransitionRules())
    browser = open_page(alerted, Role.ENGINEER, partners=("vpub",))
    assert "vpub" in browser.page
    assert "sotttt" not in browser.page
    browser.post("/alerts", condition="certificate", about="partner sotttt", node="")
    assert standing(alerted)["partner sotttt"] == ("", "")


def test_who_only_approves_sees_alerts_and_acknowledges_none(alerted):
    browser = open_page(alerted, Role.APPROVER)
    assert 'action="/alerts"' not in browser.page
    assert browser.post("/alerts", all="1").status == 404
    assert {by for by, _ in standing(alerted).values()} == {""}


def test_a_program_reads_and_acknowledges_them(alerted):
    alerted.add("an", role=Role.OPERATOR)
    program = Program(alerted)
    program.get("/alerts")
    assert [each["condition"] for each in program.said["raised"]] == ["disk-low", "dead-letters", "dead-letters"]
    one = {"condition": "dead-letters", "about": "vpub"}
    assert program.post("/alerts/acknowledge", {"alerts": [one], "note": "x"}, key="k").status == 200
    assert [each["about"] for each in program.said["items"]] == ["vpub"]
    assert program.post("/alerts/acknowledge", {"alerts": [one], "note": "x"}, key="k").status == 200
    assert [each["about"] for each in program.said["items"]] == ["vpub"], "the same order again, the same answer"
    wrong = {"condition": "dead-letters", "about": "nobody"}
    assert program.post("/alerts/acknowledge", {"alerts": [{"condition": "disk-low"}, wrong]}).status == 404
    assert standing(alerted)["/x"] == ("", "")
    assert Program(alerted, "see-readiness").post("/alerts/acknowledge", {"alerts": [one]}).status == 403
