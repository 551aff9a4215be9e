"""A message that is no packet: who may send it for which unit, where it goes, and what goes nowhere."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from hub import config
from hub.domain.errors import Rejected
from hub.domain.model import HUB, Fact, Problem, Receive, Record, Unit
from hub.intake.admission import judge_record
from hub.journal import duties
from hub.services import Service
from hub.units.province import Province
from tests import homes

ERRORS = Path(__file__).parents[2] / "docs/reference/errors.md"
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
UNITS = [Unit("H55", "Tỉnh"), Unit("H55.13", "Sở", "H55", aliases=("000.00.13.H55",)), Unit("H55.14", "Sở khác", "H55")]


def read(content, at, message):
    """Read `KIND UNIT [UNIT OF A FACT]`."""
    kind, unit, *others = content.decode().split()
    if kind == "bad":
        raise Rejected(Problem("contract-broken", "bad"))
    facts = [Fact(unit=each, service="s", key="1", milestone="m", at=at, message=message) for each in (unit, *others)]
    return Record(kind=kind, sender=unit, keys=("1",), facts=tuple(facts))


SERVICE = Service(name="s", read=read, milestones=frozenset({"m"}), undelivered_kinds=frozenset({"private"}))


@pytest.fixture(scope="module")
def province(tmp_path_factory):
    home = homes.begin(tmp_path_factory.mktemp("made") / "tinh")
    made = config.read_config(home / "hub.toml")
    partners = {
        "one": config.Partner(code="one", name="One", certificates=(), units=("H55.13",)),
        "taker": config.Partner(
            code="taker", name="Taker", certificates=(), receive=Receive.PUSH, url="https://x/", services=("s",)
        ),
    }
    return Province.of(attrs.evolve(made, partners=partners, upstream=""), UNITS)


def judged(province, content, partner="one"):
    return judge_record(SERVICE, content, None, partner, province, NOW, "id")


def test_it_goes_to_whoever_takes_its_service_under_the_registrys_codes(province):
    entry = judged(province, b"open 000.00.13.H55")
    assert entry.problems == ()
    assert [(route.recipient, route.partner) for route in entry.routes] == [("taker", "taker")]
    assert (entry.record.sender, entry.record.facts[0].unit) == ("H55.13", "H55.13")
    assert entry.message_id == entry.sha256
    assert entry.receipt is not None


def test_a_kind_that_is_the_provinces_own_goes_nowhere(province):
    assert judged(province, b"private H55.13").routes == ()


def test_nobody_gets_back_what_it_sent(province):
    assert judged(province, b"open H55.13", partner=HUB).routes != ()
    by_taker = attrs.evolve(province.config.partners["taker"], units=("H55.13",))
    changed = attrs.evolve(province.config, partners={**province.config.partners, "taker": by_taker})
    assert judged(Province.of(changed, UNITS), b"open H55.13", partner="taker").routes == ()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"open H55.14", "sender-not-allowed"),
        (b"open H55.13 H55.14", "sender-not-allowed"),
        (b"open H55.99", "unit-unknown"),
        (b"bad H55.13", "contract-broken"),
    ],
)
def test_what_a_partner_may_not_say_or_nobody_can_read_is_refused_and_kept(province, content, code):
    entry = judged(province, content)
    assert entry.problems[0].code == code
    assert entry.content == content
    assert entry.receipt is None


def test_the_hub_may_speak_for_every_unit(province):
    assert judged(province, b"open H55.14", partner=HUB).problems == ()


def many(count, last="H55.13"):
    """A message of so many facts, the last of the unit *last*."""
    return " ".join(["open", *["000.00.13.H55"] * (count - 1), last]).encode()


def test_what_is_more_than_one_transaction_writes_goes_apart_as_it_was_judged(province):
    entry = judged(province, many(2 * duties.SLICE + 1))
    assert (entry.problems, len(entry.record.facts)) == ((), duties.SLICE)
    assert [each.facts for each in entry.rest] == [duties.SLICE, 1]
    told = [fact for each in entry.rest for fact in duties._unpack_facts(each.octets, "id", NOW)]
    assert {fact.unit for fact in told} == {"H55.13"}, "the registry's codes of then"
    assert judged(province, many(duties.SLICE)).rest == ()


def test_the_last_of_many_facts_is_judged_before_there_is_a_receipt(province):
    entry = judged(province, many(3 * duties.SLICE, "H55.14"))
    assert [problem.code for problem in entry.problems] == ["sender-not-allowed"]
    assert (entry.receipt, entry.rest) == (None, ())


def test_no_message_that_a_contract_allows_has_too_many_facts_and_the_page_of_errors_tells_the_bound():
    assert duties.MOST_FACTS >= 5000 * 9, "mail tells nine figures of each of 5,000 units"
    told = next(line for line in ERRORS.read_text("utf-8").splitlines() if line.startswith("| `too-many-facts`"))
    assert f"{duties.MOST_FACTS:,} facts at most" in told


def test_a_message_of_more_facts_than_any_has_is_refused(province, monkeypatch):
    monkeypatch.setattr(duties, "MOST_FACTS", 300)
    assert judged(province, many(300)).problems == ()
    assert judged(province, many(301)).problems == (Problem("too-many-facts", "301 > 300"),)


@pytest.mark.parametrize(("ended", "codes"), [(89, []), (90, ["unit-inactive"])], ids=["in-grace", "later"])
def test_the_code_of_a_unit_that_has_ended_reports_nothing_after_its_days_of_grace(province, ended, codes):
    units = [
        attrs.evolve(unit, until=NOW.date() - timedelta(days=ended), successors=("H55.14",)) for unit in UNITS[1:2]
    ]
    late = Province.of(province.config, [UNITS[0], *units, UNITS[2]])
    assert [(each.code, str(each.detail)[-10:]) for each in judged(late, b"open H55.13").problems] == [
        (code, ") → H55.14") for code in codes
    ]
