"""`lienthong units merge`: what a deed touches is shown before it is written; an undone one gives back what is open."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.cli import lienthong
from hub.config import read_config
from hub.domain.ids import make_id
from hub.domain.local_time import find_local_day
from hub.domain.model import DeliveryState, Event, Fact
from hub.journal import events, facts, unit_registry
from hub.journal.queue import deliveries, delivery_ends
from hub.journal.sequels import handovers
from hub.keeping import dossier_moves
from hub.operations.accounts import users
from hub.operations.accounts.permissions import Role
from hub.operations.accounts.users import User
from hub.store import transactions
from hub.store.tables import delivery, event, message
from hub.units.deeds import Deed, Estate
from hub.units.routing import Route
from tests import homes

Type = Callable[..., Result]
NOW = datetime.now(UTC)  # the command line reads the clock, and so must what it is given
SOON = find_local_day(NOW) + timedelta(days=30)
LISTED = f"""code,name,parent,since,aliases
H55.41,Xã A,H55,,000.00.41.H55
H55.42,Xã B,H55,,
H55.43,Phường AB,H55,{SOON},
H55.44,Phường CD,H55,,
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return homes.begin(tmp_path_factory.mktemp("merged") / "tinh")


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    home = Path(shutil.copytree(made, tmp_path / "tinh"))
    partner = home / "partners/sotttt.toml"
    partner.write_text(partner.read_text("utf-8").replace("units = [", 'units = ["H55.41", "000.00.41.H55", '), "utf-8")
    return home


@pytest.fixture
def typed(home: Path, tmp_path: Path) -> Type:
    """Types a command in English for the hub at *home*, whose registry has the units of the merger."""

    def run(*words: object) -> Result:
        return CliRunner(env={"LANG": "en_US.UTF-8"}).invoke(
            lienthong, ["-c", str(home / "hub.toml"), *map(str, words)]
        )

    listed = tmp_path / "units.csv"
    listed.write_text(LISTED, "utf-8")
    assert run("units", "import", listed).exit_code == 0
    return run


def lines(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def unit(typed: Type, code: str) -> dict[str, object]:
    return next(row for row in lines(typed("units", "list", "--json")) if row["code"] == code)


MERGE = ("units", "merge", "H55.41", "H55.42", "--into", "H55.43", "--on", SOON)


def put_in(home: Path) -> str:
    """Return a message to Xã A. Let Xã A have a document on its way, a dossier in hand and one finished, five mail accounts, and a console user."""
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url)
    with transactions.write_transaction(engine) as tx:
        sent = make_id(NOW)
        said = {"id": sent, "partner": "vpub", "service": "documents", "kind": "document", "state": "accepted"}
        tx.execute(message.insert(), {**said, "received_at": NOW, "sha256": "0" * 64, "size": 1, "lane": "L"})
        way = Route("H55.41", "sotttt", "H55.41", DeliveryState.HELD)
        deliveries.make_deliveries(tx, sent, [way], NOW, lane="L")
        today = find_local_day(NOW)
        told = {"unit": "H55.41", "at": NOW, "message": sent, "day": today}
        some = [("dossiers", "D1", "received", 1), ("dossiers", "D2", "received", 1), ("dossiers", "D2", "finished", 1)]
        some += [("mail", today.isoformat(), "accounts-issued", 5)]
        made = (
            Fact(service=service, key=key, milestone=milestone, amount=amount, **told)  # type: ignore[arg-type]
            for service, key, milestone, amount in some
        )
        facts.record_facts(tx, made)
        lan = User(name="lan", role=Role.CLERK, units=("H55.41",), added_at=NOW, changed_at=NOW)
        users.add_user(tx, lan, "hash", by="test", now=NOW)
    engine.dispose()
    return sent


def test_a_plan_shows_what_is_touched_and_writes_nothing(home: Path, typed: Type) -> None:
    sent = put_in(home)
    touched = {
        (row["unit"], row["touched"]): (row["count"], row["names"], row["handed_over"])
        for row in lines(typed(*MERGE, "--plan", "--json"))
    }
    assert len(touched) == 16
    assert touched["H55.41", "documents"] == (1, [sent], True)
    assert touched["H55.41", "dossiers"] == (1, ["D1"], True)
    assert touched["H55.41", "mail"] == (5, [], True)
    assert touched["H55.41", "documents-in-hand"] == (0, [], True)
    assert touched["H55.41", "partners"] == (1, ["sotttt"], False)
    assert touched["H55.41", "users"] == (1, ["lan"], False)
    assert touched["H55.42", "dossiers"] == (0, [], True)
    assert (unit(typed, "H55.41")["until"], lines(typed("units", "merge", "--json"))) == (None, [])
    shown = typed(*MERGE, "--plan")
    assert "dossiers in hand" in shown.stdout
    assert "H55.42" not in shown.stdout, "nothing of it is touched"


def test_a_deed_is_written_only_when_the_person_agrees(home: Path, typed: Type) -> None:
    asked = typed(*MERGE)
    assert (asked.exit_code, "add --yes" in asked.stderr) == (1, True)
    assert unit(typed, "H55.41")["until"] is None
    *_, written = lines(
        typed(*MERGE, "--what", "documents", "--what", "partners", "--reference", "1683/NQ", "--yes", "--json")
    )
    old = unit(typed, "H55.41")
    assert (old["until"], old["successors"], old["aliases"]) == (SOON.isoformat(), ["H55.43"], ["000.00.41.H55"])
    (deed,) = lines(typed("units", "merge", "--json"))
    assert (deed["deed"], deed["on"], deed["units"]) == (written["deed"], SOON.isoformat(), ["H55.41", "H55.42"])
    assert (deed["estates"], deed["reference"]) == (["documents", "partners"], "1683/NQ")
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url)
    with transactions.read_transaction(engine) as tx:
        given = unit_registry.list_registry_deeds(tx)
        bodies = [json.loads(body) for body in tx.scalars(event.select().with_only_columns(event.c.text))]
    engine.dispose()
    both = frozenset({Estate.DOCUMENTS, Estate.PARTNERS})
    assert given == [Deed("H55.41", "H55.43", both), Deed("H55.42", "H55.43", both)]
    (told,) = [body for body in bodies if body["event"] == "succession-recorded"]
    assert (told["deed"], told["since"], told["reference"]) == (written["deed"], SOON.isoformat(), "1683/NQ")


def test_a_planned_deed_is_undone_and_the_units_go_on(typed: Type) -> None:
    *_, written = lines(typed(*MERGE, "--yes", "--json"))
    (undone,) = lines(typed("units", "merge", "--undo", written["deed"], "--json"))
    assert undone == {
        "deed": written["deed"],
        "undone": True,
        "dossiers": 0,
        "documents": 0,
        "accounts": 0,
        "deliveries": 0,
    }
    assert (unit(typed, "H55.41")["until"], unit(typed, "H55.41")["successors"]) == (None, [])
    assert lines(typed("units", "merge", "--json")) == []
    assert typed("units", "merge", "--undo", written["deed"]).exit_code == 4


def test_a_deed_that_has_begun_is_undone_and_what_is_open_or_on_its_way_is_given_back(home: Path, typed: Type) -> None:
    put_in(home)
    today = find_local_day(NOW)
    *_, deed = lines(typed("units", "merge", "H55.41", "--into", "H55.44", "--on", today, "--yes", "--json"))
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url)
    with transactions.write_transaction(engine) as tx:
        (ended,) = handovers.list_handovers(tx, today, Estate.DOSSIERS)[Estate.DOSSIERS]
        assert dossier_moves.move_dossiers(tx, ended, ["D1"], NOW) == 1
        elsewhere = Route("H55.44", "vpub", "H55.44", DeliveryState.WAITING, "H55.41")
        assert delivery_ends.hand_over_deliveries(tx, {"H55.41": elsewhere}, (), NOW) == 1
    (undone,) = lines(typed("units", "merge", "--undo", deed["deed"], "--json"))
    assert undone == {
        "deed": deed["deed"],
        "undone": True,
        "dossiers": 1,
        "documents": 0,
        "accounts": 0,
        "deliveries": 1,
    }
    with transactions.read_transaction(engine) as tx:
        assert dossier_moves.list_open_dossiers(tx, "H55.44") == []
        assert dossier_moves.list_open_dossiers(tx, "H55.41") == ["D1@2"]
        assert list(tx.scalars(delivery.select().with_only_columns(delivery.c.partner))) == ["sotttt"]
    engine.dispose()


def test_a_deed_under_which_documents_arrived_is_not_undone_and_the_answer_says_how_to_go_back(
    home: Path, typed: Type, tmp_path: Path
) -> None:
    today = find_local_day(NOW)
    *_, deed = lines(typed("units", "merge", "H55.41", "--into", "H55.44", "--on", today, "--yes", "--json"))
    sent = put_in(home)
    said = {"unit": "000.00.41.H55", "successor": "H55.44", "place": "to"}
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url)
    with transactions.write_transaction(engine) as tx:
        events.append_events(tx, Event("unit-succeeded", NOW, sent, None, said))
    engine.dispose()
    refused = typed("units", "merge", "--undo", deed["deed"])
    assert (refused.exit_code, f"1: {sent}" in refused.stderr, "a deed back" in refused.stderr) == (1, True, True)
    assert unit(typed, "H55.41")["successors"] == ["H55.44"]
    again = tmp_path / "again.csv"
    again.write_text("code,name,parent,until,successors\nH55.41,Xã A,H55,,\n", "utf-8")
    assert typed("units", "import", again, "--yes").exit_code == 0
    back = typed("units", "merge", "H55.44", "--into", "H55.41", "--on", SOON, "--yes")
    assert back.exit_code == 0, back.stderr
    assert (unit(typed, "H55.41")["until"], unit(typed, "H55.44")["successors"]) == (None, ["H55.41"])


def test_of_several_successors_the_first_is_the_main_one(home: Path, typed: Type) -> None:
    *_, _ = lines(
        typed("units", "merge", "H55.41", "--into", "H55.44", "--into", "H55.42", "--on", SOON, "--yes", "--json")
    )
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url)
    with transactions.read_transaction(engine) as tx:
        assert [(deed.successor, deed.main) for deed in unit_registry.list_registry_deeds(tx)] == [
            ("H55.42", False),
            ("H55.44", True),
        ]
    engine.dispose()


SPLIT = ("units", "merge", "H55.41", "--into", "H55.44", "--into", "H55.42", "--on", SOON)


def put_in_fields(home: Path) -> None:
    """Let Xã A have, beside D1, three dossiers in hand of the field DD."""
    put_in(home)
    engine = transactions.open_journal(read_config(home / "hub.toml", {}).database_url)
    with transactions.write_transaction(engine) as tx:
        (sent,) = tx.scalars(message.select().with_only_columns(message.c.id))
        said = {"unit": "H55.41", "service": "dossiers", "milestone": "received", "at": NOW, "message": sent}
        known = (("field", "DD"),)
        facts.record_facts(tx, (Fact(key=key, attributes=known, **said) for key in ("L1", "L2", "L3")))
    engine.dispose()


def test_the_plan_of_a_split_tells_how_much_goes_to_whom_and_the_deed_keeps_its_rules(
    home: Path, typed: Type, tmp_path: Path
) -> None:
    put_in_fields(home)
    listed = tmp_path / "codes.txt"
    listed.write_text("L2\n\nL3\n", "utf-8")
    rules = ("--share", f"H55.44:keys={listed}", "--share", "H55.42:field=dd")
    to = {row["touched"]: row["to"] for row in lines(typed(*SPLIT, *rules, "--plan", "--json"))}
    assert to == {
        "documents": {"H55.44": 1}, "documents-in-hand": {}, "dossiers": {"H55.42": 1, "H55.44": 3},
        "mail": {"H55.44": 5}, "partners": {}, "users": {}, "tokens": {}, "officials": {},
    }  # fmt: skip
    shown = typed(*SPLIT, *rules, "--plan").stdout
    assert ("goes to" in shown, "H55.42: 1" in shown, "H55.44: 3" in shown) == (True, True, True)
    *_, _ = lines(typed(*SPLIT, *rules, "--yes", "--json"))
    (deed,) = lines(typed("units", "merge", "--json"))
    assert deed["shares"] == ["H55.44:keys=2", "H55.42:field=DD"]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("H55.43:field=DD", "is no successor"),
        ("H55.42:field=XX", "1 are unknown: XX"),
        ("H55.42:procedure=D", "1 are unknown: D"),
        ("H55.42:competent=H55.99", "no such unit"),
        ("H55.42:keys=CODES", "1 are unknown: L9"),
    ],
    ids=["successor", "field", "procedure", "competent", "keys"],
)
def test_a_rule_about_nothing_that_is_known_is_refused_before_anything_is_written(
    home: Path, typed: Type, tmp_path: Path, rule: str, problem: str
) -> None:
    put_in_fields(home)
    listed = tmp_path / "codes.txt"
    listed.write_text("L1\nL9\n", "utf-8")
    refused = typed(*SPLIT, "--share", rule.replace("CODES", str(listed)), "--yes")
    assert (refused.exit_code, problem in refused.stderr) == (1, True), refused.stderr
    assert unit(typed, "H55.41")["until"] is None


def test_a_field_of_a_unit_that_goes_on_is_planned_handed_over_listed_and_given_back(home: Path, typed: Type) -> None:
    put_in_fields(home)
    today = find_local_day(NOW)
    whole = ("units", "merge", "H55.41", "--part", "--into", "H55.42", "--on", today)
    assert typed(*whole, "--yes").exit_code == 1  # which dossiers?
    part = (*whole, "--share", "H55.42:field=DD")
    (row,) = lines(typed(*part, "--plan", "--json"))
    assert (row["touched"], row["count"], row["to"]) == ("dossiers", 3, {"H55.42": 3})
    *_, deed = lines(typed(*part, "--yes", "--json"))
    assert unit(typed, "H55.41")["until"] is None
    (listed,) = lines(typed("units", "merge", "--json"))
    assert (listed["part"], listed["units"], listed["shares"]) == (True, ["H55.41"], ["H55.42:field=DD"])
    assert typed(*part, "--yes").exit_code == 1  # already handed over
    dossier_moves.move_all_dossiers(
        engine := transactions.open_journal(read_config(home / "hub.toml", {}).database_url), NOW
    )
    engine.dispose()
    (undone,) = lines(typed("units", "merge", "--undo", deed["deed"], "--json"))
    assert (undone["dossiers"], undone["documents"]) == (3, 0)
    assert lines(typed("units", "merge", "--json")) == []


def test_a_value_in_two_rules_and_a_rule_without_dossiers_are_refused(home: Path, typed: Type) -> None:
    put_in_fields(home)
    twice = typed(*SPLIT, "--share", "H55.42:field=DD", "--share", "H55.44:field=DD")
    assert (twice.exit_code, "an earlier rule has DD" in twice.stderr) == (1, True)
    other = typed(*SPLIT, "--what", "mail", "--share", "H55.42:field=DD")
    assert (other.exit_code, "hands over no dossiers" in other.stderr) == (1, True)


@pytest.mark.parametrize("rule", ["field=DD", "H55.42:place=X", "H55.42:field=", "H55.42:keys=/nowhere/codes.txt"])
def test_half_a_rule_is_none(typed: Type, rule: str) -> None:
    assert typed(*SPLIT, "--share", rule).exit_code == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("H55.99", "--into", "H55.44", "--on", SOON), "there is no unit H55.99"),
        (("H55.41", "--into", "H55.41", "--on", SOON), "named twice"),
        (("H55.41", "--into", "H55.43", "--on", SOON - timedelta(days=1)), "not active"),
        (("H55.43", "--into", "H55.44", "--on", SOON), "it begins on"),
    ],
    ids=["unknown", "itself", "not-begun", "begins-later"],
)
def test_an_order_that_the_registry_does_not_allow_is_refused(
    typed: Type, words: tuple[object, ...], problem: str
) -> None:
    refused = typed("units", "merge", *words, "--yes")
    assert (refused.exit_code, problem in refused.stderr) == (1, True), refused.stderr


def test_a_successor_that_is_followed_by_the_unit_is_none(typed: Type) -> None:
    assert typed("units", "merge", "H55.44", "--into", "H55.42", "--on", SOON, "--yes").exit_code == 0
    refused = typed("units", "merge", "H55.42", "--into", "H55.44", "--on", SOON + timedelta(days=-1), "--yes")
    assert (refused.exit_code, "it is followed by" in refused.stderr) == (1, True)


@pytest.mark.parametrize("words", [("H55.41",), ("H55.41", "--undo", "x"), ("--into", "H55.43")])
def test_half_an_order_is_none(typed: Type, words: tuple[str, ...]) -> None:
    assert typed("units", "merge", *words).exit_code == 2
