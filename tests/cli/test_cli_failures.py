"""What an operator types to see what failed by cause, and to replay one cause: `failures`, and `--cause` everywhere."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from hub.domain.errors import SENTENCES
from hub.domain.model import Problem
from hub.store import transactions
from tests import homes
from tests.homes import Type, engine_of
from tests.monitoring.test_failures import die, refuse, refuse_call
from tests.words import in_vietnamese


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with failures of each kind."""
    home = homes.begin(tmp_path_factory.mktemp("home") / "tinh")
    now = datetime.now(UTC) - timedelta(hours=1)
    with transactions.write_transaction(engine_of(home)) as tx:
        die(tx, 1, "refused: E05: no unit H55.1", at=now)
        die(tx, 2, "refused: E05: no unit H55.2", at=now + timedelta(minutes=1))
        die(tx, 3, "refused: E06: later", at=now - timedelta(days=40))
        refuse(tx, 4, Problem("unit-unknown", "H55.99"), at=now)
        refuse_call(tx, "certificate-unknown", at=now)
    return home


@pytest.fixture
def type_(home: Path) -> Type:
    return homes.typing(home)


def rows(done: Result) -> list[dict[str, object]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_failures_are_listed_by_cause_and_each_leads_to_its_own(type_):
    found = rows(type_("failures", "--json"))
    said = [(row["state"], row["partner"], row["count"], row["codes"]) for row in found]
    assert said[0] == ("dead", "vpub", 2, ["E05"])
    assert sorted(said[1:]) == [("call", "-", 1, ["certificate-unknown"]), ("refused", "sotttt", 1, ["unit-unknown"])]
    for row in found:
        cause = str(row["cause"])
        listed = rows(type_("events" if row["state"] == "call" else "messages", "--cause", cause, "--json"))
        assert len(listed) == row["count"]
    dead = str(found[0]["cause"])
    planned = rows(type_("replay", "--cause", dead, "--reason", "đã sửa", "--json"))
    assert [(row["action"], row["partner"]) for row in planned] == [("planned", "vpub")] * 2
    refused = next(str(row["cause"]) for row in found if row["state"] == "refused")
    assert type_("replay", "--cause", refused, "--reason", "x").exit_code == 4


@pytest.mark.parametrize(
    ("words", "states"),
    [
        (["--state", "dead"], ["dead"]),
        (["--partner", "sotttt"], ["refused"]),
        (["--partner", "-"], ["call"]),
        (["--since", "01/01/2026", "--state", "dead"], ["dead", "dead"]),
        (["--until", "01/01/2026"], []),
        (["-n", "1", "--state", "dead"], ["dead"]),
    ],
)
def test_what_is_asked_is_listed(type_, words, states):
    assert [row["state"] for row in rows(type_("failures", "--json", *words))] == states


def test_people_read_failures_in_their_words_and_time(type_):
    shown = type_("failures", language="vi")
    assert "bị từ chối: E05: no unit …" in shown.stdout
    assert f"{in_vietnamese(SENTENCES['unit-unknown'])} [unit-unknown" in shown.stdout
    assert f"{in_vietnamese(SENTENCES['certificate-unknown'])} [certificate-unknown" in shown.stdout
    assert "More causes: 1." in type_("failures", "-n", "1", "--since", "01/01/2026", "--state", "dead").stderr
    assert "No failures." in type_("failures", "--until", "01/01/2026").stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["failures", "--partner", "nobody"], 4, "no partner nobody"),
        (["failures", "--state", "other"], 2, "--state"),
        (["failures", "--since", "yesterday"], 2, "27/11/2026"),
        (["messages", "--cause", "x"], 4, "x is no cause"),
        (["events", "--cause", "x"], 4, "x is no cause"),
        (["replay", "--cause", "vpub.1", "--reason", "x"], 4, "vpub.1 is no cause"),
        (["give-up", "--cause", "vpub.1", "--reason", "x"], 4, "vpub.1 is no cause"),
    ],
)
def test_what_does_not_fit_is_said(type_, words, code, told):
    done = type_(*words)
    assert (done.exit_code, told in done.stderr) == (code, True), done.output
