"""`lienthong audit`: what it draws, what it refuses, and how an interrupted drill goes on.  The hub is in this process."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from lxml import etree

from hub.audit.drill.plan import read_plan, write_plan
from hub.cli import lienthong
from hub.cli.audit import audit as commands
from hub.cli.documents_client import HubUnavailable, load_shipped_contract
from hub.domain.errors import CallRefused
from hub.security.anchors import Anchors, Purpose
from hub.security.certificates import Identity
from hub.store import transactions
from hub.units.units_csv import read_units_csv
from tests import databases, drilling, pki


def run(*words: object, code: int = 0) -> list[dict[str, object]]:
    ran = CliRunner().invoke(lienthong, ["audit", *map(str, words), "--json"])
    assert ran.exit_code == code, ran.output
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]


def test_a_plan_has_its_units_and_keys_that_its_own_ca_has_issued(tmp_path: Path) -> None:
    (said,) = run("plan", tmp_path / "d", "--province", "H55", "--seed", 7, "--today", "2026-02-10")
    plan = read_plan((tmp_path / "d" / "plan.json").read_bytes())
    assert (said["name"], said["period"], said["steps"]) == ("K07", "2026-02", len(plan.steps))
    units, mistakes = read_units_csv((tmp_path / "d" / "units.csv").read_bytes(), "u", [])
    assert (units, mistakes) == (drilling.drill_units(plan), [])
    identity = Identity.read(tmp_path / "d" / "inspector.key", tmp_path / "d" / "inspector.crt")
    (authority,) = x509.load_pem_x509_certificates((tmp_path / "d" / "inspector-ca.crt").read_bytes())
    Anchors([authority]).check(identity.certificate, datetime.now(UTC), purpose=Purpose.SIGN)
    assert (tmp_path / "d" / "inspector.key").stat().st_mode & 0o077 == 0
    run("plan", tmp_path / "d", "--province", "H55", code=1)  # it is there already


def test_the_plan_knows_the_holidays_behind_its_period(tmp_path: Path) -> None:
    """Two working days after 14/02/2026 lie behind the Lunar New Year, which is in the hub's own calendar."""
    key, certificate = pki.write(tmp_path, "kiemtra", drilling.identity("kiemtra"))
    own = ["--key", key, "--certificate", certificate]
    run("plan", tmp_path / "d", "--province", "H55", "--today", "2026-02-10", "--day-off", "2026-02-24", *own)
    plan = read_plan((tmp_path / "d" / "plan.json").read_bytes())
    assert str(plan.find_due_day("ii06a")) == "2026-02-25"
    assert not (tmp_path / "d" / "inspector.key").exists()
    run("plan", tmp_path / "e", "--province", "H55", "--key", key, code=2)


@pytest.fixture(name="drill")
def _drill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[drilling.DrillHub]:
    """A drill of mail alone in a folder, and the hub behind the door of the commands."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    hub = drilling.DrillHub(engine, drilling.draw(services=["mail"]))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "plan.json").write_bytes(write_plan(hub.plan))
    pki.write(tmp_path / "d", "inspector", drilling.identity("kiemtra"))
    (tmp_path / "ca.crt").write_bytes(pki.pem(drilling.AUTHORITY.certificate))
    monkeypatch.setattr(commands._FrontDoor, "call", lambda _door, *said: hub.call(*said))
    monkeypatch.setattr(commands, "_read_clock", lambda: hub.now)
    yield hub
    engine.dispose()


@pytest.mark.slow
def test_an_interrupted_drill_goes_on_and_agrees(tmp_path: Path, drill: drilling.DrillHub, monkeypatch) -> None:
    way = [tmp_path / "d", "--url", "https://127.0.0.1:1", "--ca", tmp_path / "ca.crt"]
    call, done = drill.call, []

    def broken(service, element):
        answer = call(service, element)
        done.append(service)
        if done.count("mail") == 5:
            raise HubUnavailable("cut off after the hub had it")
        return answer

    monkeypatch.setattr(commands._FrontDoor, "call", lambda _door, *said: broken(*said))
    run("send", *way, code=69)
    with (tmp_path / "d" / "sent.jsonl").open("ab") as file:
        file.write(b'{"number": 5, "half')  # the machine stopped while it was written
    (said,) = run("send", *way)
    assert (said["sent"], said["refused"]) == (len(drill.plan.steps), 1)
    (verdict,) = run("reconcile", *way)
    assert (verdict["agrees"], verdict["differences"]) == (True, 0)
    verified = CliRunner().invoke(lienthong, ["verify", str(tmp_path / "d" / "protocol.xml"), "--ca", str(way[-1])])
    assert verified.exit_code == 0, verified.output


@pytest.mark.slow
def test_a_difference_is_named_and_ends_with_1(tmp_path: Path, drill: drilling.DrillHub) -> None:
    way = [tmp_path / "d", "--url", "https://127.0.0.1:1", "--ca", tmp_path / "ca.crt"]
    run("send", *way)
    lines = (tmp_path / "d" / "sent.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "d" / "sent.jsonl").write_bytes(b"".join(lines[:-3]))
    *found, verdict = run("reconcile", *way, code=1)
    assert (verdict["agrees"], verdict["differences"]) == (False, len(found))
    assert {each["what"] for each in found} >= {"answer"}


def test_a_drill_of_a_period_that_is_over_is_not_sent(tmp_path: Path) -> None:
    run("plan", tmp_path / "d", "--province", "H55", "--today", "2020-02-10")
    (tmp_path / "ca.crt").write_bytes(pki.pem(drilling.AUTHORITY.certificate))
    run("send", tmp_path / "d", "--url", "https://127.0.0.1:1", "--ca", tmp_path / "ca.crt", code=1)
    assert not (tmp_path / "d" / "sent.jsonl").exists()


def test_the_answers_of_a_service_without_code_are_validated(tmp_path: Path) -> None:
    """The schema of `work` has its requests alone; that of its answers is the hub's."""
    engine = transactions.open_journal(databases.sqlite(tmp_path / "hub.db"), pooled=False)
    hub = drilling.DrillHub(engine, drilling.draw(services=["work"], usual=0))
    answer = hub.call("work", etree.fromstring(hub.plan.steps[0].octets))
    contract = load_shipped_contract("work")
    assert contract.validate(answer) == []
    answer.append(etree.SubElement(answer, "{urn:lienthong:work:1}More"))
    with pytest.raises(CallRefused, match="contract-broken"):
        contract.validate(answer)
    engine.dispose()
